"""Binance USD-M's margin accounts as accounts/1, for the model that judges them (agent/margin/binance_usdm). Pure.

Single-asset mode: each margin asset's cross wallet answers for the positions that settle in it; an isolated position has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.domain.instruments import cex_id
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.venues import number

DIGITS = 8


def document(venue: str, wallets: Any, risks: Any, brackets: Any, at_s: int) -> Mapping[str, Any]:
    """Of v3/balance, v3/positionRisk, and leverageBracket read exactly. Raises Halt VENUE_DIALECT."""
    with understood("a margin account"):
        tiers = {text_of(row["symbol"]): [_tier(one) for one in row["brackets"]] for row in brackets}
        balances = {text_of(row["asset"]): exact(row["crossWalletBalance"]) for row in wallets}
        accounts: dict[str, list[dict[str, Any]]] = {}
        symbols = []
        for row in risks:
            size, symbol = exact(row["positionAmt"]), text_of(row["symbol"])
            if not size:
                continue
            symbols.append(symbol)
            position = {
                "asset": cex_id(venue, symbol),
                "size": number(size),
                "entry_px": number(above_zero(row["entryPrice"])),
                "mark_px": number(above_zero(row["markPrice"])),
                "brackets": tiers[symbol],
            }
            own = exact(row["isolatedWallet"])
            if own or exact(row["isolatedMargin"]):
                position["isolated"] = number(own)
            accounts.setdefault(text_of(row["marginAsset"]), []).append(position)
        place = f"cex:{venue}"
        rows = [
            {
                "id": f"{venue} {asset}",
                "model": "binance_usdm",
                "chain": place,
                "balance": number(balances.get(asset, Decimal(0))),
                "positions": positions,
            }
            for asset, positions in sorted(accounts.items())
        ]
        assets = [{"id": cex_id(venue, s), "symbol": s, "decimals": DIGITS} for s in sorted(symbols)]
        at = {place: {"timestamp": at_s}}
        return {"fairlead": "accounts/1", "at": at, "assets": assets, "accounts": rows}


def _tier(row: Mapping[str, Any]) -> list[str]:
    return [number(exact(row[name])) for name in ("notionalFloor", "maintMarginRatio", "cum")]
