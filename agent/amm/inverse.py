"""Exact-out for curves whose contract has none: the least input whose exact-in pays enough, by bisection."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.amm.math import ContractRevert
from agent.amm.types import Swapped

_ALONE = frozenset(("!y", "K", "invariant overflow"))
"""Why Solidly's stable curve reverts for single amounts that both a smaller and a larger one would trade beside."""


def least_input(exact_in: Callable[[int], Swapped], amount_out: int, guess: int) -> Swapped:
    """The swap with the smallest raw input that pays at least `amount_out`; a unit less does not pay it, or reverts.

    `exact_in` pays no less for more, but for its own last unit: where that wavers, an amount a few such units below may pay as well.
    `guess` is where the doubling begins. Raises ContractRevert "overflow" where no input of a uint256 pays it.
    """

    def pays(amount_in: int) -> bool | None:
        try:
            return exact_in(amount_in).amount_out >= amount_out
        except ContractRevert as revert:
            # An overflow is the end of all amounts: below it may be one that pays, and if there is none the last line says so.
            return True if revert.reason == "overflow" else None if revert.reason in _ALONE else False

    def told(amount_in: int, low: int, high: int) -> tuple[int, bool | None]:
        # What reverts alone says nothing of the amounts around it, least of all that they do not pay: the nearest that trades does.
        for near in _beside(amount_in, low, high):
            if (answer := pays(near)) is not None:
                return near, answer
        return amount_in, None

    low, high = 0, max(1, guess)
    while True:
        at, enough = told(high, low, high + 1)
        if enough:
            high = at
            break
        low, high = (low if enough is None else at), high * 2
    while high - low > 1:
        at, enough = told((low + high) // 2, low, high)
        low, high = (low, at) if enough else (at, high)
    return exact_in(high)


def _beside(amount: int, low: int, high: int) -> Iterator[int]:
    """`amount` and, by doubling distances, those around it, all between `low` and `high` and neither of them."""
    yield amount
    step = 1
    while amount - step > low or amount + step < high:
        if amount - step > low:
            yield amount - step
        if amount + step < high:
            yield amount + step
        step *= 2
