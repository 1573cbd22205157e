"""Aave V3.0.x (npm @aave/core-v3 1.19.3, and forks of it such as Spark's), to the last integer.

The arithmetic is GenericLogic.calculateUserAccountData: balances are scaled amounts times indices accrued to the block's
time (linear for supply, three binomial terms for debt), values are floored in the 1e-8 base currency, thresholds are
averaged and floored to basis points before the health factor is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import Line, first_price, first_second
from agent.margin.model import HEALTHY_1E18, Health, LiquidationPx, Side, State, state_of
from agent.margin.ray import (
    PERCENT,
    binomial_interest,
    linear_interest,
    percent_mul_half_up,
    ray_mul_half_up,
    wad_div_half_up,
)

VALUE_UNIT = "USD_1e8"


@dataclass(frozen=True, slots=True)
class Reserve:
    """One asset of an account: prices in 1e-8, rates and indices in ray, amounts in base units (scaled by their index).

    `stable_debt_raw` is the balance of the stable debt token as the chain gave it, interest included.
    """

    asset: str
    decimals: int
    price_1e8: int
    ltv_bps: int
    liquidation_threshold_bps: int
    collateral_enabled: bool
    last_update: int
    scaled_supply_raw: int
    liquidity_index_1e27: int
    liquidity_rate_1e27: int
    scaled_debt_raw: int
    borrow_index_1e27: int
    borrow_rate_1e27: int
    stable_debt_raw: int = 0

    def supply_raw(self, timestamp: int) -> int:
        """The aToken's balance at `timestamp`."""
        index, seconds = self.liquidity_index_1e27, timestamp - self.last_update
        if seconds:
            index = ray_mul_half_up(linear_interest(self.liquidity_rate_1e27, seconds), index)
        return ray_mul_half_up(self.scaled_supply_raw, index)

    def debt_raw(self, timestamp: int) -> int:
        """Variable and stable debt at `timestamp`."""
        index, seconds = self.borrow_index_1e27, timestamp - self.last_update
        if seconds:
            index = ray_mul_half_up(binomial_interest(self.borrow_rate_1e27, seconds), index)
        return ray_mul_half_up(self.scaled_debt_raw, index) + self.stable_debt_raw


@dataclass(frozen=True, slots=True)
class EMode:
    """The account's efficiency-mode category: `price_1e8` where the category has a price source of its own, else 0."""

    ltv_bps: int
    liquidation_threshold_bps: int
    assets: frozenset[str]
    price_1e8: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    reserves: tuple[Reserve, ...]
    emode: EMode | None = None

    def in_emode(self, reserve: Reserve) -> bool:
        return self.emode is not None and reserve.asset in self.emode.assets

    def source(self, reserve: Reserve) -> str:
        """Whose price counts for the reserve: its own asset's, or that of the eMode category ("" there)."""
        own_price = self.emode is None or not self.emode.price_1e8 or not self.in_emode(reserve)
        return reserve.asset if own_price else ""

    def prices(self) -> dict[str, int]:
        found = {self.source(r): r.price_1e8 for r in self.reserves}
        if "" in found and self.emode is not None:
            found[""] = self.emode.price_1e8
        return found


@dataclass(frozen=True, slots=True)
class AccountData:
    """The six values of Pool.getUserAccountData but one, as ints; `health_1e18` is None where the contract says max uint256."""

    collateral_base: int
    debt_base: int
    liquidation_threshold_bps: int
    ltv_bps: int
    health_1e18: int | None


@dataclass(slots=True)
class _Holding:
    """A reserve with its balances at one moment."""

    source: str
    unit: int
    ltv: int
    threshold: int
    supply: int
    debt: int
    raw_ltv: int = field(default=0)


def _holdings(account: Account, timestamp: int) -> list[_Holding]:
    found = []
    for r in account.reserves:
        emode = account.emode if account.in_emode(r) else None
        counts = r.collateral_enabled and r.liquidation_threshold_bps != 0
        found.append(
            _Holding(
                account.source(r),
                10**r.decimals,
                emode.ltv_bps if emode else r.ltv_bps,
                emode.liquidation_threshold_bps if emode else r.liquidation_threshold_bps,
                r.supply_raw(timestamp) if counts else 0,
                r.debt_raw(timestamp),
                r.ltv_bps,
            )
        )
    return found


def _data(holdings: list[_Holding], prices: Mapping[str, int]) -> AccountData:
    collateral = debt = ltv = threshold = 0
    for h in holdings:
        price = prices[h.source]
        if h.supply:
            value = h.supply * price // h.unit
            collateral += value
            # A reserve whose own LTV is zero lends nothing, in eMode neither.
            ltv += value * h.ltv if h.raw_ltv else 0
            threshold += value * h.threshold
        if h.debt:
            debt += h.debt * price // h.unit
    ltv, threshold = (ltv // collateral, threshold // collateral) if collateral else (0, 0)
    health = wad_div_half_up(percent_mul_half_up(collateral, threshold), debt) if debt else None
    return AccountData(collateral, debt, threshold, ltv, health)


def account_data(account: Account, timestamp: int) -> AccountData:
    """What Pool.getUserAccountData answers in a block of that time."""
    return _data(_holdings(account, timestamp), account.prices())


def _liquidatable(data: AccountData) -> bool:
    return data.health_1e18 is not None and data.health_1e18 < HEALTHY_1E18


def _liquidation_px(account: Account, holdings: list[_Holding]) -> tuple[LiquidationPx, ...]:
    prices = account.prices()

    def at(source: str, price: int) -> AccountData:
        return _data(holdings, {**prices, source: price})

    def line(source: str) -> Line:
        """Collateral (times threshold in bps) less debt, as exact rationals over one common unit, linear in that price."""
        common = max(h.unit for h in holdings)
        slope = fixed = supply_slope = supply_fixed = 0
        for h in holdings:
            scale = common // h.unit
            weight = (h.supply * h.threshold - h.debt * PERCENT) * scale
            if h.source == source:
                slope += weight
                supply_slope += h.supply * scale
            else:
                fixed += weight * prices[h.source]
                supply_fixed += h.supply * prices[h.source] * scale
        return Line(slope, fixed, supply_slope, supply_fixed, common * PERCENT * (2 * len(holdings) + 2))

    found = []
    cache: dict[str, tuple[Side, int | None]] = {}
    for r in account.reserves:
        source = account.source(r)
        if source not in cache:

            def bad(price: int, source: str = source) -> bool:
                return _liquidatable(at(source, price))

            def step(price: int, source: str = source) -> int:
                return at(source, price).liquidation_threshold_bps

            cache[source] = first_price(line(source), bad, step)
        side, px = cache[source]
        found.append(LiquidationPx(r.asset, side, px, prices[source]))
    return tuple(found)


def _seconds(account: Account, timestamp: int) -> int | None:
    one = len({h.threshold for h in _holdings(account, timestamp) if h.supply}) < 2

    def bad(seconds: int) -> bool:
        holdings, prices = _holdings(account, timestamp + seconds), account.prices()
        data = _data(holdings, prices)
        if one or data.health_1e18 is None:
            return _liquidatable(data)
        # The averaged threshold is floored to a basis point and moves in steps: one basis point less is below all of them.
        weighted = sum(h.supply * prices[h.source] // h.unit * (h.threshold - 1) for h in holdings)
        return weighted < data.debt_base * PERCENT

    return first_second(bad)


class AaveV30:
    name = "aave_v3_0"
    price_decimals = 8

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        return read_account(account, decimals)

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where a reserve was updated after `timestamp`."""
        for r in account.reserves:
            if r.last_update > timestamp:
                raise fields.wrong(
                    f"reserve {r.asset}: last_update {r.last_update} is after the time asked for ({timestamp})"
                )
        holdings = _holdings(account, timestamp)
        data = _data(holdings, account.prices())
        state = state_of(data.health_1e18)
        if data.debt_base == 0:
            none = tuple(
                LiquidationPx(r.asset, Side.NONE, None, account.prices()[account.source(r)])
                for r in account.reserves
            )
            return Health(state, None, data.collateral_base, 0, VALUE_UNIT, none, None)
        seconds = 0 if state is State.LIQUIDATABLE else _seconds(account, timestamp)
        return Health(
            state,
            data.health_1e18,
            data.collateral_base,
            data.debt_base,
            VALUE_UNIT,
            _liquidation_px(account, holdings),
            seconds,
        )


def read_account(raw: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
    """An accounts/1 entry. Raises Usage BAD_ACCOUNTS_FILE naming the account and the key."""
    where = f"account {raw.get('id', '?')}"
    fields.only(raw, where, {"id", "model", "chain", "emode", "emodes", "reserves"})
    reserves = tuple(
        _read_reserve(entry, f"{where}, reserve {number}", decimals)
        for number, entry in enumerate(fields.rows(raw, "reserves", where))
    )
    twice = [r.asset for n, r in enumerate(reserves) if r.asset in [o.asset for o in reserves[:n]]]
    if twice:
        raise fields.wrong(f"{where}: {twice[0]} stands there twice")
    category = fields.whole(raw, "emode", where, default=0)
    if category == 0:
        return Account(reserves)
    emodes = raw.get("emodes")
    entry = emodes.get(str(category)) if isinstance(emodes, Mapping) else None
    if not isinstance(entry, Mapping):
        raise fields.wrong(f"{where}: emode {category} is not among its emodes")
    at = f"{where}, emode {category}"
    known = {"ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "collateral", "price_1e8"}
    fields.only(entry, at, known)
    emode = EMode(
        fields.whole(entry, "ltv_bps", at),
        fields.whole(entry, "liquidation_threshold_bps", at),
        frozenset(str(a) for a in fields.rows(entry, "collateral", at)),
        fields.whole(entry, "price_1e8", at, default=0),
    )
    return Account(reserves, emode)


_INTS = (
    "price_1e8", "ltv_bps", "liquidation_threshold_bps", "last_update", "scaled_supply_raw", "liquidity_index_1e27",
    "liquidity_rate_1e27", "scaled_debt_raw", "borrow_index_1e27", "borrow_rate_1e27",
)  # fmt: skip
_RESERVE_KEYS = {"asset", "liquidation_bonus_bps", "collateral_enabled", "stable_debt_raw", *_INTS}


def _read_reserve(raw: Any, where: str, decimals: Mapping[str, int]) -> Reserve:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, _RESERVE_KEYS)
    asset = fields.text(raw, "asset", where)
    if asset not in decimals:
        raise fields.wrong(f"{where}: {asset} is not listed in assets")
    enabled = raw.get("collateral_enabled")
    if not isinstance(enabled, bool):
        raise fields.wrong(f"{where}: collateral_enabled is true or false")
    values = {name: fields.whole(raw, name, where) for name in _INTS}
    return Reserve(
        asset=asset,
        decimals=decimals[asset],
        collateral_enabled=enabled,
        stable_debt_raw=fields.whole(raw, "stable_debt_raw", where, default=0),
        **values,
    )


MODEL = AaveV30()
