"""Perpetuals' margin accounts with cross and isolated positions: health, and where each position's price liquidates. Pure.

Cross positions share one equity, so each one's liquidation price depends on all the others; an isolated one has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.exchange import (
    ONE,
    PX_DECIMALS,
    VALUE_UNIT,
    Position,
    number,
    ratio_1e18_down,
    to_raw_down,
    to_raw_up,
)
from agent.margin.liquidation import highest_bad, lowest_bad
from agent.margin.model import Health, LiquidationPx, Side, State, state_of


@dataclass(frozen=True, slots=True)
class PerpAccount:
    """`balance` is the cross collateral in dollars, without unrealised profit and without what is isolated."""

    balance: Fraction
    positions: tuple[Position, ...]

    def group(self, position: Position | None) -> tuple[Position, ...]:
        """The positions that stand and fall together: an isolated one alone, else all cross ones."""
        if position is not None and position.isolated is not None:
            return (position,)
        return tuple(p for p in self.positions if p.isolated is None)


@dataclass(frozen=True, slots=True)
class PerpRules:
    """`at_equality`: whether equity just equal to maintenance is liquidated already."""

    at_equality: bool

    def bad(self, equity: Fraction, required: Fraction) -> bool:
        if required == 0:  # no position, or one at a price of zero
            return equity < 0
        return equity <= required if self.at_equality else equity < required


def state_at(
    account: PerpAccount, group: tuple[Position, ...], prices: Mapping[str, Fraction]
) -> tuple[Fraction, Fraction]:
    """(equity, maintenance) of one group at those prices, the marks where none is given."""
    alone = len(group) == 1 and group[0].isolated is not None
    equity = (group[0].isolated or Fraction(0)) if alone else account.balance
    required = Fraction(0)
    for p in group:
        px = prices.get(p.asset, p.mark_px)
        equity += p.profit(px)
        required += p.maintenance(px)
    return equity, required


def groups(account: PerpAccount) -> list[tuple[Position, ...]]:
    alone = [(p,) for p in account.positions if p.isolated is not None]
    return [account.group(None), *alone]


def ratio_at(account: PerpAccount, rules: PerpRules, prices: Mapping[str, Fraction]) -> int | None:
    """The worst group's equity over maintenance in 1e18; below one exactly where that group is liquidated."""
    found = []
    for group in groups(account):
        equity, required = state_at(account, group, prices)
        ratio = ratio_1e18_down(equity, required)
        if ratio is not None:
            ratio = min(ratio, 10**18 - 1) if rules.bad(equity, required) else max(ratio, 10**18)
            found.append(ratio)
    return min(found) if found else None


def moved(account: PerpAccount, moves: Mapping[str, Fraction]) -> dict[str, Fraction]:
    return {p.asset: p.mark_px * moves[p.asset] for p in account.positions if p.asset in moves}


def perp_health(account: PerpAccount, rules: PerpRules) -> Health:
    ratio = ratio_at(account, rules, {})
    equity = required = Fraction(0)
    for group in groups(account):
        held, needed = state_at(account, group, {})
        equity, required = equity + held, required + needed
    state = state_of(ratio)
    return Health(
        state,
        ratio,
        to_raw_down(equity),
        0,
        VALUE_UNIT,
        tuple(_liquidation_px(account, p, rules) for p in account.positions),
        0 if state is State.LIQUIDATABLE else None,
        maintenance_raw=to_raw_up(required),
    )


def _liquidation_px(account: PerpAccount, position: Position, rules: PerpRules) -> LiquidationPx:
    group, now = account.group(position), to_raw_down(position.mark_px)
    if position.size == 0:
        return LiquidationPx(position.asset, Side.NONE, None, now, PX_DECIMALS)

    def bad(px: int) -> bool:
        return rules.bad(*state_at(account, group, {position.asset: Fraction(px, ONE)}))

    return one_sided(position.asset, position.size > 0, now, bad)


def one_sided(asset: str, below: bool, now: int, bad: Callable[[int], bool]) -> LiquidationPx:
    """The first price at which a predicate holds that only falling (or only rising) prices make true."""
    px = highest_bad(bad, now) if below else lowest_bad(bad, now)
    side = Side.NONE if px is None else Side.BELOW if below else Side.ABOVE
    return LiquidationPx(asset, side, px, now, PX_DECIMALS)


ReadPosition = Callable[[Any, str, Mapping[str, int]], Position]
"""(row, where it stands for messages, decimals by asset) to a position. Raises as `agent.margin.fields`."""


@dataclass(frozen=True, slots=True)
class PerpModel:
    """An exchange's model by its rules and its way of writing a position; accounts have `balance` and `positions`, one an asset."""

    name: str
    rules: PerpRules
    position: ReadPosition
    price_decimals: int = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> PerpAccount:
        where = f"account {account.get('id', '?')}"
        fields.only(account, where, {"id", "model", "chain", "balance", "positions"})
        rows = fields.rows(account, "positions", where)
        found = tuple(self.position(r, f"{where}, position {n}", decimals) for n, r in enumerate(rows))
        names = [p.asset for p in found]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset has two positions")
        return PerpAccount(number(account, "balance", where), found)

    def health(self, account: PerpAccount, timestamp: int) -> Health:
        return perp_health(account, self.rules)

    def at_prices(self, account: PerpAccount, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        return ratio_at(account, self.rules, {a: Fraction(p, 10**8) for a, p in prices_1e8.items()})

    def at_moves(self, account: PerpAccount, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return ratio_at(account, self.rules, moved(account, moves))
