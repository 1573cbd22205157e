"""What may be signed for an exchange: trading and reading, never moving funds out. Pure.

An exchange's HMAC covers only the query, not the endpoint, so a signature made for a harmless path would open a harmful one with
the same query. Both are therefore judged: the endpoint must be listed, and every parameter must be one that only trading knows.
A session that is logged on would need no further signature, so no log-on is signed; nor is anything dated ahead, which could be
kept for later; nor an instrument other than those listed, where the settings list any.

What is signed here for spot trading opens every endpoint of the exchange that takes the same parameters (margin and futures orders
do). Nothing here checks prices against a market: how much an order can cost, and what a day of them may, is `exchange_orders`'. Give
the key spot permission alone, list its instruments, keep little there.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from chains.errors import Denied, Usage
from keys.signer import binance_usdm, exchange_lists

_BINANCE_READS = "order openOrders allOrders account myTrades rateLimit/order account/commission orderList openOrderList".split()
_BINANCE = frozenset(
    [f"GET /api/v3/{name}" for name in _BINANCE_READS]
    + [
        "POST /api/v3/order",
        "POST /api/v3/order/test",
        "POST /api/v3/order/cancelReplace",
        "PUT /api/v3/order/amend/keepPriority",
        "DELETE /api/v3/order",
        "DELETE /api/v3/openOrders",
        "DELETE /api/v3/orderList",
        *exchange_lists.ENDPOINTS,
    ]
    + [
        f"WS {name}"
        for name in (
            "userDataStream.subscribe.signature order.place order.test order.cancel order.status "
            "order.cancelReplace openOrders.status openOrders.cancelAll account.status myTrades allOrders"
        ).split()
    ]
)
_BINANCE_PARAMETERS = (
    frozenset(
        (
            "symbol side type timeInForce quantity quoteOrderQty price newClientOrderId origClientOrderId orderId stopPrice icebergQty "
            "newOrderRespType selfTradePreventionMode recvWindow timestamp startTime endTime fromId limit computeCommissionRates "
            "omitZeroBalances cancelReplaceMode cancelNewClientOrderId cancelOrigClientOrderId cancelOrderId cancelRestrictions newQty "
            "strategyId strategyType trailingDelta apiKey orderRateLimitExceededMode"
        ).split()
    )
    | exchange_lists.PARAMETERS
)
DIALECTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "binance": (_BINANCE, _BINANCE_PARAMETERS),
    binance_usdm.DIALECT: (binance_usdm.ENDPOINTS, binance_usdm.PARAMETERS),
}
SENT: Mapping[str, frozenset[str]] = {
    "binance": frozenset(
        {
            "POST /api/v3/order",
            "POST /api/v3/order/test",
            "POST /api/v3/order/cancelReplace",
            *exchange_lists.ENDPOINTS,
        }
    ),
    binance_usdm.DIALECT: binance_usdm.ORDERS,
}
"""By dialect: what carries an order and is sent by the signer itself where its settings say so."""
_OUT = re.compile(
    r"withdraw|transfer|move_funds|capital|apikey|api-key|sub-?account|convert|loan|margin|asset|pay\b|repay",
    re.IGNORECASE,
)
_QUERY = re.compile(r"[\x21-\x7e]{1,4096}")
# What values of trading are made of, a colon or slash of a client order id also in its encoded form; no second separator.
_VALUE = re.compile(r"(?:[A-Za-z0-9._~:/-]|%3A|%2F)*")
_TIMESTAMP = re.compile(r"[0-9]{1,16}")
AHEAD_MS = 60_000
WRITES = ("POST ", "PUT ", "DELETE ", "WS order.", "WS openOrders.cancelAll")


def check(
    dialect: str,
    extra: tuple[str, ...],
    method: str,
    path: str,
    query: str,
    *,
    now_ms: int,
    symbols: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """The parameters of a request that may be judged further. `symbols` that may be named, none meaning any. Raises Denied EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER, EXCHANGE_SYMBOL or EXCHANGE_AHEAD, Usage for what is no request at all."""
    if dialect not in DIALECTS:
        raise Usage(
            "EXCHANGE_DIALECT_UNKNOWN", f"no dialect {dialect!r}", f"There are {', '.join(DIALECTS)}."
        )
    endpoint = f"{method} {path}"
    listed, parameters = DIALECTS[dialect]
    if endpoint not in listed and endpoint not in extra:
        raise unlisted(endpoint, path, dialect)
    if not _QUERY.fullmatch(query):
        raise Usage(
            "EXCHANGE_QUERY_INVALID",
            f"{endpoint}: the query is empty, too long or not printable ASCII",
            "Send the exact text of the query, at most 4096 characters.",
        )
    parts = [part.partition("=") for part in query.split("&")]
    names, values = [name for name, _, _ in parts], {name: value for name, _, value in parts}
    strange = [n for n in names if n not in parameters]
    if strange:
        raise Denied(
            "EXCHANGE_PARAMETER",
            f"{endpoint} with parameter {strange[0][:40]!r}",
            "Only trading's own parameters are signed.",
        )
    if len(set(names)) != len(names) or "timestamp" not in names:
        raise Denied(
            "EXCHANGE_PARAMETER",
            f"{endpoint} names a parameter twice or has no timestamp",
            "Send each once, dated.",
        )
    odd = next((name for name, value in values.items() if not _VALUE.fullmatch(value)), None)
    if odd is not None:
        raise Denied(
            "EXCHANGE_PARAMETER",
            f"{endpoint}: the value of {odd} has a character that no trading value has",
            "Letters, digits and . _ ~ : / - are signed.",
        )
    dated(endpoint, values["timestamp"], now_ms)
    if symbols and values.get("symbol", next(iter(symbols))) not in symbols:
        raise Denied(
            "EXCHANGE_SYMBOL",
            f"{endpoint} for {values['symbol'][:40]}, which is not among this venue's symbols",
            "List it under exchanges in the signer's settings.",
        )
    return values


def values_of(endpoint: str, text: str, names: frozenset[str], value: re.Pattern[str]) -> dict[str, str]:
    """The parameters of a query or a form, each of which may be judged further. Raises Denied EXCHANGE_PARAMETER."""
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, told = part.partition("=")
        if name not in names or name in found:
            raise Denied("EXCHANGE_PARAMETER", f"{endpoint} with parameter {name[:40]!r}, or with it twice", "Only trading's own parameters are signed.")  # fmt: skip
        if not value.fullmatch(told):
            raise Denied("EXCHANGE_PARAMETER", f"{endpoint}: the value of {name} has a character that no trading value has", "Letters, digits and a few signs are signed.")  # fmt: skip
        found[name] = told
    return found


def unlisted(endpoint: str, path: str, dialect: str) -> Denied:
    """The refusal of what is not listed; what can move funds is called so."""
    if _OUT.search(path):
        return Denied(
            "EXCHANGE_WITHDRAWAL",
            f"{endpoint} can move funds",
            "Funds leave an exchange by the owner's hand only.",
        )
    return Denied(
        "EXCHANGE_UNLISTED",
        f"{endpoint} is not listed for {dialect}",
        "List it in the signer's settings.",
    )


def dated(endpoint: str, stamp: str, now_ms: int) -> None:
    """Raises Denied EXCHANGE_AHEAD for what could be kept for later. `stamp`: milliseconds."""
    if not _TIMESTAMP.fullmatch(stamp) or int(stamp) > now_ms + AHEAD_MS:
        raise Denied(
            "EXCHANGE_AHEAD",
            f"{endpoint} is dated more than {AHEAD_MS // 1000} s ahead of this machine's clock, or not in milliseconds",
            "Date it with the present time.",
        )


def sign(secret: bytes, query: str) -> str:
    """HMAC-SHA256 of the query, lower-case hex."""
    return hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
