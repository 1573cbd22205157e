"""Hyperliquid: market data. No orders are sent to it."""

from __future__ import annotations

from agent.market.feeds import FeedFacts
from agent.venues.hyperliquid import feed

FEED = FeedFacts(
    title="Hyperliquid",
    stream_url="wss://api.hyperliquid.xyz/ws",
    rest_url="https://api.hyperliquid.xyz",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
)
