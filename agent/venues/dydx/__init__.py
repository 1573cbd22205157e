"""dYdX (chain v4), the self-custodied order book of perpetuals: market data from its indexer, orders as transactions of its chain."""

from __future__ import annotations

from decimal import Decimal

from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.dydx import feed
from agent.venues.dydx.session import Dydx

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
) -> Dydx:
    """A session that is not started yet. `api_key` is the account (`dydx1…/SUBACCOUNT/AUTHENTICATOR`); `sign` gives the whole transaction,
    which the chain takes once, so that there is nothing for the signer to `send`. `base_url` stands for indexer and node."""
    return Dydx(VENUE, FEED, name, clock, api_key, sign, base_url, ws_url, timeouts)


VENUE = VenueFacts(
    title="dYdX",
    rest_url=FEED.rest_url,
    stream_url=FEED.stream_url,
    order_api_url="wss://dydx-ops-rpc.kingnodes.com/websocket",
    maker_fee_bps=Decimal(1),
    taker_fee_bps=Decimal(5),
    order_types=("LIMIT",),
    times_in_force=("GTC", "IOC"),
    client_id_pattern=r"^.{1,36}$",
    weight_per_minute=600,
    orders_per_10s=200,
    recv_window_ms=10_000,
    book_quiet_s=10.0,
    book_stale_s=15.0,
    audit_s=5.0,
    connect=connect,
)

__all__ = ["FEED", "VENUE", "Dydx", "connect"]
