"""Deribit's payloads as documented, its refusals, and its orders read from their parameters. Linear perpetuals, futures where the base of a
symbol has a date, and combos of them, margined in the quote."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from agent.app.testvenue import wire
from agent.app.testvenue.book import Book, LevelChange, Order
from agent.app.testvenue.combos import ComboEngine, ComboSpec
from agent.app.testvenue.engine import Engine, Execution, Fill, NewOrder, Trade
from agent.app.testvenue.futures import LEVERAGE, FuturesEngine
from agent.app.testvenue.spec import EIGHT, ZERO, SymbolSpec, VenueError
from agent.app.testvenue.wire import Json

FOREVER_MS = 32_503_708_800_000
LEAST = Decimal("0.1")
"""No order is for less of the base than this."""
MAINTENANCE = Decimal("0.01")
"""Of a position's notional, what has to be kept."""
CONDITIONS = {"stop_limit": "STOP_LOSS_LIMIT", "stop_market": "STOP_LOSS", "take_limit": "TAKE_PROFIT_LIMIT", "take_market": "TAKE_PROFIT"}  # fmt: skip
KIND_OF = {kind: name for name, kind in CONDITIONS.items()}
STATES = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "filled", "CANCELED": "cancelled", "EXPIRED": "cancelled", "EXPIRED_IN_MATCH": "cancelled", "REJECTED": "rejected", "PENDING_NEW": "untriggered"}  # fmt: skip
TIMES = {"good_til_cancelled": "GTC", "immediate_or_cancel": "IOC", "fill_or_kill": "FOK"}
NAMES = {"GTC": "good_til_cancelled", "GTX": "good_til_cancelled", "IOC": "immediate_or_cancel", "FOK": "fill_or_kill"}  # fmt: skip
CODES = {
    -1007: (11_094, "internal_server_error"),
    -1013: (11_050, "bad_request"),
    -2011: (10_004, "order_not_found"),
    -2013: (11_044, "not_open_order"),
    -2019: (10_009, "not_enough_funds"),
    -2022: (11_030, "other_reject reduce_only"),
    -4028: (10_021, "invalid_amount"),
    -5022: (11_054, "post_only_reject"),
    -2015: (13_009, "unauthorized"),
}


def reworded(error: VenueError) -> VenueError:
    """A refusal of the engine in this interface's own code and words."""
    code, msg = CODES.get(error.code, (error.code if error.code > 0 else 11_050, error.msg))
    return VenueError(code, msg, error.http)


def instrument_of(spec: SymbolSpec) -> str:
    coin, _, rest = spec.base.partition("-")
    return f"{coin if spec.inverse else f'{coin}_{spec.quote}'}-{rest or 'PERPETUAL'}"


def kind_of(spec: SymbolSpec) -> str:
    return "future_combo" if isinstance(spec, ComboSpec) else "future"


def spec_named(engine: Engine, params: Mapping[str, str]) -> SymbolSpec:
    name = needed(params, "instrument_name")
    found = next((spec for spec in engine.specs.values() if instrument_of(spec) == name), None)
    if found is None:
        raise VenueError(10_020, "invalid_or_unsupported_instrument")
    return found


def needed(params: Mapping[str, str], name: str) -> str:
    if not params.get(name):
        raise VenueError(11_050, f"bad_request: {name} is missing")
    return params[name]


def new_order(
    engine: Engine, account: str, params: Mapping[str, str], side: str, order_id: str, now_ms: int
) -> NewOrder:
    """`order_id` stands for the client's: labels are not unique here."""
    spec = spec_named(engine, params)
    in_time(params, now_ms)
    kind, tif = params.get("type", "limit"), params.get("time_in_force", "good_til_cancelled")
    limited = kind in ("limit", "stop_limit", "take_limit")
    if kind not in ("limit", "market", *CONDITIONS) or tif not in TIMES:
        raise VenueError(11_050, "bad_request: type or time_in_force")
    needed(params, "amount")
    qty = wire.decimal(params, "amount")
    if qty is None or qty < least(spec):
        raise VenueError(10_021, "invalid_amount")
    px = price(params, spec) if limited else None
    if kind in CONDITIONS and isinstance(spec, ComboSpec):
        raise VenueError(11_050, "bad_request: no trigger orders in combos")
    if kind in CONDITIONS:
        needed(params, "trigger_price")
        if needed(params, "trigger") != "last_price":
            raise VenueError(
                11_050, "bad_request: this exchange has neither a mark price nor an index of its own"
            )
    post_only = params.get("post_only") == "true"
    if post_only and params.get("reject_post_only") != "true":
        raise VenueError(11_050, "bad_request: this exchange reprices nothing")
    return NewOrder(
        account,
        spec.symbol,
        order_id,
        side,
        CONDITIONS.get(kind, kind.upper()),
        "GTX" if post_only else TIMES[tif],
        px,
        qty,
        None,
        stop_px=wire.decimal(params, "trigger_price") if kind in CONDITIONS else None,
        reduce_only=params.get("reduce_only") == "true",
    )


def least(spec: SymbolSpec) -> Decimal:
    return spec.lot if spec.inverse else LEAST


def price(params: Mapping[str, str], spec: SymbolSpec) -> Decimal:
    """Of an order that has one; below zero where the instrument's may be."""
    text = needed(params, "price")
    below = spec.signed and text.startswith("-")
    found = wire.decimal({"price": text[below:]}, "price")
    assert found is not None
    return -found if below else found


def in_time(params: Mapping[str, str], now_ms: int) -> None:
    """Raises VenueError 13888 for what was to be carried out earlier."""
    until = params.get("valid_until", "")
    if until.isdecimal() and int(until) < now_ms:
        raise VenueError(13_888, "timed_out")


# answers


def instrument_json(spec: SymbolSpec, engine: Engine) -> Json:
    combo = isinstance(spec, ComboSpec)
    return {
        "kind": kind_of(spec),
        "instrument_name": instrument_of(spec),
        "instrument_type": "reversed" if spec.inverse else "linear",
        "base_currency": spec.base.partition("-")[0],
        "counter_currency": spec.quote,
        "quote_currency": spec.quote,
        "settlement_currency": spec.settle,
        "settlement_period": "month" if "-" in spec.base else "perpetual",
        "expiration_timestamp": FOREVER_MS,
        "is_active": True,
        "tick_size": spec.tick,
        "contract_size": spec.lot,
        "min_trade_amount": least(spec),
        "maker_commission": ZERO if combo else engine.maker_rate,  # it is taken of the legs
        "taker_commission": ZERO if combo else engine.taker_rate,
        "max_leverage": 50,
    }


def combo_json(spec: ComboSpec, engine: Engine) -> Json:
    legs = [{"instrument_name": instrument_of(engine.specs[leg]), "amount": ratio} for leg, ratio in spec.legs]  # fmt: skip
    return {"id": instrument_of(spec), "instrument_id": 1, "state": "active", "legs": legs, "creation_timestamp": 0, "state_timestamp": 0}  # fmt: skip


def named(number: str, label: str) -> str:
    """What the engine keeps as an order's name: its number here and its label, so that both outlive this process."""
    return f"{number} {label}"


def number_of(order: Order) -> str:
    return order.cl_ord_id.partition(" ")[0]


def label_of(order: Order) -> str:
    return order.cl_ord_id.partition(" ")[2]


def condition_of(order: Order) -> str:
    """The number of the condition that it is, or was once; "" for an order that never waited."""
    return f"SLTS-{number_of(order)}" if order.type in KIND_OF else ""


def condition_json(order: Order, spec: SymbolSpec) -> Json:
    """What waits, or waited, for its price."""
    state = "triggered" if order.triggered else "untriggered" if order.is_open else STATES[order.status]
    told = order_json(order, spec) | {"order_id": condition_of(order), "order_state": state, "order_type": KIND_OF[order.type], "trigger": "last_price", "trigger_price": order.stop_px, "triggered": order.triggered}  # fmt: skip
    for name in ("filled_amount", "average_price", "trigger_order_id"):
        told.pop(name, None)
    return told


def primary_of(order: Order, engine: Engine) -> Order | None:
    """The order that has to be filled before this one is placed; None where it waits for none, or that was filled."""
    found = engine.lists.get(order.list_id)
    if found is None or found.first is None or found.first == order.order_id:
        return None
    first = engine.orders[found.first]
    return first if first.status != "FILLED" else None


def secondary_of(order: Order, engine: Engine) -> str:
    """The number under which it stands behind an order that is not filled; "" for one that stands by itself."""
    return f"OTO-{number_of(order)}" if primary_of(order, engine) is not None else ""


def secondary_json(order: Order, primary: Order, spec: SymbolSpec) -> Json:
    """What waits for another order, or ended with it: of the kind that it would be, and not triggered."""
    told = order_json(order, spec) | {"order_id": f"OTO-{number_of(order)}", "is_secondary_oto": True, "primary_order_id": number_of(primary)}  # fmt: skip
    told.pop("trigger_order_id", None)
    if order.type in KIND_OF:
        told |= {"order_type": KIND_OF[order.type], "trigger": "last_price", "trigger_price": order.stop_px, "triggered": False}  # fmt: skip
    ended = {} if order.is_open else {"cancel_reason": "user_request" if primary.is_open else "oto_primary_closed"}  # fmt: skip
    return told | ended


def standing_json(order: Order, engine: Engine) -> Json:
    """How it stands now: what waits for another order or for its price, or the order."""
    spec, primary = engine.specs[order.symbol], primary_of(order, engine)
    if primary is not None:
        return secondary_json(order, primary, spec)
    return (
        condition_json(order, spec)
        if order.type in KIND_OF and not order.triggered
        else order_json(order, spec)
    )


def order_json(order: Order, spec: SymbolSpec) -> Json:
    limited = order.type in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
    return {
        **({"trigger_order_id": condition_of(order)} if condition_of(order) else {}),
        "order_id": number_of(order),
        "label": label_of(order),
        "instrument_name": instrument_of(spec),
        "direction": order.side.lower(),
        "order_type": "limit" if limited else "market",
        "order_state": STATES[order.status],
        "time_in_force": NAMES[order.tif],
        "price": order.px if limited else "market_price",
        "amount": order.qty,
        "filled_amount": order.executed,
        "average_price": order.cum_quote / order.executed if order.executed else ZERO,
        "post_only": order.tif == "GTX",
        "reduce_only": order.reduce_only,
        "creation_timestamp": order.time_ms,
        "last_update_timestamp": order.update_ms,
        "api": True,
        "web": False,
    }


def trade_json(fill: Fill, order: Order, spec: SymbolSpec) -> Json:
    return {
        "trade_id": f"{spec.settle}-{fill.trade_id}",
        "trade_seq": fill.trade_id,
        "order_id": number_of(order),
        "label": label_of(order),
        "instrument_name": instrument_of(spec),
        "direction": "buy" if fill.is_buyer else "sell",
        "price": fill.px,
        "amount": fill.qty,
        "fee": fill.commission,
        "fee_currency": fill.commission_asset,
        "liquidity": "M" if fill.is_maker else "T",
        "order_type": "market" if order.type == "MARKET" else "limit",
        "state": STATES[order.status],
        "timestamp": fill.time_ms,
    }


def leg_json(fill: Fill, order: Order, engine: Engine) -> Json:
    """What a combo's trade did in one of its legs, under an order number of its own and no label."""
    spec, combo = engine.specs[fill.symbol], engine.specs[fill.combo]
    told = trade_json(fill, order, spec) | {
        "order_id": f"{spec.settle}-{fill.combo_trade_id}-{fill.trade_id}"
    }
    del told["label"]
    return told | {
        "combo_id": instrument_of(combo),
        "combo_trade_id": f"{combo.settle}-{fill.combo_trade_id}",
    }


def whole_json(fill: Fill, order: Order, engine: Engine) -> Json:
    """As a question about one instrument is answered: a leg by itself, a combo with its legs."""
    if fill.combo:
        return leg_json(fill, order, engine)
    told = trade_json(fill, order, engine.specs[fill.symbol])
    legs = [leg_json(leg, order, engine) for leg in engine.legs_of(fill)] if isinstance(engine, ComboEngine) else []  # fmt: skip
    return told | ({"legs": legs} if legs else {})


def position_json(engine: FuturesEngine, account: str, spec: SymbolSpec) -> Json:
    held = engine.position(account, spec.symbol)
    return {
        "instrument_name": instrument_of(spec),
        "kind": "future",
        "size": held.qty,
        "direction": "buy" if held.qty > 0 else "sell" if held.qty else "zero",
        "average_price": (-held.qty / held.cost).quantize(EIGHT) if spec.inverse and held.qty else held.entry,
        "mark_price": engine.mark(spec.symbol),
        "leverage": engine.leverage.get((account, spec.symbol), LEVERAGE),
        "index_price": engine.mark(spec.symbol),
        "maintenance_margin": engine.notional(spec.symbol, abs(held.qty), None) * MAINTENANCE,
        "floating_profit_loss": engine.gain(account, spec.symbol),
    }


def funding_json(time_ms: int, rate: Decimal, mark: Decimal) -> Json:
    return {
        "timestamp": time_ms,
        "index_price": mark,
        "prev_index_price": mark,
        "interest_1h": rate,
        "interest_8h": rate * 8,
    }


def _gains(engine: FuturesEngine, account: str, asset: str) -> Decimal:
    return sum((engine.gain(account, s) for s, spec in engine.specs.items() if spec.settle == asset), ZERO)


def _maintenance(engine: FuturesEngine, account: str, asset: str) -> Decimal:
    held = (s for s, spec in engine.specs.items() if spec.settle == asset and not isinstance(spec, ComboSpec))
    return sum(
        (engine.notional(s, abs(engine.position(account, s).qty), None) * MAINTENANCE for s in held), ZERO
    )


def summaries_json(engine: FuturesEngine, account: str) -> Json:
    rows = [
        {
            "currency": asset,
            "balance": engine.free.get((account, asset), ZERO),
            "equity": engine.free.get((account, asset), ZERO) + _gains(engine, account, asset),
            "margin_model": "segregated_sm",
            "initial_margin": engine.margin_held(account, asset),
            "maintenance_margin": _maintenance(engine, account, asset),
            "available_funds": engine.available(account, asset),
            "cross_collateral_enabled": False,
        }
        for asset in engine.assets_of(account)
    ]
    return {"summaries": rows}


def error_json(error: VenueError) -> Json:
    return {"jsonrpc": "2.0", "error": {"code": error.code, "message": error.msg, "data": None}}


# streams


def snapshot(book: Book, spec: SymbolSpec, now_ms: int) -> Json:
    sides = {"bids": book.bids.levels(), "asks": book.asks.levels()}
    rows = {name: [["new", px, qty] for px, qty in levels] for name, levels in sides.items()}
    return _told(spec, {"type": "snapshot", "change_id": book.update_id, "timestamp": now_ms, **rows})


def heartbeat() -> Json:
    """Which wants an answer, public/test."""
    return {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}


def _heard(channel: str, data: object) -> Json:
    params: Json = {"channel": channel, "data": data}
    return {"jsonrpc": "2.0", "method": "subscription", "params": params}


def _told(spec: SymbolSpec, data: Json) -> Json:
    name = instrument_of(spec)
    return _heard(f"book.{name}.100ms", {"instrument_name": name, **data})


class Words:
    """How the streams of this dialect say what happened; accounts hear of their own on a line that is logged on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def execution_report(self, execution: Execution, now_ms: int, cancel_id: str = "") -> Json:
        order, fill = execution.order, execution.fill
        spec = self._engine.specs[order.symbol]
        if fill is not None:
            legs = self._engine.legs_of(fill) if isinstance(self._engine, ComboEngine) else []
            rows = [trade_json(fill, order, spec), *(leg_json(leg, order, self._engine) for leg in legs)]
            return _heard("user.trades.any.any.raw", rows)
        return _heard("user.orders.any.any.raw", standing_json(order, self._engine))

    def account_position(self, engine: Engine, account: str, now_ms: int) -> Json:
        return {}

    def depth_update(self, symbol: str, changes: list[LevelChange], now_ms: int) -> Json:
        latest: dict[tuple[str, Decimal], Decimal] = {(c.side, c.px): c.qty for c in changes}
        rows = {"BUY": "bids", "SELL": "asks"}
        sides = {
            name: [["change" if qty else "delete", px, qty] for (of, px), qty in latest.items() if of == side]
            for side, name in rows.items()
        }
        numbers = {"change_id": changes[-1].update_id, "prev_change_id": changes[0].update_id - 1}
        return _told(self._engine.specs[symbol], {"type": "change", **numbers, "timestamp": now_ms, **sides})

    def trade_event(self, trade: Trade, now_ms: int) -> Json:
        name = instrument_of(self._engine.specs[trade.symbol])
        side = "sell" if trade.buyer_is_maker else "buy"
        told: Json = {"instrument_name": name, "trade_id": str(trade.trade_id), "direction": side, "price": trade.px, "amount": trade.qty, "timestamp": now_ms}  # fmt: skip
        return _heard(f"trades.{name}.100ms", [told])

    def book_ticker(self, book: Book) -> Json:
        return {}
