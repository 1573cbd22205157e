"""Between a feed that does not wait and a consumer that is slow: the newest state of each instrument, and nothing older. Pure.

Not a queue of messages but a list of instruments that have news; a state that comes while an older one waits replaces it and is
counted as conflated. So memory is bounded by `capacity` instruments, nobody reads the past, and what works is served before what
is held, and that before what is only watched. Beyond the capacity the least important gives way, counted as dropped.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Generic, TypeVar

from agent.domain.errors import Usage

T = TypeVar("T")


class Priority(IntEnum):
    WORKING = 0
    HELD = 1
    WATCHED = 2


class Conflation(Generic[T]):
    """Raises Usage CONFLATION_CAPACITY for a capacity below one."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise Usage("CONFLATION_CAPACITY", f"a capacity of {capacity} keeps nothing", "give one or more")
        self.capacity = capacity
        self._waiting: tuple[dict[str, T], ...] = tuple({} for _ in Priority)
        self.conflated = dict.fromkeys(Priority, 0)
        self.dropped = dict.fromkeys(Priority, 0)

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting)

    def put(self, symbol: str, priority: Priority, state: T) -> tuple[str, Priority, T] | None:
        """The newest state always wins. An instrument keeps its turn among its equals, and changes class with its last `priority`.

        Gives what had to give way for want of room: another instrument's state, or this one where all that waits matters more.
        """
        for other in Priority:
            if other is not priority and symbol in self._waiting[other]:
                del self._waiting[other][symbol]
                self.conflated[other] += 1
        mine = self._waiting[priority]
        if symbol in mine:
            self.conflated[priority] += 1
        elif len(self) >= self.capacity:
            least = next(p for p in reversed(Priority) if self._waiting[p])
            if least < priority:  # all that waits matters more
                self.dropped[priority] += 1
                return symbol, priority, state
            gone = next(iter(self._waiting[least]))
            lost = self._waiting[least].pop(gone)
            self.dropped[least] += 1
            mine[symbol] = state
            return gone, least, lost
        mine[symbol] = state
        return None

    def waiting(self, symbol: str) -> tuple[Priority, T] | None:
        """What waits of this instrument, left where it is."""
        for priority, states in zip(Priority, self._waiting, strict=True):
            if symbol in states:
                return priority, states[symbol]
        return None

    def forget(self, symbol: str) -> None:
        """Nothing waits of this instrument any more."""
        for states in self._waiting:
            states.pop(symbol, None)

    def take(self) -> tuple[str, Priority, T] | None:
        """The longest waiting of the most important class; None where nothing is new."""
        for priority in Priority:
            waiting = self._waiting[priority]
            if waiting:
                symbol = next(iter(waiting))
                return symbol, priority, waiting.pop(symbol)
        return None
