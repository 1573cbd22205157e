"""A limit order book: prices in order, and at each price the orders in the order they came."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from operator import attrgetter

from agent.app.testvenue.spec import ZERO

OPEN = ("NEW", "PARTIALLY_FILLED", "PENDING_NEW")
HOUSE = "house"
FEES = "fees"


@dataclass(slots=True)
class Order:
    """One order. `locked` is what it holds of its owner's balance: quote for a purchase, base for a sale.

    `resting`: it stands in the book, with `tip` of it to be seen and traded with (all of it, but for an iceberg). `list_id` -1: it
    belongs to no list. `good_till_ms` 0: until it is cancelled.
    """

    order_id: int
    account: str
    symbol: str
    cl_ord_id: str
    side: str
    type: str
    tif: str
    px: Decimal
    qty: Decimal
    quote_qty: Decimal
    stp: str
    time_ms: int
    update_ms: int
    status: str = "NEW"
    executed: Decimal = ZERO
    cum_quote: Decimal = ZERO
    locked: Decimal = ZERO
    stop_px: Decimal = ZERO
    iceberg: Decimal = ZERO
    tip: Decimal = ZERO
    resting: bool = False
    triggered: bool = False
    list_id: int = -1
    reduce_only: bool = False
    good_till_ms: int = 0

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.executed

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    def as_it_stands(self) -> Order:
        return Order(*_FIELDS(self))


_FIELDS = attrgetter(*(field.name for field in fields(Order)))


@dataclass(frozen=True, slots=True)
class LevelChange:
    symbol: str
    side: str
    px: Decimal
    qty: Decimal
    update_id: int


class BookSide:
    """The resting orders of one side. `buy` decides which price is best."""

    def __init__(self, buy: bool) -> None:
        self.buy = buy
        self._px: list[Decimal] = []
        self._levels: dict[Decimal, dict[int, Order]] = {}

    def add(self, order: Order) -> None:
        if order.px not in self._levels:
            insort(self._px, order.px)
            self._levels[order.px] = {}
        self._levels[order.px][order.order_id] = order

    def remove(self, order: Order) -> None:
        level = self._levels[order.px]
        del level[order.order_id]
        if not level:
            del self._levels[order.px]
            del self._px[bisect_left(self._px, order.px)]

    def best(self) -> Decimal | None:
        if not self._px:
            return None
        return self._px[-1] if self.buy else self._px[0]

    def prices(self) -> Iterator[Decimal]:
        """Best first."""
        return iter(self._px[::-1] if self.buy else self._px[:])

    def at(self, px: Decimal) -> list[Order]:
        """The queue at a price, first come first."""
        return list(self._levels.get(px, {}).values())

    def qty_at(self, px: Decimal) -> Decimal:
        """What is to be seen at a price."""
        return sum((order.tip for order in self._levels.get(px, {}).values()), ZERO)

    def acceptable(self, px: Decimal, limit: Decimal | None) -> bool:
        """Whether a taker limited to `limit` trades with a resting price of `px`."""
        if limit is None:
            return True
        return px >= limit if self.buy else px <= limit

    def levels(self, limit: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """(price, quantity), best first."""
        found: list[tuple[Decimal, Decimal]] = []
        for px in self.prices():
            if limit is not None and len(found) >= limit:
                break
            found.append((px, self.qty_at(px)))
        return found


class Book:
    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids, self.asks = BookSide(True), BookSide(False)
        self.update_id = 1_000
        self.changes: list[LevelChange] = []
        self.last_px: Decimal | None = None

    def own(self, side: str) -> BookSide:
        return self.bids if side == "BUY" else self.asks

    def other(self, side: str) -> BookSide:
        return self.asks if side == "BUY" else self.bids

    def touched(self, side: str, px: Decimal) -> None:
        """Records that the quantity at a price changed: every change takes the next update id."""
        self.update_id += 1
        self.changes.append(LevelChange(self.symbol, side, px, self.own(side).qty_at(px), self.update_id))

    def drain(self) -> list[LevelChange]:
        changes, self.changes = self.changes, []
        return changes
