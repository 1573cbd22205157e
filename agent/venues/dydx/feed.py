"""dYdX's market data (chain v4, as its indexer tells it) to the common schema. Pure; numbers arrive as text and stay exact.

Sources: the venue's published documentation of the indexer. Every message of a connection has the next number of one count over all
channels, so that a lost one shows. Books have no number of their own, and may cross for a moment: whoever proposes the next block has
a book of his own, and the indexer tells a mixture. `RULES.uncross` takes the older of two levels that cross away, as the documentation
asks of clients. Trading is in perpetuals: sizes are of the base, prices dollars, all of it margined in USDC.
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

RULES = BookRules(quiet_ns=0, uncross=True)
"""A market in which nothing happens is proved by the one count of its connection, and the prices of all markets tell that this lives."""
SETTLE = "USDC"
ZERO, ONE = Decimal(0), Decimal(1)
BOOKS, TRADES, MARKETS = "v4_orderbook", "v4_trades", "v4_markets"


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One frame. Raises Retry BAD_FRAME."""
    with legible("a frame of dYdX"):
        data = texts(frame)
        kind = name(data["type"])
        count = (Count(whole(data["message_id"])),)
        if kind == "error":
            return (*count, Note("error", str(data.get("message"))[:200], refused=True))
        if kind == "subscribed":
            return count + _subscribed(name(data["channel"]), data.get("id"), data["contents"])
        if kind in ("channel_data", "channel_batch_data"):
            told = data["contents"] if kind == "channel_batch_data" else [data["contents"]]
            channel = name(data["channel"])
            return count + tuple(e for one in told for e in _update(channel, data.get("id"), one))
        return (*count, Note(kind))


def _subscribed(channel: str, symbol: Any, told: Any) -> tuple[Event, ...]:
    if channel == BOOKS:
        return (_book(symbol, told),)
    if channel == TRADES:
        return _trades(symbol, told)
    return _markets(told["markets"]) if channel == MARKETS else (Note(channel),)


def _update(channel: str, symbol: Any, told: Any) -> tuple[Event, ...]:
    if channel == BOOKS:
        bids, asks = (rows(told.get(half, ())) for half in ("bids", "asks"))
        return (BookDelta(name(symbol), bids, asks, None, None, None, 0),)
    if channel == TRADES:
        return _trades(symbol, told)
    if channel != MARKETS:
        return (Note(channel),)
    prices = [_oracle(of, one) for of, one in told.get("oraclePrices", {}).items()]
    return (*prices, *_changes(told.get("trading", {}))) or (Note(channel),)


def _book(symbol: Any, told: Any) -> BookSnapshot:
    bids, asks = (_levels(told[half]) for half in ("bids", "asks"))
    return BookSnapshot(name(symbol), bids, asks, None, 0)


def _levels(levels: Any) -> Rows:
    return tuple(row(level["price"], level["size"]) for level in levels)


def _trades(symbol: Any, told: Any) -> tuple[Event, ...]:
    return tuple(_trade(name(symbol), one) for one in told["trades"])


def _trade(symbol: str, one: Any) -> Trade:
    return Trade(
        symbol,
        name(one["id"]),
        side(one["side"], "BUY", "SELL"),
        above_zero(one["price"]),
        above_zero(one["size"]),
        ns_of_text(one["createdAt"]),
    )


def _oracle(symbol: str, one: Any) -> Ticker:
    """The chain's own price of the market, by which it margins and liquidates."""
    return Ticker(name(symbol), ns_of_text(one["effectiveAt"]), index=above_zero(one["oraclePrice"]))


def _changes(told: Any) -> tuple[Event, ...]:
    """What changed of markets: those that are listed whole are instruments, a new rate is told, and so is one that stands still."""
    found: list[Event] = []
    for symbol, one in told.items():
        if "tickSize" in one and "stepSize" in one:
            found.append(_instrument(symbol, one))
        if (rate := maybe(one.get("nextFundingRate"))) is not None:
            found.append(Funding(name(symbol), rate, 0))
        if one.get("status", "ACTIVE") != "ACTIVE":
            found.append(Note("halted", f"{name(symbol)} {name(one['status'])}"))
    return tuple(found)


def _markets(told: Any) -> tuple[Event, ...]:
    found: list[Event] = []
    for symbol, one in told.items():
        if one.get("status") not in (None, "ACTIVE"):
            continue
        found.append(_instrument(symbol, one))
        if (price := maybe(one.get("oraclePrice"))) is not None:
            found.append(Ticker(name(symbol), 0, index=price))
        if (rate := maybe(one.get("nextFundingRate"))) is not None:
            found.append(Funding(name(symbol), rate, 0))
    return tuple(found)


def _instrument(symbol: str, one: Any) -> Instrument:
    base = name(symbol).rpartition("-")[0] or symbol
    lot = above_zero(one["stepSize"])
    return Instrument(
        symbol, Kind.PERPETUAL, base, "USD", SETTLE, above_zero(one["tickSize"]), lot, lot, ZERO, ONE
    )


# answers of the indexer over HTTP


def perpetual_markets(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("perpetualMarkets"):
        return _markets(texts(body)["markets"])


def orderbook(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("orderbooks"):
        return (_book(symbol, texts(body)),)


def trades(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("trades"):
        return _trades(symbol, texts(body))


def historical_funding(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("historicalFunding"):
        told = texts(body)["historicalFunding"]
        return tuple(
            Funding(name(one["ticker"]), number(one["rate"]), ns_of_text(one["effectiveAt"])) for one in told
        )


ANSWERS = {
    "perpetualMarkets": perpetual_markets,
    "orderbooks": orderbook,
    "trades": trades,
    "historicalFunding": historical_funding,
}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected); the markets' prices keep a quiet line speaking."""
    asked = [{"channel": MARKETS}] + [
        {"channel": channel, "id": symbol} for symbol in symbols for channel in (BOOKS, TRADES)
    ]
    return "", tuple(orjson.dumps({"type": "subscribe"} | one).decode() for one in asked)
