"""Kraken spot's market data, WebSocket v1 (arrays, numbers as text) and v2 (objects, JSON numbers), to the common schema. Pure.

Sources: the venue's published documentation. Books are counted by nothing and proved by a CRC32 of their best ten levels. The
futures' own dialect is in `futures`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from agent.market.feed import BookDelta, BookSnapshot, Event, Instrument, Kind, Note, Rows, Ticker, Trade
from agent.market.ladder import BookRules
from agent.market.reading import (
    above_zero,
    exact,
    legible,
    maybe,
    name,
    ns_of_seconds,
    ns_of_text,
    number,
    row,
    rows,
    side,
    steps,
    texts,
    whole,
)
from agent.venues.kraken import futures
from agent.venues.kraken.checksum import crc32

DEPTH = 10
RULES = BookRules(depth=DEPTH, checksum=crc32, quiet_ns=0)


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One frame of v1, v2 or the futures. Raises Retry BAD_FRAME."""
    with legible("a frame of Kraken"):
        data = exact(frame)
        if isinstance(data, list):
            return _array(data)
        if "feed" in data:
            return futures.events(data)
        if "channel" in data:
            return _channel(data)
        if data.get("errorMessage") or data.get("error"):
            return (Note("error", str(data.get("errorMessage") or data["error"])[:200], refused=True),)
        return (Note(name(data.get("event") or data["method"])),)


# v1: [channel id, payload, (payload,) channel, pair]


def _array(data: list[Any]) -> tuple[Event, ...]:
    if not 4 <= len(data) <= 5:
        raise ValueError(f"an array of {len(data)}")
    channel, symbol, payloads = name(data[-2]), name(data[-1]), data[1:-2]
    if channel.startswith("book"):
        return (_book(symbol, payloads),)
    if channel == "trade":
        return tuple(
            Trade(symbol, "", side(word, "b", "s"), above_zero(px), above_zero(qty), ns_of_seconds(at))
            for px, qty, at, word, *_ in payloads[0]
        )
    if channel == "ticker":
        return (_ticker_of(symbol, payloads[0], 0),)
    if channel == "spread":
        bid, ask, at, bid_qty, ask_qty = payloads[0]
        at_ns = ns_of_seconds(at)
        return (Ticker(symbol, at_ns, number(bid), number(bid_qty), number(ask), number(ask_qty)),)
    return (Note(channel),)


def _book(symbol: str, payloads: list[Any]) -> Event:
    told: dict[str, Any] = {}
    for payload in payloads:
        told |= payload
    if "as" in told or "bs" in told:
        return BookSnapshot(symbol, rows(told["bs"]), rows(told["as"]), None, 0, _sum(told.get("c")))
    if not told.keys() & {"a", "b"}:
        raise ValueError("a book without levels")
    levels = [*told.get("b", ()), *told.get("a", ())]
    at_ns = max((ns_of_seconds(level[2]) for level in levels), default=0)
    return BookDelta(
        symbol, rows(told.get("b", ())), rows(told.get("a", ())), None, None, None, at_ns, _sum(told["c"])
    )


def _sum(value: Any) -> int | None:
    return None if value is None else whole(value)


def _ticker_of(symbol: str, data: Any, at_ns: int) -> Ticker:
    """Of v1 and REST: a, b, c are [price, …, quantity]."""
    bid, ask = data["b"], data["a"]
    return Ticker(
        symbol, at_ns, number(bid[0]), number(bid[2]), number(ask[0]), number(ask[2]), number(data["c"][0])
    )


# v2


def _channel(data: Any) -> tuple[Event, ...]:
    channel = name(data["channel"])
    if channel == "book":
        return tuple(_book_v2(one, data["type"]) for one in data["data"])
    if channel == "trade":
        return tuple(
            Trade(
                name(one["symbol"]),
                str(whole(one["trade_id"])),
                side(one["side"], "buy", "sell"),
                above_zero(one["price"]),
                above_zero(one["qty"]),
                ns_of_text(one["timestamp"]),
            )
            for one in data["data"]
        )
    if channel == "ticker":
        return tuple(
            Ticker(
                name(one["symbol"]),
                ns_of_text(one["timestamp"]) if one.get("timestamp") else 0,
                maybe(one["bid"]),
                maybe(one["bid_qty"]),
                maybe(one["ask"]),
                maybe(one["ask_qty"]),
                maybe(one["last"]),
            )
            for one in data["data"]
        )
    return (Note(channel),)


def _book_v2(one: Any, kind: Any) -> Event:
    bids, asks = _levels(one["bids"]), _levels(one["asks"])
    symbol, checksum = name(one["symbol"]), whole(one["checksum"])
    at_ns = ns_of_text(one["timestamp"]) if one.get("timestamp") else 0
    if kind == "snapshot":
        return BookSnapshot(symbol, bids, asks, None, at_ns, checksum)
    if kind != "update":
        raise ValueError(f"book of type {str(kind)[:40]}")
    return BookDelta(symbol, bids, asks, None, None, None, at_ns, checksum)


def _levels(levels: Any) -> Rows:
    return tuple(row(level["price"], level["qty"]) for level in levels)


# answers over REST


def asset_pairs(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """Symbols are the WebSocket's names. Older answers tell no smallest order and no tick of their own."""
    with legible("AssetPairs"):
        pairs = texts(body)["result"].values()
        return tuple(_instrument(pair) for pair in pairs if "wsname" in pair)


def _instrument(pair: Any) -> Instrument:
    base, _, quote = name(pair["wsname"]).partition("/")
    tick = pair.get("tick_size")
    return Instrument(
        name(pair["wsname"]),
        Kind.SPOT,
        name(base),
        name(quote),
        name(quote),
        steps(pair["pair_decimals"]) if tick is None else above_zero(tick),
        steps(pair["lot_decimals"]),
        number(pair.get("ordermin", "0")),
        number(pair.get("costmin", "0")),
        Decimal(1),
    )


def depth(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("Depth"):
        found = texts(body)["result"].values()
        return tuple(BookSnapshot(symbol, rows(one["bids"]), rows(one["asks"]), None, 0) for one in found)


def ticker(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("Ticker"):
        return tuple(_ticker_of(name(pair), one, 0) for pair, one in texts(body)["result"].items())


def trades(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("Trades"):
        lists = [found for key, found in exact(body)["result"].items() if key != "last"]
        return tuple(
            Trade(
                symbol,
                str(whole(one[6])),
                side(one[3], "b", "s"),
                above_zero(one[0]),
                above_zero(one[1]),
                ns_of_seconds(one[2]),
            )
            for found in lists
            for one in found
        )


ANSWERS = {
    "AssetPairs": asset_pairs,
    "Depth": depth,
    "Ticker": ticker,
    "Trades": trades,
    "futures/instruments": futures.instruments,
    "futures/orderbook": futures.order_book,
    "futures/tickers": futures.tickers,
    "futures/funding": futures.funding,
    "futures/executions": futures.executions,
}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected); v2."""
    said = [
        orjson.dumps({"method": "subscribe", "params": {"channel": "book", "symbol": list(symbols), "depth": DEPTH}}).decode(),
        orjson.dumps({"method": "subscribe", "params": {"channel": "trade", "symbol": list(symbols)}}).decode(),
    ]  # fmt: skip
    return "", tuple(said)
