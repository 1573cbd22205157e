"""A dYdX subaccount as accounts/1, for the model that judges it (agent/margin/dydx_v4): decimals of the indexer into the chain's integers. Pure.

The indexer counts funding not settled yet into its USDC. Where it says no exponent of an oracle's price, prices are told to ten digits, as
the chain's own are, or to as many as it told. It tells nothing of a leverage that the owner chose: initial margin is without that.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from agent.domain.instruments import cex_id
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.venues.dydx.codec import SETTLE, signed

DIGITS = 10
QUOTE = 6
MILLION = Decimal(10**6)


def document(venue: str, subaccount: Any, markets: Any, at_s: int) -> Mapping[str, Any]:
    """Of a subaccount (None where nothing was ever paid in) and perpetualMarkets. Raises Halt VENUE_DIALECT."""
    place, rows = f"cex:{venue}", list[dict[str, Any]]()
    quote = 0
    if subaccount is not None:
        with understood("a margin account"):
            told = subaccount["subaccount"]
            cash = [signed(row) for row in told["assetPositions"].values() if row["symbol"] == SETTLE]
            quote = int(sum(cash, Decimal(0)).scaleb(QUOTE).to_integral_value(ROUND_FLOOR))
            for symbol, row in told["openPerpetualPositions"].items():
                if size := signed(row):
                    rows.append(_position(venue, text_of(symbol), size, markets["markets"][symbol]))
    account = {
        "id": f"{venue} {SETTLE}",
        "model": "dydx_v4",
        "chain": place,
        "quote_raw": str(quote),
        "positions": rows,
    }
    symbols = sorted(row["asset"] for row in rows)
    assets = [{"id": asset, "symbol": asset.rpartition("/")[2], "decimals": DIGITS} for asset in symbols]
    return {
        "fairlead": "accounts/1",
        "at": {place: {"timestamp": at_s}},
        "assets": assets,
        "accounts": [account] if rows or quote < 0 else [],
    }


def _position(venue: str, symbol: str, size: Decimal, market: Mapping[str, Any]) -> dict[str, Any]:
    price, resolution = above_zero(market["oraclePrice"]), market["atomicResolution"]
    if type(resolution) is not int or not -18 <= resolution <= 0:
        raise ValueError("a resolution")
    told = int(price.normalize().as_tuple().exponent)
    exponent = min(told, price.adjusted() + 1 - DIGITS, 0)
    initial = exact(market["initialMarginFraction"])
    maintenance = exact(market["maintenanceMarginFraction"])
    if not 0 <= maintenance <= initial <= 1:
        raise ValueError("margin fractions")
    fraction = maintenance / initial if initial else Decimal(0)
    caps = [exact(market.get(f"openInterest{which}Cap") or "0") for which in ("Lower", "Upper")]
    low, high = (int(cap.scaleb(QUOTE).to_integral_value(ROUND_FLOOR)) for cap in caps)
    return {
        "asset": cex_id(venue, symbol),
        "quantums": _whole(size, resolution),
        "atomic_resolution": resolution,
        "oracle_price": _whole(price, exponent),
        "price_exponent": exponent,
        "initial_margin_ppm": _ppm_up(initial),
        "maintenance_fraction_ppm": _ppm_up(fraction),
        "open_interest": str(
            int(exact(market["openInterest"]).scaleb(-resolution).to_integral_value(ROUND_CEILING))
        ),
        "open_interest_lower_cap": str(low),
        "open_interest_upper_cap": str(high),
    }


def _ppm_up(part: Decimal) -> int:
    return int((part * MILLION).to_integral_value(ROUND_CEILING))


def _whole(value: Decimal, exponent: int) -> str:
    """In steps of 10^exponent. Raises ValueError for what is no multiple of one."""
    found = value.scaleb(-exponent)
    if found != found.to_integral_value():
        raise ValueError(f"{value} is no multiple of 10^{exponent}")
    return str(int(found))
