"""What dYdX's indexer says, as documented, of the engine of contracts; and the chain's units of its markets."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from agent.app.testvenue.book import Book, LevelChange, Order
from agent.app.testvenue.engine import Engine, Execution, Fill, Trade
from agent.app.testvenue.futures import LEVERAGE, FuturesEngine, futures_of
from agent.app.testvenue.spec import ZERO, SymbolSpec
from agent.app.testvenue.wire import Json

NAMESPACE = uuid.UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d")
RESOLUTION, CONVERSION = -9, -9
BEGAN_MS = 1_767_225_600_000
BOOKS, TRADES, MARKETS, ACCOUNTS = "v4_orderbook", "v4_trades", "v4_markets", "v4_subaccounts"


@dataclass(frozen=True, slots=True)
class Name:
    """What the engine keeps as an order's name: the indexer's number of it and what the chain knows besides."""

    id: str
    client_id: int
    flags: int
    until: int
    height: int

    def __str__(self) -> str:
        return f"{self.id} {self.client_id} {self.flags} {self.until} {self.height}"


def name_of(order: Order) -> Name:
    number, *rest = order.cl_ord_id.split(" ")
    return Name(number, *(int(part) for part in rest))


def order_number(owner: str, subaccount: int, client_id: int, pair: int, flags: int) -> str:
    whose = uuid.uuid5(NAMESPACE, f"{owner}-{subaccount}")
    return str(uuid.uuid5(NAMESPACE, f"{whose}-{client_id}-{pair}-{flags}"))


def fill_number(order_id: int, trade_id: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{order_id}-{trade_id}"))


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1_000:03d}Z"


def ticker(spec: SymbolSpec) -> str:
    return f"{spec.base}-USD"


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def px_of(subticks: int) -> Decimal:
    return Decimal(subticks).scaleb(CONVERSION - 6 - RESOLUTION)


def qty_of(quantums: int) -> Decimal:
    return Decimal(quantums).scaleb(RESOLUTION)


class Words:
    """How this dialect says what happened, by HTTP and on the line. `block_ms`: how long a block takes; `began_ms`: when the first was."""

    def __init__(self, engine: Engine, block_ms: int, began_ms: int) -> None:
        self.engine, self.block_ms, self.began_ms = futures_of(engine), block_ms, began_ms
        self.pairs = {spec.symbol: number for number, spec in enumerate(self.engine.specs.values(), 1)}

    def height(self, now_ms: int) -> int:
        return (now_ms - self.began_ms) // self.block_ms

    def height_json(self, now_ms: int) -> Json:
        height = self.height(now_ms)
        return {"height": str(height), "time": iso(self.began_ms + height * self.block_ms)}

    def market_json(self, spec: SymbolSpec) -> Json:
        levers = [lever for (_, symbol), lever in self.engine.leverage.items() if symbol == spec.symbol]
        return {
            "clobPairId": str(self.pairs[spec.symbol]),
            "ticker": ticker(spec),
            "status": "ACTIVE",
            "oraclePrice": plain(self.engine.mark(spec.symbol)),
            "nextFundingRate": "0",
            "initialMarginFraction": plain(Decimal(1) / max(levers, default=LEVERAGE)),
            "maintenanceMarginFraction": "0.03",
            "openInterest": "0",
            "atomicResolution": RESOLUTION,
            "quantumConversionExponent": CONVERSION,
            "tickSize": plain(spec.tick),
            "stepSize": plain(spec.lot),
            "stepBaseQuantums": int(spec.lot.scaleb(-RESOLUTION)),
            "subticksPerTick": int(spec.tick.scaleb(RESOLUTION + 6 - CONVERSION)),
            "marketType": "CROSS",
        }

    def book_json(self, book: Book) -> Json:
        sides = {"bids": book.bids.levels(), "asks": book.asks.levels()}
        return {
            name: [{"price": plain(px), "size": plain(qty)} for px, qty in levels]
            for name, levels in sides.items()
        }

    def status(self, order: Order, now_ms: int) -> str:
        if order.is_open:
            return "OPEN"
        if order.status == "FILLED":
            return "FILLED"
        name = name_of(order)
        over = name.flags or self.height(now_ms) > name.until
        return "CANCELED" if over else "BEST_EFFORT_CANCELED"

    def order_json(self, order: Order, now_ms: int) -> Json:
        name = name_of(order)
        until = (
            {"goodTilBlockTime": iso(name.until * 1_000)} if name.flags else {"goodTilBlock": str(name.until)}
        )
        return {
            "id": name.id,
            "clientId": str(name.client_id),
            "clobPairId": str(self.pairs[order.symbol]),
            "side": order.side,
            "size": plain(order.qty),
            "totalFilled": plain(order.executed),
            "price": plain(order.px),
            "type": "LIMIT",
            "status": self.status(order, now_ms),
            "timeInForce": "IOC" if order.tif == "IOC" else "GTT",
            "postOnly": order.tif == "GTX",
            "reduceOnly": order.reduce_only,
            "orderFlags": str(name.flags),
            **until,
            "createdAtHeight": str(name.height),
            "clientMetadata": "0",
            "updatedAt": iso(order.update_ms),
            "updatedAtHeight": str(self.height(order.update_ms)),
            "ticker": ticker(self.engine.specs[order.symbol]),
            "subaccountNumber": 0,
        }

    def fill_json(self, fill: Fill) -> Json:
        return {
            "id": fill_number(fill.order_id, fill.trade_id),
            "side": "BUY" if fill.is_buyer else "SELL",
            "liquidity": "MAKER" if fill.is_maker else "TAKER",
            "type": "LIMIT",
            "market": ticker(self.engine.specs[fill.symbol]),
            "marketType": "PERPETUAL",
            "price": plain(fill.px),
            "size": plain(fill.qty),
            "fee": plain(fill.commission),
            "createdAt": iso(fill.time_ms),
            "createdAtHeight": str(self.height(fill.time_ms)),
            "orderId": name_of(self.engine.orders[fill.order_id]).id,
            "clientMetadata": "0",
            "subaccountNumber": 0,
        }

    def subaccount_json(self, account: str, now_ms: int) -> Json:
        engine = self.engine
        cash, gains, needs = engine.free.get((account, "USDC"), ZERO), ZERO, ZERO
        positions: Json = {}
        for symbol, spec in engine.specs.items():
            held = engine.position(account, symbol)
            if not held.qty:
                continue
            gains += engine.gain(account, symbol)
            cash -= held.cost
            worth = abs(held.qty) * engine.mark(symbol)
            needs += worth / engine.leverage.get((account, symbol), LEVERAGE)
            positions[ticker(spec)] = self._position(engine, account, spec)
        equity = engine.free.get((account, "USDC"), ZERO) + gains
        size = {"size": plain(abs(cash)), "side": "LONG" if cash >= 0 else "SHORT"}
        return {
            "subaccount": {
                "address": account,
                "subaccountNumber": 0,
                "equity": plain(equity),
                "freeCollateral": plain(equity - needs),
                "openPerpetualPositions": positions,
                "assetPositions": {"USDC": {"symbol": "USDC", "assetId": "0", **size}},
                "marginEnabled": True,
                "latestProcessedBlockHeight": str(self.height(now_ms)),
            }
        }

    @staticmethod
    def _position(engine: FuturesEngine, account: str, spec: SymbolSpec) -> Json:
        held = engine.position(account, spec.symbol)
        return {
            "market": ticker(spec),
            "status": "OPEN",
            "side": "LONG" if held.qty > 0 else "SHORT",
            "size": plain(held.qty),
            "entryPrice": plain(held.entry),
            "unrealizedPnl": plain(engine.gain(account, spec.symbol)),
        }

    # streams

    def execution_report(self, execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
        order, fill = execution.order, execution.fill
        told: Json = {"orders": [self.order_json(order, now_ms)]}
        if fill is not None:  # without its fee, and called otherwise than by HTTP
            whole = self.fill_json(fill)
            kept = {
                name: value
                for name, value in whole.items()
                if name not in ("fee", "market", "marketType", "subaccountNumber")
            }
            told["fills"] = [{**kept, "ticker": whole["market"]}]
        return heard(ACCOUNTS, f"{order.account}/0", told)

    def account_position(self, engine: Engine, account: str, now_ms: int) -> Json:
        return {}

    def depth_update(self, symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
        latest = {(c.side, c.px): c.qty for c in changes}
        rows = {"BUY": "bids", "SELL": "asks"}
        sides: Json = {
            name: [[plain(px), plain(qty)] for (of, px), qty in latest.items() if of == side]
            for side, name in rows.items()
        }
        return heard(BOOKS, ticker(self.engine.specs[symbol]), sides)

    def trade_event(self, trade: Trade, now_ms: int) -> Json:
        told: Json = {
            "id": str(trade.trade_id),
            "side": "SELL" if trade.buyer_is_maker else "BUY",
            "size": plain(trade.qty),
            "price": plain(trade.px),
            "type": "LIMIT",
            "createdAt": iso(now_ms),
        }
        return heard(TRADES, ticker(self.engine.specs[trade.symbol]), {"trades": [told]})

    def book_ticker(self, book: Book) -> Json:
        return {}


def heard(channel: str, of: str, contents: Json, kind: str = "channel_data") -> Json:
    return {"type": kind, "connection_id": "paper", "channel": channel, "id": of, "contents": contents}
