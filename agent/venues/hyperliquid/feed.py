"""Hyperliquid's market data to the common schema. Pure; numbers arrive as text and stay exact.

Sources: the venue's published API documentation. Every book message is the whole book of its block, so nothing can be missing from
one; its time orders them. Sizes are of the coin; a price has at most five significant digits and 6 (spot: 8) less szDecimals
decimals, whole prices always.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from agent.market.feed import BookSnapshot, Event, Funding, Instrument, Kind, Note, Rows, Ticker, Trade
from agent.market.ladder import BookRules
from agent.market.reading import (
    above_zero,
    legible,
    maybe,
    name,
    ns_of_ms,
    number,
    row,
    side,
    steps,
    texts,
    whole,
)

RULES = BookRules(quiet_ns=5_000_000_000)
PERP_DECIMALS, SPOT_DECIMALS = 6, 8


def decode(frame: str | bytes) -> tuple[Event, ...]:
    """One frame. Raises Retry BAD_FRAME."""
    with legible("a frame of Hyperliquid"):
        data = texts(frame)
        if "levels" in data:
            return (_book(data),)
        channel, told = name(data["channel"]), data.get("data")
        if channel == "l2Book":
            return (_book(told),)
        if channel == "trades":
            return tuple(_trade(one) for one in told)
        if channel == "bbo":
            return (_bbo(told),)
        if channel == "allMids":
            return _mids(told["mids"])
        if channel in ("activeAssetCtx", "activeSpotAssetCtx"):
            return _context(name(told["coin"]), told["ctx"])
        if channel == "error":
            return (Note("error", str(told)[:200], refused=True),)
        return (Note(channel),)


def _book(data: Any) -> BookSnapshot:
    bids, asks = (_levels(levels) for levels in data["levels"])
    at_ns = ns_of_ms(data["time"])
    return BookSnapshot(name(data["coin"]), bids, asks, at_ns, at_ns)


def _levels(levels: Any) -> Rows:
    return tuple(row(level["px"], level["sz"]) for level in levels)


def _trade(one: Any) -> Trade:
    """A is a taker who sold (hit the ask side's counterpart), B one who bought."""
    return Trade(
        name(one["coin"]),
        str(whole(one["tid"])),
        side(one["side"], "B", "A"),
        above_zero(one["px"]),
        above_zero(one["sz"]),
        ns_of_ms(one["time"]),
    )


def _bbo(data: Any) -> Ticker:
    bid, ask = data["bbo"]
    return Ticker(
        name(data["coin"]),
        ns_of_ms(data["time"]),
        number(bid["px"]) if bid else None,
        number(bid["sz"]) if bid else None,
        number(ask["px"]) if ask else None,
        number(ask["sz"]) if ask else None,
    )


def _mids(mids: Any) -> tuple[Event, ...]:
    """The middle between bid and ask, or the last price where a side is empty: told as `last`, and no price to trade on."""
    return tuple(Ticker(name(coin), 0, last=above_zero(px)) for coin, px in mids.items())


def _context(coin: str, data: Any) -> tuple[Event, ...]:
    told = Ticker(coin, 0, mark=maybe(data.get("markPx")), index=maybe(data.get("oraclePx")))
    rate = maybe(data.get("funding"))
    return (told,) if rate is None else (told, Funding(coin, rate, 0))


# answers of POST /info


def l2_book(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("l2Book"):
        return (_book(texts(body)),)


def recent_trades(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("recentTrades"):
        return tuple(_trade(one) for one in texts(body))


def funding_history(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("fundingHistory"):
        return tuple(
            Funding(name(one["coin"]), number(one["fundingRate"]), ns_of_ms(one["time"]))
            for one in texts(body)
        )


def all_mids(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("allMids"):
        return _mids(texts(body))


def meta(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    """The perpetuals of one venue of Hyperliquid's, or of all of them (allPerpMetas)."""
    with legible("meta"):
        data = texts(body)
        found = []
        for one in data if isinstance(data, list) else [data]:
            found += [_perpetual(asset) for asset in one["universe"] if not asset.get("isDelisted")]
        return tuple(found)


def _perpetual(asset: Any) -> Instrument:
    coin, digits = name(asset["name"]), asset["szDecimals"]
    lot = steps(digits)
    return Instrument(
        coin, Kind.PERPETUAL, coin, "USD", "USDC", steps(PERP_DECIMALS - digits), lot, lot, Decimal(10), Decimal(1)
    )  # fmt: skip


def spot_meta(symbol: str, body: str | bytes) -> tuple[Event, ...]:
    with legible("spotMeta"):
        data = texts(body)
        tokens = {token["index"]: token for token in data["tokens"]}
        found = []
        for pair in data["universe"]:
            base, quote = (tokens[index] for index in pair["tokens"])
            lot = steps(base["szDecimals"])
            found.append(
                Instrument(
                    name(pair["name"]),
                    Kind.SPOT,
                    name(base["name"]),
                    name(quote["name"]),
                    name(quote["name"]),
                    steps(SPOT_DECIMALS - base["szDecimals"]),
                    lot,
                    lot,
                    Decimal(10),
                    Decimal(1),
                )
            )
        return tuple(found)


ANSWERS = {
    "l2Book": l2_book,
    "recentTrades": recent_trades,
    "fundingHistory": funding_history,
    "allMids": all_mids,
    "meta": meta,
    "spotMeta": spot_meta,
}


def subscribe(symbols: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(what is added to the stream's address, what is said when connected)."""
    said = [
        orjson.dumps({"method": "subscribe", "subscription": {"type": topic, "coin": coin}}).decode()
        for coin in symbols
        for topic in ("l2Book", "trades")
    ]
    return "", tuple(said)
