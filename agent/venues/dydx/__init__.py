"""dYdX (chain v4), the self-custodied order book of perpetuals: market data from its indexer, orders as transactions of its chain."""

from __future__ import annotations

from agent.market.feeds import FeedFacts
from agent.venues.dydx import feed

FEED = FeedFacts(
    title="dYdX",
    stream_url="wss://indexer.dydx.trade/v4/ws",
    rest_url="https://indexer.dydx.trade",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
    limit_a_minute=600,
)

__all__ = ["FEED"]
