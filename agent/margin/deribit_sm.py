"""Deribit's standard margin, of one settlement currency's account: futures and perpetuals, each with the maintenance that the venue states for it.

What has to be kept of a position grows with its size there (a base rate and a slope, which differ by instrument and change), so that the
figure as it is told stands for a rate: exact now, at every price the instrument's own, and more than is asked once a position is
smaller. Everything is in units of the settlement currency, where the account is liquidated once equity no longer covers maintenance.
Formulas: the venue's support pages on standard margin and on contract specifications. A linear contract gains size·(p − m) and keeps
k·p/m; an inverse one of `size` dollars gains size·(1/m − 1/p) coins and keeps k·m/p.

Keys: `settle` (asset), `settle_px` (dollars for one), `equity` (of the account at the marks), `positions` of `asset`, `size` (below zero
short), `mark_px`, `maintenance` (as told for it) and `inverse` (true or false; false where it is not there).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.exchange import (
    ONE,
    PX_DECIMALS,
    VALUE_UNIT,
    Position,
    Tier,
    number,
    positive,
    ratio_1e18_down,
    to_raw_down,
    to_raw_up,
)
from agent.margin.model import Health, LiquidationPx, Side, State, state_of
from agent.margin.perps import PerpAccount, PerpRules, one_sided

RULES = PerpRules(at_equality=False)


@dataclass(frozen=True, slots=True)
class Contract:
    """`size` in units of the base, or in dollars where it is `inverse`; `maintenance` in the settlement currency at `mark_px`."""

    asset: str
    size: Fraction
    mark_px: Fraction
    maintenance: Fraction
    inverse: bool = False

    def gain(self, px: Fraction) -> Fraction:
        """From the mark to that price."""
        return self.size * (1 / self.mark_px - 1 / px) if self.inverse else self.size * (px - self.mark_px)

    def kept(self, px: Fraction) -> Fraction:
        return self.maintenance * (self.mark_px / px if self.inverse else px / self.mark_px)

    @property
    def unit(self) -> Fraction:
        """What one unit of `size` is worth at the mark, in the settlement currency."""
        return 1 / self.mark_px if self.inverse else self.mark_px


@dataclass(frozen=True, slots=True)
class Account:
    settle: str
    settle_px: Fraction
    equity: Fraction
    positions: tuple[Contract, ...]


LEAST_PX = Fraction(1, ONE)
"""A price of nothing is taken for this: an inverse contract has no worth there at all."""


def state_at(account: Account, prices: Mapping[str, Fraction]) -> tuple[Fraction, Fraction]:
    """(equity, maintenance) at those prices, the marks where none is given."""
    equity, required = account.equity, Fraction(0)
    for p in account.positions:
        px = max(prices.get(p.asset, p.mark_px), LEAST_PX)
        equity += p.gain(px)
        required += p.kept(px)
    return equity, required


def ratio(account: Account, prices: Mapping[str, Fraction]) -> int | None:
    """Equity over maintenance in 1e18, below one exactly where it is liquidated."""
    equity, required = state_at(account, prices)
    return ratio_1e18_down(equity, required)


def as_perps(account: Account) -> PerpAccount:
    """The same account at the marks, for what makes positions smaller: each at a flat rate, what an inverse contract is worth in coins as
    its price."""
    rows = tuple(
        Position(p.asset, p.size, p.unit, p.unit, (Tier(Fraction(0), p.maintenance / (abs(p.size) * p.unit), Fraction(0)),))
        for p in account.positions
    )  # fmt: skip
    return PerpAccount(account.equity, rows)


class DeribitStandard:
    name = "deribit_sm"
    price_decimals = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        fields.only(account, where, {"id", "model", "chain", "settle", "settle_px", "equity", "positions"})
        rows = fields.rows(account, "positions", where)
        found = tuple(_contract(r, f"{where}, position {n}", decimals) for n, r in enumerate(rows))
        names = [p.asset for p in found]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset has two positions")
        settle = fields.listed(account, "settle", where, decimals)
        return Account(settle, positive(account, "settle_px", where), number(account, "equity", where), found)

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        return ratio(account, {a: Fraction(p, ONE) for a, p in prices_1e8.items()})

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return ratio(
            account, {p.asset: p.mark_px * moves[p.asset] for p in account.positions if p.asset in moves}
        )

    def deposited(self, account: Account, raw: int) -> Account:
        """With `raw` 1e-8 dollars more."""
        return replace(account, equity=account.equity + Fraction(raw, ONE) / account.settle_px)

    def health(self, account: Account, timestamp: int) -> Health:
        found = ratio(account, {})
        equity, required = state_at(account, {})
        state = state_of(found)
        return Health(
            state,
            found,
            to_raw_down(equity * account.settle_px),
            0,
            VALUE_UNIT,
            tuple(_liquidation_px(account, p) for p in account.positions),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=to_raw_up(required * account.settle_px),
        )


def _liquidation_px(account: Account, position: Contract) -> LiquidationPx:
    now = to_raw_down(position.mark_px)
    if position.size == 0:
        return LiquidationPx(position.asset, Side.NONE, None, now, PX_DECIMALS)

    def bad(px: int) -> bool:
        return RULES.bad(*state_at(account, {position.asset: Fraction(px, ONE)}))

    return one_sided(position.asset, position.size > 0, now, bad)


def _contract(raw: Any, where: str, decimals: Mapping[str, int]) -> Contract:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"asset", "size", "mark_px", "maintenance", "inverse"})
    inverse = raw.get("inverse", False)
    if not isinstance(inverse, bool):
        raise fields.wrong(f"{where}: inverse is true or false")
    size, px, kept = (
        number(raw, "size", where),
        positive(raw, "mark_px", where),
        number(raw, "maintenance", where),
    )
    whole = abs(size) * (1 / px if inverse else px)
    if size == 0 or not 0 < kept < whole:
        raise fields.wrong(
            f"{where}: a size that is not zero, and a maintenance between zero and what the position is worth"
        )
    return Contract(fields.listed(raw, "asset", where, decimals), size, px, kept, inverse)


MODEL = DeribitStandard()
