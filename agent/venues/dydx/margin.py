"""A subaccount at dYdX as accounts/1, for the model that judges it (agent/margin/dydx). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.domain.errors import Retry
from agent.domain.reports import Position
from agent.domain.units import sum_exact
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.venues import number
from agent.venues.dydx.codec import SETTLE, signed

DIGITS = 8


def document(
    venue: str, subaccount: Any, held: Sequence[Position], markets: Any, at_s: int
) -> Mapping[str, Any]:
    """Of a subaccount, its positions as the reader told them, and perpetualMarkets. Raises Halt VENUE_DIALECT, Retry NO_ORACLE_PRICE."""
    place = f"cex:{venue}"
    with understood("a margin account"):
        rows = {text_of(symbol): row for symbol, row in markets["markets"].items()}
        quiet = [one.symbol for one in held if rows[one.symbol]["oraclePrice"] is None]
        positions = [
            {
                "asset": one.asset,
                "size": number(one.qty),
                "entry_px": number(one.entry_px),
                "mark_px": number(above_zero(rows[one.symbol]["oraclePrice"])),
                "maintenance": number(above_zero(rows[one.symbol]["maintenanceMarginFraction"])),
            }
            for one in held
            if not quiet
        ]
        paid = [
            signed(row)
            for row in subaccount["subaccount"]["assetPositions"].values()
            if row["symbol"] == SETTLE
        ]
    if quiet:
        raise Retry("NO_ORACLE_PRICE", f"{venue}: the chain has no price of {quiet[0]}", "it is asked again")
    balance = sum_exact([*paid, *(one.cost for one in held)])
    account = {
        "id": f"{venue} {SETTLE}", "model": "dydx", "chain": place, "balance": number(balance), "positions": positions,
    }  # fmt: skip
    return {
        "fairlead": "accounts/1",
        "at": {place: {"timestamp": at_s}},
        "assets": [{"id": one.asset, "symbol": one.symbol, "decimals": DIGITS} for one in held],
        "accounts": [account] if held else [],
    }
