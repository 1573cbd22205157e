"""The dialect: requests to parameters, payloads to nouns, error codes to verbs. Pure; amounts are strings until Decimal.

Sources: the venue's published REST, WebSocket and error documentation. A fill's quantities are gross; the commission
stands beside them in its own asset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from agent.domain.ids import ClOrdId
from agent.domain.instruments import cex_id
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot
from agent.market.reading import name as text_of
from agent.market.reading import ns_of_ms, whole
from agent.market.reading import number as exact
from agent.ports import VenueInstrument
from agent.transport.binance_account import AccountReader
from agent.venues import check_order, number, understood

STATUS = {
    "PENDING_NEW": OrdStatus.PENDING_NEW,
    "NEW": OrdStatus.NEW,
    "PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
    "FILLED": OrdStatus.FILLED,
    "PENDING_CANCEL": OrdStatus.PENDING_CANCEL,
    "CANCELED": OrdStatus.CANCELED,
    "REJECTED": OrdStatus.REJECTED,
    "EXPIRED": OrdStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrdStatus.EXPIRED,
}
EXEC_TYPE = {
    "NEW": ExecType.NEW,
    "TRADE": ExecType.TRADE,
    "CANCELED": ExecType.CANCELED,
    "REJECTED": ExecType.REJECTED,
    "EXPIRED": ExecType.EXPIRED,
    "TRADE_PREVENTION": ExecType.EXPIRED,
}
SUBSCRIBE = "userDataStream.subscribe.signature"

# requests


def new_order_params(order: VenueOrder, instrument: VenueInstrument) -> dict[str, str | int]:
    """Raises Usage OFF_GRID or MISSING_PRICE for an order the venue's filters would refuse."""
    check_order(order, instrument)
    params: dict[str, str | int] = {
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.ord_type.value,
        "quantity": number(order.order_qty),
        "newClientOrderId": order.cl_ord_id,
        "newOrderRespType": "FULL",
    }
    if order.px is not None and order.ord_type is OrdType.LIMIT:
        params |= {"timeInForce": order.time_in_force.value, "price": number(order.px)}
    return params


def subscribe_message(params: Mapping[str, str | int], signature: str) -> str:
    body = {
        "id": 1,
        "method": SUBSCRIBE,
        "params": {**params, "signature": signature},
    }
    return orjson.dumps(body).decode()


# replies


def instruments(data: Any, maker_bps: Decimal, taker_bps: Decimal) -> dict[str, VenueInstrument]:
    """Those that trade and state their steps, by symbol: without a tick and a lot no order could be made."""
    found: dict[str, VenueInstrument] = {}
    with understood("exchangeInfo"):
        for row in data["symbols"]:
            if row["status"] != "TRADING" or not row.get("isSpotTradingAllowed", True):
                continue
            rules = {rule["filterType"]: rule for rule in row["filters"]}
            if "PRICE_FILTER" not in rules or "LOT_SIZE" not in rules:
                continue
            notional = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL") or {"minNotional": "0"}
            found[row["symbol"]] = VenueInstrument(
                row["symbol"],
                row["baseAsset"],
                row["quoteAsset"],
                exact(rules["PRICE_FILTER"]["tickSize"]).normalize(),
                exact(rules["LOT_SIZE"]["stepSize"]).normalize(),
                exact(rules["LOT_SIZE"]["minQty"]).normalize(),
                exact(notional["minNotional"]).normalize(),
                taker_bps,
                maker_bps,
            )
    return found


@dataclass(frozen=True, slots=True)
class Permissions:
    """Of the account, not of the key: which key may withdraw the venue tells on a page of its own only."""

    trade: bool
    withdraw: bool
    kinds: tuple[str, ...]


def permissions(data: Any) -> Permissions:
    with understood("account"):
        return Permissions(
            bool(data["canTrade"]), bool(data["canWithdraw"]), tuple(str(k) for k in data["permissions"])
        )


def commission_bps(data: Any) -> tuple[Decimal, Decimal]:
    """(maker, taker) of this account, in basis points."""
    with understood("account"):
        rates = data["commissionRates"]
        return exact(rates["maker"]) * 10_000, exact(rates["taker"]) * 10_000


def balances(data: Any, venue: str) -> list[Balance]:
    with understood("account"):
        return [
            Balance(cex_id(venue, text_of(row["asset"])), exact(row["free"]), exact(row["locked"]))
            for row in data["balances"]
            if exact(row["free"]) or exact(row["locked"])
        ]


class Reader(AccountReader):
    """Payloads of one venue's account to nouns."""

    def __init__(self, venue: str, known: Mapping[str, VenueInstrument]) -> None:
        super().__init__(venue, known, STATUS)

    def base_qty(self, fill: Fill) -> Decimal:
        """A fill's quantity as the order counts it: in the base asset."""
        base = cex_id(self.venue, self._known[fill.exec_id.partition(":")[0]].base)
        return fill.qty_out if fill.asset_out == base else fill.qty_in

    def placed(self, data: Any) -> OrderSnapshot:
        """The FULL answer to a new order, fills included. Raises Reconcile where it cannot be read: it was a write."""
        with understood("the answer to a new order", write=True):
            side = Side(data["side"])
            fills = tuple(
                self.fill(
                    data["symbol"],
                    side,
                    row["tradeId"],
                    row["price"],
                    row["qty"],
                    row["commission"],
                    row["commissionAsset"],
                    data["transactTime"],
                )
                for row in data.get("fills", ())
            )
            return self._snapshot(data, data["clientOrderId"], data["transactTime"], fills)

    def order(self, data: Any, fills: Iterable[Fill] = ()) -> OrderSnapshot:
        """One row of GET order, openOrders or allOrders."""
        with understood("an order"):
            return self._snapshot(data, data["clientOrderId"], data["updateTime"], tuple(fills))

    def cancelled(self, data: Any, fills: Iterable[Fill] = ()) -> OrderSnapshot:
        with understood("the answer to a cancel", write=True):
            return self._snapshot(data, data["origClientOrderId"], data["transactTime"], tuple(fills))

    def trade(self, row: Any) -> tuple[str, int, Fill]:
        """(venue order id, trade id, fill) of one row of myTrades."""
        with understood("a trade"):
            side = Side.BUY if row["isBuyer"] else Side.SELL
            fill = self.fill(
                row["symbol"],
                side,
                row["id"],
                row["price"],
                row["qty"],
                row["commission"],
                row["commissionAsset"],
                row["time"],
            )
            return str(whole(row["orderId"])), whole(row["id"]), fill

    def report(self, event: Any) -> ExecutionReport | None:
        """An executionReport; None for what changes nothing here. On a cancel the order's own id stands in C."""
        with understood("an executionReport"):
            kind = EXEC_TYPE.get(event["x"])
            if kind is None:
                return None
            own_id = event["C"] if event["x"] == "CANCELED" and event["C"] else event["c"]
            fill = None
            if kind is ExecType.TRADE:
                fill = self.fill(
                    event["s"],
                    Side(event["S"]),
                    event["t"],
                    event["L"],
                    event["l"],
                    event["n"],
                    event["N"] or self._known[event["s"]].base,
                    event["T"],
                )
            text = "" if event.get("r", "NONE") == "NONE" else str(event["r"])
            return ExecutionReport(
                ClOrdId(text_of(own_id)),
                self.place,
                kind,
                ns_of_ms(event["T"]),
                str(whole(event["i"])),
                fill,
                "",
                text,
            )
