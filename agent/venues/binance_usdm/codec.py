"""The dialect: requests to parameters, payloads to nouns. Pure; amounts are strings until Decimal.

Sources: the venue's published REST, stream and error documentation. A contract is an asset of its own here, called as its symbol: buying
one takes its notional of the margin asset and gives so many contracts, so that nothing takes a position for a holding of the coin. The
account is in one-way mode: one position a symbol. A fill's quantities are gross; the commission stands beside them in its own asset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import cex_id
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot, Position
from agent.market.reading import above_zero, ns_of_ms, understood, whole
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.ports import VenueInstrument
from agent.transport import binance
from agent.transport.binance_account import AccountReader
from agent.venues import Terms, check_order, number

STATUS = {
    "NEW": OrdStatus.NEW,
    "PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
    "FILLED": OrdStatus.FILLED,
    "CANCELED": OrdStatus.CANCELED,
    "REJECTED": OrdStatus.REJECTED,
    "EXPIRED": OrdStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrdStatus.EXPIRED,
}
EXEC_TYPE = {
    "NEW": ExecType.NEW,
    "TRADE": ExecType.TRADE,
    "CALCULATED": ExecType.TRADE,  # a liquidation, auto-deleveraging or delivery: the exchange's own order, with a trade in it
    "CANCELED": ExecType.CANCELED,
    "REJECTED": ExecType.REJECTED,
    "EXPIRED": ExecType.EXPIRED,
}
NAMES: Mapping[int, str] = {
    **binance.NAMES,
    -1125: "NO_SUCH_LISTEN_KEY",
    -2018: "INSUFFICIENT_BALANCE",
    -2019: "INSUFFICIENT_MARGIN",
    -2021: "WOULD_TRIGGER_AT_ONCE",
    -2022: "REDUCE_ONLY_REJECTED",
    -4014: "FILTER_FAILURE",
    -4023: "FILTER_FAILURE",
    -4061: "HEDGE_MODE",
    -4116: "DUPLICATE_CLIENT_ID",
    -4120: "CONDITIONAL_ELSEWHERE",
    -4164: "FILTER_FAILURE",
    -5022: "POST_ONLY_REJECTED",
}
LEAST_TERM_NS = 600 * 10**9
"""An order that ends by itself stands for longer than this."""


def funding(rows: Any, symbol: str) -> tuple[tuple[int, Decimal], ...]:
    """(time in ns, rate) of v1/fundingRate, oldest first. Raises Halt VENUE_DIALECT."""
    with understood("fundingRate"):
        told = (
            (int(row["fundingTime"]) * 1_000_000, Decimal(row["fundingRate"]))
            for row in rows
            if row["symbol"] == symbol
        )
        return tuple(sorted(told))


# requests


def new_order_params(order: VenueOrder, instrument: VenueInstrument, terms: Terms) -> dict[str, str | int]:
    """Raises Usage OFF_GRID, MISSING_PRICE, BELOW_MIN_QTY, BELOW_MIN_NOTIONAL, UNSUPPORTED_TERMS for what the venue would refuse."""
    checked_terms(order, terms)
    try:
        check_order(order, instrument)
    except Usage as wrong:  # what makes a position smaller may be as small as it likes
        if wrong.code != "BELOW_MIN_NOTIONAL" or not terms.reduce_only:
            raise
    params: dict[str, str | int] = {
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.ord_type.value,
        "quantity": number(order.order_qty),
        "newClientOrderId": order.cl_ord_id,
        "newOrderRespType": "RESULT",
    }
    if order.px is not None and order.ord_type is OrdType.LIMIT:
        tif = order.time_in_force.value
        if terms.post_only:
            tif = "GTX"
        elif terms.good_till_ns:
            tif = "GTD"
        params |= {"timeInForce": tif, "price": number(order.px)}
    if terms.reduce_only:
        params["reduceOnly"] = "true"
    if terms.good_till_ns:
        params["goodTillDate"] = terms.good_till_ns // 10**9 * 1_000  # the venue keeps whole seconds
    return params


def checked_terms(order: VenueOrder, terms: Terms) -> None:
    """Raises Usage UNSUPPORTED_TERMS for an order that rests by its terms and not by its type."""
    rests = order.ord_type is OrdType.LIMIT and order.time_in_force is TimeInForce.GTC
    if (terms.post_only or terms.good_till_ns) and not rests:
        raise Usage(
            "UNSUPPORTED_TERMS",
            f"a {order.ord_type.value} {order.time_in_force.value} order does not rest",
            "post-only and good-till-date are a GTC limit order's",
        )
    if terms.post_only and terms.good_till_ns:
        raise Usage("UNSUPPORTED_TERMS", "post_only and good_till are two times in force", "choose one")


def amend_params(order: VenueOrder, instrument: VenueInstrument) -> dict[str, str | int]:
    """The order with this client id gets this price and quantity. Raises as `new_order_params`."""
    check_order(order, instrument)
    if order.px is None:
        raise Usage("MISSING_PRICE", "an order is amended to a price", "give one")
    return {
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": number(order.order_qty),
        "price": number(order.px),
        "origClientOrderId": order.cl_ord_id,
    }


# replies


def instruments(data: Any, maker_bps: Decimal, taker_bps: Decimal) -> dict[str, VenueInstrument]:
    """Contracts that trade, state their steps and are margined in their quote asset, by symbol."""
    found: dict[str, VenueInstrument] = {}
    with understood("exchangeInfo"):
        for row in data["symbols"]:
            rules = {rule["filterType"]: rule for rule in row["filters"]}
            if row["status"] != "TRADING" or row["marginAsset"] != row["quoteAsset"]:
                continue
            if "PRICE_FILTER" not in rules or "LOT_SIZE" not in rules:
                continue
            symbol = text_of(row["symbol"])
            found[symbol] = VenueInstrument(
                symbol,
                symbol,
                text_of(row["marginAsset"]),
                exact(rules["PRICE_FILTER"]["tickSize"]).normalize(),
                exact(rules["LOT_SIZE"]["stepSize"]).normalize(),
                exact(rules["LOT_SIZE"]["minQty"]).normalize(),
                exact(rules.get("MIN_NOTIONAL", {"notional": "0"})["notional"]).normalize(),
                taker_bps,
                maker_bps,
                "linear",
            )
    return found


@dataclass(frozen=True, slots=True)
class Permissions:
    """Of the account, not of the key. `one_way`: one position a symbol; `kinds` says what it is."""

    trade: bool
    withdraw: bool
    kinds: tuple[str, ...]
    one_way: bool
    multi_asset: bool = False


def permissions(data: Any) -> Permissions:
    """accountConfig."""
    with understood("accountConfig"):
        one_way, multi = not data["dualSidePosition"], bool(data["multiAssetsMargin"])
        kinds = (
            "one-way" if one_way else "hedge mode",
            "multi-asset margin" if multi else "single-asset margin",
        )
        return Permissions(bool(data["canTrade"]), bool(data["canWithdraw"]), kinds, one_way, multi)


def commission_bps(data: Any) -> tuple[Decimal, Decimal]:
    """(maker, taker) of one symbol, in basis points."""
    with understood("commissionRate"):
        return exact(data["makerCommissionRate"]) * 10_000, exact(data["takerCommissionRate"]) * 10_000


def balances(data: Any, venue: str) -> list[Balance]:
    """Wallets; what margin takes of one is locked. Gains of open positions are no balance."""
    with understood("balance"):
        found = []
        for row in data:
            wallet, available = exact(row["balance"]), exact(row["availableBalance"])
            if wallet:
                free = max(min(wallet, available), Decimal(0)) if wallet > 0 else wallet
                found.append(Balance(cex_id(venue, text_of(row["asset"])), free, wallet - free))
        return found


def leverages(data: Any) -> dict[str, tuple[Decimal, bool]]:
    """symbolConfig: leverage, and whether margin is isolated, by symbol."""
    with understood("symbolConfig"):
        return {
            text_of(row["symbol"]): (exact(str(whole(row["leverage"]))), row["marginType"] == "ISOLATED")
            for row in data
        }


def positions(data: Any, how: Mapping[str, tuple[Decimal, bool]], venue: str) -> list[Position]:
    """positionRisk, with what `leverages` told."""
    with understood("positionRisk"):
        found = []
        for row in data:
            symbol, qty = text_of(row["symbol"]), exact(row["positionAmt"])
            if qty:
                leverage, isolated = how.get(symbol, (None, False))
                settle = cex_id(venue, text_of(row["marginAsset"]))
                entry, mark = above_zero(row["entryPrice"]), above_zero(row["markPrice"])
                # what it was entered for to the last digit, where the price of entry is rounded
                cost = exact(row["notional"]) - exact(row["unRealizedProfit"])
                asset = cex_id(venue, symbol)
                found.append(Position(symbol, asset, qty, cost, entry, mark, settle, leverage, isolated))
        return found


class Reader(AccountReader):
    """Payloads of one venue's account to nouns: the base of a fill is contracts, its quote what they are margined in."""

    def __init__(self, venue: str, known: Mapping[str, VenueInstrument]) -> None:
        super().__init__(venue, known, STATUS)

    def order(self, data: Any, fills: Iterable[Fill] = (), *, write: bool = False) -> OrderSnapshot:
        """An order as every answer tells it. `write`: it answers a request that changed something."""
        with understood("an order", write=write):
            return self._snapshot(data, data["clientOrderId"], data["updateTime"], tuple(fills))

    def trade(self, row: Any) -> tuple[str, int, Fill]:
        """(venue order id, trade id, fill) of one row of userTrades."""
        with understood("a trade"):
            fee = row["commission"], row["commissionAsset"]
            fill = self.fill(
                row["symbol"], Side(row["side"]), row["id"], row["price"], row["qty"], *fee, row["time"]
            )
            return str(whole(row["orderId"])), whole(row["id"]), fill

    def report(self, event: Any) -> ExecutionReport | None:
        """An ORDER_TRADE_UPDATE; None for what changes nothing here."""
        with understood("an ORDER_TRADE_UPDATE"):
            told = event["o"]
            kind, traded = EXEC_TYPE.get(told["x"]), exact(told["l"])
            if kind is None or told["s"] not in self._known or (kind is ExecType.TRADE and not traded):
                return None
            fill = None
            if kind is ExecType.TRADE:
                margin = self._known[told["s"]].quote
                fee = told.get("n") or "0", told.get("N") or margin
                fill = self.fill(told["s"], Side(told["S"]), told["t"], told["L"], told["l"], *fee, told["T"])
            name, number_there = ClOrdId(text_of(told["c"])), str(whole(told["i"]))
            return ExecutionReport(name, self.place, kind, ns_of_ms(told["T"]), number_there, fill)
