"""Coinbase Advanced Trade (and the older Exchange feed): market data. No orders are sent to it."""

from __future__ import annotations

from agent.market.feeds import FeedFacts
from agent.venues.coinbase import feed

FEED = FeedFacts(
    title="Coinbase",
    stream_url="wss://advanced-trade-ws.coinbase.com",
    rest_url="https://api.coinbase.com",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
)
