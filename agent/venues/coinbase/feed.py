"""Coinbase's market data, of Advanced Trade and of the older Exchange feed, to the common schema. Pure; numbers are text and stay exact.

Sources: the venue's published documentation. Advanced Trade counts every message of a connection (sequence_num), all channels
together: a hole in that count puts every book of the line in doubt. The older feed's level2 channel counts nothing, so a lost
update shows there only by the touch that a ticker tells; use the other where it matters.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from agent.market.feed import (
    BookDelta,
    BookSnapshot,
    Count,
    Event,
    Instrument,
    Kind,
    Note,
    Row,
    Ticker,
    Trade,
)
from agent.market.ladder import BookRules
from agent.market.reading import (
    above_zero,
    legible,
    maybe,
    name,
    ns_of_text,
    number,
    row,
    rows,
    side,
    texts,
    whole,
)

RULES = BookRules(quiet_ns=0)


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One frame of either feed. Raises Retry BAD_FRAME."""
    with legible("a frame of Coinbase"):
        data = texts(frame)
        if "channel" in data:
            return (Count(whole(data["sequence_num"])), *_advanced(data))
        return _older(data)


def _advanced(data: Any) -> tuple[Event, ...]:
    channel, at_ns = name(data["channel"]), ns_of_text(data["timestamp"])
    found: list[Event] = []
    for event in data["events"]:
        if channel == "l2_data":
            found.append(_level2(event, at_ns))
        elif channel == "market_trades":
            found += [_trade(one, "BUY", "SELL") for one in event["trades"]]
        elif channel in ("ticker", "ticker_batch"):
            found += [_ticker(one, at_ns) for one in event["tickers"]]
        else:
            found.append(Note(channel))
    return tuple(found)


def _level2(event: Any, at_ns: int) -> Event:
    bids: list[Row] = []
    asks: list[Row] = []
    for update in event["updates"]:
        if update["side"] not in ("bid", "offer"):
            raise ValueError(f"side {str(update['side'])[:40]}")
        (bids if update["side"] == "bid" else asks).append(row(update["price_level"], update["new_quantity"]))
    symbol = name(event["product_id"])
    if event["type"] == "snapshot":
        return BookSnapshot(symbol, tuple(bids), tuple(asks), None, at_ns)
    if event["type"] != "update":
        raise ValueError(f"event of type {str(event['type'])[:40]}")
    return BookDelta(symbol, tuple(bids), tuple(asks), None, None, None, at_ns)


def _trade(one: Any, buy: str, sell: str) -> Trade:
    return Trade(
        name(one["product_id"]),
        str(whole(one["trade_id"])),
        side(one["side"], buy, sell),
        above_zero(one["price"]),
        above_zero(one["size"]),
        ns_of_text(one["time"]),
    )


def _ticker(one: Any, at_ns: int) -> Ticker:
    return Ticker(
        name(one["product_id"]),
        at_ns,
        maybe(one["best_bid"]),
        maybe(one.get("best_bid_quantity")),
        maybe(one["best_ask"]),
        maybe(one.get("best_ask_quantity")),
        above_zero(one["price"]),
    )


def _older(data: Any) -> tuple[Event, ...]:
    kind = data["type"]
    if kind == "l2update":
        bids: list[Row] = []
        asks: list[Row] = []
        for word, px, qty in data["changes"]:
            if word not in ("buy", "sell"):
                raise ValueError(f"side {str(word)[:40]}")
            (bids if word == "buy" else asks).append(row(px, qty))
        at_ns = ns_of_text(data["time"])
        return (BookDelta(name(data["product_id"]), tuple(bids), tuple(asks), None, None, None, at_ns),)
    if kind == "snapshot":
        return (BookSnapshot(name(data["product_id"]), rows(data["bids"]), rows(data["asks"]), None, 0),)
    if kind in ("match", "last_match"):
        # the side told is the maker's
        return (_trade(data, "sell", "buy"),)
    if kind == "ticker":
        return (_ticker(data, ns_of_text(data["time"])),)
    if kind == "error":
        return (Note("error", str(data.get("message", ""))[:200], refused=True),)
    return (Note(name(kind)),)


# answers over REST


def products(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """The list or one product of Advanced Trade; the older API's list."""
    with legible("products"):
        data = texts(body)
        if isinstance(data, dict):
            data = data.get("products", [data])
        return tuple(_older_product(one) if "id" in one else _product(one) for one in data)


def _product(one: Any) -> Instrument:
    if one["product_type"] == "FUTURE":
        details = one["future_product_details"]
        ends, root = details["contract_expiry"], name(details["contract_root_unit"])
        forever = details.get("contract_expiry_type") == "PERPETUAL" or not ends
        return Instrument(
            name(one["product_id"]),
            Kind.PERPETUAL if forever else Kind.FUTURE,
            root,
            name(one["quote_currency_id"]),
            name(one["quote_currency_id"]),
            above_zero(one.get("price_increment") or one["quote_increment"]),
            above_zero(one["base_increment"]),
            number(one["base_min_size"]),
            number(one["quote_min_size"]),
            above_zero(details["contract_size"]),
            expiry_ns=0 if forever else ns_of_text(ends),
        )
    return Instrument(
        name(one["product_id"]),
        Kind.SPOT,
        name(one["base_currency_id"]),
        name(one["quote_currency_id"]),
        name(one["quote_currency_id"]),
        above_zero(one.get("price_increment") or one["quote_increment"]),
        above_zero(one["base_increment"]),
        number(one["base_min_size"]),
        number(one["quote_min_size"]),
        Decimal(1),
    )


def _older_product(one: Any) -> Instrument:
    return Instrument(
        name(one["id"]),
        Kind.SPOT,
        name(one["base_currency"]),
        name(one["quote_currency"]),
        name(one["quote_currency"]),
        above_zero(one["quote_increment"]),
        above_zero(one["base_increment"]),
        number(one["base_min_size"]),
        number(one["min_market_funds"]),
        Decimal(1),
    )


def product_book(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("product_book"):
        book = texts(body)["pricebook"]
        bids, asks = ([row(one["price"], one["size"]) for one in book[key]] for key in ("bids", "asks"))
        return (
            BookSnapshot(name(book["product_id"]), tuple(bids), tuple(asks), None, ns_of_text(book["time"])),
        )


def ticker(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """The latest trades with the touch. The side told is the maker's."""
    with legible("ticker"):
        data = texts(body)
        trades = [_trade(one, "SELL", "BUY") for one in data["trades"]]
        at_ns = max((one.at_ns for one in trades), default=0)
        touch = Ticker(symbol, at_ns, maybe(data["best_bid"]), None, maybe(data["best_ask"]))
        return (touch, *trades)


ANSWERS = {"products": products, "product_book": product_book, "ticker": ticker}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected); heartbeats keep quiet lines open."""
    said = [
        orjson.dumps({"type": "subscribe", "product_ids": list(symbols), "channel": channel}).decode()
        for channel in ("level2", "market_trades", "heartbeats")
    ]
    return "", tuple(said)
