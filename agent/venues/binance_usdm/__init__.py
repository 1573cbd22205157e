"""Binance USD-M futures, and every server that speaks their dialect (the paper exchange is one, by its base URL)."""

from __future__ import annotations

from decimal import Decimal

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.binance_usdm import feed
from agent.venues.binance_usdm.session import BinanceUsdm

FEED = FeedFacts(
    title="Binance USD-M",
    stream_url="wss://fstream.binance.com/public",
    rest_url="https://fapi.binance.com",
    decode=feed.decode,
    rules=feed.RULES,
    answers=feed.ANSWERS,
    subscribe=feed.subscribe,
    snapshot=lambda symbol: (feed.snapshot_path(symbol), "depth"),
    probe=lambda symbol: (feed.snapshot_path(symbol, 5), "depth"),
    line_quiet_s=0,
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
) -> BinanceUsdm:
    """A session that is not started yet. `sign` gives the hex HMAC-SHA256; `base_url` replaces every address, `ws_url` then those of
    the sockets. `send` sends the orders for which `sign` gives no signature."""
    return BinanceUsdm(
        VENUE, FEED, name, clock, api_key, sign, base_url, timeouts or TimeOuts(), ws_url, send
    )


VENUE = VenueFacts(
    title="Binance USD-M",
    rest_url=FEED.rest_url,
    stream_url=FEED.stream_url,
    order_api_url="wss://fstream.binance.com/private",
    maker_fee_bps=Decimal(2),
    taker_fee_bps=Decimal(5),
    order_types=("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"),
    times_in_force=("GTC", "IOC", "FOK", "GTX", "GTD"),
    client_id_pattern=r"^[\.A-Z\:/a-z0-9_-]{1,36}$",
    weight_per_minute=2_400,
    orders_per_10s=300,
    recv_window_ms=5_000,
    book_quiet_s=1.5,
    book_stale_s=5.0,
    audit_s=5.0,
    connect=connect,
)

__all__ = ["FEED", "VENUE", "BinanceUsdm", "connect"]
