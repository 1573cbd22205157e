"""Many Aave accounts against new prices: floats find who may be below a threshold, integers say who is. Pure.

The screen is never the answer: every account within its guard band is computed by its own model, and only what that says is
told. The band covers what floats and flooring can be off by: a millionth, one value unit a line over the smaller side, and a basis
point of the threshold where a version averages it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel, Holding
from agent.margin.model import HEALTHY_1E18

BAND = 1e-6


@dataclass(frozen=True, slots=True)
class Screened:
    """Factors in 1e18 by account's number, of those below the threshold; how many were computed in integers to know."""

    below: Mapping[int, int]
    confirmed: int


class Screen:
    """Accounts' balances at one moment, laid out for one pass of numpy; prices come with each question.

    Raises ValueError where an account has an eMode with a price of its own: such a price is no asset's.
    """

    def __init__(self, accounts: Sequence[tuple[AaveModel, Account]], timestamp: int) -> None:
        self._accounts = accounts
        self._holdings: list[list[Holding]] = []
        assets: dict[str, int] = {}
        owner: list[int] = []
        asset: list[int] = []
        supply: list[float] = []
        weighted: list[float] = []
        debt: list[float] = []
        for n, (model, account) in enumerate(accounts):
            if account.emode is not None and account.emode.price_1e8:
                raise ValueError("an eMode with a price of its own is not screened")
            held = model.holdings(account, timestamp)
            self._holdings.append(held)
            for h in held:
                if h.supply or h.debt:
                    owner.append(n)
                    asset.append(assets.setdefault(h.asset, len(assets)))
                    supply.append(h.supply / h.unit)
                    weighted.append(h.supply / h.unit * h.threshold / 10_000)
                    debt.append(h.debt / h.unit)
        self.assets = tuple(assets)
        self._owner = np.array(owner, dtype=np.int64)
        self._asset = np.array(asset, dtype=np.int64)
        self._sides = tuple(np.array(side) for side in (supply, weighted, debt))
        self._lines = np.bincount(self._owner, minlength=len(accounts)).astype(np.float64)
        averaged = [model.rules.averaged for model, _ in accounts]
        least = [
            min((h.threshold for h in held if h.supply and h.threshold), default=1) for held in self._holdings
        ]
        self._step = np.array([1.0 / t if a else 0.0 for a, t in zip(averaged, least, strict=True)])

    def _sums(self, prices: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        px = prices[self._asset]
        count = len(self._accounts)
        return [
            np.asarray(np.bincount(self._owner, weights=side * px, minlength=count), dtype=np.float64)
            for side in self._sides
        ]

    def below(self, prices_1e8: Mapping[str, int], threshold_1e18: int = HEALTHY_1E18) -> Screened:
        """Every account below the threshold at those prices, all of `assets` among them, as its own model computes it."""
        prices = np.array([float(prices_1e8[a]) for a in self.assets])
        supply, weighted, debt = self._sums(prices)
        # One value unit a line over the smaller side: what flooring moves an account of dust by.
        smaller = np.maximum(np.minimum(debt, np.maximum(supply, 1.0)), 1e-300)
        band = BAND + 2.0 * self._lines / smaller + self._step
        near = (debt > 0) & (weighted < debt * (threshold_1e18 / HEALTHY_1E18) * (1.0 + band))
        # Debt of less than a unit counts as some in one version and none in another.
        numbers = np.flatnonzero(near | ((debt > 0) & (debt < 2.0 * self._lines)))
        found: dict[int, int] = {}
        for n in numbers.tolist():
            factor = self._accounts[n][0].data(self._holdings[n], prices_1e8).health_1e18
            if factor is not None and factor < threshold_1e18:
                found[n] = factor
        return Screened(found, len(numbers))

    def all_integer(
        self, prices_1e8: Mapping[str, int], threshold_1e18: int = HEALTHY_1E18
    ) -> dict[int, int]:
        """The same by integers alone, account by account: what `below` has to equal."""
        found: dict[int, int] = {}
        for n, (model, _) in enumerate(self._accounts):
            factor = model.data(self._holdings[n], prices_1e8).health_1e18
            if factor is not None and factor < threshold_1e18:
                found[n] = factor
        return found
