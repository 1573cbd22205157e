"""What may be signed for Binance USD-M futures: trading and reading, never moving funds, leverage or margin. Data, and one reading. Pure.

Judged as spot's requests are (`exchange`): endpoints and parameters are listed, dated, and every order is counted (`exchange_orders`).
A contract is counted as the coin it is of: a thief who trades with himself loses the account at most the distance of his price from the
worth, which is inside what a purchase or a sale of the coin itself could cost. What the market does to a position afterwards no count
bounds; keep little margin there. Leverage, margin type, margin of a position, its mode and transfers are refused by not being listed.

An amendment is counted whole, as a sale at the dearest price: the side it says need not be that of the order it changes, which nobody
knows here. A conditional order is counted as what it becomes when it is triggered.
"""

from __future__ import annotations

from collections.abc import Mapping

DIALECT = "binance_usdm"
REPEATS = 600
"""300 orders in ten seconds, as the exchange publishes its limit, and a signature's life that touches two such windows."""
_READS = (
    "v1/order v1/openOrders v1/allOrders v1/userTrades v1/accountConfig v1/symbolConfig v1/leverageBracket v1/commissionRate v1/rateLimit/order "
    "v1/algoOrder v1/openAlgoOrders v1/allAlgoOrders v3/account v3/balance v3/positionRisk"
).split()
ORDERS = frozenset(
    {"POST /fapi/v1/order", "POST /fapi/v1/order/test", "PUT /fapi/v1/order", "POST /fapi/v1/algoOrder"}
)
ENDPOINTS = (
    frozenset(f"GET /fapi/{name}" for name in _READS)
    | ORDERS
    | {
        "DELETE /fapi/v1/order",
        "DELETE /fapi/v1/allOpenOrders",
        "DELETE /fapi/v1/algoOrder",
        "DELETE /fapi/v1/algoOpenOrders",
        "POST /fapi/v1/countdownCancelAll",
    }
)
PARAMETERS = frozenset(
    (
        "symbol side type timeInForce quantity price reduceOnly goodTillDate newClientOrderId origClientOrderId orderId newOrderRespType "
        "selfTradePreventionMode algoType triggerPrice clientAlgoId algoId countdownTime recvWindow timestamp startTime endTime "
        "fromId limit"
    ).split()
)
_BECOMES = {"STOP": "LIMIT", "TAKE_PROFIT": "LIMIT", "STOP_MARKET": "MARKET", "TAKE_PROFIT_MARKET": "MARKET"}


def plain(values: Mapping[str, str]) -> dict[str, str]:
    """An order's parameters in a plain order's words. No purchase inside the band exceeds what an amendment counts as."""
    found = dict(values)
    kind = found.get("type")
    if kind in _BECOMES and "triggerPrice" in found:
        found["type"] = _BECOMES[kind]
    elif kind is None and ("origClientOrderId" in found or "orderId" in found):
        found |= {"type": "LIMIT", "side": "SELL"}
    return found
