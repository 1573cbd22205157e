"""How exchanges that are reached by the ccxt library write a plain spot order, and which of their endpoints only trade and read. Data.

An endpoint is "METHOD section/path" as the library names it before it fills the path in. What is not listed here, or under `allow` in
the signer's settings, is not signed. An exchange that is not here takes no order of ours; its public data needs no signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

PREFIX = "ccxt:"


@dataclass(frozen=True, slots=True)
class Shape:
    """The names of an order's parts. `kinds`: values of `kind` that are limit orders; `must`: what has to be there as it is, so that the
    order is of the spot market and paid for in full; `also`: what else may stand beside them. An amendment has neither side nor kind."""

    symbol: str
    qty: str
    px: str
    side: str = ""
    kind: str = ""
    kinds: frozenset[str] = frozenset()
    must: Mapping[str, str] = field(default_factory=dict)
    also: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Words:
    """One exchange. `orders`, `amends` by endpoint; `reads` and `ends` (cancels) may carry the parameters of `names` alone; `repeats`:
    how many orders the exchange takes of one account while a signature lives, by its published limits. `login`: a subscription to
    reports that is signed on a socket and opens nothing else there; `margin`: reads of a margin account, each with its own parameters and no
    others; `sections`: how many of an endpoint's first parts are the library's own,
    and no part of the path; `token`: the secret is a token that goes with each request, which has to be one that reads alone; `session`: the
    secret is a session key of the wallet that `api_key` is, and signs nothing but the time of a request: that signature opens what the key may see."""

    orders: Mapping[str, Shape]
    reads: frozenset[str]
    ends: frozenset[str]
    names: frozenset[str]
    repeats: int
    amends: Mapping[str, Shape] = field(default_factory=dict)
    login: str = ""
    sections: int = 1
    token: bool = False
    session: bool = False
    margin: Mapping[str, frozenset[str]] = field(default_factory=dict)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BINANCE_ORDER = Shape(
    "symbol",
    "quantity",
    "price",
    "side",
    "type",
    _set("LIMIT LIMIT_MAKER"),
    also=_set("timeInForce newClientOrderId newOrderRespType selfTradePreventionMode"),
)
_BINANCE_REPLACE = Shape(
    "symbol",
    "quantity",
    "price",
    "side",
    "type",
    _set("LIMIT LIMIT_MAKER"),
    {"cancelReplaceMode": "STOP_ON_FAILURE"},
    _BINANCE_ORDER.also | _set("cancelOrderId cancelOrigClientOrderId"),
)
_BINANCE = Words(
    {"POST private/order": _BINANCE_ORDER, "POST private/order/cancelReplace": _BINANCE_REPLACE},
    frozenset(
        f"GET private/{path}"
        for path in "order openOrders allOrders account myTrades rateLimit/order".split()
    ),
    frozenset({"DELETE private/order", "DELETE private/openOrders"}),
    _set("symbol orderId origClientOrderId startTime endTime fromId limit omitZeroBalances"),
    200,
    login="userDataStream.subscribe.signature",
)
_PORTFOLIO = "papi/account papi/balance papi/um/positionRisk papi/um/leverageBracket papi/cm/positionRisk sapi/portfolio/collateralRate sapi/portfolio/asset-index-price"
_OKX = Words(
    {
        "POST private/trade/order": Shape(
            "instId",
            "sz",
            "px",
            "side",
            "ordType",
            _set("limit ioc fok post_only"),
            {"tdMode": "cash"},
            _set("tgtCcy clOrdId tag"),
        )
    },
    frozenset(
        f"GET private/{path}"
        for path in "trade/order trade/orders-pending trade/orders-history trade/fills trade/fills-history account/balance account/config".split()
    ),
    frozenset({"POST private/trade/cancel-order", "POST private/trade/cancel-all-after"}),
    _set("instId instType ordId clOrdId timeOut state begin end after before limit"),
    900,
    {"POST private/trade/amend-order": Shape("instId", "newSz", "newPx", also=_set("ordId clOrdId"))},
    margin={
        "GET private/account/positions": _set(""),
        "GET private/account/trade-fee": _set("instType instFamily"),
    },
)
_BYBIT = Words(
    {
        "POST private/v5/order/create": Shape(
            "symbol",
            "qty",
            "price",
            "side",
            "orderType",
            _set("Limit"),
            {"category": "spot"},
            _set("timeInForce orderLinkId"),
        )
    },
    frozenset(
        f"GET private/v5/{path}"
        for path in "order/realtime order/history execution/list account/wallet-balance user/query-api".split()
    ),
    frozenset({"POST private/v5/order/cancel", "POST private/v5/order/cancel-all"}),
    _set(
        "symbol category orderId orderLinkId orderFilter orderStatus execType startTime endTime limit openOnly accountType"
    ),
    120,
    {
        "POST private/v5/order/amend": Shape(
            "symbol", "qty", "price", must={"category": "spot"}, also=_set("orderId orderLinkId")
        )
    },
    margin={
        "GET private/v5/account/info": _set(""),
        "GET private/v5/position/list": _set("category settleCoin limit"),
        "GET private/v5/account/fee-rate": _set("category"),
        "GET private/v5/spot-margin-trade/position-tiers": _set("currency"),
    },
)
_KUCOIN = Words(
    {
        "POST private/orders": Shape(
            "symbol",
            "size",
            "price",
            "side",
            "type",
            _set("limit"),
            {},
            _set("clientOid timeInForce postOnly"),
        )
    },
    frozenset(
        f"GET private/{path}"
        for path in "orders orders/{orderId} order/client-order/{clientOid} fills accounts".split()
    ),
    frozenset({"DELETE private/orders/{orderId}", "DELETE private/orders"}),
    _set("symbol orderId clientOid tradeType status type startAt endAt currentPage pageSize"),
    200,
)
_GATE = Words(
    {
        "POST private/spot/orders": Shape(
            "currency_pair",
            "amount",
            "price",
            "side",
            "type",
            _set("limit"),
            {"account": "spot"},
            _set("time_in_force text"),
        )
    },
    frozenset(
        f"GET private/spot/{path}"
        for path in "orders orders/{order_id} open_orders my_trades accounts".split()
    ),
    frozenset(
        {
            "DELETE private/spot/orders/{order_id}",
            "DELETE private/spot/orders",
            "POST private/spot/countdown_cancel_all",
        }
    ),
    _set("currency_pair account status order_id from to page limit timeout"),
    600,
    {
        "PATCH private/spot/orders/{order_id}": Shape(
            "currency_pair", "amount", "price", must={"account": "spot"}, also=_set("order_id")
        )
    },
    sections=2,
)
_BITGET = Words(
    {
        "POST private/spot/v2/spot/trade/place-order": Shape(
            "symbol", "size", "price", "side", "orderType", _set("limit"), {}, _set("force clientOid")
        )
    },
    frozenset(
        f"GET private/spot/v2/spot/{path}"
        for path in "trade/orderInfo trade/unfilled-orders trade/history-orders trade/fills account/assets".split()
    ),
    frozenset({"POST private/spot/v2/spot/trade/cancel-order"}),
    _set("symbol orderId clientOid startTime endTime limit idLessThan coin"),
    300,
    sections=2,
)
_MEXC = Words(
    {
        "POST spot/private/order": Shape(
            "symbol",
            "quantity",
            "price",
            "side",
            "type",
            _set("LIMIT IMMEDIATE_OR_CANCEL FILL_OR_KILL LIMIT_MAKER"),
            {},
            _set("newClientOrderId"),
        )
    },
    frozenset(f"GET spot/private/{path}" for path in "order openOrders allOrders account myTrades".split()),
    frozenset({"DELETE spot/private/order", "DELETE spot/private/openOrders"}),
    _set("symbol orderId origClientOrderId states startTime endTime limit"),
    200,
    sections=2,
)
_HASHKEY = Words(
    {
        "POST private/api/v1/spot/order": Shape(
            "symbol",
            "quantity",
            "price",
            "side",
            "type",
            _set("LIMIT"),
            {},
            _set("timeInForce newClientOrderId"),
        )
    },
    frozenset(
        f"GET private/api/v1/{path}"
        for path in "spot/order spot/openOrders spot/tradeOrders account/trades account".split()
    ),
    frozenset({"DELETE private/api/v1/spot/order"}),
    _set("symbol orderId origClientOrderId startTime endTime limit"),
    200,
)
_KRAKEN = Words(
    {
        "POST private/AddOrder": Shape(
            "pair",
            "volume",
            "price",
            "type",
            "ordertype",
            _set("limit"),
            {"oflags": "fciq"},
            _set("timeinforce"),
        )
    },
    frozenset(
        f"POST private/{path}"
        for path in "QueryOrders OpenOrders ClosedOrders TradesHistory BalanceEx".split()
    ),
    frozenset({"POST private/CancelOrder", "POST private/CancelAllOrdersAfter"}),
    _set("txid trades timeout start end ofs consolidate_taker"),
    1,
)

WORDS: Mapping[str, Words] = {
    "binance": replace(_BINANCE, margin={f"GET {path}": _set("") for path in _PORTFOLIO.split()}),
    "binanceus": _BINANCE,
    "bitget": _BITGET,
    "bybit": _BYBIT,
    "gate": _GATE,
    "hashkey": _HASHKEY,
    "kraken": _KRAKEN,
    "kucoin": _KUCOIN,
    "mexc": _MEXC,
    "okx": _OKX,
}
"""By the library's name of the exchange."""


READ_ONLY: Mapping[str, Words] = {
    "paradex": Words(
        {},
        frozenset(),
        frozenset(),
        frozenset(),
        1,
        token=True,
        margin={
            "GET private/account": _set(""),
            "GET private/account/info": _set(""),
            "GET private/account/margin": _set("market"),
            "GET private/balance": _set(""),
            "GET private/positions": _set(""),
        },
    ),
    "derive": Words(
        {},
        frozenset(),
        frozenset(),
        frozenset(),
        1,
        session=True,
        margin={
            "POST private/get_subaccount": _set("subaccount_id"),
            "POST private/get_subaccounts": _set("wallet"),
            "POST private/session_keys": _set("wallet"),
        },
    ),
}
"""Exchanges of which a margin account is read and nothing else is signed."""


def words_of(dialect: str) -> Words | None:
    """Those of "ccxt:NAME"; None for another dialect, or an exchange that is not here."""
    if not dialect.startswith(PREFIX):
        return None
    name = dialect.removeprefix(PREFIX)
    return WORDS.get(name) or READ_ONLY.get(name)
