"""Binance Spot's market data: streams and REST answers to the common schema. Pure; numbers arrive as text and stay exact.

Sources: the venue's published WebSocket and REST market-data documentation. A difference has the first and the last update id it
holds (U, u); the book's snapshot comes by REST.
"""

from __future__ import annotations

from typing import Any

from agent.domain.orders import Side
from agent.market.feed import BookDelta, BookSnapshot, Event, Instrument, Kind, Note, Ticker, Trade
from agent.market.ladder import BookRules
from agent.market.reading import (
    above_zero,
    legible,
    maybe,
    name,
    ns_of_ms,
    number,
    rows,
    texts,
    whole,
)

RULES = BookRules(overlap=True)


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One frame, of a combined stream or a plain one. Raises Retry BAD_FRAME."""
    with legible("a frame of Binance Spot"):
        data = texts(frame)
        if not isinstance(data, dict):
            raise TypeError("no object")
        return (_event(data.get("data", data)),)


def _event(data: Any) -> Event:
    kind = data.get("e")
    if kind == "depthUpdate":
        return BookDelta(
            name(data["s"]),
            rows(data["b"]),
            rows(data["a"]),
            whole(data["U"]),
            whole(data["u"]),
            None,
            ns_of_ms(data["E"]),
        )
    if kind in ("trade", "aggTrade"):
        many = kind == "aggTrade"
        return Trade(
            name(data["s"]),
            str(whole(data["a" if many else "t"])),
            Side.SELL if _yes(data["m"]) else Side.BUY,
            above_zero(data["p"]),
            above_zero(data["q"]),
            ns_of_ms(data["T"]),
            many,
        )
    if kind is None and "B" in data and "A" in data:
        return Ticker(
            name(data["s"]),
            0,
            maybe(data["b"]),
            maybe(data["B"]),
            maybe(data["a"]),
            maybe(data["A"]),
            seq=whole(data["u"]),
        )
    if kind is None and "result" in data:
        return Note("acknowledged")
    if kind is None and ("error" in data or "code" in data):
        return Note("error", str(data.get("error", data))[:200], refused=True)
    if isinstance(kind, str) and kind:
        return Note(kind[:40])
    raise ValueError("neither an event nor an answer")


def _yes(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]} is neither true nor false")
    return value


# answers over REST


def depth(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("depth"):
        data = texts(body)
        return (BookSnapshot(symbol, rows(data["bids"]), rows(data["asks"]), whole(data["lastUpdateId"]), 0),)


def exchange_info(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """Every instrument with a tick and a lot, whether or not it trades now."""
    with legible("exchangeInfo"):
        return tuple(_instrument(row) for row in texts(body)["symbols"])


def _instrument(row: Any) -> Instrument:
    rules = {rule["filterType"]: rule for rule in row["filters"]}
    lot = rules.get("LOT_SIZE", {"stepSize": "0", "minQty": "0"})
    notional = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL") or {"minNotional": "0"}
    return Instrument(
        name(row["symbol"]),
        Kind.SPOT,
        name(row["baseAsset"]),
        name(row["quoteAsset"]),
        name(row["quoteAsset"]),
        number(rules.get("PRICE_FILTER", {"tickSize": "0"})["tickSize"]),
        number(lot["stepSize"]),
        number(lot["minQty"]),
        number(notional["minNotional"]),
        number("1"),
    )


def trades(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("trades"):
        return tuple(
            Trade(
                symbol,
                str(whole(row["id"])),
                Side.SELL if _yes(row["isBuyerMaker"]) else Side.BUY,
                above_zero(row["price"]),
                above_zero(row["qty"]),
                ns_of_ms(row["time"]),
            )
            for row in texts(body)
        )


def book_ticker(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """Also of ticker/24hr, which tells more."""
    with legible("ticker"):
        data = texts(body)
        return (
            Ticker(
                name(data["symbol"]),
                ns_of_ms(data.get("closeTime", 0)),
                maybe(data.get("bidPrice")),
                maybe(data.get("bidQty")),
                maybe(data.get("askPrice")),
                maybe(data.get("askQty")),
                maybe(data.get("lastPrice")),
            ),
        )


def last_price(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("ticker/price"):
        data = texts(body)
        return (Ticker(name(data["symbol"]), 0, last=above_zero(data["price"])),)


ANSWERS = {
    "depth": depth,
    "exchangeInfo": exchange_info,
    "trades": trades,
    "bookTicker": book_ticker,
    "ticker/24hr": book_ticker,
    "ticker/price": last_price,
}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected)."""
    streams = "/".join(f"{s.lower()}@{channel}" for s in symbols for channel in ("depth@100ms", "trade"))
    return f"/stream?streams={streams}", ()


def subscribe_books(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """As `subscribe`, of books alone and said on the line: symbols can be added while it is up."""
    streams = ",".join(f'"{s.lower()}@depth@100ms"' for s in symbols)
    return "/ws", (f'{{"method":"SUBSCRIBE","params":[{streams}],"id":1}}',)


def snapshot_path(symbol: str, levels: int = 1000) -> str:
    return f"/api/v3/depth?symbol={symbol}&limit={levels}"
