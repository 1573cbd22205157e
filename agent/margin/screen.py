"""Many Aave accounts against new prices: floats find who may be below a threshold, integers say who is. Pure.

The screen is never the answer: it only tells whose factor integers cannot have below the threshold, and every other account is
computed by its own model. What integers can make of an account is bounded in value units: each line's collateral is floored and
its debt may be rounded up by one, an averaged threshold loses up to a basis point of all collateral, and floats are off by less
than a millionth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel, Holding
from agent.margin.model import HEALTHY_1E18, moved_px
from agent.margin.ray import PERCENT

BAND = 1e-6
FLOATS = 1e-9
"""What sums of floats are off by, and a thousand times more."""


@dataclass(frozen=True, slots=True)
class Screened:
    """Factors in 1e18 by account's number, of those below the threshold; how many were computed in integers to know."""

    below: Mapping[int, int]
    confirmed: int


class Screen:
    """Accounts' balances, each at its own moment, laid out for one pass of numpy; prices come with each question.

    Raises ValueError where an account is not `screenable`.
    """

    def __init__(self, accounts: Sequence[tuple[AaveModel, Account, int]]) -> None:
        self._accounts = accounts
        self._holdings: list[list[Holding]] = []
        quotes: dict[tuple[str, int], int] = {}
        owner: list[int] = []
        quote: list[int] = []
        supply: list[float] = []
        weighted: list[float] = []
        debt: list[float] = []
        for n, (model, account, timestamp) in enumerate(accounts):
            if not screenable(model, account, timestamp):
                raise ValueError("an account with a price of its own, or of the future, is not screened")
            held = model.holdings(account, timestamp)
            self._holdings.append(held)
            for h, r in zip(held, account.reserves, strict=True):
                if h.supply or h.debt:
                    owner.append(n)
                    quote.append(quotes.setdefault((h.asset, r.price_1e8), len(quotes)))
                    supply.append(_float(h.supply) / h.unit)
                    weighted.append(_float(h.supply) / h.unit * h.threshold / PERCENT)
                    debt.append(_float(h.debt) / h.unit)
        self._quotes = tuple(quotes)
        self.assets = tuple(dict.fromkeys(asset for asset, _ in quotes))
        self._owner = np.array(owner, dtype=np.int64)
        self._quote = np.array(quote, dtype=np.int64)
        self._sides = tuple(np.array(side) for side in (supply, weighted, debt))
        self._lines = np.bincount(self._owner, minlength=len(accounts)).astype(np.float64)
        self._step = np.array([1.0 / PERCENT if model.rules.averaged else 0.0 for model, _, _ in accounts])

    def _may_be_below(self, prices: Sequence[int], threshold_1e18: int) -> NDArray[np.bool_]:
        """By account: False where no rounding of integers can bring its factor below. `prices` go with `_quotes`."""
        px, count = np.array([_float(p) for p in prices])[self._quote], len(self._accounts)
        with np.errstate(all="ignore"):  # what no float can hold compares as unsure
            supply, weighted, debt = (
                np.bincount(self._owner, weights=side * px, minlength=count) for side in self._sides
            )
            least = weighted * (1.0 - FLOATS) - supply * self._step - self._lines - 1.0
            most = (debt + self._lines) * (threshold_1e18 / HEALTHY_1E18 * (1.0 + BAND))
            surely_not = (debt == 0.0) | ((least >= most) & np.isfinite(least) & np.isfinite(most))
        found: NDArray[np.bool_] = ~surely_not
        return found

    def near(self, moves: Mapping[str, Fraction], threshold_1e18: int = HEALTHY_1E18) -> NDArray[np.bool_]:
        """By account: whether `AaveModel.at_moves` of those moves may be below the threshold; False is sure."""
        moved = [moved_px(px, moves[a]) if a in moves else px for a, px in self._quotes]
        return self._may_be_below(moved, threshold_1e18)

    def below(self, prices_1e8: Mapping[str, int], threshold_1e18: int = HEALTHY_1E18) -> Screened:
        """Every account below the threshold at those prices, all of `assets` among them, as its own model computes it."""
        prices = [prices_1e8[asset] for asset, _ in self._quotes]
        numbers: list[int] = np.flatnonzero(self._may_be_below(prices, threshold_1e18)).tolist()
        return Screened(self._computed(numbers, prices_1e8, threshold_1e18), len(numbers))

    def all_integer(
        self, prices_1e8: Mapping[str, int], threshold_1e18: int = HEALTHY_1E18
    ) -> dict[int, int]:
        """The same by integers alone, account by account: what `below` has to equal."""
        return self._computed(range(len(self._accounts)), prices_1e8, threshold_1e18)

    def _computed(
        self, numbers: Sequence[int], prices_1e8: Mapping[str, int], threshold_1e18: int
    ) -> dict[int, int]:
        found: dict[int, int] = {}
        for n in numbers:
            factor = self._accounts[n][0].data(self._holdings[n], prices_1e8).health_1e18
            if factor is not None and factor < threshold_1e18:
                found[n] = factor
        return found


def screenable(model: object, account: object, timestamp: int) -> bool:
    """Whether an account is of Aave's kind, has no eMode with a price of its own, and was read no later than that time."""
    return (
        isinstance(model, AaveModel)
        and isinstance(account, Account)
        and not (account.emode is not None and account.emode.price_1e8)
        and all(r.last_update <= timestamp for r in account.reserves)
    )


Look = Callable[[Mapping[str, Fraction], int], list[bool]]
"""By moves of prices and a threshold in 1e18: whom integers have to look at."""
Screening = Callable[[Sequence[tuple[Any, Any, int]]], Look]


def screened(accounts: Sequence[tuple[Any, Any, int]]) -> Look:
    """For accounts (model, account, timestamp) of any models; who is not screenable is always looked at."""
    those = [n for n, one in enumerate(accounts) if screenable(*one)]
    if not those:
        return whole(accounts)
    screen = Screen([accounts[n] for n in those])

    def look(moves: Mapping[str, Fraction], threshold_1e18: int) -> list[bool]:
        found = [True] * len(accounts)
        for n, near in zip(those, screen.near(moves, threshold_1e18).tolist(), strict=True):
            found[n] = near
        return found

    return look


def whole(accounts: Sequence[tuple[Any, Any, int]]) -> Look:
    """Nobody is passed over: what `screened` has to equal in the end."""
    return lambda moves, threshold_1e18: [True] * len(accounts)


def _float(number: int) -> float:
    """Infinity where no float reaches that far: such an account is computed in integers."""
    try:
        return float(number)
    except OverflowError:
        return float("inf")
