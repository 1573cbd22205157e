"""Payloads as the venue documents them, and requests read from their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from agent.app.testvenue.book import Book, LevelChange, Order
from agent.app.testvenue.engine import STOPS, Engine, Execution, Fill, NewOrder, Trade
from agent.app.testvenue.spec import EIGHT, ZERO, VenueError, fmt

CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
CLIENT_ID_TEXT = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
TYPES = ("LIMIT", "MARKET", "LIMIT_MAKER", *STOPS)
STP = ("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH")
LARGEST = Decimal(10) ** 12
Json = dict[str, object]


def required(params: Mapping[str, str], name: str) -> str:
    value = params.get(name, "")
    if not value:
        raise VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def integer(params: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    if name not in params:
        return default
    text = params[name]
    if not text.isdecimal() or len(text) > 19:
        raise VenueError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(text)


def decimal(params: Mapping[str, str], name: str) -> Decimal | None:
    text = params.get(name)
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
        raise VenueError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'.",
        )
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise VenueError(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        ) from None
    if value.quantize(EIGHT) != value:
        raise VenueError(-1111, f"Parameter '{name}' has too much precision.")
    if value > LARGEST:
        raise VenueError(-1108, f"Parameter '{name}' overflowed.")
    return value


def symbol_of(engine: Engine, params: Mapping[str, str]) -> str:
    symbol = required(params, "symbol")
    if symbol not in engine.specs:
        raise VenueError(-1121, "Invalid symbol.")
    return symbol


def new_order(engine: Engine, account: str, params: Mapping[str, str], default_id: str) -> NewOrder:
    """Raises VenueError for every malformed, missing, superfluous or unknown parameter."""
    symbol = symbol_of(engine, params)
    side, kind = required(params, "side"), required(params, "type")
    if side not in ("BUY", "SELL"):
        raise VenueError(-1117, "Invalid side.")
    if kind not in TYPES:
        raise VenueError(-1116, "Invalid orderType.")
    cl_ord_id = params.get("newClientOrderId", default_id)
    if not CLIENT_ID.fullmatch(cl_ord_id):
        raise VenueError(
            -1100,
            f"Illegal characters found in parameter 'newClientOrderId'; legal range is '{CLIENT_ID_TEXT}'.",
        )
    tif = params.get("timeInForce", "")
    px, qty, quote_qty = (
        decimal(params, "price"),
        decimal(params, "quantity"),
        decimal(params, "quoteOrderQty"),
    )
    stop_px, iceberg = decimal(params, "stopPrice"), decimal(params, "icebergQty")
    if kind in STOPS:
        required(params, "stopPrice")
    elif stop_px is not None:
        raise VenueError(-1106, "Parameter 'stopPrice' sent when not required.")
    if kind in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"):
        required(params, "timeInForce")
        if tif not in ("GTC", "IOC", "FOK"):
            raise VenueError(-1115, "Invalid timeInForce.")
    elif tif:
        raise VenueError(-1106, "Parameter 'timeInForce' sent when not required.")
    if kind in ("MARKET", "STOP_LOSS", "TAKE_PROFIT"):
        if px is not None:
            raise VenueError(-1106, "Parameter 'price' sent when not required.")
        if kind != "MARKET":
            required(params, "quantity")
        if (qty is None) == (quote_qty is None):
            raise VenueError(
                -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
            )
    else:
        required(params, "price")
        required(params, "quantity")
        if quote_qty is not None:
            raise VenueError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
    stp = params.get("selfTradePreventionMode", "EXPIRE_MAKER")
    if stp not in STP:
        raise VenueError(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    return NewOrder(
        account, symbol, cl_ord_id, side, kind, tif or "GTC", px, qty, quote_qty, stp, stop_px, iceberg
    )


def order_json(order: Order) -> Json:
    """As GET /api/v3/order answers."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.cl_ord_id,
        "price": fmt(order.px),
        "origQty": fmt(order.qty),
        "executedQty": fmt(order.executed),
        "cummulativeQuoteQty": fmt(order.cum_quote),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": order.side,
        "stopPrice": fmt(order.stop_px),
        "icebergQty": fmt(order.iceberg),
        "time": order.time_ms,
        "updateTime": order.update_ms,
        "isWorking": order.type not in STOPS or order.triggered,
        "workingTime": order.time_ms,
        "origQuoteOrderQty": fmt(order.quote_qty),
        "selfTradePreventionMode": order.stp,
    }


def placed_json(order: Order, fills: list[Fill], kind: str) -> Json:
    """As POST /api/v3/order answers for newOrderRespType ACK, RESULT or FULL."""
    body: Json = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.cl_ord_id,
        "transactTime": order.time_ms,
    }
    if kind == "ACK":
        return body
    body |= {
        "price": fmt(order.px),
        "origQty": fmt(order.qty),
        "executedQty": fmt(order.executed),
        "origQuoteOrderQty": fmt(order.quote_qty),
        "cummulativeQuoteQty": fmt(order.cum_quote),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": order.side,
        "workingTime": order.time_ms,
        "selfTradePreventionMode": order.stp,
    }
    if kind == "FULL":
        body["fills"] = [
            {
                "price": fmt(f.px),
                "qty": fmt(f.qty),
                "commission": fmt(f.commission),
                "commissionAsset": f.commission_asset,
                "tradeId": f.trade_id,
            }
            for f in fills
        ]
    return body


def cancelled_json(order: Order, cancel_id: str) -> Json:
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.cl_ord_id,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": cancel_id,
        "transactTime": order.update_ms,
        "price": fmt(order.px),
        "origQty": fmt(order.qty),
        "executedQty": fmt(order.executed),
        "origQuoteOrderQty": fmt(order.quote_qty),
        "cummulativeQuoteQty": fmt(order.cum_quote),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": order.side,
        "selfTradePreventionMode": order.stp,
    }


def my_trade_json(fill: Fill) -> Json:
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": fmt(fill.px),
        "qty": fmt(fill.qty),
        "quoteQty": fmt(fill.px * fill.qty),
        "commission": fmt(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": fill.time_ms,
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def public_trade_json(trade: Trade) -> Json:
    return {
        "id": trade.trade_id,
        "price": fmt(trade.px),
        "qty": fmt(trade.qty),
        "quoteQty": fmt(trade.px * trade.qty),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def depth_json(book: Book, limit: int) -> Json:
    return {
        "lastUpdateId": book.update_id,
        "bids": [[fmt(p), fmt(q)] for p, q in book.bids.levels(limit)],
        "asks": [[fmt(p), fmt(q)] for p, q in book.asks.levels(limit)],
    }


def ticker_json(book: Book) -> Json:
    bid, ask = book.bids.best(), book.asks.best()
    return {
        "symbol": book.symbol,
        "bidPrice": fmt(bid or ZERO),
        "bidQty": fmt(book.bids.qty_at(bid) if bid is not None else ZERO),
        "askPrice": fmt(ask or ZERO),
        "askQty": fmt(book.asks.qty_at(ask) if ask is not None else ZERO),
    }


def account_json(engine: Engine, account: str, now_ms: int) -> Json:
    return {
        "makerCommission": int(engine.maker_rate * 10_000),
        "takerCommission": int(engine.taker_rate * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": fmt(engine.maker_rate),
            "taker": fmt(engine.taker_rate),
            "buyer": fmt(ZERO),
            "seller": fmt(ZERO),
        },
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": now_ms,
        "accountType": "SPOT",
        "balances": balances_json(engine, account, "asset", "free", "locked"),
        "permissions": ["SPOT"],
    }


def balances_json(engine: Engine, account: str, asset: str, free: str, locked: str) -> list[Json]:
    return [
        {
            asset: name,
            free: fmt(engine.free.get((account, name), ZERO)),
            locked: fmt(engine.locked.get((account, name), ZERO)),
        }
        for name in engine.assets_of(account)
    ]


# streams


def execution_report(execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
    order, fill = execution.order, execution.fill
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": cancel_id if execution.exec_type == "CANCELED" and cancel_id else order.cl_ord_id,
        "S": order.side,
        "o": order.type,
        "f": order.tif,
        "q": fmt(order.qty),
        "p": fmt(order.px),
        "P": fmt(order.stop_px),
        "F": fmt(order.iceberg),
        "g": order.list_id,
        "C": order.cl_ord_id if execution.exec_type == "CANCELED" else "",
        "x": execution.exec_type,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": fmt(fill.qty if fill else ZERO),
        "z": fmt(order.executed),
        "L": fmt(fill.px if fill else ZERO),
        "n": fmt(fill.commission) if fill else "0",
        "N": fill.commission_asset if fill else None,
        "T": order.update_ms,
        "t": fill.trade_id if fill else -1,
        "w": order.resting,
        "m": fill.is_maker if fill else False,
        "M": False,
        "O": order.time_ms,
        "Z": fmt(order.cum_quote),
        "Y": fmt(fill.px * fill.qty if fill else ZERO),
        "Q": fmt(order.quote_qty),
        "W": order.time_ms,
        "V": order.stp,
    }


def account_position(engine: Engine, account: str, now_ms: int) -> Json:
    balances = balances_json(engine, account, "a", "f", "l")
    return {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances}


def depth_update(symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
    latest = {(c.side, c.px): c.qty for c in changes}
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": symbol,
        "U": changes[0].update_id,
        "u": changes[-1].update_id,
        "b": [[fmt(px), fmt(qty)] for (side, px), qty in latest.items() if side == "BUY"],
        "a": [[fmt(px), fmt(qty)] for (side, px), qty in latest.items() if side == "SELL"],
    }


def trade_event(trade: Trade, now_ms: int) -> Json:
    return {
        "e": "trade",
        "E": now_ms,
        "s": trade.symbol,
        "t": trade.trade_id,
        "p": fmt(trade.px),
        "q": fmt(trade.qty),
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def book_ticker(book: Book) -> Json:
    ticker = ticker_json(book)
    return {
        "u": book.update_id,
        "s": book.symbol,
        "b": ticker["bidPrice"],
        "B": ticker["bidQty"],
        "a": ticker["askPrice"],
        "A": ticker["askQty"],
    }
