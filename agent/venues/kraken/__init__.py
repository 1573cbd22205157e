"""Kraken: market data of spot and futures; orders in spot pairs."""

from __future__ import annotations

from decimal import Decimal

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.kraken import feed
from agent.venues.kraken.session import Kraken

FEED = FeedFacts(
    title="Kraken",
    stream_url="wss://ws.kraken.com/v2",
    rest_url="https://api.kraken.com",
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
) -> Kraken:
    """A session that is not started yet. `sign` gives nonce and signature as JSON, nothing for an order at its first asking; such a
    signature is taken once, so that there is nothing for the signer to `send`."""
    return Kraken(VENUE, FEED, name, clock, api_key, sign, base_url, ws_url, timeouts)


VENUE = VenueFacts(
    title="Kraken",
    rest_url=FEED.rest_url,
    stream_url=FEED.stream_url,
    order_api_url="wss://ws-auth.kraken.com/v2",
    maker_fee_bps=Decimal(40),
    taker_fee_bps=Decimal(80),
    order_types=("LIMIT", "MARKET"),
    times_in_force=("GTC", "IOC"),
    client_id_pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    weight_per_minute=45,
    orders_per_10s=60,
    recv_window_ms=5_000,
    book_quiet_s=3.0,
    book_stale_s=5.0,
    audit_s=10.0,
    connect=connect,
)

__all__ = ["FEED", "VENUE", "Kraken", "connect"]
