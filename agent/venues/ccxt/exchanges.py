"""What is known of single exchanges beyond what the library says of itself: how they are asked for an order by our own name. Data.

Orders go only to an exchange that is here and whose words the signer knows (keys/signer/ccxt_words.py); market data and balances of
any other come as the library reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.domain.ids import ClOrdId
from agent.transport.limits import LimitHeaders


@dataclass(frozen=True, slots=True)
class Known:
    """`asked`: the parameter by which the library asks for an order of our name, empty where the exchange has no such name or cannot be
    asked by it; `prefix`: what it puts before our name; `plain`: it takes our name as it is; `amends`: an order is changed in place, and keeps its name; `login`: the
    signed subscription by which reports come on a socket and that opens nothing else there; `switch`: the library's call that has it end all orders unless it hears of us;
    `nonces`: each signed call has to carry a greater number than the one before; `life_s`: how long after it was dated a request is still
    carried out; `options`: of the library, for requests that can be judged; `credentials`: what stands in place of real ones, without which it writes no address; `more`: what it wants to be told when asked for an order; `limits`: where
    it tells what of its limits is left, documented by bybit and kucoin for the endpoint that was asked; `fee_side`: in what it charges, as its
    own documentation says and the library does not, in the library's words; `orders`: what every order says besides; `trades`: what it
    is told when asked for trades, so that each is told by itself."""

    asked: str = "clientOrderId"
    prefix: str = ""
    plain: bool = False
    amends: bool = False
    login: str = ""
    switch: str = ""
    nonces: bool = False
    life_s: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    limits: LimitHeaders = LimitHeaders()
    fee_side: str = ""
    orders: Mapping[str, str] = field(default_factory=dict)
    trades: Mapping[str, str] = field(default_factory=dict)


UNIFIED_SWITCH = "cancel_all_orders_after"
"""Takes milliseconds; a `switch` of another name is the exchange's own endpoint and takes {"timeout": seconds}."""
_BINANCE = Known(
    plain=True,
    login="userDataStream.subscribe.signature",
    options={"warnOnFetchOpenOrdersWithoutSymbol": False, "timeDifference": 0},
    limits=LimitHeaders(used="X-MBX-USED-WEIGHT-1M", of=6_000),
)
KNOWN: Mapping[str, Known] = {
    "binance": _BINANCE,
    "binanceus": Known(
        plain=True, options=_BINANCE.options, limits=LimitHeaders(used="X-MBX-USED-WEIGHT-1M", of=1_200)
    ),  # fmt: skip
    "bitget": Known(life_s=30, options={"uta": False}, fee_side="get"),
    "bybit": Known(
        asked="orderLinkId",
        more={"acknowledged": True},
        amends=True,
        options={"enableUnifiedMargin": False, "enableUnifiedAccount": True, "unifiedMarginStatus": 6},
        limits=LimitHeaders(left="X-Bapi-Limit-Status", reset="X-Bapi-Limit-Reset-Timestamp"),
    ),  # fmt: skip
    "gate": Known(
        prefix="t-",
        amends=True,
        switch="private_spot_post_countdown_cancel_all",
        life_s=60,
        options={"unifiedAccount": False},
    ),
    "hashkey": Known(),
    "kraken": Known(
        asked="",
        switch=UNIFIED_SWITCH,
        nonces=True,
        orders={"oflags": "fciq"},  # its fee in the quote, also of a sale
        trades={"consolidate_taker": "false"},
    ),
    "kucoin": Known(
        options={"hf": False, "uta": False},
        limits=LimitHeaders(left="gw-ratelimit-remaining", reset="gw-ratelimit-reset", from_now=True),
    ),  # fmt: skip
    "mexc": Known(),
    "okx": Known(
        amends=True,
        switch=UNIFIED_SWITCH,
        life_s=30,
        options={"createOrder": "privatePostTradeOrder"},
        fee_side="get",
    ),
}
READ_ONLY: Mapping[str, Known] = {
    "derive": Known(asked="", credentials={"walletAddress": "0x" + "01" * 20, "privateKey": "01" * 32}),
    "paradex": Known(asked="", options={"authToken": "none"}),
}
"""Exchanges to which no order goes. The library wants a token or a key before it writes an address; the signer puts the real one in."""
_OURS = re.compile(r"fl[a-z0-9]{20}")


def their_name(name: ClOrdId, known: Known) -> str:
    """Our name, where it has to be in the letters and digits that every exchange takes."""
    return name if known.plain else "".join(c for c in name if c.isascii() and c.isalnum())


def our_name(text: str, known: Known) -> ClOrdId:
    """The name again; that of an order which is not ours stays as it is."""
    bare = text.removeprefix(known.prefix)
    return ClOrdId(f"fl-{bare[2:]}" if _OURS.fullmatch(bare) else text)


def switching(call: str, seconds: float | None) -> tuple[str, Any]:
    """The library's call and what it is told: the end of all orders so long from now in whole seconds; 0, which takes that back, for None."""
    after = int(seconds or 0)
    return call, after * 1000 if call == UNIFIED_SWITCH else {"timeout": after}
