"""Deribit: market data of futures, options and combos. No orders are sent to it."""

from __future__ import annotations

from agent.market.feeds import FeedFacts
from agent.venues.deribit import feed

FEED = FeedFacts(
    title="Deribit",
    stream_url="wss://www.deribit.com/ws/api/v2",
    rest_url="https://www.deribit.com/api/v2",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
    reply=feed.reply,
)
