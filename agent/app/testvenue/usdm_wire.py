"""Binance USD-M's payloads as documented, and its orders read from their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from agent.app.testvenue import wire
from agent.app.testvenue.book import Book, LevelChange, Order
from agent.app.testvenue.engine import STOPS, Engine, Execution, Fill, NewOrder, Trade
from agent.app.testvenue.futures import LEVERAGE, FuturesEngine
from agent.app.testvenue.spec import ZERO, SymbolSpec, VenueError, fmt, grid_filters
from agent.app.testvenue.wire import Json

TIMES = ("GTC", "IOC", "FOK", "GTX", "GTD")
FOREVER_MS = 4_133_404_800_000
"""What the venue dates the delivery of a perpetual."""
LEAST_TERM_MS = 600_000
RENAMED = {"Duplicate order sent.": (-4116, "ClientOrderId is duplicated."), "Stop price would trigger immediately.": (-2021, "Order would immediately trigger."), "Filter failure: NOTIONAL": (-4164, "Order's notional must be no smaller than 5.0 (unless you choose reduce only)"), "Filter failure: PRICE_FILTER": (-4014, "Price not increased by tick size."), "Filter failure: LOT_SIZE": (-4023, "Qty not increased by step size.")}  # fmt: skip


def reworded(error: VenueError) -> VenueError:
    """A refusal of the engine in this interface's own code and words."""
    code, msg = RENAMED.get(error.msg, (error.code, error.msg))
    return VenueError(code, msg, error.http)


def new_order(
    engine: Engine, account: str, params: Mapping[str, str], default_id: str, now_ms: int
) -> NewOrder:
    """Raises VenueError for every malformed, missing, superfluous or unknown parameter."""
    symbol, side, kind = (
        wire.symbol_of(engine, params),
        wire.required(params, "side"),
        wire.required(params, "type"),
    )
    if side not in ("BUY", "SELL"):
        raise VenueError(-1117, "Invalid side.")
    if kind not in ("LIMIT", "MARKET"):
        raise VenueError(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )
    if params.get("positionSide", "BOTH") != "BOTH":
        raise VenueError(-4061, "Order's position side does not match user's setting.")
    qty, px = wire.decimal(params, "quantity"), wire.decimal(params, "price")
    wire.required(params, "quantity")
    tif, until_ms = params.get("timeInForce", ""), 0
    if kind == "LIMIT":
        wire.required(params, "price")
        if wire.required(params, "timeInForce") not in TIMES:
            raise VenueError(-1115, "Invalid timeInForce.")
        if tif == "GTD":
            until_ms = int(wire.required(params, "goodTillDate")) if params["goodTillDate"].isdecimal() else 0
            if until_ms <= now_ms + LEAST_TERM_MS:
                raise VenueError(-4184, "Good till date is less than current time plus 600 seconds.")
    elif tif or px is not None:
        raise VenueError(-1106, f"Parameter '{'timeInForce' if tif else 'price'}' sent when not required.")
    stp = params.get("selfTradePreventionMode", "EXPIRE_MAKER")
    if stp not in wire.STP[1:] and stp != "NONE":
        raise VenueError(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    return NewOrder(
        account,
        symbol,
        client_id(params, "newClientOrderId", default_id),
        side,
        kind,
        tif or "GTC",
        px,
        qty,
        None,
        stp,
        reduce_only=flag(params, "reduceOnly"),
        good_till_ms=until_ms,
    )


def client_id(params: Mapping[str, str], name: str, default: str) -> str:
    found = params.get(name, default)
    if not wire.CLIENT_ID.fullmatch(found):
        raise VenueError(-4015, "Client order id length should not be more than 36 chars")
    return found


def flag(params: Mapping[str, str], name: str) -> bool:
    text = params.get(name, "false")
    if text not in ("true", "false"):
        raise VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return text == "true"


# answers


def exchange_info(specs: list[SymbolSpec], now_ms: int, weight_limit: int, order_limit: int) -> Json:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit}  # fmt: skip
    orders = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": order_limit}
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [weight, orders],
        "exchangeFilters": [],
        "assets": [{"asset": name, "marginAvailable": True} for name in sorted({s.quote for s in specs})],
        "symbols": [_symbol_info(spec) for spec in specs],
    }


def _symbol_info(spec: SymbolSpec) -> Json:
    return {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": FOREVER_MS,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "marginAsset": spec.quote,
        "pricePrecision": 2,
        "quantityPrecision": 4,
        "underlyingType": "COIN",
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": list(TIMES),
        "filters": [
            *grid_filters(spec),
            {"filterType": "MAX_NUM_ORDERS", "limit": spec.max_open_orders},
            {"filterType": "MIN_NOTIONAL", "notional": fmt(spec.min_notional)},
        ],
    }


def order_json(order: Order) -> Json:
    average = order.cum_quote / order.executed if order.executed else ZERO
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.cl_ord_id,
        "price": fmt(order.px),
        "avgPrice": fmt(average),
        "origQty": fmt(order.qty),
        "executedQty": fmt(order.executed),
        "cumQuote": fmt(order.cum_quote),
        "timeInForce": order.tif,
        "type": order.type,
        "origType": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side,
        "positionSide": "BOTH",
        "stopPrice": fmt(order.stop_px),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.stp,
        "goodTillDate": order.good_till_ms,
        "time": order.time_ms,
        "updateTime": order.update_ms,
    }


def trade_json(fill: Fill) -> Json:
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": "BUY" if fill.is_buyer else "SELL",
        "price": fmt(fill.px),
        "qty": fmt(fill.qty),
        "quoteQty": fmt(fill.px * fill.qty),
        "commission": fmt(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": fill.time_ms,
        "positionSide": "BOTH",
        "buyer": fill.is_buyer,
        "maker": fill.is_maker,
    }


def balances_json(engine: FuturesEngine, account: str, now_ms: int) -> list[Json]:
    found: list[Json] = []
    for asset in engine.assets_of(account):
        wallet = engine.free.get((account, asset), ZERO)
        gains = [engine.gain(account, s) for s, spec in engine.specs.items() if spec.quote == asset]
        available = fmt(max(engine.available(account, asset), ZERO))
        found.append(
            {
                "accountAlias": "paper",
                "asset": asset,
                "balance": fmt(wallet),
                "crossWalletBalance": fmt(wallet),
                "crossUnPnl": fmt(sum(gains, ZERO)),
                "availableBalance": available,
                "maxWithdrawAmount": available,
                "marginAvailable": True,
                "updateTime": now_ms,
            }
        )
    return found


def positions_json(engine: FuturesEngine, account: str, now_ms: int) -> list[Json]:
    """Those that are open."""
    return [
        {
            "symbol": symbol,
            "positionSide": "BOTH",
            "positionAmt": fmt(held.qty),
            "entryPrice": fmt(held.entry),
            "breakEvenPrice": fmt(held.entry),
            "markPrice": fmt(engine.mark(symbol)),
            "unRealizedProfit": fmt(engine.gain(account, symbol)),
            "liquidationPrice": "0",
            "isolatedMargin": "0",
            "notional": fmt(held.qty * engine.mark(symbol)),
            "marginAsset": engine.specs[symbol].quote,
            "isolatedWallet": "0",
            "updateTime": now_ms,
        }
        for (who, symbol), held in engine.positions.items()
        if who == account and held.qty
    ]


def symbol_config_json(engine: FuturesEngine, account: str, symbol: str) -> Json:
    return {
        "symbol": symbol,
        "marginType": "CROSSED",
        "isAutoAddMargin": "false",
        "leverage": engine.leverage.get((account, symbol), LEVERAGE),
        "maxNotionalValue": fmt(engine.specs[symbol].max_notional),
    }


BRACKETS = (
    ("0", "50000", "0.004", "0"),
    ("50000", "500000", "0.005", "50"),
    ("500000", "9000000", "0.01", "2550"),
)
"""Floor and cap of a notional, the rate of maintenance margin there, and what is deducted."""


def brackets_json(symbol: str) -> Json:
    rows = [
        {
            "bracket": number,
            "initialLeverage": 75,
            "notionalFloor": Decimal(floor),
            "notionalCap": Decimal(cap),
            "maintMarginRatio": Decimal(rate),
            "cum": Decimal(cum),
        }
        for number, (floor, cap, rate, cum) in enumerate(BRACKETS, 1)
    ]
    return {"symbol": symbol, "brackets": rows}


# streams


def execution_report(execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
    order, fill = execution.order, execution.fill
    if order.type in STOPS and not order.triggered:
        return _algo_update(order, now_ms)
    kind = "EXPIRED" if execution.exec_type == "TRADE_PREVENTION" else execution.exec_type
    return {
        "e": "ORDER_TRADE_UPDATE",
        "E": now_ms,
        "T": order.update_ms,
        "o": {
            "s": order.symbol,
            "c": order.cl_ord_id,
            "S": order.side,
            "o": order.type,
            "f": order.tif,
            "q": fmt(order.qty),
            "p": fmt(order.px),
            "ap": fmt(order.cum_quote / order.executed if order.executed else ZERO),
            "sp": fmt(order.stop_px),
            "x": kind,
            "X": order.status,
            "i": order.order_id,
            "l": fmt(fill.qty if fill else ZERO),
            "z": fmt(order.executed),
            "L": fmt(fill.px if fill else ZERO),
            "N": fill.commission_asset if fill else None,
            "n": fmt(fill.commission) if fill else "0",
            "T": order.update_ms,
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": fill.is_maker if fill else False,
            "R": order.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": order.type,
            "ps": "BOTH",
            "cp": False,
            "rp": "0",
            "V": order.stp,
            "gtd": order.good_till_ms,
        },
    }


def _algo_update(order: Order, now_ms: int) -> Json:
    told: Json = {
        "caid": order.cl_ord_id,
        "aid": order.order_id,
        "at": "CONDITIONAL",
        "s": order.symbol,
        "S": order.side,
    }
    told |= {
        "ps": "BOTH",
        "f": order.tif,
        "q": fmt(order.qty),
        "X": order.status,
        "tp": fmt(order.stop_px),
        "p": fmt(order.px),
    }
    return {"e": "ALGO_UPDATE", "E": now_ms, "T": now_ms, "o": {**told, "R": order.reduce_only}}


def account_position(engine: Engine, account: str, now_ms: int) -> Json:
    assert isinstance(engine, FuturesEngine)
    wallets = [{"a": b["asset"], "wb": b["balance"], "cw": b["balance"], "bc": "0"} for b in balances_json(engine, account, now_ms)]  # fmt: skip
    held = [
        {
            "s": p["symbol"],
            "pa": p["positionAmt"],
            "ep": p["entryPrice"],
            "bep": p["entryPrice"],
            "cr": "0",
            "up": p["unRealizedProfit"],
            "mt": "cross",
            "iw": "0",
            "ps": "BOTH",
        }  # fmt: skip
        for p in positions_json(engine, account, now_ms)
    ]
    return {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": now_ms, "a": {"m": "ORDER", "B": wallets, "P": held}}


def depth_json(book: Book, limit: int, now_ms: int) -> Json:
    return {**wire.depth_json(book, limit), "E": now_ms, "T": now_ms}


def depth_update(symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
    """Every change takes the next number here, so that the one before the first is the last of the event before."""
    plain = wire.depth_update(symbol, changes, now_ms)
    return {**plain, "T": now_ms, "pu": changes[0].update_id - 1}


def trade_event(trade: Trade, now_ms: int) -> Json:
    return {**wire.trade_event(trade, now_ms), "X": "MARKET"}


def book_ticker(book: Book) -> Json:
    return {"e": "bookTicker", **wire.book_ticker(book)}
