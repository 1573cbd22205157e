"""How each venue's line tells a book, its changes and that it lives: what a conformance suite needs to speak in any of their dialects.

A venue's feed is added with an entry in PENS, and no test. A book is {price: quantity} a side; numbers count up by one with each change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from agent.market.feed import Rows
from agent.venues.kraken.checksum import crc32

Levels = Mapping[Decimal, Decimal]


@dataclass
class TrueBook:
    """What stands at the venue, whoever is told of it."""

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    number: int = 100

    def rows(self) -> tuple[Rows, Rows]:
        """(bids, asks), best first."""
        return tuple(sorted(self.bids.items(), reverse=True)), tuple(sorted(self.asks.items()))


Told = tuple[Levels, Levels]
"""(bids, asks) that changed; a quantity of zero removes."""


@dataclass(frozen=True)
class Pen:
    """`whole` and `change` write a frame; `beat` what an idle line says, None where it says nothing. `rest` answers a question by REST where
    snapshots come so. `feed`: the module whose FEED reads it. Each is given (book, milliseconds, messages said before on this line)."""

    feed: str
    symbol: str
    change: Callable[[TrueBook, Told, int, int], str]
    whole: Callable[[TrueBook, int, int], str] | None = None
    beat: Callable[[TrueBook, int, int], str] | None = None
    rest: Callable[[TrueBook], str] | None = None


def _pairs(levels: Levels) -> list[list[str]]:
    return [[str(px), str(qty)] for px, qty in levels.items()]


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# Binance


def _binance(more: Callable[[TrueBook], dict[str, int]]) -> Callable[[TrueBook, Told, int, int], str]:
    def change(book: TrueBook, told: Told, at_ms: int, said: int) -> str:
        numbers = {"U": book.number, "u": book.number, **more(book)}
        sides = {"b": _pairs(told[0]), "a": _pairs(told[1])}
        return json.dumps({"e": "depthUpdate", "E": at_ms, "s": "ETHUSDC", **numbers, **sides})

    return change


def _binance_rest(book: TrueBook) -> str:
    return json.dumps({"lastUpdateId": book.number, "bids": _pairs(book.bids), "asks": _pairs(book.asks)})


# Deribit


def _deribit(book: TrueBook, sides: Told, at_ms: int, whole: bool) -> str:
    words = [
        [
            ["new" if whole else "change" if qty else "delete", float(px), float(qty)]
            for px, qty in side.items()
        ]
        for side in sides
    ]
    data = {"type": "snapshot" if whole else "change", "timestamp": at_ms, "instrument_name": "ETH-PERPETUAL",
            "change_id": book.number, "bids": words[0], "asks": words[1],
            **({} if whole else {"prev_change_id": book.number - 1})}  # fmt: skip
    channel = {"channel": "book.ETH-PERPETUAL.100ms", "data": data}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": channel})


def _deribit_beat(book: TrueBook, at_ms: int, said: int) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})


# Hyperliquid: every message is the whole book


def _hyperliquid(book: TrueBook, at_ms: int, said: int) -> str:
    levels = [[{"px": str(px), "sz": str(qty), "n": 1} for px, qty in side] for side in book.rows()]
    return json.dumps({"channel": "l2Book", "data": {"coin": "ETH", "time": at_ms, "levels": levels}})


# Kraken


def _kraken(book: TrueBook, sides: Told, at_ms: int, kind: str) -> str:
    bids, asks = book.rows()
    words = [[{"price": px, "qty": qty} for px, qty in side.items()] for side in sides]
    data = {"symbol": "ETH/USD", "bids": words[0], "asks": words[1], "checksum": crc32(bids[:10], asks[:10]), "timestamp": _text(at_ms)}  # fmt: skip
    text = json.dumps({"channel": "book", "type": kind, "data": [data]}, default=lambda one: f"@{one:f}@")
    return text.replace('"@', "").replace('@"', "")  # numbers, with every digit that the checksum counts


def _kraken_beat(book: TrueBook, at_ms: int, said: int) -> str:
    return json.dumps({"channel": "heartbeat"})


def _futures(book: TrueBook, told: Told, at_ms: int, said: int) -> str:
    ((side, px, qty),) = [
        (side, px, qty)
        for side, levels in zip(("buy", "sell"), told, strict=True)
        for px, qty in levels.items()
    ]
    return json.dumps(
        {"feed": "book", "product_id": "PF_ETHUSD", "side": side, "seq": book.number, "price": float(px), "qty": float(qty), "timestamp": at_ms}
    )  # fmt: skip


def _futures_whole(book: TrueBook, at_ms: int, said: int) -> str:
    bids, asks = ([{"price": float(px), "qty": float(qty)} for px, qty in side] for side in book.rows())
    return json.dumps(
        {"feed": "book_snapshot", "product_id": "PF_ETHUSD", "timestamp": at_ms, "seq": book.number, "bids": bids, "asks": asks}
    )  # fmt: skip


def _futures_beat(book: TrueBook, at_ms: int, said: int) -> str:
    return json.dumps({"feed": "heartbeat", "time": at_ms})


# Coinbase: every message of a line counts


def _coinbase(sides: Told, at_ms: int, said: int, kind: str) -> str:
    updates = [
        {"side": word, "price_level": str(px), "new_quantity": str(qty)}
        for word, side in zip(("bid", "offer"), sides, strict=True)
        for px, qty in side.items()
    ]
    event = {"type": kind, "product_id": "ETH-USD", "updates": updates}
    return json.dumps(
        {"channel": "l2_data", "timestamp": _text(at_ms), "sequence_num": said, "events": [event]}
    )


def _coinbase_beat(book: TrueBook, at_ms: int, said: int) -> str:
    event = {"current_time": _text(at_ms), "heartbeat_counter": str(said)}
    return json.dumps(
        {"channel": "heartbeats", "timestamp": _text(at_ms), "sequence_num": said, "events": [event]}
    )


# dYdX: every message of a line counts, and the markets' prices come at every moment


def _dydx(kind: str, channel: str, said: int, more: object) -> str:
    told = {"type": kind, "connection_id": "pen", "message_id": said, "channel": channel, "version": "1.0.0"}
    return json.dumps(told | {"id": "ETH-USD", "contents": more})


def _dydx_whole(book: TrueBook, at_ms: int, said: int) -> str:
    bids, asks = ([{"price": str(px), "size": str(qty)} for px, qty in side] for side in book.rows())
    return _dydx("subscribed", "v4_orderbook", said, {"bids": bids, "asks": asks})


def _dydx_beat(book: TrueBook, at_ms: int, said: int) -> str:
    price = {"oraclePrice": "3000.5", "effectiveAt": _text(at_ms), "effectiveAtHeight": "1", "marketId": 1}
    return _dydx("channel_data", "v4_markets", said, {"oraclePrices": {"ETH-USD": price}})


PENS: dict[str, Pen] = {
    "binance_spot": Pen("binance_spot", "ETHUSDC", _binance(lambda book: {}), rest=_binance_rest),
    "binance_usdm": Pen(
        "binance_usdm", "ETHUSDC", _binance(lambda book: {"pu": book.number - 1}), rest=_binance_rest
    ),
    "deribit": Pen(
        "deribit",
        "ETH-PERPETUAL",
        lambda book, told, at_ms, said: _deribit(book, told, at_ms, False),
        lambda book, at_ms, said: _deribit(book, (book.bids, book.asks), at_ms, True),
        _deribit_beat,
    ),
    "hyperliquid": Pen(
        "hyperliquid",
        "ETH",
        lambda book, told, at_ms, said: _hyperliquid(book, at_ms, said),
        _hyperliquid,
        _hyperliquid,
    ),
    "kraken": Pen(
        "kraken",
        "ETH/USD",
        lambda book, told, at_ms, said: _kraken(book, told, at_ms, "update"),
        lambda book, at_ms, said: _kraken(book, (book.bids, book.asks), at_ms, "snapshot"),
        _kraken_beat,
    ),
    "kraken futures": Pen("kraken", "PF_ETHUSD", _futures, _futures_whole, _futures_beat),
    "coinbase": Pen(
        "coinbase",
        "ETH-USD",
        lambda book, told, at_ms, said: _coinbase(told, at_ms, said, "update"),
        lambda book, at_ms, said: _coinbase((book.bids, book.asks), at_ms, said, "snapshot"),
        _coinbase_beat,
    ),
    "dydx": Pen(
        "dydx",
        "ETH-USD",
        lambda book, told, at_ms, said: _dydx(
            "channel_data", "v4_orderbook", said, {"bids": _pairs(told[0]), "asks": _pairs(told[1])}
        ),
        _dydx_whole,
        _dydx_beat,
    ),
}
