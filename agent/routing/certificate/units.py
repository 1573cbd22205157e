"""Certificate prices as integers, and the figures of an order that every bound starts from.

A value is an int: units of the bought asset times 2**192. A price is the value of one raw unit of an asset. Rounding a price
is harmless, because the bound holds for any prices; every value computed from them is rounded up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from agent.domain.errors import Reject, Usage
from agent.domain.instruments import AssetId, Place
from agent.market.view import MarketView

SHIFT = 192
ONE = 1 << SHIFT
_WHOLE = re.compile(r"-?[0-9]{1,400}")
_LONGEST = 400
"""Digits of a price that are read: turning millions of them into a fraction would take hours."""


@dataclass(frozen=True)
class Order:
    """What was asked: `amount` raw of `sell` for `buy`. `native_px` is whole gas tokens per whole unit of `buy`."""

    view: MarketView
    sell: AssetId
    buy: AssetId
    amount: int
    cross_domain: bool
    native_px: str

    @property
    def sources(self) -> tuple[AssetId, ...]:
        return self.view.same(self.sell) if self.cross_domain else (self.sell,)

    @property
    def targets(self) -> tuple[AssetId, ...]:
        return self.view.same(self.buy) if self.cross_domain else (self.buy,)

    def par(self, asset: AssetId) -> Fraction:
        """Raw units of `buy` that a raw unit of one of its equivalents counts as."""
        assets = self.view.assets
        return Fraction(10 ** assets[self.buy].decimals, 10 ** assets[asset].decimals)


def wrapped_names(view: MarketView) -> dict[str, AssetId]:
    """A chain's coin and its wrapped form are one asset: the coin's id to the wrapped one's."""
    return {f"{place}/slip44:60": gas.native_as for place, gas in view.gas.items()}


def unit_prices(order: Order, prices: Mapping[AssetId, str]) -> dict[AssetId, int]:
    """Prices per raw unit, from decimal strings in whole units of the bought asset per whole unit.

    Targets count at par whatever is written. Raises Reject BAD_CERTIFICATE for a price that is no number above zero.
    """
    view, units = order.view, 10 ** order.view.assets[order.buy].decimals
    out: dict[AssetId, int] = {}
    for asset, text in prices.items():
        known = view.assets.get(asset)
        try:
            price = Decimal(text if len(text) <= _LONGEST else "NaN")
        except (InvalidOperation, TypeError, ValueError):
            price = Decimal("NaN")
        if known is None or not price.is_finite() or price <= 0 or abs(price.adjusted()) > 300:
            raise Reject(
                "BAD_CERTIFICATE",
                f"prices.{asset}: {text[:80]!r} is not the price of an asset of this market",
            )
        top, bottom = price.as_integer_ratio()
        out[asset] = max((top * units << SHIFT) // (bottom * 10**known.decimals), 1)
    for asset in out.keys() & set(order.targets):
        par = order.par(asset)
        out[asset] = -(-(par.numerator << SHIFT) // par.denominator)
    return out


def gas_values(order: Order) -> dict[Place, Fraction]:
    """The value of a unit of gas on every chain: price in wei * 10**decimals / (10**18 * native_px), 0 where unknown."""
    px = Decimal(order.native_px)
    if not px:
        return {}
    top, bottom = px.as_integer_ratio()
    unit = 10 ** order.view.assets[order.buy].decimals * ONE
    return {
        place: Fraction(gas.price_wei * unit * bottom, 10**18 * top) for place, gas in order.view.gas.items()
    }


def held_value(order: Order, prices: Mapping[AssetId, int]) -> int:
    """The most the sold amount can be worth over the sources that have a price, each within its inventory; rounded up."""
    view = order.view
    finest = view.assets[order.sell].decimals
    worth: list[tuple[Fraction, Fraction]] = []
    for asset in order.sources:
        if asset not in prices:
            continue
        decimals = view.assets[asset].decimals
        per_unit = Fraction(prices[asset] * 10**decimals, 10**finest)
        held = view.inventory.get(asset)
        room = Fraction(order.amount) if held is None else Fraction(held * 10**finest, 10**decimals)
        worth.append((per_unit, room))
    worth.sort(reverse=True)
    left, total = Fraction(order.amount), Fraction(0)
    for per_unit, room in worth:
        part = min(left, room)
        total, left = total + part * per_unit, left - part
    return -(-total.numerator // total.denominator)


def source_caps(order: Order) -> dict[AssetId, int]:
    """The most raw units of each source that one plan can sell, rounded up: what is held of it, or all of it where a transfer may bring more."""
    view = order.view
    wrapped = wrapped_names(view)
    moved = ((wrapped.get(t.source, t.source), wrapped.get(t.target, t.target)) for t in view.transfers)
    sent = {target for source, target in moved if source in order.sources}
    finest, out = view.assets[order.sell].decimals, {}
    for asset in order.sources:
        most = -(-order.amount * 10 ** view.assets[asset].decimals // 10**finest)
        held = view.inventory.get(asset)
        out[asset] = most if held is None or asset in sent else min(most, held)
    return out


def whole_number(name: str, value: Any) -> int:
    """A base-unit amount from its text. Raises Usage BAD_ROUTE naming the field."""
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise Usage("BAD_ROUTE", f"{name} is {value!r}, not base units as text", "give a route as `fairlead route --json` prints it")  # fmt: skip
    return int(value)


def gas_place(pool_id: str) -> Place:
    return Place(pool_id.partition("/")[0])


def in_whole(order: Order, asset: AssetId, per_raw: float) -> str:
    """A price per raw unit, in raw units of the bought asset, as a certificate writes it."""
    assets = order.view.assets
    return repr(float(per_raw) * 10.0 ** (assets[asset].decimals - assets[order.buy].decimals))


__all__ = [
    "ONE",
    "SHIFT",
    "Order",
    "gas_place",
    "gas_values",
    "held_value",
    "in_whole",
    "source_caps",
    "unit_prices",
    "whole_number",
    "wrapped_names",
]
