"""Aave V3's account arithmetic (GenericLogic.calculateUserAccountData), with what differs between versions as rules.

Values are floored (debt: see `debt_up`) in the 1e-8 base currency. Up to 3.4 thresholds are averaged and floored to basis
points before the health factor is taken, so that the predicate is a saw-tooth in a price; from 3.5 on the sum itself is divided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.aave_account import Account, Reserve, read_account
from agent.margin.aave_seize import SeizeRules, fee_paid, largest
from agent.margin.liquidation import Line, first_price, first_second
from agent.margin.model import HEALTHY_1E18, Health, LiquidationPx, Seized, Side, State, moved_px, state_of
from agent.margin.ray import (
    PERCENT,
    binomial_interest,
    div_up,
    linear_interest,
    percent_mul_half_up,
    ray_mul_down,
    ray_mul_half_up,
    ray_mul_up,
    taylor_interest,
    wad_div_half_up,
)

VALUE_UNIT = "USD_1e8"


@dataclass(frozen=True, slots=True)
class Rules:
    """`taylor`: debt compounds by eˣ's series, else by the binomial's. `directed`: supply is floored and debt (its value too)
    is rounded up, else both half-up and values floored. `averaged`: the threshold is averaged before the health factor.
    `by_category`: a reserve without a threshold of its own may count in a category, and a category has its own zero loans.
    """

    taylor: bool
    directed: bool
    averaged: bool
    by_category: bool
    seize: SeizeRules


@dataclass(frozen=True, slots=True)
class AccountData:
    """The six values of Pool.getUserAccountData but one, as ints; `health_1e18` is None where the contract says max uint256."""

    collateral_base: int
    debt_base: int
    liquidation_threshold_bps: int
    ltv_bps: int
    health_1e18: int | None


@dataclass(slots=True)
class Holding:
    """A reserve with its balances at one moment; `supply` is 0 where it does not count as collateral."""

    asset: str
    source: str
    unit: int
    ltv: int
    threshold: int
    supply: int
    debt: int


@dataclass(frozen=True, slots=True)
class AaveModel:
    name: str
    rules: Rules
    price_decimals: int = 8

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        return read_account(account, decimals)

    # ---- balances

    def supply_index(self, r: Reserve, timestamp: int) -> int:
        index, seconds = r.liquidity_index_1e27, timestamp - r.last_update
        return ray_mul_half_up(linear_interest(r.liquidity_rate_1e27, seconds), index) if seconds else index

    def debt_index(self, r: Reserve, timestamp: int) -> int:
        index, seconds = r.borrow_index_1e27, timestamp - r.last_update
        grow = taylor_interest if self.rules.taylor else binomial_interest
        return ray_mul_half_up(grow(r.borrow_rate_1e27, seconds), index) if seconds else index

    def supply_raw(self, r: Reserve, timestamp: int) -> int:
        """The aToken's balance at `timestamp`."""
        times = ray_mul_down if self.rules.directed else ray_mul_half_up
        return times(r.scaled_supply_raw, self.supply_index(r, timestamp))

    def debt_raw(self, r: Reserve, timestamp: int) -> int:
        """Variable and stable debt at `timestamp`."""
        times = ray_mul_up if self.rules.directed else ray_mul_half_up
        return times(r.scaled_debt_raw, self.debt_index(r, timestamp)) + r.stable_debt_raw

    def counts(self, r: Reserve) -> bool:
        return r.collateral_enabled and (self.rules.by_category or r.liquidation_threshold_bps != 0)

    def ltv_bps(self, account: Account, r: Reserve) -> int:
        emode = account.emode
        if emode is not None and account.in_emode(r):
            if self.rules.by_category:
                return 0 if r.asset in emode.ltvzero else emode.ltv_bps
            # A reserve whose own LTV is zero lends nothing, in eMode neither.
            return emode.ltv_bps if r.ltv_bps else 0
        return 0 if emode is not None and emode.isolated else r.ltv_bps

    def holdings(self, account: Account, timestamp: int) -> list[Holding]:
        return [
            Holding(
                r.asset,
                account.source(r),
                10**r.decimals,
                self.ltv_bps(account, r),
                account.threshold_bps(r),
                self.supply_raw(r, timestamp) if self.counts(r) else 0,
                self.debt_raw(r, timestamp),
            )
            for r in account.reserves
        ]

    # ---- the contract's answer

    def data(self, holdings: list[Holding], prices: Mapping[str, int]) -> AccountData:
        collateral = debt = ltv = weighted = 0
        for h in holdings:
            price = prices[h.source]
            if h.supply:
                value = h.supply * price // h.unit
                collateral += value
                ltv += value * h.ltv
                weighted += value * h.threshold
            if h.debt:
                debt += div_up(h.debt * price, h.unit) if self.rules.directed else h.debt * price // h.unit
        mean_ltv, threshold = (ltv // collateral, weighted // collateral) if collateral else (0, 0)
        health = None
        if debt and self.rules.averaged:
            health = wad_div_half_up(percent_mul_half_up(collateral, threshold), debt)
        elif debt:
            health = wad_div_half_up(weighted, debt) // PERCENT
        return AccountData(collateral, debt, threshold, mean_ltv, health)

    def account_data(self, account: Account, timestamp: int) -> AccountData:
        """What Pool.getUserAccountData answers in a block of that time."""
        return self.data(self.holdings(account, timestamp), account.prices())

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where a reserve was updated after `timestamp`."""
        for r in account.reserves:
            if r.last_update > timestamp:
                raise fields.wrong(
                    f"reserve {r.asset}: last_update {r.last_update} is after the time asked for ({timestamp})"
                )
        holdings, prices = self.holdings(account, timestamp), account.prices()
        data = self.data(holdings, prices)
        state = state_of(data.health_1e18)
        if data.debt_base == 0:
            none = tuple(
                LiquidationPx(r.asset, Side.NONE, None, prices[account.source(r)]) for r in account.reserves
            )
            return Health(state, None, data.collateral_base, 0, VALUE_UNIT, none, None)
        bad = state is State.LIQUIDATABLE
        return Health(
            state,
            data.health_1e18,
            data.collateral_base,
            data.debt_base,
            VALUE_UNIT,
            self._liquidation_px(account, holdings),
            0 if bad else self._seconds(account, timestamp),
            seized=self._seized(account, holdings, data, timestamp) if bad else None,
        )

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        """The health factor with those assets at those prices (an eMode's own price moves with its first member)."""
        moved = replace(
            account,
            reserves=tuple(
                replace(r, price_1e8=prices_1e8[r.asset]) if r.asset in prices_1e8 else r
                for r in account.reserves
            ),
        )
        prices = moved.prices()
        if account.emode is not None and "" in prices:
            member = next(r for r in moved.reserves if moved.in_emode(r))
            before = next(r for r in account.reserves if r.asset == member.asset)
            if before.price_1e8:
                prices[""] = account.emode.price_1e8 * member.price_1e8 // before.price_1e8
        return self.data(self.holdings(moved, timestamp), prices).health_1e18

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        prices = {
            r.asset: moved_px(r.price_1e8, moves[r.asset]) for r in account.reserves if r.asset in moves
        }
        return self.at_prices(account, prices, timestamp)

    # ---- where it flips

    def _liquidation_px(self, account: Account, holdings: list[Holding]) -> tuple[LiquidationPx, ...]:
        prices = account.prices()

        def at(source: str, price: int) -> AccountData:
            return self.data(holdings, {**prices, source: price})

        cache: dict[str, tuple[Side, int | None]] = {}
        found = []
        for r in account.reserves:
            source = account.source(r)
            if source not in cache:

                def bad(price: int, source: str = source) -> bool:
                    return _liquidatable(at(source, price))

                def step(price: int, source: str = source) -> int:
                    return at(source, price).liquidation_threshold_bps if self.rules.averaged else 0

                cache[source] = first_price(self._line(holdings, prices, source), bad, step, prices[source])
            side, px = cache[source]
            found.append(LiquidationPx(r.asset, side, px, prices[source]))
        return tuple(found)

    def _line(self, holdings: list[Holding], prices: Mapping[str, int], source: str) -> Line:
        """Collateral (times threshold in bps) less debt, as exact rationals over one common unit, linear in that price."""
        common = max(h.unit for h in holdings)
        slope = fixed = supply_slope = supply_fixed = 0
        own = [h for h in holdings if h.source == source]
        both = any(h.supply for h in own) and any(h.debt for h in own)
        for h in holdings:
            scale = common // h.unit
            weight = (h.supply * h.threshold - h.debt * PERCENT) * scale
            if h.source == source:
                slope += weight
                supply_slope += h.supply * scale
            else:
                fixed += weight * prices[h.source]
                supply_fixed += h.supply * prices[h.source] * scale
        if not self.rules.averaged:
            supply_slope = supply_fixed = 0
        return Line(
            slope, fixed, supply_slope, supply_fixed, common * PERCENT * (2 * len(holdings) + 2), both
        )

    def _seconds(self, account: Account, timestamp: int) -> int | None:
        prices = account.prices()
        one = len({h.threshold for h in self.holdings(account, timestamp) if h.supply}) < 2

        def bad(seconds: int) -> bool:
            holdings = self.holdings(account, timestamp + seconds)
            data = self.data(holdings, prices)
            if one or data.health_1e18 is None or not self.rules.averaged:
                return _liquidatable(data)
            # The averaged threshold is floored to a basis point and moves in steps: one basis point less is below all of them.
            weighted = sum(h.supply * prices[h.source] // h.unit * (h.threshold - 1) for h in holdings)
            return weighted < data.debt_base * PERCENT

        return first_second(bad)

    def _seized(
        self, account: Account, holdings: list[Holding], data: AccountData, timestamp: int
    ) -> Seized | None:
        assert data.health_1e18 is not None
        prices = account.prices()
        lent = [
            (h, r, prices[h.source])
            for h, r in zip(holdings, account.reserves, strict=True)
            if h.supply and h.threshold and prices[h.source]
        ]
        owed = [(h, prices[h.source]) for h in holdings if h.debt and prices[h.source]]
        if not lent or not owed:
            return None
        collateral, reserve, px = max(lent, key=lambda x: x[0].supply * x[2] * 10**36 // x[0].unit)
        debt, debt_px = max(owed, key=lambda x: x[0].debt * x[1] * 10**36 // x[0].unit)
        found = largest(
            self.rules.seize,
            collateral_asset=collateral.asset, collateral_raw=collateral.supply, collateral_px=px,
            collateral_unit=collateral.unit, debt_asset=debt.asset, debt_raw=debt.debt, debt_px=debt_px,
            debt_unit=debt.unit, bonus_bps=account.bonus_bps(reserve), fee_bps=reserve.protocol_fee_bps,
            total_collateral=data.collateral_base, total_debt=data.debt_base, health_1e18=data.health_1e18,
        )  # fmt: skip
        if found is None or not found.fee_raw:
            return found
        taken, index = found.collateral[0][1] - found.fee_raw, self.supply_index(reserve, timestamp)
        fee = fee_paid(found.fee_raw, taken, reserve.scaled_supply_raw, index, directed=self.rules.directed)
        return replace(found, collateral=((collateral.asset, taken + fee),), fee_raw=fee)


def _liquidatable(data: AccountData) -> bool:
    return data.health_1e18 is not None and data.health_1e18 < HEALTHY_1E18
