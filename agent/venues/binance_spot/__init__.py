"""Binance Spot, and every server that speaks its dialect (the paper exchange is one, by its base URL)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.binance_spot import feed
from agent.venues.binance_spot.session import BinanceSpot

if TYPE_CHECKING:  # what FIX needs is loaded where it is used
    from agent.venues.binance_spot.by_fix import Doors


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
    doors: Doors | None = None,
) -> BinanceSpot:
    """A session that is not started yet. `sign` gives the hex HMAC-SHA256; `base_url` replaces every address, `ws_url` then those of
    the sockets. `send` sends the orders for which `sign` gives no signature. With `doors` orders and reports go by FIX."""
    times = timeouts or TimeOuts()
    if doors is not None:
        from agent.venues.binance_spot.by_fix import BinanceSpotByFix

        return BinanceSpotByFix(
            VENUE, FEED, name, clock, api_key, sign, base_url, times, ws_url, send, doors=doors
        )
    return BinanceSpot(VENUE, FEED, name, clock, api_key, sign, base_url, times, ws_url, send)


VENUE = VenueFacts(
    title="Binance Spot",
    rest_url="https://api.binance.com",
    stream_url="wss://stream.binance.com:9443",
    order_api_url="wss://ws-api.binance.com:443/ws-api/v3",
    maker_fee_bps=Decimal(10),
    taker_fee_bps=Decimal(10),
    order_types=("LIMIT", "MARKET"),
    times_in_force=("GTC", "IOC", "FOK"),
    client_id_pattern=r"^[\.A-Z\:/a-z0-9_-]{1,36}$",
    weight_per_minute=6_000,
    orders_per_10s=100,
    recv_window_ms=5_000,
    book_quiet_s=1.5,
    book_stale_s=5.0,
    audit_s=5.0,
    connect=connect,
)

FEED = FeedFacts(
    title="Binance Spot",
    stream_url=VENUE.stream_url,
    rest_url=VENUE.rest_url,
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
    snapshot=lambda symbol: (feed.snapshot_path(symbol), "depth"),
    probe=lambda symbol: (feed.snapshot_path(symbol, 5), "depth"),
    line_quiet_s=0,
)

__all__ = ["FEED", "VENUE", "BinanceSpot", "connect"]
