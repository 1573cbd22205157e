"""The matching engine with what waits beside its books: stops, and orders of which one cancels or triggers another.

As the exchange documents it: a stop is in no book until a trade reaches its price. Of an OCO pair the one that trades or is triggered
expires the other, and cancelling either cancels both. The orders an OTO's first one triggers come once it is filled whole, and expire
with it otherwise. Both of an OCO hold their owner's funds once: as much as the dearer of them needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from agent.app.testvenue.book import HOUSE, Order
from agent.app.testvenue.matching import Execution, Fill, Matching, NewOrder, Outcome, Trade
from agent.app.testvenue.spec import ZERO, SymbolSpec, VenueError, check_filters

STOPS = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
WAITING = "PENDING_NEW"


@dataclass(frozen=True, slots=True)
class NewList:
    """`kind` OCO: two orders. OTO: what works and what it triggers. OTOCO: what works and an OCO pair."""

    account: str
    symbol: str
    list_cl_id: str
    kind: str
    orders: tuple[NewOrder, ...]


@dataclass(slots=True)
class OrderList:
    """`first` is what works before the others may, None for a pair alone; `later` are requests by order id, placed when it is filled."""

    list_id: int
    account: str
    symbol: str
    cl_id: str
    kind: str
    order_ids: tuple[int, ...]
    time_ms: int
    first: int | None = None
    later: dict[int, NewOrder] = field(default_factory=dict)
    done: bool = False


class Engine(Matching):
    """`maker_rate` and `taker_rate` are fractions of what is received, taken in that asset, rounded down to 8 places."""

    def __init__(self, specs: list[SymbolSpec], maker_rate: Decimal, taker_rate: Decimal) -> None:
        super().__init__(specs, maker_rate, taker_rate)
        self.stops: dict[str, dict[int, Order]] = {symbol: {} for symbol in self.specs}
        self.lists: dict[int, OrderList] = {}
        self._next_list = 1

    # commands

    def check(self, request: NewOrder) -> None:
        if request.iceberg is not None:
            if request.tif != "GTC" or request.px is None:
                raise VenueError(-1013, "Iceberg orders must be limit orders with timeInForce GTC.")
            if request.qty is None or request.iceberg > request.qty:
                raise VenueError(-1013, "Filter failure: ICEBERG_PARTS")
            check_filters(self.specs[request.symbol], None, request.iceberg, None)
        if request.type in STOPS:
            self._check_stop(request)
        super().check(request)

    def _check_stop(self, request: NewOrder) -> None:
        stop, spec = request.stop_px or ZERO, self.specs[request.symbol]
        check_filters(spec, stop, None, None)
        if request.px is None and request.side == "BUY":
            raise VenueError(-1013, "This symbol takes market stops for sales only.")
        last = self.books[request.symbol].last_px
        if last is not None and _reached(request.type, request.side, stop, last):
            raise VenueError(-2010, "Stop price would trigger immediately.")

    def place(self, request: NewOrder, now_ms: int) -> Outcome:
        if request.type not in STOPS:
            return self._settled(super().place(request, now_ms), now_ms)
        self.check(request)
        outcome = Outcome()
        order = self._accept(request, now_ms, outcome)
        self._lock(order, self._held_in(order), self._needed(request))
        self.stops[request.symbol][order.order_id] = order
        return self._settled(outcome, now_ms)

    def cancel(self, order: Order, now_ms: int) -> Outcome:
        return self._settled(super().cancel(order, now_ms), now_ms)

    def set_level(self, symbol: str, side: str, px: Decimal, qty: Decimal, now_ms: int) -> Outcome:
        return self._settled(super().set_level(symbol, side, px, qty, now_ms), now_ms)

    def place_list(self, request: NewList, now_ms: int) -> Outcome:
        """Raises VenueError before anything changed."""
        self.check_list(request)
        outcome, list_id = Outcome(), self._next_list
        self._next_list += 1
        first = None if request.kind == "OCO" else request.orders[0]
        orders: list[Order] = []
        if first is not None:
            working = self._accept(first, now_ms, outcome)
            self._lock(working, self._held_in(working), self._needed(first))
            orders.append(working)
        rest = request.orders if first is None else request.orders[1:]
        for one in rest:
            orders.append(self._accept(one, now_ms, outcome, WAITING if first is not None else "NEW"))
        for order in orders:
            order.list_id = list_id
        found = OrderList(
            list_id,
            request.account,
            request.symbol,
            request.list_cl_id,
            request.kind,
            tuple(o.order_id for o in orders),
            now_ms,
        )
        self.lists[list_id] = found
        if first is not None:
            found.first = orders[0].order_id
            found.later = dict(zip(found.order_ids[1:], rest, strict=True))
            self._work(orders[0], first.px, now_ms, outcome)
        else:
            self._place_pair(list(zip(orders, rest, strict=True)), now_ms, outcome)
        outcome.changes += self.books[request.symbol].drain()
        return self._settled(outcome, now_ms)

    def check_list(self, request: NewList) -> None:
        """Raises VenueError for what one of its orders would be refused for, and for a pair that is none."""
        names = [one.cl_ord_id for one in request.orders]
        if len(set(names)) != len(names):
            raise VenueError(-2010, "Duplicate order sent.")
        if any(found.cl_id == request.list_cl_id and not found.done for found in self.lists.values()):
            raise VenueError(-2010, "Duplicate order list sent.")
        working = request.orders if request.kind == "OCO" else request.orders[:1]
        for one in request.orders:
            if (request.account, one.cl_ord_id) in self._open_ids:
                raise VenueError(-2010, "Duplicate order sent.")
            check_filters(self.specs[request.symbol], one.px, one.qty, one.stop_px)
        pair = request.orders if request.kind == "OCO" else request.orders[1:]
        if len(pair) == 2:
            self._check_pair(*pair)
        for one in working:
            self.check(one)

    @staticmethod
    def _check_pair(above: NewOrder, below: NewOrder) -> None:
        high = above.stop_px if above.stop_px is not None else above.px
        low = below.stop_px if below.stop_px is not None else below.px
        if above.type not in STOPS and below.type not in STOPS:
            raise VenueError(-1013, "An OCO takes one stop at least.")
        if high is None or low is None or high <= low:
            raise VenueError(
                -1165, "A limit order in a buy OCO must be below, and in a sell OCO above the stop."
            )

    # inside

    def _place_pair(self, pair: list[tuple[Order, NewOrder]], now_ms: int, outcome: Outcome) -> None:
        """The dearer of them locks for both."""
        dearest = max(pair, key=lambda one: self._needed(one[1]))
        self._lock(dearest[0], self._held_in(dearest[0]), self._needed(dearest[1]))
        for order, request in pair:
            if not order.is_open:
                continue
            if order.type in STOPS:
                self.stops[order.symbol][order.order_id] = order
            else:
                self._work(order, request.px, now_ms, outcome)

    def _leave(self, order: Order) -> None:
        self.stops[order.symbol].pop(order.order_id, None)
        super()._leave(order)

    def _alone(self, order: Order, now_ms: int, outcome: Outcome) -> None:
        found = self.lists.get(order.list_id)
        if found is None or order.order_id == found.first:
            return
        for other in (self.orders[i] for i in found.order_ids):
            if other is not order and other.order_id != found.first and other.is_open:
                self._leave(other)
                self._end(other, "EXPIRED", now_ms, outcome)
        needed = order.remaining * (order.px if order.side == "BUY" else 1)
        if order.is_open and order.locked < needed:
            self._lock(order, self._held_in(order), needed - order.locked)

    def _settled(self, outcome: Outcome, now_ms: int) -> Outcome:
        """What this outcome sets off, and what that does, until nothing more happens."""
        seen = 0
        while True:
            while seen < len(outcome.executions):
                execution, seen = outcome.executions[seen], seen + 1
                if execution.order.list_id >= 0:
                    self._consequences(self.lists[execution.order.list_id], now_ms, outcome)
            if not self._trigger(now_ms, outcome):
                return outcome

    def _consequences(self, found: OrderList, now_ms: int, outcome: Outcome) -> None:
        orders = [self.orders[i] for i in found.order_ids]
        pair = [o for o in orders if o.order_id != found.first]
        first = self.orders[found.first] if found.first is not None else None
        if first is not None and found.later:
            if first.status == "FILLED":
                self._begin_later(found, now_ms, outcome)
            elif not first.is_open:
                found.later = {}
                self._end_all(pair, "EXPIRED", now_ms, outcome)
        if first is not None and first.is_open and any(not o.is_open for o in pair):
            self._end_all([first, *pair], "CANCELED", now_ms, outcome)
        elif not found.later and any(o.status in ("CANCELED", "EXPIRED_IN_MATCH") for o in pair):
            ended = "CANCELED" if any(o.status == "CANCELED" for o in pair) else "EXPIRED"
            self._end_all(pair, ended, now_ms, outcome)
        found.done = not any(o.is_open for o in orders)

    def _end_all(self, orders: list[Order], status: str, now_ms: int, outcome: Outcome) -> None:
        for order in orders:
            if order.is_open:
                self._leave(order)
                self._end(order, status, now_ms, outcome)
                outcome.changes += self.books[order.symbol].drain()

    def _begin_later(self, found: OrderList, now_ms: int, outcome: Outcome) -> None:
        """The orders that waited, as if they were sent now: what would be refused now is rejected."""
        later, found.later = found.later, {}
        waiting = [(self.orders[i], request) for i, request in later.items()]
        try:
            for order, request in waiting:
                self._open_ids.pop((order.account, order.cl_ord_id), None)
                self.check(request)
        except VenueError:
            for order, _ in waiting:
                self._end(order, "REJECTED", now_ms, outcome)
            return
        finally:
            for order, _ in waiting:
                if order.is_open:
                    self._open_ids[order.account, order.cl_ord_id] = order
        for order, _ in waiting:
            order.status, order.update_ms = "NEW", now_ms
            outcome.executions.append(Execution(order.as_it_stands(), "NEW"))
        self._place_pair(waiting, now_ms, outcome)
        outcome.changes += self.books[found.symbol].drain()

    def _trigger(self, now_ms: int, outcome: Outcome) -> bool:
        """Lets the first stop go whose price the last trade reached; whether there was one."""
        for symbol, waiting in self.stops.items():
            last = self.books[symbol].last_px
            if not waiting or last is None:
                continue
            for order in list(waiting.values()):
                if _reached(order.type, order.side, order.stop_px, last):
                    self._alone(order, now_ms, outcome)
                    self._leave(order)
                    order.triggered, order.update_ms = True, now_ms
                    outcome.executions.append(Execution(order.as_it_stands(), "NEW"))
                    self._work(order, order.px or None, now_ms, outcome)
                    outcome.changes += self.books[symbol].drain()
                    return True
        return False


def _reached(kind: str, side: str, stop: Decimal, last: Decimal) -> bool:
    falling = (side == "SELL") == kind.startswith("STOP_LOSS")
    return last <= stop if falling else last >= stop


__all__ = ["HOUSE", "Engine", "Execution", "Fill", "NewList", "NewOrder", "OrderList", "Outcome", "Trade"]
