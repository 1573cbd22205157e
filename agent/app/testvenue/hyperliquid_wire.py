"""Hyperliquid's payloads as documented, for one account of spot pairs, or of perpetuals where the engine is one of contracts: orders, fills,
balances, positions, books, and the words of its refusals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from agent.app.testvenue.book import HOUSE, Book, LevelChange, Order
from agent.app.testvenue.engine import Engine, Execution, Fill, Trade
from agent.app.testvenue.futures import LEVERAGE, FuturesEngine
from agent.app.testvenue.spec import ZERO, SymbolSpec, VenueError
from agent.app.testvenue.wire import Json

FIRST_ASSET, DIGITS, DECIMALS, PERP_DECIMALS, LEVELS = 10_000, 5, 8, 6, 20
MOST_LEVERAGE, OWN = 25, "USDC"
"""Of every perpetual here, and what it is margined in."""
STATES = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "filled", "CANCELED": "canceled", "EXPIRED_IN_MATCH": "selfTradeCanceled", "REJECTED": "rejected"}  # fmt: skip
REFUSED = {
    -1013: "Price must be divisible by tick size.",
    -5022: "Post only order would have immediately matched.",
    -2019: "Insufficient margin to place order.",
    -2022: "Reduce only order would increase position.",
}
TIFS = {"Gtc": "GTC", "Ioc": "IOC"}


def coin_of(spec: SymbolSpec, perps: bool = False) -> str:
    return spec.base if perps else f"{spec.base}/{spec.quote}"


def text(value: Decimal) -> str:
    """Plain digits without trailing zeros."""
    return f"{value.normalize():f}"


def tick_of(spec: SymbolSpec, perps: bool = False) -> Decimal:
    """A step of prices around `mid` with five digits that count, and no more decimals than the market may have."""
    finest = Decimal(1).scaleb(
        -((PERP_DECIMALS if perps else DECIMALS) - max(0, -int(spec.lot.normalize().as_tuple().exponent)))
    )
    return min(max(Decimal(1).scaleb(spec.mid.adjusted() - DIGITS + 1), finest), Decimal(1))


def refusal(error: VenueError, asset: int) -> str:
    if error.code == -2010 and "Duplicate" in error.msg:
        return "Order has a cloid that is already in use: duplicate cloid"
    if error.code == -2010 and "insufficient" in error.msg:
        return f"Insufficient spot balance asset={asset}"
    if error.code == -2010:
        return REFUSED[-5022]
    return f"{REFUSED.get(error.code, error.msg)} asset={asset}"


def meta_json(specs: list[SymbolSpec]) -> Json:
    names = list(dict.fromkeys(name for spec in specs for name in (spec.base, spec.quote)))
    lots = {spec.base: max(0, -int(spec.lot.normalize().as_tuple().exponent)) for spec in specs}
    tokens = [{"name": name, "szDecimals": lots.get(name, 8), "weiDecimals": 8, "index": i} for i, name in enumerate(names)]  # fmt: skip
    pairs = [
        {"name": coin_of(s), "tokens": [names.index(s.base), names.index(s.quote)], "index": i, "isCanonical": True}
        for i, s in enumerate(specs)
    ]  # fmt: skip
    return {"tokens": tokens, "universe": pairs}


def perps_json(specs: list[SymbolSpec]) -> Json:
    """Of `meta`: one table of margin for all, which is that of its number."""
    rows = [
        {"name": s.base, "szDecimals": max(0, -int(s.lot.normalize().as_tuple().exponent)), "maxLeverage": MOST_LEVERAGE, "marginTableId": MOST_LEVERAGE}
        for s in specs
    ]  # fmt: skip
    tiers = [{"lowerBound": "0.0", "maxLeverage": MOST_LEVERAGE}]
    return {"universe": rows, "marginTables": [[MOST_LEVERAGE, {"description": "", "marginTiers": tiers}]]}


def state_of_perps(engine: FuturesEngine, account: str, now_ms: int) -> Json:
    """Of `clearinghouseState`: everything is on cross margin."""
    rows, worth, cost, used = list[Json](), ZERO, ZERO, ZERO
    for symbol, spec in engine.specs.items():
        held = engine.position(account, symbol)
        if not held.qty:
            continue
        leverage = engine.leverage.get((account, symbol), LEVERAGE)
        notional = abs(held.qty) * engine.mark(symbol)
        worth, cost, used = worth + notional, cost + held.entry * held.qty, used + notional / leverage
        position = {
            "coin": spec.base,
            "szi": text(held.qty),
            "entryPx": text(held.entry),
            "positionValue": text(notional),
            "unrealizedPnl": text(engine.gain(account, symbol)),
            "leverage": {"type": "cross", "value": leverage},
            "marginUsed": text(notional / leverage),
            "maxLeverage": MOST_LEVERAGE,
        }
        rows.append({"type": "oneWay", "position": position})
    cash = engine.free.get((account, OWN), ZERO)
    gains = sum((engine.gain(account, symbol) for symbol in engine.specs), ZERO)
    summary = {
        "accountValue": text(cash + gains),
        "totalNtlPos": text(worth),
        "totalRawUsd": text(cash - cost),
        "totalMarginUsed": text(used),
    }
    return {
        "assetPositions": rows,
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": text(worth / (2 * MOST_LEVERAGE)),
        "withdrawable": text(max(engine.available(account, OWN), ZERO)),
        "time": now_ms,
    }


def funding_json(coin: str, at_ms: int, rate: Decimal, mark: Decimal) -> Json:
    return {"coin": coin, "fundingRate": text(rate), "premium": "0.0", "time": at_ms}


def no_perps(now_ms: int) -> Json:
    """Of an account that has none."""
    summary = {"accountValue": "0.0", "totalNtlPos": "0.0", "totalRawUsd": "0.0", "totalMarginUsed": "0.0"}
    return {
        "assetPositions": [],
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "withdrawable": "0.0",
        "time": now_ms,
    }


def mid_of(engine: Engine, spec: SymbolSpec) -> Decimal:
    book = engine.books[spec.symbol]
    bid, ask = book.bids.best(), book.asks.best()
    return (bid + ask) / 2 if bid is not None and ask is not None else book.last_px or spec.mid


def status_of(order: Order) -> str:
    """An immediate order that met nobody was rejected; of one that met somebody the rest is cancelled."""
    if order.status == "EXPIRED":
        return "canceled" if order.executed else "iocCancelRejected"
    return STATES[order.status]


def order_json(order: Order, spec: SymbolSpec, perps: bool = False) -> Json:
    return {
        "coin": coin_of(spec, perps),
        "side": "B" if order.side == "BUY" else "A",
        "limitPx": text(order.px),
        "sz": text(order.remaining),
        "origSz": text(order.qty),
        "oid": order.order_id,
        "timestamp": order.time_ms,
        "cloid": order.cl_ord_id,
        "orderType": "Limit",
        "reduceOnly": order.reduce_only,
        "tif": order.tif.capitalize(),
    }


def state_json(order: Order, spec: SymbolSpec, perps: bool = False) -> Json:
    told = {
        "order": order_json(order, spec, perps),
        "status": status_of(order),
        "statusTimestamp": order.update_ms,
    }
    return told


def fill_json(fill: Fill, order: Order, spec: SymbolSpec, perps: bool = False) -> Json:
    return {
        "coin": coin_of(spec, perps),
        "px": text(fill.px),
        "sz": text(fill.qty),
        "side": "B" if fill.is_buyer else "A",
        "time": fill.time_ms,
        "oid": fill.order_id,
        "tid": fill.trade_id,
        "fee": text(fill.commission),
        "feeToken": fill.commission_asset,
        "crossed": not fill.is_maker,
        "cloid": order.cl_ord_id,
    }


def fills_json(engine: Engine, account: str, since_ms: int, most: int) -> list[Json]:
    found = [f for f in engine.fills if f.account == account and f.time_ms >= since_ms]
    perps = isinstance(engine, FuturesEngine)
    return [fill_json(f, engine.orders[f.order_id], engine.specs[f.symbol], perps) for f in found[:most]]


def balances_json(engine: Engine, account: str) -> Json:
    rows = []
    for number, asset in enumerate(engine.assets_of(account)):
        hold = engine.locked.get((account, asset), ZERO)
        total = engine.free.get((account, asset), ZERO) + hold
        rows.append(
            {"coin": asset, "token": number, "total": text(total), "hold": text(hold), "entryNtl": "0.0"}
        )
    return {"balances": rows}


def book_json(book: Book, spec: SymbolSpec, now_ms: int, perps: bool = False) -> Json:
    sides = [[{"px": text(px), "sz": text(qty), "n": 1} for px, qty in side.levels()[:LEVELS]] for side in (book.bids, book.asks)]  # fmt: skip
    return {"coin": coin_of(spec, perps), "time": now_ms, "levels": sides}


def heard(channel: str, data: Any) -> Json:
    return {"channel": channel, "data": data}


class Words:
    """How its streams say what happened. Every message of a book is the whole book."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._perps = engine, isinstance(engine, FuturesEngine)

    def execution_report(self, execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
        order, fill = execution.order, execution.fill
        if order.account == HOUSE:
            return {}
        spec = self._engine.specs[order.symbol]
        if fill is not None:
            return heard(
                "userFills", {"user": order.account, "fills": [fill_json(fill, order, spec, self._perps)]}
            )
        return heard("orderUpdates", [state_json(order, spec, self._perps)])

    def account_position(self, engine: Engine, account: str, now_ms: int) -> Json:
        return {}

    def depth_update(self, symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
        return heard(
            "l2Book", book_json(self._engine.books[symbol], self._engine.specs[symbol], now_ms, self._perps)
        )

    def trade_event(self, trade: Trade, now_ms: int) -> Json:
        told = {"coin": coin_of(self._engine.specs[trade.symbol], self._perps), "side": "A" if trade.buyer_is_maker else "B", "px": text(trade.px), "sz": text(trade.qty), "time": now_ms, "tid": trade.trade_id}  # fmt: skip
        return heard("trades", [told])

    def book_ticker(self, book: Book) -> Json:
        return {}
