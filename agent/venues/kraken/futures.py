"""Kraken Futures' market data to the common schema. Pure; JSON numbers never pass through a float.

Sources: the venue's published documentation. Every change of a book is one frame with the next number of its product. Quantities are
contracts; an inverse contract is worth its size in the quote currency.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

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
from agent.market.reading import (
    above_zero,
    exact,
    legible,
    maybe,
    name,
    ns_of_ms,
    ns_of_text,
    number,
    row,
    rows,
    side,
    steps,
    whole,
)

RULES = BookRules(quiet_ns=0)


def events(data: Any) -> tuple[Event, ...]:
    """A message with a `feed`; what it raises its caller makes one error of."""
    feed = name(data["feed"])
    if "product_id" not in data:
        return (Note(feed),)
    symbol = name(data["product_id"])
    if feed == "book":
        level = (row(data["price"], data["qty"]),)
        buys = data["side"] == "buy"
        if not buys and data["side"] != "sell":
            raise ValueError(f"side {str(data['side'])[:40]}")
        seq, at_ns = whole(data["seq"]), ns_of_ms(data["timestamp"])
        return (BookDelta(symbol, level if buys else (), () if buys else level, seq, seq, None, at_ns),)
    if feed == "book_snapshot":
        bids, asks = _levels(data["bids"]), _levels(data["asks"])
        return (BookSnapshot(symbol, bids, asks, whole(data["seq"]), ns_of_ms(data["timestamp"])),)
    if feed == "trade":
        return (_trade(data),)
    if feed == "trade_snapshot":
        return tuple(_trade(one) for one in data["trades"])
    if feed in ("ticker", "ticker_lite"):
        return _ticker(symbol, data)
    return (Note(feed),)


def _levels(levels: Any) -> Rows:
    return tuple(row(level["price"], level["qty"]) for level in levels)


def _trade(one: Any) -> Trade:
    return Trade(
        name(one["product_id"]),
        name(one["uid"]),
        side(one["side"], "buy", "sell"),
        above_zero(one["price"]),
        above_zero(one["qty"]),
        ns_of_ms(one["time"]),
    )


def _ticker(symbol: str, data: Any) -> tuple[Event, ...]:
    at_ns = ns_of_ms(data.get("time", 0))
    told = Ticker(
        symbol,
        at_ns,
        maybe(data.get("bid")),
        maybe(data.get("bid_size")),
        maybe(data.get("ask")),
        maybe(data.get("ask_size")),
        maybe(data.get("last")),
        maybe(data.get("markPrice")),
        maybe(data.get("index")),
    )
    rate = maybe(data.get("relative_funding_rate"))
    if rate is None:
        return (told,)
    return (told, Funding(symbol, rate, at_ns, ns_of_ms(data.get("next_funding_rate_time", 0))))


# answers over REST


def instruments(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("instruments"):
        return tuple(_instrument(one) for one in exact(body)["instruments"])


def _instrument(one: Any) -> Instrument:
    symbol, inverse = name(one["symbol"]), one["type"] == "futures_inverse"
    ends = one.get("lastTradingTime")
    base, quote = one.get("base"), one.get("quote")
    lot = steps(one.get("contractValueTradePrecision") or 0)
    return Instrument(
        symbol,
        Kind.FUTURE if ends else Kind.PERPETUAL,
        name(base or symbol),
        name(quote or "USD"),
        name((base if inverse else quote) or "USD"),
        above_zero(one["tickSize"]),
        lot,
        lot,
        Decimal(0),
        above_zero(one["contractSize"]),
        inverse,
        ns_of_text(ends) if ends else 0,
    )


def order_book(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("orderbook"):
        data = exact(body)
        book, at_ns = data["orderBook"], ns_of_text(data["serverTime"])
        return (BookSnapshot(symbol, rows(book["bids"]), rows(book["asks"]), None, at_ns),)


def tickers(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("tickers"):
        data = exact(body)
        at_ns = ns_of_text(data["serverTime"])
        return tuple(
            Ticker(
                name(one["symbol"]),
                at_ns,
                maybe(one.get("bid")),
                maybe(one.get("bidSize")),
                maybe(one.get("ask")),
                maybe(one.get("askSize")),
                maybe(one.get("last")),
                maybe(one.get("markPrice")),
                maybe(one.get("indexPrice")),
            )
            for one in data["tickers"]
        )


def funding(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """Rates as a share of notional (relativeFundingRate)."""
    with legible("historical-funding-rates"):
        found = exact(body)["rates"]
        return tuple(
            Funding(symbol, number(one["relativeFundingRate"]), ns_of_text(one["timestamp"])) for one in found
        )


def executions(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """The public history of executions; the taker's direction is the trade's side."""
    with legible("executions"):
        found = []
        for element in exact(body)["elements"]:
            one = element["event"]["Execution"]["execution"]
            taker = one["takerOrder"]
            found.append(
                Trade(
                    name(taker["tradeable"]),
                    name(one["uid"]),
                    side(taker["direction"], "Buy", "Sell"),
                    above_zero(one["price"]),
                    above_zero(one["quantity"]),
                    ns_of_ms(one["timestamp"]),
                )
            )
        return tuple(found)
