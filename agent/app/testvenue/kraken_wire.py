"""Kraken's payloads as documented, its refusals, and its orders read from their parameters. Spot; fees are taken in the quote."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from agent.app.testvenue import wire
from agent.app.testvenue.book import Book, LevelChange, Order
from agent.app.testvenue.engine import Engine, Execution, Fill, NewOrder, Trade
from agent.app.testvenue.spec import EIGHT, ZERO, SymbolSpec, VenueError
from agent.app.testvenue.wire import Json

DEPTH = 10
STATES = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "closed", "CANCELED": "canceled", "EXPIRED": "canceled", "EXPIRED_IN_MATCH": "canceled", "REJECTED": "expired"}  # fmt: skip
"""What was to be done at once and was not ends as cancelled there."""
WORDS = {
    -1013: "EOrder:Order minimum not met",
    -2010: "EOrder:Insufficient funds",
    -2011: "EOrder:Unknown order",
    -2013: "EOrder:Unknown order",
    -2038: "EOrder:Invalid order",
    -1102: "EGeneral:Invalid arguments",
    -1100: "EGeneral:Invalid arguments",
    -1111: "EOrder:Tick size check failed",
}
GIVEN = frozenset("nonce pair type ordertype volume price timeinforce oflags cl_ord_id deadline".split())


def reworded(error: VenueError) -> str:
    """A refusal of the engine in this interface's own words."""
    if error.msg.startswith("E") and ":" in error.msg:
        return error.msg
    if error.msg == "Duplicate order sent.":
        return "EGeneral:Invalid arguments:cl_ord_id"
    return WORDS.get(error.code, f"EGeneral:Invalid arguments:{error.msg[:60]}")


def ws_name(spec: SymbolSpec) -> str:
    return f"{spec.base}/{spec.quote}"


def spec_named(engine: Engine, name: str) -> SymbolSpec:
    found = next((s for s in engine.specs.values() if name in (s.symbol, ws_name(s))), None)
    if found is None:
        raise VenueError(1, "EQuery:Unknown asset pair")
    return found


def needed(params: Mapping[str, str], name: str) -> str:
    if not params.get(name):
        raise VenueError(1, f"EGeneral:Invalid arguments:{name}")
    return params[name]


def new_order(engine: Engine, account: str, params: Mapping[str, str], now_ms: int) -> NewOrder:
    """Raises VenueError for every malformed, missing or unknown parameter."""
    strange = next((name for name in params if name not in GIVEN), None)
    if strange is not None:
        raise VenueError(1, f"EGeneral:Invalid arguments:{strange}")
    spec, kind = spec_named(engine, needed(params, "pair")), needed(params, "ordertype")
    in_time(params, now_ms)
    side, tif = needed(params, "type"), params.get("timeinforce", "GTC")
    if kind not in ("limit", "market") or side not in ("buy", "sell") or tif not in ("GTC", "IOC"):
        raise VenueError(1, "EGeneral:Invalid arguments:ordertype")
    flags = set(params.get("oflags", "").split(",")) - {""}
    if flags - {"fciq", "post"} or "fciq" not in flags:
        raise VenueError(1, "EGeneral:Invalid arguments:oflags")
    needed(params, "volume")
    px, qty = wire.decimal(params, "price") if kind == "limit" else None, wire.decimal(params, "volume")
    if kind == "limit":
        needed(params, "price")
    name = params.get("cl_ord_id", "") or f"none {engine.next_order_id}"
    type_ = "LIMIT_MAKER" if "post" in flags else kind.upper()
    return NewOrder(account, spec.symbol, name, side.upper(), type_, tif, px, qty, None)


def in_time(params: Mapping[str, str], now_ms: int) -> None:
    """Raises VenueError for what was to be carried out earlier."""
    text = params.get("deadline", "")
    if text and datetime.fromisoformat(text).timestamp() * 1_000 < now_ms:
        raise VenueError(1, "EService:Deadline elapsed")


# names


def txid(order: Order) -> str:
    return f"O{order.order_id:05d}-PAPER-EXCHNG"


def trade_number(trade_id: int, buys: bool) -> str:
    """One side of a trade has one number."""
    return f"T{trade_id:05d}-{'BUYER' if buys else 'SELLS'}-EXCHNG"


def trade_txid(fill: Fill) -> str:
    return trade_number(fill.trade_id, fill.is_buyer)


def _client(order: Order) -> str | None:
    return None if order.cl_ord_id.startswith("none ") else order.cl_ord_id


# answers


def pair_json(spec: SymbolSpec, engine: Engine) -> Json:
    return {
        "altname": spec.symbol,
        "wsname": ws_name(spec),
        "aclass_base": "currency",
        "base": spec.base,
        "aclass_quote": "currency",
        "quote": spec.quote,
        "cost_decimals": 8,
        "pair_decimals": places(spec.tick),
        "lot_decimals": places(spec.lot),
        "lot_multiplier": 1,
        "fees": [[0, engine.taker_rate * 100]],
        "fees_maker": [[0, engine.maker_rate * 100]],
        "fee_volume_currency": "ZUSD",
        "ordermin": f"{spec.lot:f}",
        "costmin": f"{spec.min_notional:f}",
        "tick_size": f"{spec.tick:f}",
        "status": "online",
    }


def places(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def order_json(order: Order, fills: list[Fill]) -> Json:
    side, kind = order.side.lower(), "limit" if order.px else "market"
    fee = sum((fill.commission for fill in fills), ZERO)
    told: Json = {
        "refid": None,
        "userref": None,
        "cl_ord_id": _client(order),
        "status": STATES[order.status],
        "opentm": seconds(order.time_ms),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": order.symbol,
            "type": side,
            "ordertype": kind,
            "price": f"{order.px:f}",
            "price2": "0",
            "leverage": "none",
            "order": f"{side} {order.qty:f} {order.symbol} @ {kind}",
            "close": "",
        },
        "vol": f"{order.qty:.8f}",
        "vol_exec": f"{order.executed:.8f}",
        "cost": f"{order.cum_quote:f}",
        "fee": f"{fee:f}",
        "price": f"{order.cum_quote / order.executed if order.executed else ZERO:.8f}",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
        "trades": [trade_txid(fill) for fill in fills],
    }
    if not order.is_open:
        told |= {"closetm": seconds(order.update_ms), "reason": "User requested"}
    return told


def trade_json(fill: Fill, order: Order) -> Json:
    return {
        "ordertxid": txid(order),
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": fill.symbol,
        "time": seconds(fill.time_ms),
        "type": "buy" if fill.is_buyer else "sell",
        "ordertype": order.type.lower(),
        "price": f"{fill.px:f}",
        "cost": f"{fill.px * fill.qty:f}",
        "fee": f"{fill.commission:f}",
        "vol": f"{fill.qty:.8f}",
        "margin": "0.00000",
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": fill.is_maker,
        "ledgers": [],
    }


def balances_json(engine: Engine, account: str) -> Json:
    found: Json = {}
    for asset in engine.assets_of(account):
        free, held = engine.free.get((account, asset), ZERO), engine.locked.get((account, asset), ZERO)
        found[asset] = {"balance": f"{free + held:f}", "hold_trade": f"{held:f}"}
    return found


def seconds(at_ms: int) -> Decimal:
    return Decimal(at_ms) / 1_000


def stamp(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms // 1_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}000Z"


# streams


class Words:
    """How the streams of this dialect say what happened. A book is its best ten levels: one that comes back into them is told again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._told: dict[str, tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]] = {}

    def snapshot(self, spec: SymbolSpec, now_ms: int) -> Json:
        book = self._engine.books[spec.symbol]
        bids, asks = self._told[spec.symbol] = _best(book)
        return self._book(spec, "snapshot", bids, asks, now_ms)

    def depth_update(self, symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
        before, after = self._told.get(symbol), _best(self._engine.books[symbol])
        if before is None or before == after:
            return {}
        self._told[symbol] = after
        book = self._engine.books[symbol]
        sides = []
        for old, new, whole in zip(before, after, (book.bids, book.asks), strict=True):
            gone = {px: ZERO for px in old if px not in new and not whole.qty_at(px)}
            sides.append(gone | {px: qty for px, qty in new.items() if old.get(px) != qty})
        return self._book(self._engine.specs[symbol], "update", sides[0], sides[1], now_ms)

    def _book(
        self,
        spec: SymbolSpec,
        kind: str,
        bids: dict[Decimal, Decimal],
        asks: dict[Decimal, Decimal],
        now_ms: int,
    ) -> Json:
        best = self._told[spec.symbol]
        sides = {
            name: [{"price": px, "qty": qty.quantize(EIGHT)} for px, qty in levels.items()]
            for name, levels in (("bids", bids), ("asks", asks))
        }
        data: Json = {"symbol": ws_name(spec), **sides, "checksum": checksum(*best), "timestamp": stamp(now_ms)}  # fmt: skip
        return {"channel": "book", "type": kind, "data": [data]}

    def trade_event(self, trade: Trade, now_ms: int) -> Json:
        spec = self._engine.specs[trade.symbol]
        side = "sell" if trade.buyer_is_maker else "buy"
        told: Json = {"symbol": ws_name(spec), "side": side, "price": trade.px, "qty": trade.qty}
        told |= {"ord_type": "limit", "trade_id": trade.trade_id, "timestamp": stamp(now_ms)}
        return {"channel": "trade", "type": "update", "data": [told]}

    def execution_report(self, execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
        order, fill = execution.order, execution.fill
        spec = self._engine.specs[order.symbol]
        told: Json = {"order_id": txid(order), "timestamp": stamp(now_ms)}
        if _client(order):
            told["cl_ord_id"] = order.cl_ord_id
        if fill is not None:
            told |= {
                "exec_type": "trade",
                "order_status": "filled" if order.status == "FILLED" else "partially_filled",
                "exec_id": trade_txid(fill),
                "trade_id": fill.trade_id,
                "symbol": ws_name(spec),
                "side": order.side.lower(),
                "last_qty": fill.qty,
                "last_price": fill.px,
                "cost": fill.px * fill.qty,
                "liquidity_ind": "m" if fill.is_maker else "t",
                "ord_type": order.type.lower(),
                "fees": [{"asset": fill.commission_asset, "qty": fill.commission}],
            }
        else:
            kind = {"open": "new", "closed": "filled"}.get(STATES[order.status], STATES[order.status])
            told |= {"exec_type": kind, "order_status": kind}
        return {"channel": "executions", "type": "update", "data": [told]}

    def account_position(self, engine: Engine, account: str, now_ms: int) -> Json:
        return {}

    def book_ticker(self, book: Book) -> Json:
        return {}


def _best(book: Book) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
    return dict(book.bids.levels(DEPTH)), dict(book.asks.levels(DEPTH))


def checksum(bids: Mapping[Decimal, Decimal], asks: Mapping[Decimal, Decimal]) -> int:
    """CRC32 over asks, then bids: digits without point and leading zeros, quantities with eight decimals."""

    def digits(value: Decimal) -> str:
        return f"{value:f}".replace(".", "").lstrip("0")

    levels = [*asks.items(), *bids.items()]
    return zlib.crc32("".join(digits(px) + digits(qty.quantize(EIGHT)) for px, qty in levels).encode())
