"""Deribit's linked orders, taken apart into the plain orders they can become, so that each is counted as an order is. Pure.

    one_cancels_other                  first_hit        the order and one more, same side: one of the two trades
    one_triggers_other                 complete_fill    the order, and one of the other side behind it: both can trade
    one_triggers_one_cancels_other     complete_fill    the order, and two of the other side behind it: all are counted

Behind an entry that is filled whole its exits may each be filled in part before one ends the other (the venue documents the fill condition
of the entry alone), so that all three count. Source: the venue's published API documentation of private/buy. What could be read as
another list, or names anything else, is refused; so is a text that is not its own canonical form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from chains.bounded_json import loads
from chains.errors import Denied, FairleadError
from keys.signer.exchange_lists import Legs

MARKS = ("linked_order_type", "trigger_fill_condition", "otoco_config")
KINDS = {
    "one_cancels_other": ("first_hit", 1),
    "one_triggers_other": ("complete_fill", 1),
    "one_triggers_one_cancels_other": ("complete_fill", 2),
}
"""The fill condition of each, and how many orders stand in its configuration."""
_SIDES = {"buy": "BUY", "sell": "SELL"}
_TYPES = {"limit": "LIMIT", "stop_limit": "LIMIT", "take_limit": "LIMIT"}
_LIMIT = ("direction", "type", "amount", "price", "label", "reduce_only", "time_in_force")
_STOP = (*_LIMIT, "trigger", "trigger_price")
_TRIGGERS = ("last_price", "mark_price", "index_price")


def without(query: str) -> tuple[str, str | None]:
    """The query without its configuration of linked orders, which stays encoded; None where there is none. One that is there twice is left
    where it is, to be refused as any parameter is."""
    parts = query.split("&")
    mine = [part for part in parts if part.startswith("otoco_config=")]
    if len(mine) != 1:
        return query, None
    return "&".join(part for part in parts if part is not mine[0]), mine[0].partition("=")[2]


def legs(order: Mapping[str, str], values: Mapping[str, str], config: str | None) -> Legs | None:
    """The orders of a list as plain ones, `order` among them in plain words; None where `values` ask for none. `config` as `without` gives
    it. Raises Denied EXCHANGE_LIST."""
    kind, condition = values.get("linked_order_type"), values.get("trigger_fill_condition")
    if kind is None and condition is None and config is None:
        return None
    if config is None or kind not in KINDS or KINDS[kind][0] != condition:
        raise _none(
            f"linked_order_type {str(kind)[:40]!r} with trigger_fill_condition {str(condition)[:20]!r}"
        )
    if order["type"] != "LIMIT" or "trigger" in values:
        raise _none(
            "an order without a price of its own, or one that waits for a price, at the head of a list"
        )
    rows = _rows(config)
    if len(rows) != KINDS[kind][1]:
        raise _none(f"{len(rows)} orders in otoco_config for {kind}")
    found = tuple(_leg(order, row) for row in rows)
    same = kind == "one_cancels_other"
    if any((leg["side"] == order["side"]) is not same for leg in found):
        raise _none("an order of the wrong side in otoco_config")
    return Legs((), (order, *found)) if same else Legs((order, *found), ())


def _rows(config: str) -> list[Any]:
    text = unquote_plus(config)
    try:
        rows = loads(text.encode(), parse_float=_Number)
        sound = quote_plus(text) == config and _canonical(rows) == text
    except (ValueError, TypeError, UnicodeEncodeError, RecursionError):
        sound = False
    if not sound or not isinstance(rows, list):
        raise _none("otoco_config that is no list of orders in plain JSON, keys once")
    return rows


class _Number(float):
    """A number of JSON that keeps its own text."""

    text: str

    def __new__(cls, text: str) -> _Number:
        found = super().__new__(cls, text)
        found.text = text
        return found

    def __repr__(self) -> str:
        return self.text


def _canonical(rows: Any) -> str:
    """As the one text that says this: no spaces, keys once, numbers as they stand."""
    if isinstance(rows, list):
        return f"[{','.join(map(_canonical, rows))}]"
    if isinstance(rows, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_canonical(v)}" for k, v in rows.items()) + "}"
    return rows.text if isinstance(rows, _Number) else json.dumps(rows)


def _leg(order: Mapping[str, str], row: Any) -> Mapping[str, str]:
    """A stop counts as the limit order that it becomes."""
    if not isinstance(row, dict):
        raise _none("otoco_config with something that is no order")
    kind = row.get("type")
    wanted = _LIMIT if kind == "limit" else _STOP
    if kind not in _TYPES or tuple(row) != wanted:
        raise _none(f"otoco_config with keys other than {' '.join(wanted)}")
    sound = row["direction"] in _SIDES and type(row["reduce_only"]) is bool
    sound = sound and row["time_in_force"] == "good_til_cancelled"
    sound = sound and isinstance(row["label"], str) and 0 < len(row["label"]) <= 64
    sound = sound and (
        kind == "limit" or (row["trigger"] in _TRIGGERS and _number(row["trigger_price"]) is not None)
    )
    amount, price = _number(row["amount"]), _number(row["price"])
    if not sound or amount is None or price is None:
        raise _none("otoco_config with a value that no order has")
    plain = {name: order[name] for name in ("symbol", "timestamp")}
    return {
        **plain,
        "side": _SIDES[row["direction"]],
        "type": _TYPES[kind],
        "quantity": amount,
        "price": price,
    }


def _number(value: Any) -> str | None:
    """Its plain digits; None for what is no JSON number, or has an exponent or a sign."""
    text = value.text if isinstance(value, _Number) else str(value) if type(value) is int else ""
    return text if text.replace(".", "", 1).isdecimal() and len(text) <= 40 else None


def _none(what: str) -> FairleadError:
    return Denied(
        "EXCHANGE_LIST",
        f"{what}: no list of linked orders that is signed",
        "Send a pair, or an entry with one or two exits, key by key as documented.",
    )
