"""Compound III (Comet), as `isLiquidatable`, `isBorrowCollateralized` and `absorb` compute once interest is accrued to the time.

Values are 1e-8 US dollars: what is owed is truncated, each collateral floored, then floored again times its factor. Comet has
no health factor: `health_1e18` is factored collateral over debt, floored, below one exactly where `isLiquidatable` is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import first_second, highest_bad, lowest_bad
from agent.margin.model import Health, LiquidationPx, Seized, Side, State, moved_px, state_of

FACTOR = 10**18
INDEX = 10**15
VALUE_UNIT = "USD_1e8"


@dataclass(frozen=True, slots=True)
class Collateral:
    asset: str
    decimals: int
    balance_raw: int
    price_1e8: int
    borrow_cf_1e18: int
    liquidate_cf_1e18: int
    liquidation_factor_1e18: int


@dataclass(frozen=True, slots=True)
class Account:
    """`principal_raw` below zero is debt; `borrow_rate_1e18` is for a second; the supply side earns `supply_rate_1e18`."""

    base: str
    base_decimals: int
    base_price_1e8: int
    principal_raw: int
    borrow_index_1e15: int
    supply_index_1e15: int
    borrow_rate_1e18: int
    last_update: int
    collateral: tuple[Collateral, ...]
    supply_rate_1e18: int = 0

    def prices(self) -> dict[str, int]:
        return {self.base: self.base_price_1e8} | {c.asset: c.price_1e8 for c in self.collateral}


def present_raw(account: Account, timestamp: int) -> int:
    """The base balance at `timestamp`, below zero where owed: truncated towards zero."""
    seconds = timestamp - account.last_update
    owed = account.principal_raw < 0
    index = account.borrow_index_1e15 if owed else account.supply_index_1e15
    rate = account.borrow_rate_1e18 if owed else account.supply_rate_1e18
    if seconds:
        index += index * (rate * seconds) // FACTOR
    value: int = abs(account.principal_raw) * index // INDEX
    return -value if owed else value


def liquidity(account: Account, timestamp: int, prices: Mapping[str, int], *, liquidate: bool) -> int:
    """Factored collateral less debt in 1e-8 USD, stopping as the contract does once it is not below zero."""
    present = present_raw(account, timestamp)
    value: int = abs(present) * prices[account.base] // 10**account.base_decimals
    total: int = value if present >= 0 else -value
    for c in account.collateral:
        if total >= 0:
            break
        factor = c.liquidate_cf_1e18 if liquidate else c.borrow_cf_1e18
        total += c.balance_raw * prices[c.asset] // 10**c.decimals * factor // FACTOR
    return total


class CompoundV3:
    name = "compound_v3"
    price_decimals = 8

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        known = {
            "id", "model", "chain", "base", "base_price_1e8", "principal_raw", "borrow_index_1e15", "supply_index_1e15",
            "borrow_rate_1e18", "supply_rate_1e18", "last_update", "collateral", "paused",
        }  # fmt: skip
        fields.only(account, where, known)
        base = fields.listed(account, "base", where, decimals)
        rows = fields.rows(account, "collateral", where)
        found = tuple(_collateral(c, f"{where}, collateral {n}", decimals) for n, c in enumerate(rows))
        names = [c.asset for c in found] + [base]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset stands there twice")
        return Account(
            base,
            decimals[base],
            fields.whole(account, "base_price_1e8", where),
            fields.signed(account, "principal_raw", where),
            fields.whole(account, "borrow_index_1e15", where),
            fields.whole(account, "supply_index_1e15", where),
            fields.whole(account, "borrow_rate_1e18", where),
            fields.whole(account, "last_update", where),
            found,
            fields.whole(account, "supply_rate_1e18", where, default=0),
        )

    def factor(self, account: Account, prices: Mapping[str, int], timestamp: int) -> int | None:
        """Factored collateral over debt in 1e18, floored; None where nothing of value is owed."""
        present = present_raw(account, timestamp)
        # Truncated as a magnitude: Python would floor what is below zero.
        debt: int = abs(present) * prices[account.base] // 10**account.base_decimals if present < 0 else 0
        if debt == 0:
            return None
        covered: int = sum(
            c.balance_raw * prices[c.asset] // 10**c.decimals * c.liquidate_cf_1e18 // FACTOR
            for c in account.collateral
        )
        return covered * FACTOR // debt

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        return self.factor(account, {**account.prices(), **prices_1e8}, timestamp)

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        prices = {a: moved_px(px, moves[a]) for a, px in account.prices().items() if a in moves}
        return self.at_prices(account, prices, timestamp)

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where the account was updated after `timestamp`."""
        if account.last_update > timestamp:
            raise fields.wrong(f"last_update {account.last_update} is after the time asked for ({timestamp})")
        prices = account.prices()
        value = sum(c.balance_raw * c.price_1e8 // 10**c.decimals for c in account.collateral)
        present = present_raw(account, timestamp)
        worth = abs(present) * account.base_price_1e8 // 10**account.base_decimals
        debt, lent = (worth, 0) if present < 0 else (0, worth)
        factor = self.factor(account, prices, timestamp)
        state = state_of(factor)
        if state is State.SAFE and liquidity(account, timestamp, prices, liquidate=False) < 0:
            state = State.AT_RISK
        gone = state is State.LIQUIDATABLE
        return Health(
            state,
            factor,
            value + lent,
            debt,
            VALUE_UNIT,
            self._liquidation_px(account, timestamp),
            0 if gone else self._seconds(account, timestamp),
            seized=absorbed(account, timestamp) if gone else None,
        )

    def _liquidation_px(self, account: Account, timestamp: int) -> tuple[LiquidationPx, ...]:
        now = account.prices()

        def bad_at(asset: str, px: int) -> bool:
            factor = self.factor(account, {**now, asset: px}, timestamp)
            return factor is not None and factor < FACTOR

        found = []
        for c in account.collateral:
            px = highest_bad(lambda p, a=c.asset: bad_at(a, p), c.price_1e8) if c.balance_raw else None  # type: ignore[misc]
            found.append(LiquidationPx(c.asset, Side.NONE if px is None else Side.BELOW, px, c.price_1e8))
        px = lowest_bad(lambda p: bad_at(account.base, p), account.base_price_1e8)
        found.append(
            LiquidationPx(account.base, Side.NONE if px is None else Side.ABOVE, px, account.base_price_1e8)
        )
        return tuple(found)

    def _seconds(self, account: Account, timestamp: int) -> int | None:
        prices = account.prices()
        if account.principal_raw >= 0:
            return None

        def bad(seconds: int) -> bool:
            factor = self.factor(account, prices, timestamp + seconds)
            return factor is not None and factor < FACTOR

        return first_second(bad)


def absorbed(account: Account, timestamp: int) -> Seized:
    """`absorb` takes all collateral at its liquidation factor; what that does not pay is the protocol's loss."""
    present = present_raw(account, timestamp)
    value = sum(
        c.balance_raw * c.price_1e8 // 10**c.decimals * c.liquidation_factor_1e18 // FACTOR
        for c in account.collateral
    )
    paid = value * 10**account.base_decimals // account.base_price_1e8 if account.base_price_1e8 else 0
    taken = tuple((c.asset, c.balance_raw) for c in account.collateral if c.balance_raw)
    return Seized(account.base, -present, taken, bad_debt_raw=max(-present - paid, 0))


def _collateral(raw: Any, where: str, decimals: Mapping[str, int]) -> Collateral:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    ints = ("balance_raw", "price_1e8", "borrow_cf_1e18", "liquidate_cf_1e18", "liquidation_factor_1e18")
    fields.only(raw, where, {"asset", "paused", *ints})
    asset = fields.listed(raw, "asset", where, decimals)
    return Collateral(asset, decimals[asset], *(fields.whole(raw, name, where) for name in ints))


MODEL = CompoundV3()
