"""An exchange in memory: the same matching engine, no network, trouble on request. An `agent.ports.ExecutionVenue`.

It passes tests/conformance/test_execution_venue.py, as the session over the network does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from agent.app.testvenue import wire
from agent.app.testvenue.book import HOUSE, Order
from agent.app.testvenue.engine import Engine, NewOrder, Outcome
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.spec import SymbolSpec, VenueError, exchange_info
from agent.app.testvenue.venue import Account, Venue
from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import TimeInForce, VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport import binance
from agent.venues import one_by_one
from agent.venues.binance_spot import codec

OWNER = "owner"
SYMBOL = "ETHUSDC"


class FakeVenue:
    """Deterministic by (seed, commands, clock). The attributes below make trouble; `sent` is what reached the wire, `asked` how often it
    was asked after an order.

    `next_submit`: "lost_before" (a time-out, nothing arrived), "lost_after" (a time-out, it took effect), "unreachable".
    `next_cancel`: "lost_before" and "lost_after" as well, "refused" (the order stands as before).
    `rests`: a price; orders stand in the book at it.
    `forgets`: it knows no order and no trade, and tells nothing, for as long as that is true; its answer to an order is that it has it.
    `breaks`: so many streams end at once, refused.
    `stale`: a reason makes `book` refuse. `silent`: the stream tells nothing; its audit does, every `audit_s`.
    """

    def __init__(
        self,
        clock: Clock,
        name: str = "paper",
        seed: int = 1,
        deposits: tuple[tuple[str, Decimal], ...] = (("ETH", Decimal(50)), ("USDC", Decimal(100_000))),
        mid: Decimal = Decimal(3000),
        audit_s: float = 5.0,
    ) -> None:
        self._clock, self._name, self._audit_s = clock, name, audit_s
        spec = SymbolSpec("ETH", "USDC", mid=mid)
        engine = Engine([spec], Decimal("0.001"), Decimal("0.001"))
        maker = Maker(spec, seeded_levels(spec, seed), seed, breathing=False)
        self.venue = Venue(engine, [Account(OWNER, "-", deposits)], [maker], self._now_ms)
        self.venue.listener = self._hear
        info = exchange_info([spec], 0, 6_000, 100)
        self._instruments = codec.instruments(info, Decimal(10), Decimal(10))
        self._reader = codec.Reader(name, self._instruments)
        self._started = False
        self._orders: dict[str, VenueOrder] = {}
        self._queues: list[asyncio.Queue[ExecutionReport]] = []
        self._history: list[ExecutionReport] = []
        self.next_submit: list[str] = []
        self.next_cancel: list[str] = []
        self.sent: list[SignedRequest] = []
        self.asked = 0
        self.stale = ""
        self.silent = False
        self.breaks = 0
        self.forgets = False
        self.rests: Decimal | None = None

    # trouble and the house's hand

    def house(self, side: str, px: str, qty: str, tif: str = "IOC") -> None:
        """Somebody else's limit order."""
        cl_ord_id = f"house-{self._now_ms()}-{len(self.venue.engine.trades)}-{len(self._history)}"
        self.venue.place(
            NewOrder(HOUSE, SYMBOL, cl_ord_id, side, "LIMIT", tif, Decimal(px), Decimal(qty), None, "NONE")
        )

    def by_hand(self, side: str, qty: str, px: str = "2900", cl_ord_id: str = "by-hand-1") -> None:
        """The account's owner at the exchange's own page: a limit order that takes what it can."""
        self.venue.place(
            NewOrder(OWNER, SYMBOL, cl_ord_id, side, "LIMIT", "IOC", Decimal(px), Decimal(qty), None, "NONE")
        )

    def end_order(self, venue_order_id: str) -> None:
        """The exchange ends an order of its own accord."""
        self.venue.cancel(self.venue.engine.orders[int(venue_order_id)])

    # ExecutionVenue

    @property
    def name(self) -> str:
        return self._name

    async def start(self) -> None:
        self._started = True

    async def close(self) -> None:
        self._started = False

    async def instruments(self) -> Sequence[VenueInstrument]:
        self._need_markets()
        return tuple(self._instruments.values())

    async def book(self, symbol: str) -> VenueBook:
        self._need_symbol(symbol)
        if self.stale:
            raise Retry(
                "STALE_BOOK", f"the book of {symbol} is stale: {self.stale}", "it is being fetched again"
            )
        book = self.venue.engine.books[symbol]
        return VenueBook(symbol, tuple(book.bids.levels()), tuple(book.asks.levels()), self._clock.now_ns())

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        if self.rests is not None:
            order = replace(order, px=self.rests, time_in_force=TimeInForce.GTC)
        payload = binance.query_string(codec.new_order_params(order, self._need_symbol(order.symbol)))
        self._orders[payload] = order
        digest = hashlib.sha256(payload.encode()).hexdigest()
        return SignedRequest(order.cl_ord_id, "POST", "/api/v3/order", payload, digest)

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        self._need_markets()
        trouble = self.next_submit.pop(0) if self.next_submit else ""
        if trouble == "unreachable":
            raise Retry("VENUE_UNREACHABLE", f"{self._name} cannot be reached", "refused")
        self.sent.append(request)
        lost = Reconcile("VENUE_TIMEOUT", f"{self._name} did not answer", "ask by client order id")
        if trouble == "lost_before":
            raise lost
        order = self._orders[request.payload]
        params = codec.new_order_params(order, self._instruments[order.symbol])
        fields = {key: str(value) for key, value in params.items()}
        try:
            outcome = self.venue.place(wire.new_order(self.venue.engine, OWNER, fields, ""))
        except VenueError as error:
            raise binance.error_of(binance.VenueSays(error.code, error.msg), write=True) from None
        if trouble == "lost_after":
            raise lost
        assert outcome.order is not None
        fills = [e.fill for e in outcome.executions if e.fill and e.order.order_id == outcome.order.order_id]
        placed = self._reader.placed(wire.placed_json(outcome.order, fills, "FULL"))
        return replace(placed, status=OrdStatus.NEW, cum_qty=Decimal(0), fills=()) if self.forgets else placed

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        self._need_symbol(symbol)
        trouble = self.next_cancel.pop(0) if self.next_cancel else ""
        lost = Reconcile("VENUE_TIMEOUT", f"{self._name} did not answer", "ask by client order id")
        if trouble == "lost_before":
            raise lost
        if trouble == "refused":
            raise Reject("REQUEST_EXPIRED", f"{self._name} refuses the cancel", "check this machine's clock")
        order = self.venue.engine.find(OWNER, symbol, None, cl_ord_id)
        if order is not None and order.is_open and trouble == "lost_after":
            self.venue.cancel(order)
        if trouble == "lost_after":
            raise lost
        if order is None:
            raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
        if order.is_open:
            self.venue.cancel(order)
        return self._snapshot(order)

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        return await one_by_one(self.cancel, orders)

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        self._need_symbol(symbol)
        self.asked += 1
        order = self.venue.engine.find(OWNER, symbol, None, cl_ord_id)
        return None if order is None or self.forgets else self._snapshot(order)

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        self._need_markets()
        return tuple(self._reader.order(wire.order_json(o)) for o in self.venue.engine.open_orders(OWNER))

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        self._need_symbol(symbol)
        rows = (
            []
            if self.forgets
            else [
                f
                for f in self.venue.engine.fills
                if f.symbol == symbol and f.time_ms >= since_ns // 1_000_000
            ]
        )
        return tuple(
            (
                ClOrdId(self.venue.engine.orders[row.order_id].cl_ord_id),
                self._reader.trade(wire.my_trade_json(row))[2],
            )
            for row in rows
        )

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        return tuple(codec.balances(wire.account_json(self.venue.engine, OWNER, 0), self._name))

    def stream(self) -> AsyncIterator[ExecutionReport]:
        self._need_markets()
        return self._told()

    async def _told(self) -> AsyncIterator[ExecutionReport]:
        if self.breaks:
            self.breaks -= 1
            raise Reject("API_KEY_REFUSED", f"{self._name} says -2015", "check the API key")
        queue: asyncio.Queue[ExecutionReport] = asyncio.Queue()
        for report in self._history:
            queue.put_nowait(report)
        self._queues.append(queue)
        try:
            while True:
                report = await queue.get()
                while self.forgets:
                    await self._clock.sleep(self._audit_s)
                if self.silent:
                    await self._clock.sleep(self._audit_s)
                yield report
        finally:
            self._queues.remove(queue)

    # inside

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    def _hear(self, outcome: Outcome) -> None:
        for execution in outcome.executions:
            if execution.order.account == HOUSE:
                continue
            report = self._reader.report(wire.execution_report(execution, self._now_ms()))
            if report is not None:
                self._history.append(report)
                for queue in self._queues:
                    queue.put_nowait(report)

    def _snapshot(self, order: Order) -> OrderSnapshot:
        rows = self.venue.engine.fills_of(order.order_id)
        return self._reader.order(
            wire.order_json(order), [self._reader.trade(wire.my_trade_json(row))[2] for row in rows]
        )

    def _need_markets(self) -> None:
        if not self._started:
            raise Retry(
                "MARKETS_NOT_LOADED", f"the markets of {self._name} are not loaded", "start the venue"
            )

    def _need_symbol(self, symbol: str) -> VenueInstrument:
        self._need_markets()
        if symbol not in self._instruments:
            raise Usage("UNKNOWN_SYMBOL", f"{self._name} does not trade {symbol}", "see instruments")
        return self._instruments[symbol]
