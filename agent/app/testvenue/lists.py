"""The doors of order lists, amendments and replacements: their parameters to commands, their outcomes to answers, as documented."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from agent.app.testvenue import wire
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import Engine, NewList, NewOrder, OrderList
from agent.app.testvenue.spec import ZERO, VenueError, fmt
from agent.app.testvenue.venue import Account, Venue
from agent.app.testvenue.wire import Json

Params = dict[str, str]
LEGS = {"price": "Price", "stopPrice": "StopPrice", "timeInForce": "TimeInForce", "icebergQty": "IcebergQty", "newClientOrderId": "ClientOrderId", "type": "Type"}  # fmt: skip


class Replaced(VenueError):
    """A replacement of which a half failed: what became of either stands beside the code."""

    def __init__(self, code: int, msg: str, http: int, data: Json) -> None:
        super().__init__(code, msg, http)
        self.data = data


class ListDoors:
    """`find(params, account, missing)` is the server's look-up; `cancelled` tells it under which id an order is cancelled."""

    def __init__(
        self, venue: Venue, find: Callable[..., Order], cancelled: Callable[[Order, str], None]
    ) -> None:
        self.venue, self._find, self._cancelled = venue, find, cancelled

    # one order

    def amend(self, params: Params, account: Account) -> Json:
        order = self._find(params, account, VenueError(-2013, "Order does not exist."))
        qty = wire.decimal(params, "newQty")
        if qty is None:
            wire.required(params, "newQty")
        if params.get("newClientOrderId", order.cl_ord_id) != order.cl_ord_id:
            raise VenueError(-2038, "This exchange keeps an amended order's own client id.")
        assert qty is not None
        self.venue.amend(order, qty)
        return {
            "transactTime": order.update_ms,
            "executionId": order.order_id,
            "amendedOrder": _amended_json(order),
        }

    def replace(self, params: Params, account: Account) -> Json:
        """Ends one order and sends another. STOP_ON_FAILURE: the other is sent only where the first was ended."""
        mode = wire.required(params, "cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise VenueError(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
        renamed = {"cancelOrigClientOrderId": "origClientOrderId", "cancelOrderId": "orderId"}
        which = {new: params[old] for old, new in renamed.items() if old in params}
        request = wire.new_order(self.venue.engine, account.key, params, secrets.token_hex(11))
        cancel_id = params.get("cancelNewClientOrderId", secrets.token_hex(11))
        ended: Json
        try:
            order = self._find(
                which | {"symbol": params["symbol"]}, account, VenueError(-2011, "Unknown order sent.")
            )
            if order.is_open:
                self._cancelled(order, cancel_id)
            self.venue.cancel(order)
            ended = wire.cancelled_json(order, cancel_id)
        except VenueError as error:
            ended = {"code": error.code, "msg": error.msg}
            if mode == "STOP_ON_FAILURE":
                raise _halves("FAILURE", "NOT_ATTEMPTED", ended, None) from None
        failed = "code" in ended
        try:
            outcome = self.venue.place(request)
        except VenueError as error:
            sent: Json = {"code": error.code, "msg": error.msg}
            raise _halves("FAILURE" if failed else "SUCCESS", "FAILURE", ended, sent) from None
        assert outcome.order is not None
        fills = [e.fill for e in outcome.executions if e.fill and e.order.order_id == outcome.order.order_id]
        sent = wire.placed_json(outcome.order, fills, params.get("newOrderRespType", "FULL"))
        if failed:
            raise _halves("FAILURE", "SUCCESS", ended, sent)
        return {
            "cancelResult": "SUCCESS",
            "newOrderResult": "SUCCESS",
            "cancelResponse": ended,
            "newOrderResponse": sent,
        }

    # lists

    def oco(self, params: Params, account: Account) -> Json:
        shared = {"side": wire.required(params, "side"), "quantity": wire.required(params, "quantity")}
        orders = [self._leg(params, account, name, shared) for name in ("above", "below")]
        return self._place("OCO", params, account, orders)

    def oto(self, params: Params, account: Account) -> Json:
        return self._place(
            "OTO",
            params,
            account,
            [self._own(params, account, "working"), self._own(params, account, "pending")],
        )

    def otoco(self, params: Params, account: Account) -> Json:
        shared = {
            "side": wire.required(params, "pendingSide"),
            "quantity": wire.required(params, "pendingQuantity"),
        }
        pair = [self._leg(params, account, name, shared) for name in ("pendingAbove", "pendingBelow")]
        return self._place("OTOCO", params, account, [self._own(params, account, "working"), *pair])

    def _own(self, params: Params, account: Account, prefix: str) -> NewOrder:
        shared = {
            "side": wire.required(params, f"{prefix}Side"),
            "quantity": wire.required(params, f"{prefix}Quantity"),
        }
        order = self._leg(params, account, prefix, shared)
        if prefix == "working" and order.type not in ("LIMIT", "LIMIT_MAKER"):
            raise VenueError(-1116, "Invalid orderType.")
        return order

    def _leg(self, params: Params, account: Account, prefix: str, shared: Mapping[str, str]) -> NewOrder:
        """One order's fields stand behind its own prefix."""
        wire.required(params, f"{prefix}Type")
        fields = {name: params[prefix + suffix] for name, suffix in LEGS.items() if prefix + suffix in params}
        fields |= {**shared, "symbol": wire.required(params, "symbol")}
        if "selfTradePreventionMode" in params:
            fields["selfTradePreventionMode"] = params["selfTradePreventionMode"]
        return wire.new_order(self.venue.engine, account.key, fields, secrets.token_hex(11))

    def _place(self, kind: str, params: Params, account: Account, orders: list[NewOrder]) -> Json:
        name = params.get("listClientOrderId", secrets.token_hex(11))
        if not wire.CLIENT_ID.fullmatch(name):
            raise VenueError(
                -1100, "Illegal characters found in parameter 'listClientOrderId'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{1,36}$'."
            )  # fmt: skip
        request = NewList(account.key, params["symbol"], name, kind, tuple(orders))
        self.venue.place_list(request)
        engine = self.venue.engine
        found = engine.lists[max(engine.lists)]
        reports = [wire.placed_json(engine.orders[i], [], "RESULT") for i in found.order_ids]
        return list_json(engine, found) | {"orderReports": reports}

    def _list(self, params: Params, account: Account, name: str) -> OrderList:
        list_id, cl_id = wire.integer(params, "orderListId"), params.get(name)
        if list_id is None and not cl_id:
            raise VenueError(
                -1102, f"Param '{name}' or 'orderListId' must be sent, but both were empty/null!"
            )
        mine = [one for one in self.venue.engine.lists.values() if one.account == account.key]
        wanted = [one for one in mine if one.list_id == list_id or (list_id is None and one.cl_id == cl_id)]
        if not wanted:
            raise VenueError(-2018, "Order list does not exist.")
        return wanted[-1]

    def query(self, params: Params, account: Account) -> Json:
        return list_json(self.venue.engine, self._list(params, account, "origClientOrderId"))

    def opened(self, params: Params, account: Account) -> list[Json]:
        lists = self.venue.engine.lists.values()
        return [
            list_json(self.venue.engine, one) for one in lists if one.account == account.key and not one.done
        ]

    def cancel(self, params: Params, account: Account) -> Json:
        found = self._list(params, account, "listClientOrderId")
        engine = self.venue.engine
        orders = [engine.orders[i] for i in found.order_ids]
        opened = [order for order in orders if order.is_open]
        if not opened:
            raise VenueError(-2011, "Unknown order list sent.")
        self.venue.cancel(opened[0])
        reports = [wire.cancelled_json(order, secrets.token_hex(11)) for order in orders]
        return list_json(engine, found) | {"orderReports": reports}


def _amended_json(order: Order) -> Json:
    told = wire.order_json(order)
    same = "symbol orderId orderListId clientOrderId price executedQty status timeInForce type side workingTime selfTradePreventionMode"
    return {
        **{name: told[name] for name in same.split()},
        "origClientOrderId": order.cl_ord_id,
        "qty": fmt(order.qty),
        "preventedQty": fmt(ZERO),
        "quoteOrderQty": fmt(order.quote_qty),
        "cumulativeQuoteQty": fmt(order.cum_quote),
    }


def _halves(ended: str, sent: str, first: Json | None, second: Json | None) -> Replaced:
    data: Json = {
        "cancelResult": ended,
        "newOrderResult": sent,
        "cancelResponse": first,
        "newOrderResponse": second,
    }
    if "SUCCESS" in (ended, sent):
        return Replaced(-2021, "Order cancel-replace partially failed.", 409, data)
    return Replaced(-2022, "Order cancel-replace failed.", 400, data)


def list_json(engine: Engine, found: OrderList) -> Json:
    orders: list[Any] = [engine.orders[i] for i in found.order_ids]
    return {
        "orderListId": found.list_id,
        "contingencyType": "OCO" if found.kind == "OCO" else "OTO",
        "listStatusType": "ALL_DONE" if found.done else "EXEC_STARTED",
        "listOrderStatus": "ALL_DONE" if found.done else "EXECUTING",
        "listClientOrderId": found.cl_id,
        "transactionTime": found.time_ms,
        "symbol": found.symbol,
        "orders": [{"symbol": o.symbol, "orderId": o.order_id, "clientOrderId": o.cl_ord_id} for o in orders],
    }
