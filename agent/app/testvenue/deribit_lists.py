"""The paper exchange's linked orders in Deribit's dialect: an order with `otoco_config` as a list of the one engine.

Taken are a pair (`one_cancels_other`, `first_hit`) and an entry with one exit or two (`complete_fill`), as its documentation says. Which
of a pair ends the other, and when, is the engine's: before one trades.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from agent.app.testvenue import deribit_wire as say
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import NewList, NewOrder
from agent.app.testvenue.spec import ZERO, VenueError
from agent.app.testvenue.venue import Account, Venue

KINDS = {
    "one_cancels_other": ("OCO", "first_hit"),
    "one_triggers_other": ("OTO", "complete_fill"),
    "one_triggers_one_cancels_other": ("OTOCO", "complete_fill"),
}
SIDES = {"buy": "BUY", "sell": "SELL"}


def place(venue: Venue, params: Mapping[str, str], account: Account, side: str) -> Order:
    """The order at the head of the list. Raises VenueError, and then nothing has changed."""
    kind, condition = KINDS.get(params["linked_order_type"], ("", ""))
    if not kind or params.get("trigger_fill_condition", "first_hit") != condition:
        raise VenueError(11_050, "bad_request: this exchange has no such linked order or fill condition")
    rows = _rows(say.needed(params, "otoco_config"))
    if len(rows) != (2 if kind == "OTOCO" else 1):
        raise VenueError(11_050, "bad_request: otoco_config has not as many orders as its type")
    engine, now_ms = venue.engine, venue.now_ms()
    quote = say.spec_named(engine, params).quote

    def new(number: int, fields: Mapping[str, str], of: str) -> NewOrder:
        name = say.named(f"{quote}-{engine.next_order_id + number}", fields.get("label", ""))
        return say.new_order(engine, account.key, fields, of, name, now_ms)

    shared = {"instrument_name": params["instrument_name"]}
    orders = [new(0, params, side)]
    for number, row in enumerate(rows, 1):
        if row.get("direction") not in SIDES:
            raise VenueError(11_050, "bad_request: direction")
        orders.append(new(number, {**row, **shared}, SIDES[row["direction"]]))
    head, first = orders[0], [] if kind == "OCO" else orders[:1]
    pair = sorted(orders[len(first) :], key=lambda one: one.stop_px or one.px or ZERO, reverse=True)
    venue.place_list(NewList(account.key, head.symbol, head.cl_ord_id, kind, (*first, *pair)))
    found = engine.find(account.key, head.symbol, None, head.cl_ord_id)
    assert found is not None
    return found


def _rows(text: str) -> list[dict[str, str]]:
    try:
        told = json.loads(text, parse_float=str, parse_int=str)
        return [
            {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in row.items()} for row in told
        ]
    except (ValueError, TypeError, AttributeError):
        raise VenueError(11_050, "bad_request: otoco_config") from None
