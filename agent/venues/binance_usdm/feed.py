"""Binance USD-M futures' market data: streams and REST answers to the common schema. Pure; numbers arrive as text and stay exact.

Sources: the venue's published documentation. A difference names the one before it (pu): after the first that straddles the REST
snapshot every one must follow its predecessor exactly. Quantities are of the base asset.
"""

from __future__ import annotations

from typing import Any

from agent.domain.orders import Side
from agent.market.feed import BookDelta, BookSnapshot, Event, Funding, Instrument, Kind, Note, Ticker, Trade
from agent.market.ladder import BookRules
from agent.market.reading import above_zero, legible, maybe, name, ns_of_ms, number, rows, texts, whole

RULES = BookRules(overlap=True)
FOREVER_MS = 4_000_000_000_000
"""Delivery dates from here on (2096) stand for none."""


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One frame, of a combined stream or a plain one. Raises Retry BAD_FRAME."""
    with legible("a frame of Binance USD-M"):
        data = texts(frame)
        if not isinstance(data, dict):
            raise TypeError("no object")
        return _events(data.get("data", data))


def _events(data: Any) -> tuple[Event, ...]:
    kind = data.get("e")
    if kind == "depthUpdate":
        return (
            BookDelta(
                name(data["s"]),
                rows(data["b"]),
                rows(data["a"]),
                whole(data["U"]),
                whole(data["u"]),
                whole(data["pu"]),
                ns_of_ms(data["E"]),
            ),
        )
    if kind == "bookTicker":
        bid, ask = maybe(data["b"]), maybe(data["a"])
        return (
            Ticker(
                name(data["s"]),
                ns_of_ms(data["E"]),
                bid,
                maybe(data["B"]),
                ask,
                maybe(data["A"]),
                seq=whole(data["u"]),
            ),
        )
    if kind in ("trade", "aggTrade"):
        return _trade(data, kind == "aggTrade")
    if kind == "markPriceUpdate":
        symbol, at_ns = name(data["s"]), ns_of_ms(data["E"])
        told = Ticker(symbol, at_ns, mark=above_zero(data["p"]), index=maybe(data.get("i")))
        rate = maybe(data.get("r"))
        return (told,) if rate is None else (told, Funding(symbol, rate, at_ns, ns_of_ms(data["T"])))
    if kind == "24hrTicker":
        return (Ticker(name(data["s"]), ns_of_ms(data["E"]), last=above_zero(data["c"])),)
    if kind is None and "result" in data:
        return (Note("acknowledged"),)
    if kind is None and ("error" in data or "code" in data):
        return (Note("error", str(data.get("error", data))[:200], refused=True),)
    if isinstance(kind, str) and kind:
        return (Note(kind[:40]),)
    raise ValueError("neither an event nor an answer")


def _trade(data: Any, many: bool) -> tuple[Event, ...]:
    """Trades of the insurance fund and of liquidations outside the book come with no quantity or price: they are no trades in it."""
    px, qty = number(data["p"]), number(data["q"])
    if not px or not qty:
        return (Note("trade outside the book"),)
    if not isinstance(data["m"], bool):
        raise TypeError("m is neither true nor false")
    return (
        Trade(
            name(data["s"]),
            str(whole(data["a" if many else "t"])),
            Side.SELL if data["m"] else Side.BUY,
            above_zero(px),
            above_zero(qty),
            ns_of_ms(data["T"]),
            many,
        ),
    )


# answers over REST


def depth(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("depth"):
        data = texts(body)
        at_ns = ns_of_ms(data.get("E", 0))
        return (
            BookSnapshot(symbol, rows(data["bids"]), rows(data["asks"]), whole(data["lastUpdateId"]), at_ns),
        )


def exchange_info(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("exchangeInfo"):
        return tuple(_instrument(row) for row in texts(body)["symbols"])


def _instrument(row: Any) -> Instrument:
    rules = {rule["filterType"]: rule for rule in row["filters"]}
    perpetual = row["contractType"] in ("PERPETUAL", "TRADIFI_PERPETUAL")
    ends_ms = 0 if row["deliveryDate"] >= FOREVER_MS else row["deliveryDate"]
    return Instrument(
        name(row["symbol"]),
        Kind.PERPETUAL if perpetual else Kind.FUTURE,
        name(row["baseAsset"]),
        name(row["quoteAsset"]),
        name(row["marginAsset"]),
        number(rules["PRICE_FILTER"]["tickSize"]),
        number(rules["LOT_SIZE"]["stepSize"]),
        number(rules["LOT_SIZE"]["minQty"]),
        number(rules.get("MIN_NOTIONAL", {"notional": "0"})["notional"]),
        number("1"),
        expiry_ns=0 if perpetual else ns_of_ms(ends_ms),
    )


ANSWERS = {"depth": depth, "exchangeInfo": exchange_info}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected): books, on the public line. Trades and mark prices, which
    `decode` reads as well, come on a line of their own (/market) since 2026."""
    streams = ",".join(f'"{s.lower()}@depth@100ms"' for s in symbols)
    return "/ws", (f'{{"method":"SUBSCRIBE","params":[{streams}],"id":1}}',)


def snapshot_path(symbol: str, levels: int = 1000) -> str:
    return f"/fapi/v1/depth?symbol={symbol}&limit={levels}"
