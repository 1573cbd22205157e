"""Kraken spot and futures: market data. No orders are sent to it."""

from __future__ import annotations

from agent.market.feeds import FeedFacts
from agent.venues.kraken import feed

FEED = FeedFacts(
    title="Kraken",
    stream_url="wss://ws.kraken.com/v2",
    rest_url="https://api.kraken.com",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
)
