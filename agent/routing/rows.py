"""The curves of one market side by side in numpy arrays, for the compiled search: laid out once a state, shared by all its orders."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from agent.routing.curves import Curve
from agent.routing.kernels.sales import Market
from agent.routing.tables import Floats, Ints


def ints(values: list[int]) -> Ints:
    """Numbers as the compiled code takes them."""
    return np.array(values, dtype=np.int64)


class Rows:
    """Curves by number. What is added later changes no number given before."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._kinds: list[int] = []
        self._constants: list[Floats] = []
        self._starts: list[list[float]] = []
        self._laid: tuple[Market, Floats] | None = None

    def number(self, key: Hashable, curve: Curve) -> int:
        """The number of the curve known as `key`."""
        found = self._numbers.get(key)
        if found is None:
            kind, constants, start = curve.row()
            found = self._numbers[key] = len(self._kinds)
            self._kinds.append(kind)
            self._constants.append(np.array(constants, dtype=np.float64))
            self._starts.append(start)
            self._laid = None
        return found

    def __len__(self) -> int:
        return len(self._kinds)

    def moved(self, curves: Mapping[Hashable, Curve], first: int) -> Rows:
        """The `first` of these at a later moment: `curves` are those that are others now, of kinds they were of before."""
        later = Rows()
        later._numbers = {key: number for key, number in self._numbers.items() if number < first}
        later._kinds, later._constants = self._kinds[:first], self._constants[:first]
        later._starts = self._starts[:first]
        for key, curve in curves.items():
            number = later._numbers.get(key)
            if number is not None:
                later._kinds[number], constants, later._starts[number] = curve.row()
                later._constants[number] = np.array(constants, dtype=np.float64)
        return later

    def width(self, number: int) -> int:
        """How many numbers the curve's state has."""
        return len(self._starts[number])

    def laid(self) -> tuple[Market, Floats]:
        """All curves, and all their states at the start."""
        if self._laid is None:
            sizes = ints([len(row) for row in self._constants])
            widths = ints([len(row) for row in self._starts])
            market = Market(
                ints(self._kinds), np.cumsum(sizes) - sizes, np.cumsum(widths) - widths,
                np.concatenate(self._constants) if self._constants else np.zeros(0),
            )  # fmt: skip
            self._laid = market, np.array([x for row in self._starts for x in row], dtype=np.float64)
        return self._laid


__all__ = ["Rows", "ints"]
