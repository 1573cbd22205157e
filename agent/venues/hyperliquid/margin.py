"""Hyperliquid's perpetual account as accounts/1, for the model that judges it (agent/margin/hyperliquid). Pure.

`totalRawUsd` is the dollars of the cross account once positions are taken at nothing, `rawUsd` those of an isolated position: with what the
positions cost put back they are the margin without unrealised profit. A tier's table below number 50 is that one leverage.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.domain.instruments import cex_id
from agent.domain.units import WIDE, sum_exact
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.venues import number

DIGITS = 8
APART = ("default", "disabled", None)
"""Modes of an account in which its perpetuals have dollars of their own."""


def open_rows(state: Any) -> list[Any]:
    """Of clearinghouseState. Raises Halt VENUE_DIALECT."""
    with understood("clearinghouseState"):
        rows = [row["position"] for row in state["assetPositions"]]
        return [row for row in rows if exact(row["szi"])]


def document(venue: str, state: Any, meta: Any, at_s: int) -> Mapping[str, Any]:
    """Of clearinghouseState and meta. Raises Halt VENUE_DIALECT."""
    place, symbols, positions, costs = f"cex:{venue}", list[str](), list[dict[str, Any]](), list[Decimal]()
    rows = open_rows(state)
    with understood("a margin account"):
        tables = {
            table[0]: table[1]["marginTiers"] for table in (meta.get("marginTables", ()) if rows else ())
        }
        universe = {text_of(row["name"]): row for row in (meta["universe"] if rows else ())}
        for row in rows:
            coin, size, entry = text_of(row["coin"]), exact(row["szi"]), above_zero(row["entryPx"])
            cost = WIDE.multiply(size, entry)
            symbol = f"{coin}-PERP"
            position: dict[str, Any] = {
                "asset": cex_id(venue, symbol),
                "size": number(size),
                "entry_px": number(entry),
                "mark_px": number(WIDE.divide(above_zero(row["positionValue"]), abs(size))),
                "tiers": _tiers(universe[coin], tables),
            }
            if row["leverage"]["type"] == "isolated":
                position["isolated"] = number(WIDE.add(exact(row["leverage"]["rawUsd"]), cost))
            else:
                costs.append(cost)
            symbols.append(symbol)
            positions.append(position)
        raw = exact(state["crossMarginSummary"]["totalRawUsd"]) if rows else Decimal(0)
    account = {
        "id": f"{venue} USDC", "model": "hyperliquid", "chain": place, "balance": number(sum_exact([raw, *costs])), "positions": positions,
    }  # fmt: skip
    return {
        "fairlead": "accounts/1",
        "at": {place: {"timestamp": at_s}},
        "assets": [{"id": cex_id(venue, s), "symbol": s, "decimals": DIGITS} for s in sorted(symbols)],
        "accounts": [account] if rows else [],
    }


def _tiers(row: Any, tables: Mapping[Any, Any]) -> list[list[str]]:
    """[from notional, highest leverage]."""
    table = tables.get(row.get("marginTableId"))
    if table is None:
        return [["0", number(Decimal(int(row["maxLeverage"])))]]
    return [[number(exact(one["lowerBound"])), number(Decimal(int(one["maxLeverage"])))] for one in table]
