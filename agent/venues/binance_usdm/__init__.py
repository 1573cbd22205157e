"""Binance USD-M futures: market data. No orders are sent to it."""

from __future__ import annotations

from agent.market.feeds import FeedFacts
from agent.venues.binance_usdm import feed

FEED = FeedFacts(
    title="Binance USD-M",
    stream_url="wss://fstream.binance.com",
    rest_url="https://fapi.binance.com",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
    snapshot=lambda symbol: (feed.snapshot_path(symbol), "depth"),
)
