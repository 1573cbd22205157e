"""Event types of every form the codec knows, and a clock that counts: for the tests of the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NewType

from agent.journal.codec import Codec
from agent.journal.fold import Projection
from agent.journal.store import Journal

Tag = NewType("Tag", str)


class Colour(Enum):
    RED = "red"
    GREEN = 2


@dataclass(frozen=True, slots=True)
class Inner:
    amount_raw: int
    px: Decimal
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    value: int
    children: tuple[Tree, ...] = ()


@dataclass(frozen=True, slots=True)
class Everything:
    count: int
    amount_raw: int
    px: Decimal
    ratio: float
    on: bool
    text: str
    tag: Tag
    data: bytes
    colour: Colour
    at: datetime
    at_ns: int
    maybe: Inner | None
    either: Inner | Colour | int | None
    many: tuple[Inner, ...]
    pair: tuple[str, int]
    names: dict[str, Decimal]
    by_chain: dict[int, Inner]
    by_colour: dict[Colour, tuple[int, ...]]
    seen: frozenset[str]
    mode: Literal["fast", "slow"]
    tree: Tree
    extra: Decimal = field(default=Decimal("0"))


@dataclass(frozen=True, slots=True)
class Did:
    """An ordinary event."""

    cl_ord_id: str
    amount_raw: int
    at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An event that reduces risk."""

    cl_ord_id: str
    why: str


EVENTS = (Everything, Did, Cancelled)


def total_step(state: dict[str, Any], event: Any) -> dict[str, Any]:
    match event:
        case Did(cl_ord_id, amount_raw, _):
            return {**state, cl_ord_id: state.get(cl_ord_id, 0) + amount_raw}
        case Cancelled(cl_ord_id, _):
            return {key: value for key, value in state.items() if key != cl_ord_id}
    return state


TOTALS: Projection[dict[str, Any]] = Projection("totals", dict, total_step)


class CountingClock:
    """Every reading is one microsecond after the last: same calls, same times."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self.at_ns = start_ns

    def now_ns(self) -> int:
        self.at_ns += 1_000
        return self.at_ns


def is_derisking(event: object) -> bool:
    return isinstance(event, Cancelled)


def open_journal(path: Path, **changes: Any) -> Journal:
    options: dict[str, Any] = {
        "clock": CountingClock(),
        "environment": "devnet",
        "codec": Codec(EVENTS),
        "derisking": is_derisking,
        "emergency_size": 1 << 16,
    }
    return Journal.open(path, **{**options, **changes})
