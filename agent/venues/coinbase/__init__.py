"""Coinbase Advanced Trade: market data (of the older Exchange feed, too), orders in spot products."""

from __future__ import annotations

from decimal import Decimal

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.coinbase import feed
from agent.venues.coinbase.session import Coinbase

FEED = FeedFacts(
    title="Coinbase",
    stream_url="wss://advanced-trade-ws.coinbase.com",
    rest_url="https://api.coinbase.com",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
)


def connect(
    name: str,
    clock: Clock,
    api_key: str,
    sign: Sign,
    *,
    base_url: str | None = None,
    ws_url: str | None = None,
    timeouts: TimeOuts | None = None,
    send: Send | None = None,
) -> Coinbase:
    """A session that is not started yet. `sign` gives the token of a request, which names the key itself; nothing for an order, which
    `send` sends."""
    return Coinbase(VENUE, FEED, name, clock, sign, send, base_url, ws_url, timeouts)


VENUE = VenueFacts(
    title="Coinbase",
    rest_url=FEED.rest_url,
    stream_url=FEED.stream_url,
    order_api_url="wss://advanced-trade-ws-user.coinbase.com",
    maker_fee_bps=Decimal(60),
    taker_fee_bps=Decimal(100),
    order_types=("LIMIT", "MARKET"),
    times_in_force=("GTC", "IOC", "FOK"),
    client_id_pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    weight_per_minute=1_200,
    orders_per_10s=100,
    recv_window_ms=5_000,
    book_quiet_s=3.0,
    book_stale_s=5.0,
    audit_s=5.0,
    connect=connect,
)

__all__ = ["FEED", "VENUE", "Coinbase", "connect"]
