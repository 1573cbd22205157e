"""Coinbase Advanced Trade's payloads as documented, its refusals, and its orders read from their bodies. Spot; fees are taken in the quote."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from agent.app.testvenue import wire
from agent.app.testvenue.book import Book, LevelChange, Order
from agent.app.testvenue.engine import Engine, Execution, Fill, NewOrder, Trade
from agent.app.testvenue.spec import ZERO, SymbolSpec, VenueError
from agent.app.testvenue.wire import Json
from agent.venues import stamp

KINDS = {
    "limit_limit_gtc": ("LIMIT", "GTC", {"base_size", "limit_price", "post_only"}),
    "sor_limit_ioc": ("LIMIT", "IOC", {"base_size", "limit_price"}),
    "limit_limit_fok": ("LIMIT", "FOK", {"base_size", "limit_price"}),
    "market_market_ioc": ("MARKET", "GTC", {"base_size"}),
}
STATES = {"NEW": "OPEN", "PARTIALLY_FILLED": "OPEN", "FILLED": "FILLED", "CANCELED": "CANCELLED", "EXPIRED": "CANCELLED", "EXPIRED_IN_MATCH": "CANCELLED", "REJECTED": "FAILED"}  # fmt: skip
WORDS = {-2010: "INSUFFICIENT_FUND", -1013: "INVALID_SIZE_PRECISION", -1111: "INVALID_PRICE_PRECISION"}


def product_of(spec: SymbolSpec) -> str:
    return f"{spec.base}-{spec.quote}"


def spec_named(engine: Engine, product: Any) -> SymbolSpec:
    found = next((spec for spec in engine.specs.values() if product_of(spec) == product), None)
    if found is None:
        raise VenueError(1, "INVALID_PRODUCT_ID")
    return found


def reason_of(error: VenueError) -> str:
    """A refusal of the engine in this interface's own words."""
    if error.msg == "Order would immediately match and take.":
        return "INVALID_LIMIT_PRICE_POST_ONLY"
    return WORDS.get(error.code, error.msg if error.code == 1 else "UNSUPPORTED_ORDER_CONFIGURATION")


def new_order(engine: Engine, account: str, body: Json) -> NewOrder:
    """Raises VenueError for every malformed, missing or unknown part."""
    config, side, name = body.get("order_configuration"), body.get("side"), body.get("client_order_id")
    if set(body) != {"client_order_id", "product_id", "side", "order_configuration"}:
        raise VenueError(1, "INVALID_ORDER_CONFIG")
    if not isinstance(config, dict) or len(config) != 1 or side not in ("BUY", "SELL"):
        raise VenueError(1, "INVALID_ORDER_CONFIG")
    ((kind, sizes),) = config.items()
    if kind not in KINDS or not isinstance(sizes, dict) or set(sizes) - KINDS[kind][2]:
        raise VenueError(1, "UNSUPPORTED_ORDER_CONFIGURATION")
    type_, tif, _ = KINDS[kind]
    if sizes.get("post_only") is True:
        type_ = "LIMIT_MAKER"
    given = {key: value for key, value in sizes.items() if isinstance(value, str)}
    qty, px = wire.decimal(given, "base_size"), wire.decimal(given, "limit_price")
    if qty is None or (px is None and type_ != "MARKET"):
        raise VenueError(1, "INVALID_ORDER_CONFIG")
    spec = spec_named(engine, body["product_id"])
    return NewOrder(account, spec.symbol, str(name), str(side), type_, tif, px, qty, None)


# names


def order_id(order: Order) -> str:
    return f"{order.order_id:08d}-0000-4000-8000-000000000000"


def entry_number(trade_id: int, buys: bool) -> str:
    """One side of a trade has one number."""
    return f"{trade_id:08d}-{'bbbb' if buys else '5555'}-4000-8000-000000000000"


def entry_id(fill: Fill) -> str:
    return entry_number(fill.trade_id, fill.is_buyer)


# answers


def product_json(spec: SymbolSpec, book: Book) -> Json:
    return {
        "product_id": product_of(spec),
        "price": f"{book.last_px or spec.mid:f}",
        "base_increment": f"{spec.lot:f}",
        "quote_increment": f"{spec.tick:f}",
        "price_increment": f"{spec.tick:f}",
        "quote_min_size": f"{spec.min_notional:f}",
        "quote_max_size": f"{spec.max_notional:f}",
        "base_min_size": f"{spec.lot:f}",
        "base_max_size": f"{spec.max_qty:f}",
        "status": "online",
        "is_disabled": False,
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "view_only": False,
        "product_type": "SPOT",
        "base_currency_id": spec.base,
        "quote_currency_id": spec.quote,
        "alias": "",
        "alias_to": [],
    }


def order_json(order: Order, spec: SymbolSpec, fills: list[Fill]) -> Json:
    sizes: Json = {"base_size": f"{order.qty:f}"}
    kind = next(k for k, (type_, tif, _) in KINDS.items() if type_ == order.type.removesuffix("_MAKER") and tif in (order.tif, "GTC" if order.type == "MARKET" else order.tif))  # fmt: skip
    if kind != "market_market_ioc":
        sizes["limit_price"] = f"{order.px:f}"
    if kind == "limit_limit_gtc":
        sizes["post_only"] = order.type == "LIMIT_MAKER"
    fees = sum((fill.commission for fill in fills), ZERO)
    told: Json = {
        "order_id": order_id(order),
        "product_id": product_of(spec),
        "user_id": "paper",
        "order_configuration": {kind: sizes},
        "side": order.side,
        "client_order_id": order.cl_ord_id,
        "status": STATES[order.status],
        "time_in_force": {"GTC": "GOOD_UNTIL_CANCELLED", "IOC": "IMMEDIATE_OR_CANCEL", "FOK": "FILL_OR_KILL"}[
            order.tif
        ],
        "created_time": stamp(order.time_ms),
        "completion_percentage": f"{100 * order.executed / order.qty:.2f}",
        "filled_size": f"{order.executed:f}",
        "average_filled_price": f"{order.cum_quote / order.executed if order.executed else ZERO:f}",
        "number_of_fills": str(len(fills)),
        "filled_value": f"{order.cum_quote:f}",
        "pending_cancel": False,
        "size_in_quote": False,
        "total_fees": f"{fees:f}",
        "order_type": "MARKET" if order.type == "MARKET" else "LIMIT",
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": not order.is_open,
        "product_type": "SPOT",
    }
    if fills:
        told["last_fill_time"] = stamp(fills[-1].time_ms)
    return told


def fill_json(fill: Fill, order: Order, spec: SymbolSpec) -> Json:
    return {
        "entry_id": entry_id(fill),
        "trade_id": f"{fill.trade_id:08d}-1111-4000-8000-000000000000",
        "order_id": order_id(order),
        "trade_time": stamp(fill.time_ms),
        "trade_type": "FILL",
        "price": f"{fill.px:f}",
        "size": f"{fill.qty:f}",
        "commission": f"{fill.commission:f}",
        "product_id": product_of(spec),
        "sequence_timestamp": stamp(fill.time_ms),
        "liquidity_indicator": "MAKER" if fill.is_maker else "TAKER",
        "size_in_quote": False,
        "user_id": "paper",
        "side": "BUY" if fill.is_buyer else "SELL",
    }


def account_json(engine: Engine, account: str, asset: str) -> Json:
    free, held = engine.free.get((account, asset), ZERO), engine.locked.get((account, asset), ZERO)
    return {
        "uuid": f"{asset}-wallet",
        "name": f"{asset} Wallet",
        "currency": asset,
        "available_balance": {"value": f"{free:f}", "currency": asset},
        "default": True,
        "active": True,
        "type": "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": {"value": f"{held:f}", "currency": asset},
    }


# streams


class Words:
    """How the streams of this dialect say what happened; a connection counts what it is told."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def snapshot(self, spec: SymbolSpec, now_ms: int) -> Json:
        book = self._engine.books[spec.symbol]
        levels = [("bid", book.bids.levels()), ("offer", book.asks.levels())]
        return self._level2(spec, "snapshot", [(side, *one) for side, found in levels for one in found], now_ms)  # fmt: skip

    def depth_update(self, symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
        latest: dict[tuple[str, Decimal], Decimal] = {(c.side, c.px): c.qty for c in changes}
        sides = {"BUY": "bid", "SELL": "offer"}
        told = [(sides[side], px, qty) for (side, px), qty in latest.items()]
        return self._level2(self._engine.specs[symbol], "update", told, now_ms)

    def _level2(
        self, spec: SymbolSpec, kind: str, levels: list[tuple[str, Decimal, Decimal]], now_ms: int
    ) -> Json:
        at = stamp(now_ms)
        updates = [{"side": side, "event_time": at, "price_level": f"{px:f}", "new_quantity": f"{qty:f}"} for side, px, qty in levels]  # fmt: skip
        return said("l2_data", {"type": kind, "product_id": product_of(spec), "updates": updates}, now_ms)

    def trade_event(self, trade: Trade, now_ms: int) -> Json:
        spec = self._engine.specs[trade.symbol]
        told = {
            "trade_id": str(trade.trade_id),
            "product_id": product_of(spec),
            "price": f"{trade.px:f}",
            "size": f"{trade.qty:f}",
            "side": "SELL" if trade.buyer_is_maker else "BUY",
            "time": stamp(now_ms),
        }
        return said("market_trades", {"type": "update", "trades": [told]}, now_ms)

    def execution_report(self, execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
        order = execution.order
        told = {
            "order_id": order_id(order),
            "client_order_id": order.cl_ord_id,
            "cumulative_quantity": f"{order.executed:f}",
            "leaves_quantity": f"{order.remaining:f}",
            "status": STATES[order.status],
            "product_id": product_of(self._engine.specs[order.symbol]),
            "order_side": order.side,
        }
        return said("user", {"type": "update", "orders": [told]}, now_ms)

    def account_position(self, engine: Engine, account: str, now_ms: int) -> Json:
        return {}

    def book_ticker(self, book: Book) -> Json:
        return {}


def said(channel: str, event: Json, now_ms: int) -> Json:
    return {"channel": channel, "client_id": "", "timestamp": stamp(now_ms), "events": [event]}
