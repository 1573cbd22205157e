"""The lives of a desk: the real engine over the real session, with an account at an exchange of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agent.app.chaos.deaths import Doom, DyingStore
from agent.app.chaos.exchange.dialects import DIALECTS, USDC, Dialect
from agent.app.chaos.exchange.fates import Fate
from agent.app.chaos.exchange.ground import QuickClock
from agent.app.chaos.exchange.sessions import session_of
from agent.app.live_market import LiveMarket
from agent.app.wiring import algorithms
from agent.app.workshop import Workshop
from agent.app.world import World
from agent.domain.errors import FairleadError, Reject, Retry
from agent.domain.events import Approved, Authorized, Indeterminate
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.orders import ChildOrder, Part, Side, TimeInForce, VenueOrder
from agent.domain.risk import Limits, OraclePrice
from agent.domain.routes import Leg, Route
from agent.domain.units import WIDE, quantize_down, raw_exact
from agent.execution.authority import Authority
from agent.execution.desk import Desk
from agent.execution.halt import Switch
from agent.execution.outbox import Outbox, Sent
from agent.execution.recorder import Recorder
from agent.execution.tracker import Tracker
from agent.journal.book import Book
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from agent.market.book import buy_base_exact
from agent.market.view import MarketView
from agent.ports import ExecutionVenue
from agent.routing.greedy import best_plan
from agent.routing.problem import pose
from agent.routing.report import route_of
from agent.transport.http import TimeOuts

PAPER = Place("cex:paper")
PX = Decimal(3_000)
MISTAKES = ("resends", "forgets")
READ_S, WRITE_S = 0.6, 0.12
"""The wall's seconds; a write that is late by less than the exchange's five is given up on before."""
LIMITS = Limits(
    per_order_usd=Decimal(250_000),
    per_day_usd=Decimal(100_000_000),
    allow_assets=("ETH", "USDC"),
    allow_venues=(PAPER,),
    price_collar_bps=300,
    max_slippage_bps=300,
    max_price_age_s=3600,
    max_market_age_s=60,
    min_gas_reserve_wei=(),
    counterparty_cap_usd=((PAPER, Decimal(100_000_000)),),
)


class BookMarket(LiveMarket):
    """The live market over one exchange, with a price that everybody agrees on."""

    def __init__(self, clock: QuickClock, venue: ExecutionVenue, dialect: Dialect) -> None:
        there = SimpleNamespace(symbols=(dialect.symbol,))
        configured: Any = SimpleNamespace(venue=lambda name: there, chains=())
        super().__init__(clock, configured, dialect.directory, {}, {"paper": venue}, prices_of(clock))
        self._base = dialect.asset

    def _route(self, view: MarketView, child: ChildOrder) -> Route:
        """The best plan over the one book, without the proof of it: nothing here asks how far from the best it is."""
        held = self.with_inventory(view, child)
        wanted = raw_exact(child.qty, 8, "the quantity")
        sold, bought, amount = self._base, USDC, wanted
        if child.side is Side.BUY:
            fill = buy_base_exact(held.books[0], wanted, 8, 8)
            if fill is None:
                raise Reject("NO_ROUTE", f"the book does not sell {child.qty} ETH", "wait")
            sold, bought, amount = USDC, self._base, fill.in_raw
        problem = pose(held, sold, bought, amount, max_legs=1, max_hops=1)
        return route_of(problem, best_plan(problem))


class RestingWorkshop(Workshop):
    """As the fate says, the order waits in the book instead of taking what is there."""

    def __init__(self, clock: QuickClock, venue: ExecutionVenue, fate: Fate | None) -> None:
        super().__init__(clock, {}, {"paper": venue}, 60)
        self._fate, self._venue = fate, venue

    async def _venue_order(
        self, part: Part, legs: Sequence[Leg], approved: Approved, slippage: int
    ) -> VenueOrder:
        order = await super()._venue_order(part, legs, approved, slippage)
        if self._fate is None or not self._fate.rests:
            return order
        book = await self._venue.book(order.symbol)
        tick = next(one.tick for one in await self._venue.instruments() if one.symbol == order.symbol)
        best = book.bids[0][0] if order.side is Side.BUY else book.asks[0][0]
        sign = -1 if order.side is Side.BUY else 1
        with localcontext(WIDE):
            px = quantize_down(best * (10_000 + sign * self._fate.away_bps) / 10_000, tick)
        return replace(order, time_in_force=TimeInForce.GTC, px=px)


def prices_of(clock: QuickClock) -> Any:
    async def prices() -> tuple[OraclePrice, ...]:
        at_s = clock.now_ns() // 10**9
        worth = {"ETH": PX, "USDC": Decimal(1)}
        return tuple(
            OraclePrice(f"{n} {s}", s, px, at_s) for s, px in worth.items() for n in ("first", "second")
        )

    return prices


@dataclass
class Lane:
    """An account, its journal and its address; `open` is one life of its desk. `mistake`: what it does wrong, for a control;
    `by`: which session of the exchange it works by."""

    number: int
    url: str
    folder: Path
    clock: QuickClock
    mistake: str = ""
    by: str = "binance_spot"
    fix_url: str = ""
    venue: ExecutionVenue | None = None

    @property
    def name(self) -> str:
        return f"lane {self.number}"

    @property
    def journal_path(self) -> Path:
        return self.folder / f"journal-{self.number}.db"

    @property
    def switch(self) -> Switch:
        return Switch(self.folder / f"HALTED-{self.number}.json")

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.by]

    def session(self, reduces: bool = False) -> ExecutionVenue:
        times = TimeOuts(READ_S, WRITE_S)
        return session_of(self.by, self.clock, self.url, times, self.fix_url, reduces)

    @asynccontextmanager
    async def open(self, doom: Doom, fate: Fate | None) -> AsyncIterator[Desk]:
        journal = Journal.open(
            self.journal_path,
            clock=self.clock,
            environment="devnet",
            codec=event_codec(),
            derisking=is_derisking,
        )
        venue, telling = self.session(fate is not None and fate.reduces), None
        self.venue = venue
        try:
            book = Book()
            for event in journal.events():
                book.apply(event)
            journal.remember("book", book.state_hash)
            await started(venue, self.clock)
            desk = self._desk(journal, book, doom, venue, fate)
            telling = asyncio.create_task(desk.tracker.consume(venue))
            yield desk
        finally:
            try:
                if telling is not None:
                    telling.cancel()
                    await asyncio.gather(telling, return_exceptions=True)
                await venue.close()
            finally:  # also where the end of a case's patience interrupts this
                journal.close()

    def _desk(
        self, journal: Journal, book: Book, doom: Doom, venue: ExecutionVenue, fate: Fate | None
    ) -> Desk:
        clock, venues, directory = self.clock, {"paper": venue}, self.dialect.directory
        recorder = Recorder(DyingStore(journal, doom), book)
        outbox = (Careless if self.mistake == "resends" else Outbox)(clock, {}, venues)
        nobody: Any = None
        return Desk(
            environment="devnet",
            clock=clock,
            journal=recorder,
            book=book,
            limits=LIMITS,
            switch=self.switch,
            market=BookMarket(clock, venue, self.dialect),
            world=World(clock, directory, {}, self.switch, prices_of(clock), _ready, lambda: ""),
            workshop=RestingWorkshop(clock, venue, fate),
            authority=Authority(clock, book, {}, venues, nobody, nobody, outbox, _nothing),
            outbox=outbox,
            tracker=Tracker(clock, recorder, {}, venues, directory.decimals, nobody),
            algos=algorithms(),
            decimals=directory.decimals,
            lots={"ETH": Decimal("0.0001"), "USDC": Decimal("0.01")},
        )

    def read_book(self) -> Book:
        """The journal of a desk that is gone, folded afresh."""
        journal = Journal.open(self.journal_path, clock=self.clock, environment="devnet", codec=event_codec())
        try:
            book = Book()
            for event in journal.events():
                book.apply(event)
            return book
        finally:
            journal.close()


class Careless(Outbox):
    """A control: what was not answered is sent again under another id, as so many programs do."""

    async def submit(self, authorized: Authorized) -> Sent:
        sent = await super().submit(authorized)
        if not isinstance(sent, Indeterminate) or authorized.order is None:
            return sent
        venue = self._venues["paper"]
        again = replace(authorized.order, cl_ord_id=ClOrdId(f"{authorized.order.cl_ord_id}-again"))
        with suppress(FairleadError):
            await venue.submit(await venue.authorize(again))
        return sent


async def started(venue: ExecutionVenue, clock: QuickClock) -> None:
    """Through whatever befalls a start."""
    while True:
        try:
            await venue.start()
            return
        except Retry:
            await clock.sleep(0.5)


async def _ready(place: Place) -> str:
    return ""


async def _nothing() -> None:
    return None
