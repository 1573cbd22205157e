"""Every exchange that the ccxt library speaks to, one at a time: `module = "ccxt"` and `exchange = "okx"` in the settings.

The library (MIT) makes requests and reads answers. Signing happens in the signer's process, by the same library (keys/signer/ccxt_desk);
names, throttling, what may have happened, and what is told once are ours. Spot markets.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.domain.errors import Usage
from agent.ports import Clock
from agent.transport.http import TimeOuts
from agent.venues import Send, Sign, VenueFacts
from agent.venues.ccxt.margin_only import CcxtMarginOnly, DeriveMargin
from agent.venues.ccxt.session import Ccxt
from agent.venues.ccxt.with_margin import CcxtWithMargin

FAMILY = True
"""The settings say which exchange (`exchange`), and whether its sandbox (`sandbox`)."""

MARGIN_AT = frozenset({"bybit", "derive", "okx", "paradex"})
"""Exchanges of the family whose session is an `agent.ports.TellsMargin`; Binance's is one where the settings say `portfolio_margin`."""


MARGIN_ONLY = frozenset({"derive", "paradex"})
"""And those of which nothing else is read: no order goes there."""


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
    exchange: str = "",
    sandbox: bool = False,
    portfolio_margin: bool = False,
    margin_parameters: Mapping[str, Any] | None = None,
) -> Ccxt:
    """A session that is not started yet. `sign` gives what is to be sent, as JSON; the key goes with it, and the signer sends nothing here
    itself. `base_url` replaces the host of every address. Raises Usage NO_EXCHANGE."""
    if not exchange:
        raise Usage("NO_EXCHANGE", f"[[venues]] {name} does not say which exchange", 'exchange = "okx", say')
    if exchange in MARGIN_ONLY:
        only = DeriveMargin if exchange == "derive" else CcxtMarginOnly
        made = only(VENUE, name, exchange, clock, sign, base_url, ws_url, timeouts or TimeOuts(), sandbox)
        if isinstance(made, DeriveMargin):
            made.wallet, made.parameters = api_key, margin_parameters or {}
        return made
    kind = CcxtWithMargin if exchange in MARGIN_AT or portfolio_margin else Ccxt
    return kind(VENUE, name, exchange, clock, sign, base_url, ws_url, timeouts or TimeOuts(), sandbox)


VENUE = VenueFacts(
    title="the ccxt family",
    rest_url="",
    stream_url="",
    order_api_url="",
    maker_fee_bps=Decimal(25),
    taker_fee_bps=Decimal(40),
    order_types=("LIMIT",),
    times_in_force=("GTC", "IOC", "FOK"),
    client_id_pattern=r"^[a-z0-9]{1,32}$",
    weight_per_minute=0,  # as the library says of each exchange
    orders_per_10s=50,
    recv_window_ms=5_000,
    book_quiet_s=1.5,
    book_stale_s=5.0,
    audit_s=5.0,
    connect=connect,
)

__all__ = ["FAMILY", "MARGIN_AT", "VENUE", "Ccxt", "connect"]
