"""Order lists, amendments and replacements in the dialect's words, and the thin part of the session that sends them.

A list is one request with one answer: where that is lost the list is asked for by its own client id, never sent again. Sources: the
venue's published order-list, cancel-replace and amend-keep-priority documentation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.domain.errors import Reconcile, Reject, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import Exit, ListSnapshot, OrderList
from agent.domain.orders import OrdType, Side, VenueOrder
from agent.domain.reports import OrderSnapshot
from agent.ports import VenueInstrument
from agent.transport import binance
from agent.transport.http import Reply
from agent.venues import check_grid, number, understood
from agent.venues.binance_spot import codec

if TYPE_CHECKING:
    from agent.venues.binance_spot.session import BinanceSpot

NO_SUCH_LIST = -2018
Params = dict[str, str | int]


def list_request(found: OrderList, instrument: VenueInstrument) -> tuple[str, Params]:
    """(endpoint, parameters). Raises Usage OFF_GRID, BELOW_MIN_QTY, LIST_INCOMPLETE, MISSING_PRICE, BELOW_MIN_NOTIONAL."""
    shared: Params = {
        "symbol": found.symbol,
        "listClientOrderId": found.cl_list_id,
        "newOrderRespType": "RESULT",
    }
    check_grid("quantity", found.qty, instrument.lot, instrument)
    exits = [one for one in (found.above, found.below) if one is not None]
    if not exits or (found.entry is None and len(exits) == 1):
        raise Usage(
            "LIST_INCOMPLETE", "a list is a pair, or an order with what follows it", "give both exits"
        )
    if found.entry is None:
        params = shared | {"side": found.side.value, "quantity": number(found.qty)}
        return "orderList/oco", params | _pair(found, instrument, "above", "below")
    params = shared | _working(found.entry, instrument)
    params |= {"pendingSide": found.side.value, "pendingQuantity": number(found.qty)}
    if len(exits) == 1:
        return "orderList/oto", params | _exit(
            exits[0], found, instrument, "pending", above=found.above is not None
        )
    return "orderList/otoco", params | _pair(found, instrument, "pendingAbove", "pendingBelow")


def _working(entry: VenueOrder, instrument: VenueInstrument) -> Params:
    if entry.ord_type is not OrdType.LIMIT:
        raise Usage("LIST_INCOMPLETE", "the order that opens a list is a limit order", "give its price")
    plain = codec.new_order_params(entry, instrument)
    renamed = {
        "side": "workingSide",
        "type": "workingType",
        "quantity": "workingQuantity",
        "price": "workingPrice",
        "timeInForce": "workingTimeInForce",
        "newClientOrderId": "workingClientOrderId",
    }
    return {renamed[name]: value for name, value in plain.items() if name in renamed}


def _pair(found: OrderList, instrument: VenueInstrument, above: str, below: str) -> Params:
    assert found.above is not None and found.below is not None
    return _exit(found.above, found, instrument, above, above=True) | _exit(
        found.below, found, instrument, below, above=False
    )


def _exit(one: Exit, found: OrderList, instrument: VenueInstrument, prefix: str, *, above: bool) -> Params:
    """A sale above the market takes a profit and below it stops a loss; a purchase the other way round."""
    profit = above == (found.side is Side.SELL)
    if one.stop_px is None:
        kind = "LIMIT_MAKER"
    else:
        kind = ("TAKE_PROFIT" if profit else "STOP_LOSS") + ("_LIMIT" if one.px is not None else "")
    params: Params = {f"{prefix}Type": kind, f"{prefix}ClientOrderId": one.cl_ord_id}
    for name, px in (("Price", one.px), ("StopPrice", one.stop_px)):
        if px is not None:
            check_grid(name, px, instrument.tick, instrument)
            params[f"{prefix}{name}"] = number(px)
    px = one.px or one.stop_px
    if px is None:
        raise Usage("MISSING_PRICE", f"{one.cl_ord_id} has neither a limit nor a stop", "give one")
    if px * found.qty < instrument.min_notional:
        raise Usage(
            "BELOW_MIN_NOTIONAL",
            f"{one.cl_ord_id} is worth less than {number(instrument.min_notional)} {instrument.quote}",
        )
    if kind.endswith("_LIMIT"):
        params[f"{prefix}TimeInForce"] = "GTC"
    return params


def list_snapshot(data: Any) -> ListSnapshot:
    with understood("an order list"):
        return ListSnapshot(
            ClOrdId(str(data["listClientOrderId"])),
            str(data["orderListId"]),
            str(data["symbol"]),
            tuple(ClOrdId(str(row["clientOrderId"])) for row in data["orders"]),
            data["listOrderStatus"] != "EXECUTING",
        )


class OrderLists:
    """Of one session."""

    def __init__(self, venue: BinanceSpot) -> None:
        self._venue = venue

    async def place(self, found: OrderList) -> ListSnapshot:
        """Sends the list once. Raises Usage, Reject, Retry (it never arrived) or Reconcile (it may have: `query`)."""
        venue = self._venue
        path, params = list_request(found, venue.instrument(found.symbol))
        for name in found.cl_ord_ids:
            venue.reports.watch(found.symbol, name)
        return list_snapshot(await venue.signed_write("POST", path, params, "the answer to a new list"))

    async def query(self, cl_list_id: ClOrdId) -> ListSnapshot | None:
        """None only where the venue says that it has no such list."""
        reply = await self._venue.signed_reply("GET", "orderList", {"origClientOrderId": cl_list_id}, 4)
        if reply.status >= 400 and binance.refusal(reply.body).code == NO_SUCH_LIST:
            return None
        return list_snapshot(await self._venue.account.checked(reply, "an order list"))

    async def cancel(self, cl_list_id: ClOrdId, symbol: str) -> ListSnapshot:
        """All of it. One that had ended is given as it ended. Raises Reject NO_SUCH_LIST, or as it was refused; Reconcile."""
        params: Params = {"symbol": symbol, "listClientOrderId": cl_list_id}
        try:
            return list_snapshot(
                await self._venue.signed_write("DELETE", "orderList", params, "the answer to a list's cancel")
            )
        except Reject as refused:
            ended = await self.query(cl_list_id)
            if ended is None:
                raise Reject(
                    "NO_SUCH_LIST", f"{self._venue.name} has no list {cl_list_id}", refused.hint
                ) from None
            if not ended.done:  # it stands as before
                raise
            return ended

    async def reduce(self, cl_ord_id: ClOrdId, symbol: str, qty: Decimal) -> OrderSnapshot:
        """The order has this quantity from now on, less than before, and keeps its id and its place in the queue.

        Raises Usage OFF_GRID, Reject (also for more, or for less than was filled), Reconcile: `query` then tells which it is.
        """
        instrument = self._venue.instrument(symbol)
        check_grid("quantity", qty, instrument.lot, instrument)
        params: Params = {
            "symbol": symbol,
            "origClientOrderId": cl_ord_id,
            "newClientOrderId": cl_ord_id,
            "newQty": number(qty),
        }
        data = await self._venue.signed_write("PUT", "order/amend/keepPriority", params, "an amendment")
        with understood("an amendment", write=True):
            told = data["amendedOrder"]
            row = {**told, "origQty": told["qty"], "updateTime": data["transactTime"]}
        return self._venue.reader.order(row)

    async def replace(self, cl_ord_id: ClOrdId, order: VenueOrder) -> OrderSnapshot:
        """Ends that order and sends this one, under an id of its own; it is not sent where that could not be ended.

        Raises Usage, Reject NOT_REPLACED (neither happened, or the first had ended), Reject CANCELLED_ONLY, Reconcile: both are asked for.
        """
        venue = self._venue
        params = codec.new_order_params(order, venue.instrument(order.symbol))
        params |= {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": cl_ord_id}
        venue.reports.watch(order.symbol, order.cl_ord_id)
        reply = await venue.signed_reply("POST", "order/cancelReplace", params, 1)
        if reply.status >= 400:
            raise _halves(reply, cl_ord_id, order.cl_ord_id)
        with understood("a replacement", write=True):
            return venue.reader.placed(
                binance.load(reply.body, "a replacement", write=True)["newOrderResponse"]
            )


def _halves(reply: Reply, old: ClOrdId, new: ClOrdId) -> Exception:
    says = binance.refusal(reply.body)
    if says.code not in (-2021, -2022):
        return binance.error_of(says, write=True)
    try:
        data = binance.load(reply.body, "a replacement", write=True)["data"]
        ended, why = data["cancelResult"], data["newOrderResponse"] or data["cancelResponse"]
        text = f"the venue says {why['code']}: {why['msg']}"
    except (KeyError, TypeError):
        return Reconcile(
            "VENUE_DIALECT", "a replacement's answer is not as documented", "ask for both orders"
        )
    if ended == "SUCCESS":
        return Reject("CANCELLED_ONLY", f"{old} is cancelled and {new} was refused: {text}", "send another")
    return Reject("NOT_REPLACED", f"{old} could not be cancelled, {new} was not sent: {text}", "ask for it")
