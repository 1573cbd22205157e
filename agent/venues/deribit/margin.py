"""Deribit's margin accounts as accounts/1, for the model that judges them (agent/margin/deribit_sm). Pure.

A currency's account has its own equity, which counts open gains: positions stand at their marks here, from which gains are counted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.domain.errors import Usage
from agent.domain.instruments import cex_id
from agent.domain.units import WIDE
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.venues import number
from agent.venues.deribit.codec import Market

DIGITS = 8
SEGREGATED = "segregated_sm"
RATE_PLACES = Decimal("1e-12")


def document(
    venue: str, summaries: Any, rows: Any, markets: Mapping[str, Market], at_s: int
) -> Mapping[str, Any]:
    """Of get_account_summaries and get_positions. Raises Usage MARGIN_MODEL for an account that is margined otherwise, or has positions of
    another kind: it would be told otherwise than it is; Halt VENUE_DIALECT."""
    place, symbols = f"cex:{venue}", set[str]()
    positions: dict[str, list[dict[str, Any]]] = {}
    prices: dict[str, Decimal] = {}
    with understood("a margin account"):
        for row in rows:
            size, symbol = exact(row["size"]), text_of(row["instrument_name"])
            if not size:
                continue
            market = markets.get(symbol)
            if row["kind"] != "future" or market is None:
                raise unlike(venue, f"{symbol} is open there, and options and combos are not counted here")
            mark, stays = above_zero(row["mark_price"]), above_zero(row["maintenance_margin"])
            value = WIDE.divide(abs(size), mark) if market.inverse else abs(size) * mark
            rate = WIDE.divide(stays, value).quantize(RATE_PLACES, "ROUND_CEILING", WIDE)
            position = {
                "asset": cex_id(venue, symbol), "settles": cex_id(venue, market.settle), "size": number(size), "entry_px": number(mark),
                "mark_px": number(mark), "brackets": [["0", number(rate), "0"]],
            }  # fmt: skip
            if market.inverse:
                position["contract_usd"] = "1"
            positions.setdefault(market.settle, []).append(position)
            prices[market.settle] = mark if market.inverse else Decimal(1)
            symbols |= {symbol, market.settle}
        accounts = []
        for row in summaries["summaries"]:
            currency = text_of(row["currency"])
            if currency not in positions:
                continue
            model = text_of(row["margin_model"])
            if model != SEGREGATED or row["cross_collateral_enabled"] is not False:
                raise unlike(venue, f"its {currency} account is margined by {model[:40]}")
            held = {
                "asset": cex_id(venue, currency),
                "equity": number(exact(row["equity"])),
                "index_px": number(prices[currency]),
            }
            accounts.append(
                {"id": f"{venue} {currency}", "model": "deribit_sm", "chain": place, "assets": [held], "positions": positions.pop(currency)}
            )  # fmt: skip
        if positions:
            raise ValueError(f"positions in {', '.join(sorted(positions))}, and no account of it")
    return {
        "fairlead": "accounts/1",
        "at": {place: {"timestamp": at_s}},
        "assets": [{"id": cex_id(venue, s), "symbol": s, "decimals": DIGITS} for s in sorted(symbols)],
        "accounts": accounts,
    }


def unlike(venue: str, why: str) -> Usage:
    return Usage(
        "MARGIN_MODEL",
        f"at {venue} {why}; only futures under segregated standard margin are",
        "set it on the exchange's own page (Account, Margin), or watch it there",
    )
