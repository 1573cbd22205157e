"""What was granted since any moment, without adding up all of it again: a day's limit costs no more after a hundred thousand orders."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Generic, TypeVar

N = TypeVar("N")


class Rolling(Generic[N]):
    """Amounts by the second they were granted at, with what they came to together before each. `plus` and `less` must be exact.

    Seconds mostly come in order; one that does not, after a clock was set back, is put where it belongs and what follows added up anew.
    """

    def __init__(self, zero: N, plus: Callable[[N, N], N], less: Callable[[N, N], N]) -> None:
        self._plus, self._less = plus, less
        self._at: list[int] = []
        self._amounts: list[N] = []
        self._before: list[N] = [zero]

    def add(self, at: int, amount: N) -> None:
        place = bisect_right(self._at, at)
        self._at.insert(place, at)
        self._amounts.insert(place, amount)
        del self._before[place + 1 :]
        for one in self._amounts[place:]:
            self._before.append(self._plus(self._before[-1], one))

    def since(self, at: int) -> N:
        """All of that second and later."""
        return self._less(self._before[-1], self._before[bisect_left(self._at, at)])
