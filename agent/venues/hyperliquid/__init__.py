"""Hyperliquid, the order book without a custodian: market data of spot and perpetuals, orders in both."""

from __future__ import annotations

from decimal import Decimal

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.hyperliquid import feed
from agent.venues.hyperliquid.session import Hyperliquid

FEED = FeedFacts(
    title="Hyperliquid",
    stream_url="wss://api.hyperliquid.xyz/ws",
    rest_url="https://api.hyperliquid.xyz",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
    line_quiet_s=5.0,
)

MARGIN = True
"""Its session is an `agent.ports.TellsMargin`."""
FUNDING = True
"""And an `agent.ports.TellsFunding` of contracts that orders go to."""


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
) -> Hyperliquid:
    """A session that is not started yet. `api_key` is the account's address; `sign` gives nonce and signature as JSON, so there is
    nothing for the signer to `send`: such a signature is taken once."""
    return Hyperliquid(VENUE, FEED, name, clock, api_key, sign, base_url, ws_url, timeouts)


VENUE = VenueFacts(
    title="Hyperliquid",
    rest_url=FEED.rest_url,
    stream_url=FEED.stream_url,
    order_api_url=FEED.stream_url,
    maker_fee_bps=Decimal(4),
    taker_fee_bps=Decimal(7),
    order_types=("LIMIT",),
    times_in_force=("GTC", "IOC"),
    client_id_pattern=r"^0x[0-9a-f]{32}$",
    weight_per_minute=1_200,
    orders_per_10s=100,
    recv_window_ms=5_000,
    book_quiet_s=3.0,
    book_stale_s=5.0,
    audit_s=5.0,
    connect=connect,
)

__all__ = ["FEED", "VENUE", "Hyperliquid", "connect"]
