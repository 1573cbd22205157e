"""Deribit's orders and answers: requests to parameters, payloads to nouns, error codes to verbs. Pure; numbers never pass through a float.

Sources: the venue's published API documentation. Futures, perpetuals and options are traded; a contract is an asset of its own here,
called as its instrument; a spot pair is of its coins. Amounts are of the base currency, or of dollars where a future settles in the coin: such a
contract is dollars that are bought with the coin, and everything of it is turned round here (`inverse`). Combos have a codec
of their own (`combos`). Our client order id is the order's label, which the venue does not keep unique.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.order_lists import pair_of
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Balance, Fill, OrderSnapshot, Position
from agent.domain.units import WIDE
from agent.market.reading import above_zero, exact, ns_of_ms, number, side, understood, whole
from agent.market.reading import name as text_of
from agent.ports import VenueInstrument
from agent.venues import Terms, check_grid, check_order
from agent.venues import number as plain
from agent.venues.deribit import inverse

TIF = {
    TimeInForce.GTC: "good_til_cancelled",
    TimeInForce.IOC: "immediate_or_cancel",
    TimeInForce.FOK: "fill_or_kill",
}
NAMES = {
    10000: "UNAUTHORIZED",
    10004: "NO_SUCH_ORDER",
    10009: "INSUFFICIENT_MARGIN",
    10010: "NOT_OPEN",
    10020: "UNKNOWN_SYMBOL",
    10021: "BAD_AMOUNT",
    10023: "BAD_PRICE",
    10043: "BAD_PRICE",
    11044: "NOT_OPEN",
    11054: "POST_ONLY_REJECTED",
    13004: "INVALID_SIGNATURE",
    13009: "INVALID_SIGNATURE",
    13021: "API_KEY_REFUSED",
}
HINTS = {
    10000: "check the API key in the settings and its scope",
    13004: "check the API secret the signer holds",
    13009: "check the API secret the signer holds, and this machine's clock",
    13021: "give the key the scope trade:read_write and account:read, and wallet:none",
}
GONE = frozenset({10004, 10010, 11044})
"""An order that is not there, or not any more."""
TURNED_AWAY = frozenset({10028, 10040, 10041, 10047, 10066, 11051})
UNKNOWN_OUTCOME = frozenset({11094, 13028, 13888})
PERPETUAL, WEEK_MS = "-PERPETUAL", 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Market:
    """An instrument that is traded. `settle` is the currency of its margin and of the account that holds it; of a spot pair what is paid.
    `currencies`: under which of them its orders are asked for. `legs` of a combo: (instrument, whole ratio), below zero where a purchase
    sells it. `px_tick`: the step of the exchange's own prices, which an `inverse` one's instrument does not tell."""

    instrument: VenueInstrument
    settle: str
    inverse: bool
    legs: tuple[tuple[str, int], ...] = ()
    option: bool = False
    px_tick: Decimal = Decimal(0)

    @property
    def turned(self) -> bool:
        """Whether it is traded as dollars that are bought with the coin. A combo is traded as it is."""
        return self.inverse and not self.legs

    @property
    def currencies(self) -> tuple[str, ...]:
        if self.instrument.contract:
            return (self.settle,)
        return self.settle, self.instrument.base


@dataclass(frozen=True, slots=True)
class VenueSays:
    code: int
    msg: str


def result(body: bytes, what: str, *, write: bool = False) -> Any:
    """The result of an answer. Raises the verb of its error, Reconcile or Retry GARBLED for what is no answer."""
    try:
        data = exact(body)
        error = data.get("error")
        if error is None:
            return data["result"]
        reason = error.get("data")
        more = f" ({str(reason)[:160]})" if reason else ""
        says = VenueSays(int(error["code"]), f"{str(error['message'])[:120]}{more}")
    except (ValueError, KeyError, TypeError, AttributeError):
        kind = Reconcile if write else Retry
        text = f"{what} came as {len(body)} bytes that are no answer"
        raise kind("GARBLED", text, "ask by client order id" if write else "ask again") from None
    raise error_of(says, write=write)


def error_of(says: VenueSays, *, write: bool) -> FairleadError:
    text = f"the venue says {says.code}: {says.msg}"
    name = NAMES.get(says.code, f"VENUE_{says.code}")
    if says.code in TURNED_AWAY:
        return Retry("RATE_LIMITED", text, "wait and try again")
    if says.code in UNKNOWN_OUTCOME:
        if write:
            return Reconcile("UNKNOWN_OUTCOME", text, "ask by client order id")
        return Retry(name, text, "ask again")
    return Reject(name, text, HINTS.get(says.code, ""))


# requests


def check(order: VenueOrder, market: Market) -> None:
    """As `check_order`; of a combo any price on its tick will do, and none will not. Raises Usage."""
    if not market.legs:
        return check_order(order, market.instrument)
    instrument, px = market.instrument, order.px
    if order.ord_type is not OrdType.LIMIT or px is None:
        raise Usage("MISSING_PRICE", "an order in a combo has a price: without one nothing bounds it", "give --limit")  # fmt: skip
    check_grid("quantity", order.order_qty, instrument.lot, instrument)
    if order.order_qty < instrument.min_qty:
        raise Usage("BELOW_MIN_QTY", f"{plain(order.order_qty)} {instrument.base} is below {plain(instrument.min_qty)}", "order more of it")  # fmt: skip
    if WIDE.remainder(px, instrument.tick):
        raise Usage("OFF_GRID", f"price {plain(px)} is no multiple of {plain(instrument.tick)}", f"{instrument.symbol} trades in such steps")  # fmt: skip


def in_its_words(order: VenueOrder, market: Market) -> VenueOrder:
    """As the exchange takes it: of an inverse contract the other side, at a price in dollars. Raises Usage OFF_GRID where that is none."""
    turned = inverse.at_venue(order, market.px_tick) if market.turned else order
    if turned.px == 0 and market.turned:
        text = f"{plain(order.px or turned.px)} {market.settle} a dollar is below a tick of {plain(market.px_tick)} dollars a {market.settle}"
        raise Usage("OFF_GRID", text, f"{market.settle} for a dollar are wanted, like 0.00002")
    return turned


def new_order_params(
    order: VenueOrder, market: Market, terms: Terms, valid_until_ms: int
) -> tuple[str, dict[str, str]]:
    """(method, parameters). Raises Usage OFF_GRID, MISSING_PRICE, BELOW_MIN_QTY, UNSUPPORTED_TERMS."""
    check(order, market)
    order = in_its_words(order, market)
    rests = order.ord_type is OrdType.LIMIT and order.time_in_force is TimeInForce.GTC
    if terms.good_till_ns or (terms.post_only and not rests):
        raise Usage("UNSUPPORTED_TERMS", "what is post-only has to rest, and nothing is good till a date there", "leave it out")  # fmt: skip
    params = {
        "instrument_name": order.symbol,
        "amount": plain(order.order_qty),
        "type": order.ord_type.value.lower(),
        "label": str(order.cl_ord_id),
    }
    if order.px is not None and order.ord_type is OrdType.LIMIT:
        params |= {"price": plain(order.px), "time_in_force": TIF[order.time_in_force]}
    if terms.post_only:
        params |= {"post_only": "true", "reject_post_only": "true"}
    if terms.reduce_only:
        params["reduce_only"] = "true"
    params["valid_until"] = str(valid_until_ms)
    return ("private/buy" if order.side is Side.BUY else "private/sell"), params


def edit_params(order: VenueOrder, market: Market, valid_until_ms: int) -> dict[str, str]:
    """Of private/edit_by_label. Raises as `new_order_params`."""
    check(order, market)
    order = in_its_words(order, market)
    if order.px is None:
        raise Usage("MISSING_PRICE", "an order is changed to a price", "give one")
    return {
        "label": str(order.cl_ord_id),
        "instrument_name": order.symbol,
        "amount": plain(order.order_qty),
        "price": plain(order.px),
        "valid_until": str(valid_until_ms),
    }


# answers


def markets(rows: Any, maker_bps: Decimal, taker_bps: Decimal) -> dict[str, Market]:
    """Of get_instruments: futures, options and spot pairs that are open, by name. Fees are the instrument's own; of an option they are
    fractions of the underlying, so that the dearest published tier stands for it."""
    found: dict[str, Market] = {}
    with understood("get_instruments"):
        for row in rows:
            kind = row["kind"]
            if kind not in ("future", "option", "spot") or row.get("is_active") is False:
                continue
            symbol, spot = text_of(row["instrument_name"]), kind == "spot"
            settle = text_of(row["quote_currency"] if spot else row["settlement_currency"])
            in_coin = kind == "future" and row.get("instrument_type", "reversed") == "reversed"
            tick = above_zero(row["tick_size"])
            fees = taker_bps, maker_bps
            if kind != "option":
                fees = number(row["taker_commission"]) * 10_000, max(number(row["maker_commission"]) * 10_000, Decimal(0))  # fmt: skip
            lot = above_zero(row["min_trade_amount"])
            step = above_zero(row["contract_size"]) if kind == "future" else lot
            instrument = VenueInstrument(
                symbol,
                text_of(row["base_currency"]) if spot else symbol,
                settle,
                inverse.COIN_PLACES if in_coin else tick,
                step,
                lot,
                Decimal(0),
                *fees,
                "" if spot else "inverse" if in_coin else "linear",
            )
            found[symbol] = Market(instrument, settle, in_coin, option=kind == "option", px_tick=tick)
    return found


def balances(data: Any, venue: str) -> list[Balance]:
    """get_account_summaries: what margin takes of a balance is locked. Gains of open positions are no balance."""
    with understood("get_account_summaries"):
        found = []
        for row in data["summaries"]:
            held, available = number(row["balance"]), number(row["available_funds"])
            if held:
                free = max(min(held, available), Decimal(0)) if held > 0 else held
                found.append(Balance(cex_id(venue, text_of(row["currency"])), free, held - free))
        return found


def funding(rows: Any) -> dict[int, Decimal]:
    """Of get_funding_rate_history: each hour's rate, of the notional, by the time (ns) at which it ended."""
    with understood("get_funding_rate_history"):
        return {ns_of_ms(row["timestamp"]): number(row["interest_1h"]) for row in rows}


class Reader:
    """Payloads of one account to nouns; knows the instruments that are traded."""

    def __init__(self, venue: str, known: Mapping[str, Market]) -> None:
        self.venue, self.place, self._known = venue, Place(f"cex:{venue}"), known

    def knows(self, symbol: Any) -> bool:
        return symbol in self._known

    def name(self, row: Mapping[str, Any]) -> ClOrdId:
        """Whose order it is: ours by its label, a pair's by that of its leg, else by the number that the venue gave it."""
        label = row.get("label")
        if not label:
            return ClOrdId(f"deribit-{text_of(row['order_id'])}")
        return pair_of(ClOrdId(text_of(label))) or ClOrdId(text_of(label))

    def in_pair(self, row: Mapping[str, Any]) -> bool:
        """Whether it is one of the orders that a pair of ours is made of."""
        return pair_of(ClOrdId(str(row.get("label") or ""))) is not None

    def fill(self, row: Any) -> tuple[ClOrdId, str, Fill]:
        """(our name, the venue's order number, fill) of a user's trade. A rebate counts as no fee."""
        with understood("a trade"):
            market = self._known[row["instrument_name"]]
            contract, settle = cex_id(self.venue, market.instrument.base), cex_id(self.venue, market.settle)
            amount, px = above_zero(row["amount"]), above_zero(row["price"])
            buys = side(row["direction"], "buy", "sell") is Side.BUY
            if market.inverse:  # who buys the contract gives its dollars for coins
                buys = not buys
                coins = inverse.coins_up(amount, px) if buys else inverse.coins_down(amount, px)
            else:
                coins = amount * px
            fill = Fill(
                f"{text_of(row['instrument_name'])}:{text_of(row['trade_id'])}",
                self.place,
                settle if buys else contract,
                contract if buys else settle,
                coins if buys else amount,
                amount if buys else coins,
                cex_id(self.venue, text_of(row["fee_currency"])),
                max(number(row["fee"]), Decimal(0)),
                ns_of_ms(row["timestamp"]),
            )
            return self.name(row), text_of(row["order_id"]), fill

    def order(self, row: Any, fills: Iterable[Fill] = (), *, write: bool = False) -> OrderSnapshot:
        with understood("an order", write=write):
            qty, done = above_zero(row["amount"]), number(row.get("filled_amount", 0))
            told = row["price"]
            px, way = None if told == "market_price" else number(told), side(row["direction"], "buy", "sell")
            if not 0 <= done <= qty:
                raise ValueError(f"{done} done of {qty}")
            market = self._known.get(row["instrument_name"])
            if market is not None and market.turned:
                px, way = None if px is None else inverse.coin_px(px), inverse.other(way)
            return OrderSnapshot(
                self.name(row),
                text_of(row["order_id"]),
                text_of(row["instrument_name"]),
                way,
                status_of(row["order_state"], done),
                qty,
                px,
                done,
                tuple(fills),
                ns_of_ms(row["last_update_timestamp"]),
            )

    def placed(self, data: Any) -> OrderSnapshot:
        """The answer to an order, or to its change, with the trades it made. Raises Reconcile where it cannot be read."""
        with understood("the answer to an order", write=True):
            market = self._known.get(data["order"]["instrument_name"])
            rows = (
                [] if market is not None and market.legs else data["trades"]
            )  # of a combo its legs' are asked for
            return self.order(data["order"], [self.fill(row)[2] for row in rows], write=True)

    def position(self, row: Any) -> Position | None:
        """None for what is closed, or no instrument that is traded."""
        with understood("a position"):
            symbol, qty = row["instrument_name"], number(row["size"])
            if not qty or symbol not in self._known:
                return None
            market, entry = self._known[symbol], above_zero(row["average_price"])
            mark = above_zero(row["mark_price"])
            # A day's gains are paid into the balance: what it cost is counted from there, where the exchange says what is not paid yet.
            gain = number(row["floating_profit_loss"]) if "floating_profit_loss" in row else None
            if market.inverse:
                cost = WIDE.divide(qty, entry) if gain is None else WIDE.add(gain, WIDE.divide(qty, mark))
            else:
                cost = qty * entry if gain is None else WIDE.subtract(WIDE.multiply(qty, mark), gain)
            return Position(
                text_of(symbol),
                cex_id(self.venue, symbol),
                qty,
                cost,
                entry,
                mark,
                cex_id(self.venue, market.settle),
                number(row["leverage"]) if "leverage" in row else None,
                inverse=market.inverse,
            )


def status_of(word: str, done: Decimal) -> OrdStatus:
    """Raises KeyError for a word that is not documented."""
    if word in ("open", "untriggered", "triggered"):
        return OrdStatus.PARTIALLY_FILLED if done else OrdStatus.NEW
    return {"filled": OrdStatus.FILLED, "cancelled": OrdStatus.CANCELED, "rejected": OrdStatus.REJECTED}[word]


def server_ms(data: Any) -> int:
    with understood("get_time"):
        return whole(data)
