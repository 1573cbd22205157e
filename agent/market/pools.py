"""The pools of a market/1 file: one reader a kind, each naming the contract whose arithmetic it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    TickTable,
    WeightedPool,
)
from agent.amm.math import INT128_MAX, UINT112_MAX, UINT128_MAX, WAD
from agent.amm.ticks import MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, sqrt_price_at_tick
from agent.domain.instruments import Asset, AssetId
from agent.market.fields import Fields, known_asset, nearest, raw_text, refuse

Assets = Mapping[AssetId, Asset]
_COMMON = ("id", "kind", "assets")
_OPTIONAL = ("gas", "gas_per_tick")
_MAX_GAS = 1 << 40


def _held(f: Fields, assets: Assets, low: int, high: int) -> tuple[AssetId, ...]:
    listed = f.list("assets")
    if not low <= len(listed) <= high:
        refuse(
            f.where,
            f"holds {len(listed)} assets; a {f.values['kind']} pool holds {low if low == high else f'{low} to {high}'}",
        )
    held = tuple(known_asset(f"{f.where}.assets[{k}]", a, assets) for k, a in enumerate(listed))
    if len(set(held)) != len(held):
        refuse(f"{f.where}.assets", "names an asset twice")
    return held


def _pair(f: Fields, assets: Assets) -> tuple[AssetId, AssetId]:
    held = _held(f, assets, 2, 2)
    return held[0], held[1]


def _gas(f: Fields) -> int:
    return f.number("gas", 0, _MAX_GAS, 0)


def _v2(f: Fields, assets: Assets) -> Pool:
    r0, r1 = f.raws("reserves_raw", 2, high=UINT112_MAX)
    return ConstantProductPool(
        f.text("id"), _pair(f, assets), (r0, r1), f.number("fee_pips", 0, 999_999), _gas(f)
    )


def _ticks(f: Fields, spacing: int) -> TickTable:
    ticks: list[int] = []
    nets: list[int] = []
    for k, entry in enumerate(f.list("ticks")):
        where = f"{f.where}.ticks[{k}]"
        if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int:
            refuse(where, "must be [tick, liquidity_net]")
        tick = entry[0]
        if not MIN_TICK <= tick <= MAX_TICK or tick % spacing:
            refuse(where, f"tick {tick} is out of range or no multiple of the spacing {spacing}")
        if ticks and tick <= ticks[-1]:
            refuse(where, f"tick {tick} is out of order; ticks ascend")
        ticks.append(tick)
        nets.append(raw_text(where, entry[1], -INT128_MAX - 1, INT128_MAX))
    return TickTable(tuple(ticks), tuple(nets))


def _price(f: Fields, spacing: int) -> tuple[int, int, int, TickTable]:
    price = f.raw("sqrt_price_x96", MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1)
    tick = f.number("tick", MIN_TICK - 1, MAX_TICK)
    low = sqrt_price_at_tick(max(tick, MIN_TICK))
    high = sqrt_price_at_tick(min(tick + 1, MAX_TICK))
    if not low <= price <= high:
        refuse(f.where, f"tick {tick} and sqrt_price_x96 {price} are not the same price")
    table, liquidity = _ticks(f, spacing), f.raw("liquidity", 0, UINT128_MAX)
    active = table.active_liquidity(tick)
    if active != liquidity:
        refuse(f.where, f"liquidity is {liquidity}, but the ticks at or below {tick} sum to {active}")
    return price, tick, liquidity, table


def _v3(f: Fields, assets: Assets) -> Pool:
    spacing = f.number("tick_spacing", 1, 16_383)
    price, tick, liquidity, table = _price(f, spacing)
    fee = f.number("fee_pips", 0, 999_999)
    per_tick = f.number("gas_per_tick", 0, _MAX_GAS, 0)
    return ConcentratedPool(
        f.text("id"), _pair(f, assets), fee, spacing, price, tick, liquidity, table, _gas(f), per_tick
    )


def _v4(f: Fields, assets: Assets) -> Pool:
    spacing = f.number("tick_spacing", 1, 32_767)
    price, tick, liquidity, table = _price(f, spacing)
    fees = f.list("protocol_fee_pips", 2)
    if any(type(fee) is not int or not 0 <= fee <= 1000 for fee in fees):
        refuse(f"{f.where}.protocol_fee_pips", "must be two whole numbers from 0 to 1000")
    per_tick, lp = f.number("gas_per_tick", 0, _MAX_GAS, 0), f.number("lp_fee_pips", 0, 1_000_000)
    return ConcentratedV4Pool(
        f.text("id"),
        _pair(f, assets),
        lp,
        (fees[0], fees[1]),
        spacing,
        price,
        tick,
        liquidity,
        table,
        _gas(f),
        per_tick,
    )


def _fixed_point_scaling(
    f: Fields, held: tuple[AssetId, ...], assets: Assets, rates: tuple[int, ...]
) -> tuple[int, ...]:
    for asset in held:
        if assets[asset].decimals > 18:
            refuse(f.where, f"{asset} has {assets[asset].decimals} decimals; this contract takes at most 18")
    return tuple(10 ** (18 - assets[asset].decimals) * rate for asset, rate in zip(held, rates, strict=True))


def _weighted(f: Fields, assets: Assets) -> Pool:
    held = _held(f, assets, 2, 100)
    balances = f.raws("balances_raw", len(held), high=UINT112_MAX)
    weights = f.raws("weights_1e18", len(held), 1, WAD)
    scaling = _fixed_point_scaling(f, held, assets, (WAD,) * len(held))
    return WeightedPool(
        f.text("id"), held, balances, weights, f.raw("fee_1e18", 0, WAD - 1), scaling, _gas(f)
    )


def _amp(f: Fields) -> tuple[int, int]:
    precision = f.raw("a_precision", 1, 10**9)
    # A ramping contract holds fractions of A, so the unscaled figure may have decimals that the stored one has not.
    amp = f.decimal("a") * precision
    if amp != amp.to_integral_value() or amp < 1 or amp > Decimal(10**15):
        refuse(f"{f.where}.a", f"{f.values['a']} × {precision} is no whole number a contract could hold")
    return int(amp), precision


def _balancer_stable(f: Fields, assets: Assets) -> Pool:
    held = _held(f, assets, 2, 5)
    balances = f.raws("balances_raw", len(held), high=UINT112_MAX)
    rates = f.raws("rates_1e18", len(held), 1, 10**36)
    amp, precision = _amp(f)
    scaling = _fixed_point_scaling(f, held, assets, rates)
    fee = f.raw("fee_1e18", 0, WAD - 1)
    return BalancerStablePool(f.text("id"), held, balances, amp, precision, fee, rates, scaling, _gas(f))


def _curve(f: Fields, assets: Assets) -> Pool:
    held = _held(f, assets, 2, 8)
    balances = f.raws("balances_raw", len(held))
    rates = f.raws("rates_1e18", len(held), 1, 10**36)
    amp, precision = _amp(f)
    scaling = _fixed_point_scaling(f, held, assets, rates)
    fee, admin = f.raw("fee_1e10", 0, 10**10 - 1), f.raw("admin_fee_1e10", 0, 10**10)
    return CurvePool(f.text("id"), held, balances, amp, precision, fee, admin, rates, scaling, _gas(f))


def _solidly(f: Fields, assets: Assets) -> Pool:
    a, b = _pair(f, assets)
    r0, r1 = f.raws("reserves_raw", 2)
    units = (10 ** assets[a].decimals, 10 ** assets[b].decimals)
    stable = f.values["kind"] == "solidly_stable"
    return SolidlyPool(f.text("id"), (a, b), (r0, r1), f.raw("fee_1e4", 0, 9_999), stable, units, _gas(f))


_V3 = ("tick_spacing", "sqrt_price_x96", "tick", "liquidity", "ticks")
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Fields, Assets], Pool]]] = {
    "uniswap_v2": (("reserves_raw", "fee_pips"), _v2),
    "uniswap_v3": (("fee_pips", *_V3), _v3),
    "uniswap_v4": (("lp_fee_pips", "protocol_fee_pips", *_V3), _v4),
    "curve_stableswap": (
        ("balances_raw", "a", "a_precision", "fee_1e10", "admin_fee_1e10", "rates_1e18"),
        _curve,
    ),
    "balancer_v2_stable": (("balances_raw", "a", "a_precision", "fee_1e18", "rates_1e18"), _balancer_stable),
    "balancer_v2_weighted": (("balances_raw", "weights_1e18", "fee_1e18"), _weighted),
    "solidly_volatile": (("reserves_raw", "fee_1e4"), _solidly),
    "solidly_stable": (("reserves_raw", "fee_1e4"), _solidly),
}


def parse_pool(where: str, entry: Any, assets: Assets) -> Pool:
    """One pool of a market/1 file. Raises Usage BAD_MARKET_FILE naming the pool's id where it has one."""
    if not isinstance(entry, dict):
        refuse(where, "is not a JSON object")
    if isinstance(entry.get("id"), str):
        where = f"pool {entry['id']}"
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        refuse(where, f"unknown kind {kind!r}", nearest(str(kind), list(_KINDS)))
    keys, read = _KINDS[kind]
    f = Fields(where, entry, (*_COMMON, *keys), _OPTIONAL)
    if not f.text("id").startswith("eip155:") or "/" not in f.text("id"):
        refuse(f"{where}.id", "must be CHAIN/ADDRESS, like eip155:1/0x…")
    return read(f, assets)
