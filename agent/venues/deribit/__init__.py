"""Deribit: market data of futures, options and combos; orders in futures, options, combos and spot pairs."""

from __future__ import annotations

import re
from decimal import Decimal

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.deribit import feed
from agent.venues.deribit.session import Deribit

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

MARGIN = True
"""Its session is an `agent.ports.TellsMargin`."""
FUNDING = True
"""And an `agent.ports.TellsFunding` of contracts that orders go to."""
INVERSE = re.compile(r"[A-Z]+-PERPETUAL")
"""Perpetuals in dollars' worth of a coin; those margined in USDC name it too."""


MARGIN = True
"""Its session is an `agent.ports.TellsMargin`."""


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
) -> Deribit:
    """A session that is not started yet. `sign` gives time, nonce and signature as JSON, so there is nothing for the signer to `send`."""
    return Deribit(VENUE, FEED, name, clock, api_key, sign, base_url, ws_url, timeouts)


VENUE = VenueFacts(
    title="Deribit",
    rest_url=FEED.rest_url,
    stream_url=FEED.stream_url,
    order_api_url=FEED.stream_url,
    maker_fee_bps=Decimal(3),
    taker_fee_bps=Decimal(5),
    order_types=("LIMIT", "MARKET", "STOP_LIMIT", "STOP_MARKET", "TAKE_LIMIT", "TAKE_MARKET"),
    times_in_force=("GTC", "IOC", "FOK"),
    client_id_pattern=r"^.{1,64}$",
    weight_per_minute=1_200,
    orders_per_10s=50,
    recv_window_ms=5_000,
    book_quiet_s=3.0,
    book_stale_s=5.0,
    audit_s=5.0,
    connect=connect,
)

__all__ = ["FEED", "VENUE", "Deribit", "connect"]
