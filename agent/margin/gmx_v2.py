"""GMX v2 positions: liquidatable where what remains of the collateral is below the market's least factor of the size, or least dollars.

What remains is collateral, profit, closing impact (never a gain) less fees, which the contracts turn into collateral tokens, floored,
and back into dollars. Each position stands alone. Formulas: PositionUtils.isPositionLiquidatable and getPositionPnlUsd,
PositionPricingUtils.getPositionFees of gmx-io/gmx-synthetics. Dollars have 30 decimals; prices are the contracts' own, 30 less the token's
decimals, so that units times price are dollars. Keys: `positions` of `asset` (the index), `collateral`, `long`, `size_usd_1e30`,
`size_tokens_raw`, `collateral_raw`, `index_price_raw` (the lower for a long, the higher for a short), `collateral_price_raw` (the lower),
`min_collateral_factor_1e30` (for liquidations), `min_collateral_usd_1e30`; optionally `position_fee_factor_1e30`, `borrowing_fee_usd_1e30`,
`borrowing_usd_per_second_1e30` with `last_update`, `funding_fee_raw`, `liquidation_fee_factor_1e30`, `impact_usd_1e30` (of closing, below
zero where it costs), `max_impact_factor_1e30`, and `counted_profit_1e30` (what the market's cap leaves of a profit; all of it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import first_second, highest_bad, lowest_bad
from agent.margin.model import Health, LiquidationPx, Side, State, moved_px, state_of

E30 = 10**30
USD_DECIMALS = 30
VALUE_UNIT = "USD_1e30"
MOST_PX_RAW = 10**60


@dataclass(frozen=True, slots=True)
class Position:
    """Amounts in raw units of their token, dollars in 1e30; `px_decimals` of the index's own price."""

    asset: str
    collateral: str
    long: bool
    size_usd: int
    size_tokens: int
    collateral_raw: int
    index_px: int
    collateral_px: int
    min_factor: int
    min_usd: int
    px_decimals: int
    position_fee_factor: int = 0
    borrowing_usd: int = 0
    borrowing_usd_per_second: int = 0
    last_update: int = 0
    funding_raw: int = 0
    liquidation_fee_factor: int = 0
    impact_usd: int = 0
    max_impact_factor: int = E30
    counted_profit: int = E30

    def profit(self) -> int:
        """Of the whole position at its index price, a gain as far as the market's cap lets it."""
        found = self.size_tokens * self.index_px - self.size_usd
        found = found if self.long else -found
        return found * self.counted_profit // E30 if found > 0 else found

    def fees_raw(self, timestamp: int) -> int:
        """In collateral tokens: each fee of dollars is floored to units of its own, as the contracts do."""
        seconds = timestamp - self.last_update if self.borrowing_usd_per_second else 0
        dollars = (
            self.size_usd * self.position_fee_factor // E30,
            self.borrowing_usd + self.borrowing_usd_per_second * seconds,
            self.size_usd * self.liquidation_fee_factor // E30,
        )
        return sum(each // self.collateral_px for each in dollars) + self.funding_raw

    def impact(self) -> int:
        """A cost, at most the market's cap for liquidations; a gain is not counted."""
        return min(max(self.impact_usd, -(self.size_usd * self.max_impact_factor // E30)), 0)

    def required(self) -> int:
        return max(self.min_usd, self.size_usd * self.min_factor // E30)

    def remaining(self, timestamp: int) -> int:
        """Dollars left of the collateral; below zero where it does not even cover the fees. Without a price for it there are none."""
        if not self.collateral_px:
            return self.profit() + self.impact()
        held = (self.collateral_raw - self.fees_raw(timestamp)) * self.collateral_px
        return held + self.profit() + self.impact()

    def factor(self, timestamp: int) -> int | None:
        """What remains over what must, floored in 1e18: below one exactly where liquidatable."""
        if not self.size_usd:
            return None
        left, needed = self.remaining(timestamp), self.required()
        if left <= 0:
            return 0
        return left * 10**18 // needed if needed else None

    def at(self, px: int) -> Position:
        """The position at another price of its index; collateral that is the index moves with it."""
        moved = self.collateral_px
        if self.collateral == self.asset and self.index_px:
            moved = moved * px // self.index_px
        return replace(self, index_px=px, collateral_px=moved)


@dataclass(frozen=True, slots=True)
class Account:
    positions: tuple[Position, ...]


def moved_position(p: Position, moves: Mapping[str, Fraction]) -> Position:
    return replace(
        p,
        index_px=moved_px(p.index_px, moves.get(p.asset, Fraction(1))),
        collateral_px=moved_px(p.collateral_px, moves.get(p.collateral, Fraction(1))),
    )


class GmxV2:
    name = "gmx_v2"
    price_decimals = 12

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        fields.only(account, where, {"id", "model", "chain", "positions"})
        rows = fields.rows(account, "positions", where)
        found = tuple(_position(row, f"{where}, position {n}", decimals) for n, row in enumerate(rows))
        return Account(found)

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return worst(Account(tuple(moved_position(p, moves) for p in account.positions)), timestamp)

    def health(self, account: Account, timestamp: int) -> Health:
        """The worst position's; each has its own liquidation price. Raises Usage where fees were counted after `timestamp`."""
        for p in account.positions:
            if p.last_update > timestamp:
                raise fields.wrong(f"last_update {p.last_update} is after the time asked for ({timestamp})")
        factor = worst(account, timestamp)
        state = state_of(factor)

        def bad_later(seconds: int) -> bool:
            found = worst(account, timestamp + seconds)
            return found is not None and found < 10**18

        rising = any(p.borrowing_usd_per_second for p in account.positions)
        gone = state is State.LIQUIDATABLE
        return Health(
            state,
            factor,
            max(sum(p.remaining(timestamp) for p in account.positions), 0),
            0,
            VALUE_UNIT,
            tuple(liquidation_px(p, timestamp) for p in account.positions),
            0 if gone else first_second(bad_later) if rising else None,
            maintenance_raw=sum(p.required() for p in account.positions),
        )


def worst(account: Account, timestamp: int) -> int | None:
    found = [f for p in account.positions if (f := p.factor(timestamp)) is not None]
    return min(found) if found else None


def deposited(account: Account, asset: str, raw: int, timestamp: int) -> Account:
    """`raw` more collateral of that asset in the position of it that is nearest to its liquidation: each stands alone."""
    known = [
        (factor, n)
        for n, p in enumerate(account.positions)
        if p.collateral == asset and (factor := p.factor(timestamp)) is not None
    ]
    if not known:
        return account
    at = min(known)[1]
    grown = replace(account.positions[at], collateral_raw=account.positions[at].collateral_raw + raw)
    return Account((*account.positions[:at], grown, *account.positions[at + 1 :]))


def liquidation_px(p: Position, timestamp: int) -> LiquidationPx:
    """A long falls with its index. A short in other collateral falls where it rises; one that holds the index itself may gain as much in
    collateral as it loses, and then falls where the index falls, or never."""

    def bad(px: int) -> bool:
        factor = p.at(px).factor(timestamp)
        return factor is not None and factor < 10**18

    if not p.size_usd or not p.index_px:
        return LiquidationPx(p.asset, Side.NONE, None, p.index_px, p.px_decimals)
    own = p.collateral_raw - p.funding_raw if p.collateral == p.asset else 0
    below = p.long or own > p.size_tokens
    find = highest_bad if below else lowest_bad
    px = find(bad, p.index_px, MOST_PX_RAW)
    side = Side.NONE if px is None else Side.BELOW if below else Side.ABOVE
    return LiquidationPx(p.asset, side, px, p.index_px, p.px_decimals)


NEEDED = {
    "size_usd": "size_usd_1e30", "size_tokens": "size_tokens_raw", "collateral_raw": "collateral_raw", "index_px": "index_price_raw",
    "collateral_px": "collateral_price_raw", "min_factor": "min_collateral_factor_1e30", "min_usd": "min_collateral_usd_1e30",
}  # fmt: skip
OPTIONAL = {
    "position_fee_factor": "position_fee_factor_1e30", "borrowing_usd": "borrowing_fee_usd_1e30",
    "borrowing_usd_per_second": "borrowing_usd_per_second_1e30", "last_update": "last_update", "funding_raw": "funding_fee_raw",
    "liquidation_fee_factor": "liquidation_fee_factor_1e30",
}  # fmt: skip
ALL_BY_DEFAULT = {"max_impact_factor": "max_impact_factor_1e30", "counted_profit": "counted_profit_1e30"}


def _position(raw: Any, where: str, decimals: Mapping[str, int]) -> Position:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    keys = {**NEEDED, **OPTIONAL, **ALL_BY_DEFAULT}
    fields.only(raw, where, {"asset", "collateral", "long", "impact_usd_1e30", *keys.values()})
    asset = fields.listed(raw, "asset", where, decimals)
    values = {name: fields.whole(raw, key, where) for name, key in NEEDED.items()}
    values |= {name: fields.whole(raw, key, where, default=0) for name, key in OPTIONAL.items()}
    values |= {name: fields.whole(raw, key, where, default=E30) for name, key in ALL_BY_DEFAULT.items()}
    if values["counted_profit"] > E30:
        raise fields.wrong(f"{where}: counted_profit_1e30 is more than all of a profit")
    if decimals[asset] > USD_DECIMALS:
        raise fields.wrong(f"{where}: {asset} has more decimals than dollars have here")
    return Position(
        asset,
        fields.listed(raw, "collateral", where, decimals),
        fields.flag(raw, "long", where),
        px_decimals=USD_DECIMALS - decimals[asset],
        impact_usd=fields.signed(raw, "impact_usd_1e30", where, default=0),
        **values,
    )


MODEL = GmxV2()
