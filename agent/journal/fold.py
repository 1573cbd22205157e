"""State = fold. A projection is a pure step; replaying the journal from zero must give the state that was lived."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agent.journal.chain import Seq
from agent.journal.plain import state_hash

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Projection(Generic[S]):
    """`initial()` makes the empty state; `step(state, event) -> state` gives the next one.

    A step is total (an event it does not care about gives the state back) and depends on nothing but its arguments. It may
    change and return a state that `initial` made, never one shared with anybody. `hash` must tell unequal states apart.
    """

    name: str
    initial: Callable[[], S]
    step: Callable[[S, Any], S]
    hash: Callable[[S], str] = state_hash


def fold(events: Iterable[Any], projection: Projection[S]) -> S:
    state = projection.initial()
    for event in events:
        state = projection.step(state, event)
    return state


class Live(Generic[S]):
    """A projection's state as the process lives it."""

    __slots__ = ("projection", "state", "seq")

    def __init__(self, projection: Projection[S]) -> None:
        self.projection, self.state, self.seq = projection, projection.initial(), Seq(0)

    def apply(self, event: Any, seq: Seq) -> None:
        self.state = self.projection.step(self.state, event)
        self.seq = seq

    def state_hash(self) -> str:
        return self.projection.hash(self.state)
