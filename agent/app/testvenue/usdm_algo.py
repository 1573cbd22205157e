"""Binance USD-M's conditional orders: at an address of their own since 2025-12-09, under ids of their own, orders once they are triggered.

They are triggered by the last trade's price (workingType CONTRACT_PRICE).
"""

from __future__ import annotations

import secrets
from typing import Any

from agent.app.testvenue import usdm_wire, wire
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import STOPS, NewOrder
from agent.app.testvenue.spec import VenueError, fmt
from agent.app.testvenue.venue import Account, Venue

KINDS = {"STOP": "STOP_LOSS_LIMIT", "STOP_MARKET": "STOP_LOSS", "TAKE_PROFIT": "TAKE_PROFIT_LIMIT", "TAKE_PROFIT_MARKET": "TAKE_PROFIT"}  # fmt: skip
NAMES = {kind: name for name, kind in KINDS.items()}
Params = dict[str, str]


class AlgoDoors:
    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    @staticmethod
    def waits(order: Order) -> bool:
        """It is a condition still, and no order."""
        return order.type in STOPS and not order.triggered

    def place(self, params: Params, account: Account) -> Any:
        if wire.required(params, "algoType") != "CONDITIONAL":
            raise VenueError(-1130, "Data sent for parameter 'algoType' is not valid.")
        kind = wire.required(params, "type")
        if kind not in KINDS:
            raise VenueError(-1116, "Invalid orderType.")
        if params.get("workingType", "CONTRACT_PRICE") != "CONTRACT_PRICE":
            raise VenueError(-1130, "This exchange has no mark price of its own: workingType CONTRACT_PRICE.")
        limited = kind in ("STOP", "TAKE_PROFIT")
        px = wire.decimal(params, "price")
        wire.required(params, "triggerPrice"), wire.required(params, "quantity")
        if limited:
            wire.required(params, "price")
        elif px is not None:
            raise VenueError(-1106, "Parameter 'price' sent when not required.")
        request = NewOrder(
            account.key,
            wire.symbol_of(self.venue.engine, params),
            usdm_wire.client_id(params, "clientAlgoId", secrets.token_hex(11)),
            wire.required(params, "side"),
            KINDS[kind],
            params.get("timeInForce", "GTC"),
            px,
            wire.decimal(params, "quantity"),
            None,
            stop_px=wire.decimal(params, "triggerPrice"),
            reduce_only=usdm_wire.flag(params, "reduceOnly"),
        )
        try:
            outcome = self.venue.place(request)
        except VenueError as error:
            raise usdm_wire.reworded(error) from None
        assert outcome.order is not None
        return _json(outcome.order)

    def query(self, params: Params, account: Account) -> Any:
        return _json(self._find(params, account, VenueError(-2013, "Order does not exist.")))

    def cancel(self, params: Params, account: Account) -> Any:
        order = self._find(params, account, VenueError(-2011, "Unknown order sent."))
        if not self.waits(order):
            raise VenueError(-2011, "Unknown order sent.")
        self.venue.cancel(order)
        told = {"algoId": order.order_id, "clientAlgoId": order.cl_ord_id}
        return {**told, "code": "200", "msg": "success"}

    def opened(self, params: Params, account: Account) -> Any:
        found = self.venue.engine.open_orders(account.key, params.get("symbol"))
        return [_json(order) for order in found if self.waits(order)]

    def _find(self, params: Params, account: Account, missing: VenueError) -> Order:
        algo_id, name = wire.integer(params, "algoId"), params.get("clientAlgoId")
        if algo_id is None and not name:
            raise VenueError(
                -1102, "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!"
            )
        mine = (o for o in self.venue.engine.orders.values() if o.account == account.key and o.type in STOPS)
        found = [o for o in mine if (o.order_id == algo_id if algo_id is not None else o.cl_ord_id == name)]
        if not found:
            raise missing
        return found[-1]


def _json(order: Order) -> wire.Json:
    status = "NEW" if AlgoDoors.waits(order) and order.is_open else order.status
    if order.triggered:
        status = "TRIGGERED" if order.is_open else "FINISHED"
    return {
        "algoId": order.order_id,
        "clientAlgoId": order.cl_ord_id,
        "algoType": "CONDITIONAL",
        "orderType": NAMES[order.type],
        "symbol": order.symbol,
        "side": order.side,
        "positionSide": "BOTH",
        "timeInForce": order.tif,
        "quantity": fmt(order.qty),
        "algoStatus": status,
        "triggerPrice": fmt(order.stop_px),
        "price": fmt(order.px),
        "workingType": "CONTRACT_PRICE",
        "closePosition": False,
        "priceProtect": False,
        "reduceOnly": order.reduce_only,
        "actualOrderId": str(order.order_id) if order.triggered else "",
        "createTime": order.time_ms,
        "updateTime": order.update_ms,
        "triggerTime": order.update_ms if order.triggered else 0,
    }
