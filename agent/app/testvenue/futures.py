"""The engine of contracts: nobody holds the base asset, an account has a position, and gains and losses come in what it is margined in.

Contracts are linear, where one unit of a contract is one unit of its base, priced and margined in the quote asset, or inverse: a dollar,
margined in the coin, whose long is worth −1/price of it. A position keeps what it cost; what is closed of it realises its share. Everybody is on cross margin with a leverage of his own. There is no liquidation
here: an account may owe. Funding is taken when it is asked for. What is in cash less what positions cost is what was deposited, over everybody and always.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal

from agent.app.testvenue.book import FEES, HOUSE, Order
from agent.app.testvenue.engine import Engine
from agent.app.testvenue.matching import Execution, NewOrder, Outcome
from agent.app.testvenue.spec import EIGHT, ZERO, VenueError, check_filters

LEVERAGE = 20


@dataclass(slots=True)
class Position:
    """`qty` below zero: short. `cost`: in what it settles in, of the sign of `qty`, of an inverse one of the other; cost / qty is the price of
    entry, or −1 / that price."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry(self) -> Decimal:
        return (self.cost / self.qty).quantize(EIGHT) if self.qty else ZERO


class FuturesEngine(Engine):
    """`maker_rate` and `taker_rate` are fractions of the notional, taken in the margin asset, rounded down to 8 places."""

    def __init__(self, *how: object, **more: object) -> None:
        super().__init__(*how, **more)  # type: ignore[arg-type]
        self.positions: dict[tuple[str, str], Position] = {}
        self.leverage: dict[tuple[str, str], int] = {}
        self.funding: dict[str, list[tuple[int, Decimal, Decimal]]] = {}

    def fund(self, symbol: str, rate: Decimal, now_ms: int) -> None:
        """Longs pay shorts `rate` of their notional at the mark; what rounding leaves goes to the exchange. (time, rate, mark) is kept."""
        mark, spec, rest = self.mark(symbol), self.specs[symbol], ZERO
        for (account, name), held in self.positions.items():
            if name == symbol and held.qty:
                paid = (held.qty * abs(spec.value(mark)) * rate).quantize(EIGHT, ROUND_CEILING)
                self._credit(account, spec.settle, -paid)
                rest += paid
        self._credit(FEES, spec.settle, rest)
        self.funding.setdefault(symbol, []).append((now_ms, rate, mark))

    # accounts

    def position(self, account: str, symbol: str) -> Position:
        return self.positions.get((account, symbol), Position())

    def mark(self, symbol: str) -> Decimal:
        """The last trade's price; before the first, where the market was set up."""
        return self.books[symbol].last_px or self.specs[symbol].mid

    def gain(self, account: str, symbol: str) -> Decimal:
        """Of the open position at the mark, in what it settles in."""
        held = self.position(account, symbol)
        return held.qty * self.specs[symbol].value(self.mark(symbol)) - held.cost

    def notional(self, symbol: str, qty: Decimal, px: Decimal | None) -> Decimal:
        """What margin is asked for where so much is ordered, at the mark where `px` is None; in what it settles in."""
        return qty * abs(self.specs[symbol].value(px or self.mark(symbol)))

    def margin_held(self, account: str, quote: str) -> Decimal:
        """Initial margin of positions and of the orders that would add to them."""
        found = ZERO
        for symbol, spec in self.specs.items():
            if spec.settle == quote:
                worth = abs(self.position(account, symbol).qty * spec.value(self.mark(symbol)))
                orders = (o for o in self.open_orders(account, symbol) if not o.reduce_only)
                worth += sum((self.notional(symbol, o.remaining, o.px or None) for o in orders), ZERO)
                found += worth / self.leverage.get((account, symbol), LEVERAGE)
        return found

    def available(self, account: str, quote: str) -> Decimal:
        symbols = (symbol for symbol, spec in self.specs.items() if spec.settle == quote)
        gains = sum((self.gain(account, symbol) for symbol in symbols), ZERO)
        return self.free.get((account, quote), ZERO) + gains - self.margin_held(account, quote)

    def total(self, asset: str) -> Decimal:
        """Cash less what positions cost: what was deposited."""
        costs = (p.cost for (_, symbol), p in self.positions.items() if self.specs[symbol].settle == asset)
        return super().total(asset) - sum(costs, ZERO)

    # orders

    def check(self, request: NewOrder) -> None:
        super().check(request)
        if request.account == HOUSE:
            return
        side = self.books[request.symbol].other(request.side)
        best = side.best()
        if request.tif == "GTX" and best is not None and side.acceptable(best, request.px):
            raise VenueError(
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected.",
            )
        if request.reduce_only and not self._reducible(request.account, request.symbol, request.side):
            raise VenueError(-2022, "ReduceOnly Order is rejected.")

    def check_change(self, order: Order, qty: Decimal, px: Decimal) -> None:
        """Raises VenueError -2013 for an order that has ended, -4028 for a quantity that is none, -1013 for a filter's."""
        if not order.is_open:
            raise VenueError(-2013, "Order does not exist.")
        if qty <= order.executed:
            raise VenueError(-4028, "Invalid quantity: it is below what was executed.")
        check_filters(self.specs[order.symbol], px, qty, None)

    def change(self, order: Order, qty: Decimal, px: Decimal, now_ms: int) -> Outcome:
        """Another price or more of it goes to the queue's end and may trade at once. Raises as `check_change`."""
        self.check_change(order, qty, px)
        outcome = Outcome(order=order)
        moved = px != order.px or qty > order.qty
        if moved:
            self._leave(order)
        order.qty, order.px, order.update_ms = qty, px, now_ms
        outcome.executions.append(Execution(order.as_it_stands(), "AMENDMENT"))
        if moved:
            self._work(order, px, now_ms, outcome)
        else:
            order.tip = min(order.tip, order.remaining)
            self.books[order.symbol].touched(order.side, order.px)
        outcome.changes += self.books[order.symbol].drain()
        return self._settled(outcome, now_ms)

    def _reducible(self, account: str, symbol: str, side: str) -> Decimal:
        held = self.position(account, symbol).qty
        return max(held if side == "SELL" else -held, ZERO)

    def _afford(self, request: NewOrder) -> None:
        if request.reduce_only:
            return
        spec = self.specs[request.symbol]
        # what closes a position frees its margin
        closes = min(request.qty or ZERO, self._reducible(request.account, request.symbol, request.side))
        opens, px = (request.qty or ZERO) - closes, request.px or request.stop_px
        needed = self.notional(request.symbol, opens, px) / self.leverage.get(
            (request.account, request.symbol), LEVERAGE
        )
        if self.available(request.account, spec.settle) < needed:
            raise VenueError(-2019, "Margin is insufficient.")

    def _able(self, order: Order) -> Decimal:
        if not order.reduce_only or order.account == HOUSE:
            return order.remaining
        return min(order.remaining, self._reducible(order.account, order.symbol, order.side))

    def _lock(self, order: Order, asset: str, qty: Decimal) -> None:
        """Nothing is set aside of any asset: margin is a claim on all of the account."""

    def _unlock(self, order: Order, asset: str, qty: Decimal) -> None:
        """As `_lock`."""

    def _pay(self, order: Order, qty: Decimal, px: Decimal, rate: Decimal) -> tuple[Decimal, str]:
        quote, each = self.specs[order.symbol].settle, self.specs[order.symbol].value(px)
        held = self.positions.setdefault((order.account, order.symbol), Position())
        signed = qty if order.side == "BUY" else -qty
        against = min(qty, abs(held.qty)) if held.qty * signed < 0 else ZERO
        if against:
            self._credit(order.account, quote, _realised_down(held, against, each))
        opened = (qty - against) * (1 if signed > 0 else -1)
        held.qty += opened
        held.cost += opened * each
        commission = ZERO if order.account == HOUSE else (qty * abs(each) * rate).quantize(EIGHT, ROUND_DOWN)
        self._credit(order.account, quote, -commission)
        self._credit(FEES, quote, commission)
        return commission, quote


def _realised_down(held: Position, qty: Decimal, each: Decimal) -> Decimal:
    """Closes so much of a position; what it brings, to 8 places. The rest of the rounding stays in the position's cost."""
    share = (
        (held.cost * qty / abs(held.qty)).quantize(EIGHT, ROUND_DOWN) if qty < abs(held.qty) else held.cost
    )
    closed = qty if held.qty > 0 else -qty
    held.qty -= closed
    held.cost -= share
    return closed * each - share


def futures_of(engine: Engine) -> FuturesEngine:
    """The same one, of an exchange of contracts."""
    assert isinstance(engine, FuturesEngine)
    return engine
