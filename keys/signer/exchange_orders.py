"""How much one order at an exchange can cost, and whether it may be signed: per order, per day, inside a band of prices. Pure.

The signer has no market feed and asks nobody. What it knows is in its own settings: a band [px_from, px_to], in quote units for
one whole base unit, which the owner takes the market not to leave. Whoever has the agent's machine chooses price and other side,
so an order is counted at all that can be lost by it, in quote units:

    SELL quantity           quantity × max(px_to, price)     all of it given away while it is worth px_to
    BUY quantity at price   quantity × price                 all of it paid for nothing
    BUY quoteOrderQty       quoteOrderQty
    a list                  its orders that can trade together, and the dearest of those of which one trades (exchange_lists)

A market purchase of a quantity, and a market sale for an amount of quote, cost whatever the book says: neither has a bound, and
neither is signed. The band is a second lock and lowers no number: an exchange puts query and body together without a separator,
so whoever sends a request chooses where it is cut, and a price of 3000 may be read as 3. A quantity cut short only loses less.

What is an order is told by the parameters and not by the endpoint, which the signature does not cover: an order's words signed
"for reading" open the door to trade.

A signature is used as often as the exchange takes it: it refuses a client's order id only while that order is open, and whoever
trades with himself fills it at once. The life of a signature is therefore short (`LIFE_MS`), and `repeats`, the most orders the
exchange takes of one account meanwhile, multiplies what a day can cost; unless the signer sends orders itself (`exchange_desk`), when
no signature of one leaves it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import Protocol

from chains.errors import Denied
from keys.signer import exchange_lists

MARKS = frozenset({"side", "type", "quantity", "quoteOrderQty", "price"})
"""Any of these makes a request an order, wherever it says it goes."""
TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")
WINDOW_MS, AHEAD_MS = 5_000, 1_000
LIFE_MS = WINDOW_MS + AHEAD_MS
"""An order is dated at most AHEAD_MS ahead and asks for a window of at most WINDOW_MS, the exchange's own where it asks for none."""
_UNUSED = (
    "stopPrice",
    "icebergQty",
    "trailingDelta",
    "strategyId",
    "strategyType",
    "newQty",
)
"""What turns an order into one that is carried out otherwise than it was counted."""
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_WIDE = Context(prec=120)
_SEE = "See `limits` under exchanges in the signer's settings."


@dataclass(frozen=True, slots=True)
class SymbolLimit:
    """What may be traded in one instrument; `inverse`: in dollars' worth of a coin, priced in dollars. `per_order`, `per_day`: quote units, all that orders can cost, see above; any 24 hours.

    `px_from`, `px_to`: quote units for one base unit. `quote_usd`: the dearest a quote unit is taken to be, for the printed bound.
    """

    per_order: Decimal
    per_day: Decimal
    px_from: Decimal
    px_to: Decimal
    quote_usd: Decimal = Decimal(1)
    market: bool = False
    inverse: bool = False


class Limit(Protocol):
    """What every limit has, of one instrument: quote units, all that orders can cost."""

    @property
    def per_order(self) -> Decimal: ...

    @property
    def per_day(self) -> Decimal: ...

    @property
    def quote_usd(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """An order that may be signed: `cost` in quote units is what the ledger keeps of it."""

    symbol: str
    cost: Decimal


def is_order(values: Mapping[str, str]) -> bool:
    return not MARKS.isdisjoint(values) or exchange_lists.is_list(values)


def judge(
    values: Mapping[str, str], limits: Mapping[str, SymbolLimit], spent: Mapping[str, Decimal], now_ms: int
) -> Counted:
    """An order's parameters against its instrument's limits; `spent`: by symbol, of the last 24 hours, quote units.

    Raises Denied EXCHANGE_LIMITS, EXCHANGE_ORDER, EXCHANGE_AHEAD, EXCHANGE_WINDOW, EXCHANGE_MARKET, EXCHANGE_COLLAR,
    EXCHANGE_PER_ORDER or EXCHANGE_PER_DAY.
    """
    symbol = values.get("symbol", "")
    limit = limits.get(symbol)
    if limit is None:
        raise Denied(
            "EXCHANGE_LIMITS", f"an order in {symbol[:40] or 'no symbol'}, for which no limits are set", _SEE
        )
    with localcontext(_WIDE):
        cost = _all_of(values, limit, now_ms)
    return within(symbol, cost, limit, spent, "A sale counts at px_to. " + _SEE)


def judge_legs(
    symbol: str,
    found: exchange_lists.Legs,
    limits: Mapping[str, SymbolLimit],
    spent: Mapping[str, Decimal],
    now_ms: int,
) -> Counted:
    """As `judge`, of a list of orders in one instrument whose legs are plain orders with a timestamp each."""
    limit = limits.get(symbol)
    if limit is None:
        raise Denied("EXCHANGE_LIMITS", f"a list in {symbol[:40]}, for which no limits are set", _SEE)
    with localcontext(_WIDE):
        cost = _cost_of_legs(found, limit, {}, now_ms)
    return within(symbol, cost, limit, spent, "A list counts as what its orders can become. " + _SEE)


def within(symbol: str, cost: Decimal, limit: Limit, spent: Mapping[str, Decimal], hint: str) -> Counted:
    """What may be booked of an order that costs so much. Raises Denied EXCHANGE_PER_ORDER or EXCHANGE_PER_DAY."""
    with localcontext(_WIDE):
        if cost > limit.per_order:
            raise Denied(
                "EXCHANGE_PER_ORDER",
                f"quantity: the order can cost {cost:f}, more than per_order {limit.per_order:f} of {symbol}",
                "Split it. " + hint,
            )
        before = spent.get(symbol, Decimal(0))
        if before + cost > limit.per_day:
            raise Denied(
                "EXCHANGE_PER_DAY",
                f"quantity: {cost:f} on top of {before:f} in 24 hours is more than per_day {limit.per_day:f} of {symbol}",
                "Wait until earlier orders are a day old. " + hint,
            )
    return Counted(symbol, cost)


def _all_of(values: Mapping[str, str], limit: SymbolLimit, now_ms: int) -> Decimal:
    """Of a list: what all its orders that can trade together cost, and the dearest of those of which one trades."""
    if not exchange_lists.is_list(values):
        _shape(values, now_ms)
        return _cost(values, limit)
    dated = {name: values[name] for name in ("timestamp", "recvWindow", *_UNUSED) if name in values}
    return _cost_of_legs(exchange_lists.legs(values), limit, dated, now_ms)


def _cost_of_legs(
    found: exchange_lists.Legs, limit: SymbolLimit, dated: Mapping[str, str], now_ms: int
) -> Decimal:
    for leg in (*found.together, *found.either):
        _shape({**dated, **leg}, now_ms)
    together = sum((_cost(leg, limit) for leg in found.together), Decimal(0))
    return together + max((_cost(leg, limit) for leg in found.either), default=Decimal(0))


def _shape(values: Mapping[str, str], now_ms: int) -> None:
    kind, side = values.get("type", ""), values.get("side", "")
    strange = next((name for name in _UNUSED if name in values), None)
    if strange is not None or kind not in TYPES or side not in ("BUY", "SELL"):
        named = strange or ("type" if kind not in TYPES else "side")
        raise Denied(
            "EXCHANGE_ORDER",
            f"{named} {values.get(named, '')[:40]!r} is none of a plain order",
            f"{', '.join(TYPES)} are signed, BUY or SELL.",
        )
    if int(values["timestamp"]) > now_ms + AHEAD_MS:
        raise Denied(
            "EXCHANGE_AHEAD",
            f"timestamp: the order is dated more than {AHEAD_MS // 1000} s ahead of this machine's clock",
            "Date it with the present time; set this machine's clock (NTP).",
        )
    window = values.get("recvWindow", str(WINDOW_MS))
    if not window.isascii() or not window.isdigit() or len(window) > 9 or int(window) > WINDOW_MS:
        raise Denied(
            "EXCHANGE_WINDOW",
            f"recvWindow {window[:40]!r}: the signature would be good for longer than {WINDOW_MS} ms",
            f"Ask for {WINDOW_MS} ms or fewer.",
        )


def _cost(values: Mapping[str, str], limit: SymbolLimit) -> Decimal:
    """Quote units, exact; of an `inverse` contract rounded up."""
    if limit.inverse:
        return _inverse_cost_up(values, limit)
    selling, market = values["side"] == "SELL", values["type"] == "MARKET"
    if market:
        return _market_cost(values, limit, selling)
    price, quantity = _number(values, "price"), _number(values, "quantity")
    if "quoteOrderQty" in values:
        raise Denied("EXCHANGE_ORDER", "quoteOrderQty is none of a limit order's", "Send quantity and price.")
    if (selling and price < limit.px_from) or (not selling and price > limit.px_to):
        raise Denied(
            "EXCHANGE_COLLAR",
            f"price {price:f} is outside {limit.px_from:f} to {limit.px_to:f}",
            "Where the market has left that band, the owner widens it. " + _SEE,
        )
    return quantity * (max(limit.px_to, price) if selling else price)


def _inverse_cost_up(values: Mapping[str, str], limit: SymbolLimit) -> Decimal:
    """Of so many dollars' worth of a coin: bought or sold inside the band they lose no more than amount · px_to / px_from."""
    price, amount = _number(values, "price"), _number(values, "quantity")
    if values["type"] == "MARKET" or not limit.px_from <= price <= limit.px_to:
        raise Denied(
            "EXCHANGE_COLLAR",
            f"price {price:f} is outside {limit.px_from:f} to {limit.px_to:f}, or the order has none",
            "Where the market has left that band, the owner widens it. " + _SEE,
        )
    return (amount * limit.px_to / limit.px_from).quantize(Decimal("1e-8"), ROUND_CEILING)


def _market_cost(values: Mapping[str, str], limit: SymbolLimit, selling: bool) -> Decimal:
    bounded = "quantity" if selling else "quoteOrderQty"
    other = "quoteOrderQty" if selling else "quantity"
    if not limit.market or "price" in values or other in values or bounded not in values:
        raise Denied(
            "EXCHANGE_MARKET",
            f"type MARKET with {other if other in values else bounded}: at any price, and nothing here checks prices",
            "Send a LIMIT order at your worst price, timeInForce IOC. " + _SEE,
        )
    raw = _number(values, bounded)
    return raw * limit.px_to if selling else raw


def _number(values: Mapping[str, str], name: str) -> Decimal:
    text = values.get(name, "")
    if not _NUMBER.fullmatch(text) or not Decimal(text):
        raise Denied(
            "EXCHANGE_ORDER", f"{name} {text[:40]!r} is no number above zero", "Send plain digits, like 1.25."
        )
    return Decimal(text)


def day_usd_up(limits: Mapping[str, Limit]) -> Decimal:
    """All that one day's signed orders can cost when each is carried out once; dollars, rounded up to the cent."""
    with localcontext(_WIDE):
        total = sum((one.per_day * one.quote_usd for one in limits.values()), Decimal(0))
        return total.quantize(Decimal("0.01"), ROUND_CEILING)
