"""Combos at Deribit: instruments of several legs that trade at one price, also of zero and below. Payloads to nouns; pure.

Source: the venue's published API documentation (public/get_instrument, public/get_combo_details, user.combo_trades). A trade of a combo is
no fill of ours, for nobody holds a combo: its legs' trades are, each under the trade id it has at its own instrument too, where it is told with
the combo's (`combo_id`, `combo_trade_id`) and under an order number of its own. Legs stand in answers about one combo alone; where
they are left out the combo is asked for. A combo charges nothing: its legs do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.domain.ids import ClOrdId
from agent.domain.reports import Fill
from agent.market.reading import above_zero, number, understood
from agent.market.reading import name as text_of
from agent.ports import VenueInstrument
from agent.venues.deribit.codec import Market, Reader
from agent.venues.deribit.feed import COMBO

NAME = COMBO
KINDS = ("future_combo", "option_combo")
DAY_MS = 86_400_000
"""So long the venue tells of trades."""


def market(row: Any, details: Any, legs_known: Mapping[str, Market]) -> Market:
    """Of get_instrument and get_combo_details, whose legs are among these. Its fee is that of its legs, side by side."""
    with understood("a combo"):
        symbol, settle = text_of(row["instrument_name"]), text_of(row["settlement_currency"])
        if row["kind"] not in KINDS or details["id"] != symbol:
            raise ValueError(f"{row['kind']} {str(details['id'])[:40]} is not the combo {symbol}")
        inverse = row["kind"] == "future_combo" and row.get("instrument_type", "reversed") == "reversed"
        legs = legs_of(details)
        there = [legs_known[leg] for leg, _ in legs]
        if len(legs) < 2:
            raise ValueError(f"{symbol} has {len(legs)} legs")
        lot = above_zero(row["min_trade_amount"])
        instrument = VenueInstrument(
            symbol,
            symbol,
            settle,
            above_zero(row["tick_size"]),
            above_zero(row["contract_size"]) if row["kind"] == "future_combo" else lot,
            lot,
            number(0),
            sum((leg.instrument.taker_fee_bps for leg in there), number(0)),
            sum((leg.instrument.maker_fee_bps for leg in there), number(0)),
            "inverse" if inverse else "linear",
        )
        return Market(instrument, settle, inverse, legs)


def legs_of(details: Any) -> tuple[tuple[str, int], ...]:
    """(instrument, ratio) of each. Raises ValueError, TypeError, KeyError."""
    return tuple((text_of(leg["instrument_name"]), ratio_of(leg["amount"])) for leg in details["legs"])


def listed(rows: Any) -> dict[str, dict[str, int]]:
    """Of get_combos: the legs of each that trades, by its name."""
    with understood("get_combos"):
        return {text_of(row["id"]): dict(legs_of(row)) for row in rows if row["state"] == "active"}


def ratio_of(value: Any) -> int:
    """Raises ValueError for none, or a part of one."""
    found = number(value)
    if not found or found != int(found):
        raise ValueError(f"{str(value)[:20]} is no ratio of a leg")
    return int(found)


def combo_of(row: Any) -> tuple[str, str] | None:
    """(combo, its trade id) of a trade that is one of a combo's legs; None of any other."""
    with understood("a trade"):
        if not row.get("combo_id"):
            return None
        return text_of(row["combo_id"]), text_of(row["combo_trade_id"])


def fills(reader: Reader, row: Any) -> list[tuple[ClOrdId, str, Fill]]:
    """(our name, the combo's order number, fill) of each leg of a combo's trade."""
    with understood("a trade of a combo"):
        owner = {"order_id": row["order_id"], "label": row.get("label")}
        return [reader.fill({**leg, **owner}) for leg in row["legs"]]
