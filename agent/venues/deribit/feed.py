"""Deribit's market data: JSON-RPC notifications and answers to the common schema. Pure; JSON numbers never pass through a float.

Sources: the venue's published API documentation. A book starts with a snapshot on the same channel; each change names the change
before it (prev_change_id). Amounts are of the quote currency for inverse futures, of the base otherwise.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson

from agent.market.feed import (
    BookDelta,
    BookSnapshot,
    Event,
    Funding,
    Instrument,
    Kind,
    Note,
    Rows,
    Ticker,
    Trade,
)
from agent.market.ladder import BookRules
from agent.market.reading import above_zero, exact, legible, maybe, name, ns_of_ms, number, row, side, whole

RULES = BookRules(quiet_ns=0)
"""A quiet option's book says nothing for minutes; the line's own heartbeat tells whether it lives."""
KINDS = {"future": Kind.FUTURE, "option": Kind.OPTION, "future_combo": Kind.COMBO, "option_combo": Kind.COMBO}
KINDS |= {"spot": Kind.SPOT}
COMBO = re.compile(r"[A-Z0-9_]+-(?!PERPETUAL)[A-Z].*")
"""Names of instruments of several legs, whose prices may be zero or less."""


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One JSON-RPC message. Raises Retry BAD_FRAME."""
    with legible("a frame of Deribit"):
        data = exact(frame)
        if "error" in data:
            return (Note("error", str(data["error"])[:200], refused=True),)
        if data.get("method") == "heartbeat":
            return (Note("heartbeat", str(data["params"]["type"])[:40]),)
        if data.get("method") == "subscription":
            params = data["params"]
            return _notification(name(params["channel"]), params["data"])
        if "result" in data:
            return (Note("answer"),)
        raise ValueError("neither a notification nor an answer")


def _notification(channel: str, data: Any) -> tuple[Event, ...]:
    topic = channel.partition(".")[0]
    if topic == "book":
        return (_book(data),)
    if topic == "trades":
        return tuple(_trade(one) for one in data)
    if topic in ("ticker", "quote", "incremental_ticker"):
        return _ticker(data)
    return (Note(topic[:40]),)


def _book(data: Any) -> Event:
    symbol, at_ns, seq = name(data["instrument_name"]), ns_of_ms(data["timestamp"]), whole(data["change_id"])
    bids, asks = _levels(symbol, data["bids"]), _levels(symbol, data["asks"])
    if data.get("type", "snapshot") == "snapshot":
        return BookSnapshot(symbol, bids, asks, seq, at_ns)
    if data["type"] != "change":
        raise ValueError(f"book of type {str(data['type'])[:40]}")
    return BookDelta(symbol, bids, asks, seq, seq, whole(data["prev_change_id"]), at_ns)


def _levels(symbol: str, pairs: Any) -> Rows:
    """[action, price, amount] of a raw book, [price, amount] of a grouped one; a deleted level has amount 0."""
    found, combo = [], COMBO.fullmatch(symbol) is not None
    for pair in pairs:
        if len(pair) == 3:
            action, px, qty = pair
            if action not in ("new", "change", "delete") or (action == "delete") != (number(qty) == 0):
                raise ValueError(f"level {str(action)[:20]} with amount {qty}")
        else:
            px, qty = pair
        if combo and number(qty) >= 0:
            found.append((number(px), number(qty)))
        else:
            found.append(row(px, qty))
    return tuple(found)


def _trade(data: Any) -> Trade:
    return Trade(
        name(data["instrument_name"]),
        name(data["trade_id"]),
        side(data["direction"], "buy", "sell"),
        number(data["price"]),  # a combo's may be zero or below
        above_zero(data["amount"]),
        ns_of_ms(data["timestamp"]),
    )


def _ticker(data: Any) -> tuple[Event, ...]:
    symbol, at_ns = name(data["instrument_name"]), ns_of_ms(data["timestamp"])
    told = Ticker(
        symbol,
        at_ns,
        _side_px(data.get("best_bid_price"), data.get("best_bid_amount")),
        maybe(data.get("best_bid_amount")),
        _side_px(data.get("best_ask_price"), data.get("best_ask_amount")),
        maybe(data.get("best_ask_amount")),
        maybe(data.get("last_price")),
        maybe(data.get("mark_price")),
        maybe(data.get("index_price")),
    )
    rate = maybe(data.get("funding_8h"))
    return (told,) if rate is None else (told, Funding(symbol, rate, at_ns))


def _side_px(px: Any, qty: Any) -> Decimal | None:
    """An empty side is told as price 0 with amount 0."""
    found = maybe(px)
    return None if not found and not maybe(qty) else found


# answers to requests


def instruments(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """get_instruments, and get_instrument of one."""
    with legible("get_instruments"):
        found = exact(body)["result"]
        return tuple(_instrument(one) for one in (found if isinstance(found, list) else [found]))


def _instrument(data: Any) -> Instrument:
    """`multiplier` 1: amounts are told in base units, or in quote units where inverse, not in contracts; `lot` is their step."""
    kind = KINDS[data["kind"]]
    perpetual = data.get("settlement_period") == "perpetual"
    right, quote = data.get("option_type"), name(data["quote_currency"])
    base = name(data["base_currency"])
    inverse = kind is Kind.FUTURE and data.get("instrument_type", "reversed") == "reversed"
    inverse = inverse and quote == "USD"
    return Instrument(
        name(data["instrument_name"]),
        Kind.PERPETUAL if perpetual else kind,
        base,
        quote,
        name(data.get("settlement_currency") or (quote if not inverse else base)),
        above_zero(data["tick_size"]),
        above_zero(data["contract_size"])
        if kind is not Kind.OPTION
        else above_zero(data["min_trade_amount"]),
        above_zero(data["min_trade_amount"]),
        Decimal(0),
        Decimal(1),
        inverse,
        0 if perpetual else ns_of_ms(data.get("expiration_timestamp", 0)),
        maybe(data.get("strike")),
        None if right is None else right == "call",
    )


def order_book(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("get_order_book"):
        data = exact(body)["result"]
        book = BookSnapshot(
            name(data["instrument_name"]),
            _levels(name(data["instrument_name"]), data["bids"]),
            _levels(name(data["instrument_name"]), data["asks"]),
            whole(data["change_id"]),
            ns_of_ms(data["timestamp"]),
        )
        return (book, *_ticker(data))


def last_trades(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("get_last_trades"):
        return tuple(_trade(one) for one in exact(body)["result"]["trades"])


ANSWERS = {"get_instruments": instruments, "get_order_book": order_book, "get_last_trades": last_trades}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected): a heartbeat every 10 s, then the channels."""
    topics = ("book.{}.100ms", "trades.{}.100ms", "ticker.{}.100ms")
    channels = [topic.format(symbol) for symbol in symbols for topic in topics]
    return "", (
        _ask(1, "public/set_heartbeat", {"interval": 10}),
        _ask(2, "public/subscribe", {"channels": channels}),
    )


def reply(note: Note) -> str | None:
    """What must be said to a frame: a test request unanswered ends the connection."""
    if note.kind == "heartbeat" and note.text == "test_request":
        return _ask(3, "public/test", {})
    return None


def _ask(number: int, method: str, params: dict[str, Any]) -> str:
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()
