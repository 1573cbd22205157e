"""One finding of `doctor`: what was looked at, how it stands, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from agent.domain.errors import FairleadError


class Level(Enum):
    """SKIP: there is nothing of the kind in these settings."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """`exit_status` is what a failure of it makes the command end with: 3 what is ours to put right, 4 what is theirs."""

    name: str
    level: Level
    message: str
    remedy: str = ""
    exit_status: int = 4


def ok(name: str, message: str) -> Check:
    return Check(name, Level.OK, message)


def warn(name: str, message: str, remedy: str) -> Check:
    return Check(name, Level.WARN, message, remedy)


def fail(name: str, message: str, remedy: str, exit_status: int = 4) -> Check:
    return Check(name, Level.FAIL, message, remedy, exit_status)


def skip(name: str, message: str) -> Check:
    return Check(name, Level.SKIP, message)


async def guarded(name: str, work: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    """What the work found, or the error that ended it as a finding of its own."""
    try:
        return await work()
    except FairleadError as error:
        return [fail(name, error.message, error.hint or "see the message", error.exit_status)]
