"""Matching: price-time priority, exact Decimals, balances that only move between accounts.

It is a deterministic machine: the same commands in the same order give the same ids, trades and balances, which is
what lets the server rebuild itself from its journal. Time is an argument. The house account stands for everybody else:
it may owe, so the sum of every balance is what was deposited, always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from agent.app.testvenue.book import FEES, HOUSE, Book, LevelChange, Order
from agent.app.testvenue.spec import EIGHT, ZERO, SymbolSpec, VenueError, check_filters, check_notional


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A checked request: decimals are exact, `px` is None for a market order, one of `qty` and `quote_qty` is given."""

    account: str
    symbol: str
    cl_ord_id: str
    side: str
    type: str
    tif: str
    px: Decimal | None
    qty: Decimal | None
    quote_qty: Decimal | None
    stp: str = "EXPIRE_MAKER"
    stop_px: Decimal | None = None
    iceberg: Decimal | None = None
    reduce_only: bool = False
    good_till_ms: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """One account's half of a trade. `combo`, `combo_trade_id`: what trade of which combo it is a leg of."""

    trade_id: int
    order_id: int
    account: str
    symbol: str
    px: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    is_buyer: bool
    is_maker: bool
    time_ms: int
    combo: str = ""
    combo_trade_id: int = 0


@dataclass(frozen=True, slots=True)
class Trade:
    trade_id: int
    symbol: str
    px: Decimal
    qty: Decimal
    buyer_is_maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class Execution:
    """What happened to an order: `order` is a copy as it stood just after."""

    order: Order
    exec_type: str
    fill: Fill | None = None


@dataclass(slots=True)
class Outcome:
    executions: list[Execution] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    changes: list[LevelChange] = field(default_factory=list)
    order: Order | None = None

    def extend(self, other: Outcome) -> None:
        self.executions += other.executions
        self.trades += other.trades
        self.changes += other.changes


class Matching:
    """`maker_rate` and `taker_rate` are fractions of what is received, taken in that asset, rounded down to 8 places."""

    def __init__(self, specs: list[SymbolSpec], maker_rate: Decimal, taker_rate: Decimal) -> None:
        self.specs = {spec.symbol: spec for spec in specs}
        self.books = {symbol: Book(symbol) for symbol in self.specs}
        self.maker_rate, self.taker_rate = maker_rate, taker_rate
        self.free: dict[tuple[str, str], Decimal] = {}
        self.locked: dict[tuple[str, str], Decimal] = {}
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self._fills_of: dict[int, list[Fill]] = {}
        self._open_ids: dict[tuple[str, str], Order] = {}
        self._last_by_id: dict[tuple[str, str, str], Order] = {}
        self._next_order, self._next_trade = 1, 1

    def fills_of(self, order_id: int) -> list[Fill]:
        """Of one order that is not the house's, oldest first."""
        return self._fills_of.get(order_id, [])

    # balances

    def deposit(self, account: str, asset: str, qty: Decimal) -> None:
        self._credit(account, asset, qty)

    def assets_of(self, account: str) -> list[str]:
        return sorted({asset for who, asset in (*self.free, *self.locked) if who == account})

    def total(self, asset: str) -> Decimal:
        """Everything every account holds of an asset: what was deposited."""
        return sum((q for book in (self.free, self.locked) for (_, a), q in book.items() if a == asset), ZERO)

    def _credit(self, account: str, asset: str, qty: Decimal) -> None:
        self.free[account, asset] = self.free.get((account, asset), ZERO) + qty

    def _lock(self, order: Order, asset: str, qty: Decimal) -> None:
        if order.account == HOUSE:
            return
        self._credit(order.account, asset, -qty)
        self.locked[order.account, asset] = self.locked.get((order.account, asset), ZERO) + qty
        order.locked += qty

    def _unlock(self, order: Order, asset: str, qty: Decimal) -> None:
        if order.account == HOUSE:
            return
        self.locked[order.account, asset] -= qty
        order.locked -= qty
        self._credit(order.account, asset, qty)

    # look-ups

    @property
    def next_order_id(self) -> int:
        return self._next_order

    def find(self, account: str, symbol: str, order_id: int | None, cl_ord_id: str | None) -> Order | None:
        """By venue id, else by client id: the open order of that id, else the latest that carried it."""
        if order_id is not None:
            order = self.orders.get(order_id)
            return (
                order if order is not None and order.account == account and order.symbol == symbol else None
            )
        return self._last_by_id.get((account, symbol, cl_ord_id or ""))

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        mine = (o for (who, _), o in self._open_ids.items() if who == account)
        return sorted((o for o in mine if symbol in (None, o.symbol)), key=lambda o: o.order_id)

    # commands

    def check(self, request: NewOrder) -> None:
        """Every reason an order is refused for, in the venue's order. Raises VenueError; changes nothing."""
        if request.account == HOUSE:
            return
        spec, book = self.specs[request.symbol], self.books[request.symbol]
        other = book.other(request.side)
        check_filters(spec, request.px, request.qty, other.best() or book.last_px)
        if request.quote_qty is not None:
            check_notional(spec, request.quote_qty)
        if (request.account, request.cl_ord_id) in self._open_ids:
            raise VenueError(-2010, "Duplicate order sent.")
        # Counted only where everybody's together could be too many.
        if len(self._open_ids) >= spec.max_open_orders and (
            len(self.open_orders(request.account, request.symbol)) >= spec.max_open_orders
        ):
            raise VenueError(-1013, "Filter failure: MAX_NUM_ORDERS")
        best = other.best()
        if request.type == "LIMIT_MAKER" and best is not None and other.acceptable(best, request.px):
            raise VenueError(-2010, "Order would immediately match and take.")
        self._afford(request)

    def _afford(self, request: NewOrder) -> None:
        """Raises VenueError where the account cannot pay for it."""
        spec = self.specs[request.symbol]
        asset = spec.quote if request.side == "BUY" else spec.base
        if self.free.get((request.account, asset), ZERO) < self._needed(request):
            raise VenueError(-2010, "Account has insufficient balance for requested action.")

    def place(self, request: NewOrder, now_ms: int) -> Outcome:
        """Accepts, matches, and rests or expires what is left. Raises VenueError before anything changed."""
        self.check(request)
        outcome = Outcome()
        order = self._accept(request, now_ms, outcome)
        self._lock(order, self._held_in(order), self._needed(request))
        self._work(order, request.px, now_ms, outcome)
        outcome.changes += self.books[request.symbol].drain()
        return outcome

    def check_amend(self, order: Order, qty: Decimal) -> None:
        """Raises VenueError -2013 for an order that has ended, -2038 for a quantity that is none, -1013 for a filter's."""
        if not order.is_open:
            raise VenueError(-2013, "Order does not exist.")
        if order.list_id >= 0:
            raise VenueError(-2038, "Orders of a list are not amended here.")
        if not order.executed < qty < order.qty:
            raise VenueError(-2038, "Order amend (quantity increase) is not supported.")
        check_filters(self.specs[order.symbol], order.px or None, qty, None)

    def _accept(self, request: NewOrder, now_ms: int, outcome: Outcome, status: str = "NEW") -> Order:
        order = Order(
            self._next_order,
            request.account,
            request.symbol,
            request.cl_ord_id,
            request.side,
            request.type,
            request.tif,
            request.px or ZERO,
            request.qty if request.qty is not None else self._qty_for_quote(request),
            request.quote_qty or ZERO,
            request.stp,
            now_ms,
            now_ms,
            status,
            stop_px=request.stop_px or ZERO,
            iceberg=request.iceberg or ZERO,
            reduce_only=request.reduce_only,
            good_till_ms=request.good_till_ms,
        )
        self._next_order += 1
        self.orders[order.order_id] = order
        self._open_ids[order.account, order.cl_ord_id] = order
        self._last_by_id[order.account, order.symbol, order.cl_ord_id] = order
        if outcome.order is None:
            outcome.order = order
        outcome.executions.append(Execution(order.as_it_stands(), "NEW"))
        return order

    def _held_in(self, order: Order) -> str:
        spec = self.specs[order.symbol]
        return spec.quote if order.side == "BUY" else spec.base

    def _work(self, order: Order, limit: Decimal | None, now_ms: int, outcome: Outcome) -> None:
        """Matches, and rests or expires what is left."""
        book = self.books[order.symbol]
        if order.tif == "FOK" and self._fillable(order) < order.qty:
            self._end(order, "EXPIRED", now_ms, outcome)
        else:
            self._match(order, limit, now_ms, outcome)
        if order.is_open:
            if limit is None or order.tif in ("IOC", "FOK"):
                self._end(order, "EXPIRED", now_ms, outcome)
            else:
                self._rest(order)
                book.touched(order.side, order.px)

    def _rest(self, order: Order) -> None:
        order.tip = min(order.iceberg, order.remaining) if order.iceberg else order.remaining
        order.resting = True
        self.books[order.symbol].own(order.side).add(order)

    def _leave(self, order: Order) -> None:
        """Takes an open order from wherever it stands."""
        if order.resting:
            book, order.resting = self.books[order.symbol], False
            book.own(order.side).remove(order)
            book.touched(order.side, order.px)

    def cancel(self, order: Order, now_ms: int) -> Outcome:
        """Raises VenueError -2011 where the order is no longer open."""
        if not order.is_open:
            raise VenueError(-2011, "Unknown order sent.")
        outcome = Outcome(order=order)
        self._leave(order)
        self._end(order, "CANCELED", now_ms, outcome)
        outcome.changes += self.books[order.symbol].drain()
        return outcome

    def expire(self, order: Order, now_ms: int) -> Outcome:
        """Ends an order whose time has come; nothing where it has ended already."""
        outcome = Outcome(order=order)
        if order.is_open:
            self._leave(order)
            self._end(order, "EXPIRED", now_ms, outcome)
            outcome.changes += self.books[order.symbol].drain()
        return outcome

    def amend(self, order: Order, qty: Decimal, now_ms: int) -> Outcome:
        """Fewer of it, at the place in the queue where it stands. Raises as `check_amend`."""
        self.check_amend(order, qty)
        spec = self.specs[order.symbol]
        less, order.qty, order.update_ms = order.qty - qty, qty, now_ms
        order.tip = min(order.tip, order.remaining)
        freed = min(order.locked, less * (order.px if order.side == "BUY" else 1))
        self._unlock(order, spec.quote if order.side == "BUY" else spec.base, freed)
        outcome = Outcome(order=order)
        if order.resting:
            self.books[order.symbol].touched(order.side, order.px)
        outcome.executions.append(Execution(order.as_it_stands(), "REPLACED"))
        outcome.changes += self.books[order.symbol].drain()
        return outcome

    def set_level(self, symbol: str, side: str, px: Decimal, qty: Decimal, now_ms: int) -> Outcome:
        """Makes the house stand with exactly `qty` at a price; other people's orders in the way are traded with.

        Nobody's place in the queue gets better by it: what comes stands behind everybody, and what goes is taken from the queue's end, since
        a level does not tell whose orders were cancelled. Only trades, and a level that shrinks below what stood ahead, move an order on.
        """
        book, outcome = self.books[symbol], Outcome()
        less = self.house_qty(symbol, side, px) - qty
        for order in reversed(book.own(side).at(px)):
            if less <= 0:
                break
            if order.account != HOUSE:
                continue
            if order.remaining <= less:
                less -= order.remaining
                outcome.extend(self.cancel(order, now_ms))
                continue
            order.qty, order.tip, less = order.qty - less, order.remaining - less, ZERO
            book.touched(side, px)
            outcome.changes += book.drain()
        if less < 0:
            more = NewOrder(HOUSE, symbol, f"house-{self._next_order}", side, "LIMIT", "GTC", px, -less, None)
            outcome.extend(self.place(more, now_ms))
        return outcome

    def house_qty(self, symbol: str, side: str, px: Decimal) -> Decimal:
        return sum((o.remaining for o in self.books[symbol].own(side).at(px) if o.account == HOUSE), ZERO)

    # inside

    def _needed(self, request: NewOrder) -> Decimal:
        if request.side == "SELL":
            return request.qty if request.qty is not None else self._qty_for_quote(request)
        if request.px is not None:
            return request.px * (request.qty or ZERO)
        if request.quote_qty is not None:
            return request.quote_qty
        cost, left = ZERO, request.qty or ZERO
        for px, qty in self._takeable(request):
            take = min(qty, left)
            cost, left = cost + take * px, left - take
            if left == 0:
                break
        return cost

    def _takeable(self, request: NewOrder) -> Iterator[tuple[Decimal, Decimal]]:
        """What an order would meet, best first: one's own orders are passed over, unless it may trade with them."""
        side = self.books[request.symbol].other(request.side)
        for px in side.prices():
            others = (o for o in side.at(px) if request.stp == "NONE" or o.account != request.account)
            yield px, sum((o.remaining for o in others), ZERO)

    def _qty_for_quote(self, request: NewOrder) -> Decimal:
        """The base quantity that `quote_qty` buys or fetches in this book, in whole lots, rounded down."""
        left, total, lot = request.quote_qty or ZERO, ZERO, self.specs[request.symbol].lot
        for px, qty in self._takeable(request):
            take = min(qty, (left / px / lot).to_integral_value(ROUND_DOWN) * lot)
            total, left = total + take, left - take * px
            if take < qty:
                break
        return total

    def _fillable(self, order: Order) -> Decimal:
        total = ZERO
        side = self.books[order.symbol].other(order.side)
        for px in side.prices():
            if not side.acceptable(px, order.px):
                break
            for maker in side.at(px):
                if not self._prevented(order, maker):
                    total += maker.remaining
                elif order.stp != "EXPIRE_MAKER":
                    return total
        return total

    @staticmethod
    def _prevented(taker: Order, maker: Order) -> bool:
        return taker.account == maker.account and taker.stp != "NONE"

    def _able(self, order: Order) -> Decimal:
        """How much of it may trade now."""
        return order.remaining

    def _alone(self, order: Order, now_ms: int, outcome: Outcome) -> None:
        """Called before an order trades: whatever else is held to its fate gives way."""

    def _match(self, taker: Order, limit: Decimal | None, now_ms: int, outcome: Outcome) -> None:
        book = self.books[taker.symbol]
        side = book.other(taker.side)
        maker_side = "SELL" if taker.side == "BUY" else "BUY"
        while taker.remaining > 0 and (px := side.best()) is not None and side.acceptable(px, limit):
            for maker in side.at(px):
                if not maker.is_open:
                    continue
                if self._prevented(taker, maker):
                    if taker.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
                        self._leave(maker)
                        self._end(maker, "EXPIRED_IN_MATCH", now_ms, outcome)
                    if taker.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
                        self._end(taker, "EXPIRED_IN_MATCH", now_ms, outcome)
                        book.touched(maker_side, px)
                        return
                    continue
                self._alone(maker, now_ms, outcome)
                self._alone(taker, now_ms, outcome)
                qty = min(self._able(taker), self._able(maker), maker.tip)
                if qty == 0:  # one of them may only reduce what is no longer there
                    unable = taker if self._able(taker) == 0 else maker
                    self._leave(unable)
                    self._end(unable, "EXPIRED", now_ms, outcome)
                    if unable is taker:
                        book.touched(maker_side, px)
                        return
                    continue
                self._trade(taker, maker, qty, now_ms, outcome)
                if maker.remaining == 0:
                    maker.resting = False
                    side.remove(maker)
                elif maker.tip == 0:  # the next part of an iceberg goes to the queue's end
                    side.remove(maker)
                    self._rest(maker)
                if taker.remaining == 0:
                    break
            book.touched(maker_side, px)

    def _trade(self, taker: Order, maker: Order, qty: Decimal, now_ms: int, outcome: Outcome) -> None:
        spec, px = self.specs[taker.symbol], maker.px
        buyer_is_maker = maker.side == "BUY"
        trade = Trade(self._next_trade, taker.symbol, px, qty, buyer_is_maker, now_ms)
        self._next_trade += 1
        self.trades.append(trade)
        self.books[taker.symbol].last_px = px
        outcome.trades.append(trade)
        notional = qty * px
        for order, rate in ((maker, self.maker_rate), (taker, self.taker_rate)):
            buys = order.side == "BUY"
            commission, asset = self._pay(order, qty, px, rate)
            order.executed += qty
            order.cum_quote += notional
            order.update_ms = now_ms
            if order is maker:
                order.tip -= qty
            order.status = "FILLED" if order.executed == order.qty else "PARTIALLY_FILLED"
            fill = Fill(
                trade.trade_id,
                order.order_id,
                order.account,
                order.symbol,
                px,
                qty,
                commission,
                asset,
                buys,
                order is maker,
                now_ms,
            )
            if order.account != HOUSE:
                self.fills.append(fill)
                self._fills_of.setdefault(order.order_id, []).append(fill)
            if order.status == "FILLED":
                self._close(order)
            elif buys and order.px > px:
                self._unlock(order, spec.quote, (order.px - px) * qty)
            outcome.executions.append(Execution(order.as_it_stands(), "TRADE", fill))

    def _pay(self, order: Order, qty: Decimal, px: Decimal, rate: Decimal) -> tuple[Decimal, str]:
        """Moves what a trade moves for one of its sides; (commission, its asset)."""
        spec, buys = self.specs[order.symbol], order.side == "BUY"
        notional = qty * px
        received, asset = (qty, spec.base) if buys else (notional, spec.quote)
        given, given_asset = (notional, spec.quote) if buys else (qty, spec.base)
        if order.account == HOUSE:  # it pays nothing
            self._credit(HOUSE, given_asset, -given)
            self._credit(HOUSE, asset, received)
            return ZERO, asset
        commission = (received * rate).quantize(EIGHT, ROUND_DOWN)
        self.locked[order.account, given_asset] -= given
        order.locked -= given
        self._credit(order.account, asset, received - commission)
        self._credit(FEES, asset, commission)
        return commission, asset

    def _end(self, order: Order, status: str, now_ms: int, outcome: Outcome) -> None:
        order.status, order.update_ms = status, now_ms
        self._close(order)
        kind = "TRADE_PREVENTION" if status == "EXPIRED_IN_MATCH" else status
        outcome.executions.append(Execution(order.as_it_stands(), kind))

    def _close(self, order: Order) -> None:
        spec = self.specs[order.symbol]
        if order.locked:
            self._unlock(order, spec.quote if order.side == "BUY" else spec.base, order.locked)
        self._open_ids.pop((order.account, order.cl_ord_id), None)
        if order.account == HOUSE:
            # the house's own book keeping is not history: it would grow for as long as the server runs
            self.orders.pop(order.order_id, None)
            self._last_by_id.pop((HOUSE, order.symbol, order.cl_ord_id), None)
