"""How a desk dies in a chaos: at which of its events, and whether by an exception nothing may catch or by SIGKILL."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

from agent.journal.chain import Seq
from agent.journal.store import Journal

MOMENTS = ("before", "after", "durable")


@dataclass(frozen=True, slots=True)
class Death:
    """The desk dies at its `at`-th event: `before` it is written, `after`, or when it is `durable`. `real`: by SIGKILL."""

    at: int
    moment: str
    real: bool = False


class Dead(BaseException):
    """The desk is gone: nothing in it may catch this."""


@dataclass
class Doom:
    """When this life ends; `death` None is never. `seen` counts its events."""

    death: Death | None = None
    seen: int = 0
    dead: bool = False

    def due(self, moment: str) -> bool:
        at = self.seen - (moment != "before")
        return self.death is not None and (at, moment) == (self.death.at, self.death.moment)

    def check(self, moment: str) -> None:
        due = self.due(moment)
        if self.death is not None and self.death.real and due:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.dead or due:
            self.dead = True
            raise Dead(f"{moment} event {self.seen}")


class DyingStore:
    """The real journal, which asks at every step whether this was the last."""

    def __init__(self, journal: Journal, doom: Doom) -> None:
        self._journal, self._doom = journal, doom

    def append(self, event: object) -> Seq:
        self._doom.check("before")
        seq = self._journal.append(event)
        self._doom.seen += 1
        self._doom.check("after")
        if self._doom.due("durable"):
            self._journal.checkpoint()
            self._doom.check("durable")
        return seq

    async def durable(self, seq: Seq) -> None:
        await self._journal.durable(seq)


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first error inside, however deep it lies."""
    found = group.exceptions[0]
    return first_of(found) if isinstance(found, BaseExceptionGroup) else found
