"""Exact-out for curves whose contract has none: the least input whose exact-in pays enough, by bisection."""

from __future__ import annotations

from collections.abc import Callable

from agent.amm.math import ContractRevert
from agent.amm.types import Swapped


def least_input(exact_in: Callable[[int], Swapped], amount_out: int, guess: int) -> Swapped:
    """The swap with the smallest raw input that pays at least `amount_out`, `exact_in` never paying less for more.

    `guess` is where the doubling begins. Raises ContractRevert "overflow" where no input of a uint256 pays it.
    """

    def pays(amount_in: int) -> bool:
        try:
            return exact_in(amount_in).amount_out >= amount_out
        except ContractRevert as revert:
            if revert.reason == "overflow":
                raise
            return False

    low, high = 0, max(1, guess)
    while not pays(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if pays(middle) else (middle, high)
    return exact_in(high)
