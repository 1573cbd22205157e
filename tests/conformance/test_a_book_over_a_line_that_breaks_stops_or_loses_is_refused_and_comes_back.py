"""The acceptance suite, its part on lines: at every venue with a feed, what a line that is cut, silent, half-open, garbled or lossy makes of a
book. It is refused at once, or within the silence that the venue's facts name, nothing is planned over it, and it comes back as it is there.

Number 10 of the failures this must survive, and the book's part of number 9. Frames are each venue's own (`tests/support/feed_pens`); the
time is the test's. At the end the sessions that trade there, at the paper exchange.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from feed_pens import PENS, Pen, TrueBook
from manual_clock import ManualClock
from paper import Door
from venue_rigs import AT_PAPER, RIGS, Rig

import agent.venues
from agent.app.live_market import LiveMarket
from agent.app.places import Directory
from agent.domain.errors import Reject, Retry
from agent.domain.instruments import Asset, cex_id
from agent.domain.reports import Balance
from agent.market.feeds import FeedFacts
from agent.market.ladder import Doubt
from agent.ports import VenueBook, VenueInstrument
from agent.transport.books import Books
from agent.transport.stream import Down, Text, Up

D = Decimal
PAUSE_S = 0.1
LONGEST_S = 15.0
"""No venue's book may be believed for longer than this after the last that was heard."""
FEEDS = {
    m.name
    for m in pkgutil.iter_modules(agent.venues.__path__)
    if hasattr(importlib.import_module(f"agent.venues.{m.name}"), "FEED")
}


@dataclass
class Line:
    """A venue's end of a line, and the line itself as `agent.transport.stream.Stream` gives it: what stands there is `true`."""

    pen: Pen
    clock: ManualClock
    true: TrueBook
    reachable: bool = True
    lives: bool = True
    lines: int = 0
    said: int = 0
    _events: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    # the client's end

    async def events(self) -> AsyncIterator[Any]:
        while True:
            self.lines, self.said = self.lines + 1, 0
            self._events = asyncio.Queue()
            yield Up(self.lines)
            self.tell_whole()
            while not isinstance(event := await self._events.get(), Down):
                yield event
            yield event
            while True:
                await self.clock.sleep(PAUSE_S)
                if self.reachable:
                    break

    async def say(self, text: str) -> None:
        """What is subscribed to is what there is."""

    async def drop(self, why: str) -> None:
        self._events.put_nowait(Down(why))

    async def fetch(self, path: str) -> bytes:
        if not self.reachable or self.pen.rest is None:
            raise Retry("VENUE_UNREACHABLE", "nobody is there", "later")
        return self.pen.rest(self.true).encode()

    # the venue's end

    @property
    def now_ms(self) -> int:
        return self.clock.now_ns() // 10**6

    def _say(self, write: Callable[..., str], *what: Any, lost: bool = False, half: bool = False) -> None:
        text = write(self.true, *what, self.now_ms, self.said)
        self.said += 1
        if self.lives and not lost:
            self._events.put_nowait(Text(text[: len(text) // 2] if half else text))

    def tell_whole(self) -> None:
        if self.pen.whole is not None:
            self._say(self.pen.whole)

    def moves(self, px: str, qty: str, *, lost: bool = False, half: bool = False) -> None:
        """A bid there from now on; told, or lost on its way, or half of it comes."""
        self.true.number += 1
        self.true.bids.pop(D(px), None)
        if D(qty):
            self.true.bids[D(px)] = D(qty)
        self._say(self.pen.change, ({D(px): D(qty)}, {}), lost=lost, half=half)

    async def beat_for(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            if self.pen.beat is not None:
                self._say(self.pen.beat)
            await self.clock.sleep(1.0)

    def cut(self) -> None:
        self._events.put_nowait(Down("reset by peer"))


@dataclass
class Reader:
    """An exchange of one market whose books are followed, as the desk's market reads it."""

    books: Books
    symbol: str
    name: str = "there"

    async def instruments(self) -> list[VenueInstrument]:
        steps = (D("0.01"), D("0.01"), D("0.01"), D(1), D(10), D(10))
        return [VenueInstrument(self.symbol, "ETH", "USDC", *steps)]

    async def book(self, symbol: str) -> VenueBook:
        return self.books.book(symbol)

    async def balances(self) -> list[Balance]:
        return [Balance(cex_id("there", name), D(1_000)) for name in ("ETH", "USDC")]


@dataclass
class There:
    line: Line
    books: Books
    facts: FeedFacts
    market: LiveMarket

    @property
    def bound_s(self) -> float:
        """After so long a silence its facts say that a book is believed no more."""
        rules_s = self.facts.rules.quiet_ns / 1e9
        return min(one for one in (rules_s, self.facts.line_quiet_s) if one)

    def right(self) -> bool:
        """The book is told and it is the true one. A book that is told and is not fails the test."""
        try:
            told = self.books.book(self.line.pen.symbol)
        except Retry as refused:
            assert refused.code == "STALE_BOOK"
            return False
        assert (told.bids, told.asks) == self.line.true.rows()
        return True

    async def refused(self, *doubts: Doubt) -> None:
        """It is in doubt for one of these reasons, and the desk's market leaves the place out."""
        assert self.books.doubts()[self.line.pen.symbol] in doubts
        with pytest.raises(Reject, match="STALE_BOOK") as none:
            await self.market.view("ETH", "USDC")
        assert none.value.code == "NO_MARKET"

    async def comes_back(self, within_s: float = 5.0) -> None:
        """As it is there, level by level, and is planned over again."""
        for _ in range(round(within_s / PAUSE_S)):
            if self.right():
                break
            await self.line.clock.sleep(PAUSE_S)
        (book,) = (await self.market.view("ETH", "USDC")).books
        assert (book.bids, book.asks) == self.line.true.rows()


@asynccontextmanager
async def followed(pen: Pen) -> AsyncIterator[There]:
    clock = ManualClock()
    sides = ({D("99.50"): D("1.25"), D("99.00"): D("2.00")}, {D("100.50"): D("3.00")})
    line = Line(pen, clock, TrueBook(*sides))
    facts = importlib.import_module(f"agent.venues.{pen.feed}").FEED
    books = Books(facts, (pen.symbol,), line, clock, line.fetch)  # type: ignore[arg-type]
    assets = {cex_id("there", one): Asset(cex_id("there", one), one, 8) for one in ("ETH", "USDC")}
    directory = Directory({asset.symbol: (name,) for name, asset in assets.items()}, assets)
    settings: Any = SimpleNamespace(venue=lambda name: SimpleNamespace(symbols=(pen.symbol,)), chains=())

    async def prices() -> tuple[()]:
        return ()

    reader = Reader(books, pen.symbol)
    market = LiveMarket(clock, settings, directory, {}, {"there": reader}, prices)
    running = asyncio.create_task(books.run())
    there = There(line, books, facts, market)
    try:
        await there.comes_back()
        yield there
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(params=PENS)
async def there(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with followed(PENS[request.param]) as found:
        yield found


def test_every_feed_has_a_pen() -> None:
    assert {pen.feed for pen in PENS.values()} == FEEDS


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_changes_are_followed(there: There) -> None:
    for px, qty in (("99.70", "5.00"), ("99.50", "0"), ("99.70", "4.00")):
        there.line.moves(px, qty)
        await settled()
        assert there.right()
    assert there.line.lines == 1


async def test_a_cut_puts_it_in_doubt_at_once_and_no_level_of_before_survives(there: There) -> None:
    there.line.reachable = False
    there.line.cut()
    await settled()
    await there.refused(Doubt.LINE)
    there.line.moves("99.50", "0", lost=True)
    there.line.moves("98.00", "7.00", lost=True)
    await there.line.clock.sleep(60.0)
    await there.refused(Doubt.LINE)
    there.line.reachable = True
    await there.comes_back()


async def test_a_line_that_stays_open_and_silent_is_found_out_within_the_silence_its_facts_name(
    there: There,
) -> None:
    """Half-open: nothing is heard any more, no ping is missed, and the venue's other doors answer."""
    there.line.lives = False
    there.line.moves("99.50", "0")
    began_ns = there.line.clock.now_ns()
    await there.line.clock.sleep(there.bound_s + 0.01)
    assert there.bound_s <= LONGEST_S
    assert (there.line.clock.now_ns() - began_ns) / 1e9 <= LONGEST_S + 1
    assert there.line.lines > 1 or there.books.doubts()[there.line.pen.symbol] is not None
    there.line.lives = True
    await there.comes_back(within_s=30.0)
    assert there.books.ladders[there.line.pen.symbol].times[Doubt.SILENT] == 1 and there.line.lines > 1


async def test_a_silent_line_to_a_venue_that_is_away_is_refused_and_stays_so(there: There) -> None:
    there.line.lives = there.line.reachable = False
    there.line.moves("99.50", "0")
    await there.line.clock.sleep(there.bound_s + 0.01)
    await there.refused(Doubt.SILENT, Doubt.LINE)
    await there.line.clock.sleep(300.0)
    await there.refused(Doubt.SILENT, Doubt.LINE)
    there.line.lives = there.line.reachable = True
    await there.comes_back(within_s=30.0)


async def test_where_nothing_happens_a_book_is_proved_and_kept(there: There) -> None:
    await there.line.beat_for(120.0)
    assert there.right() and there.line.lines == 1
    assert not there.books.ladders[there.line.pen.symbol].times


async def test_an_update_that_was_lost_is_missed_by_the_next(there: There) -> None:
    there.line.moves("99.60", "6.00")
    await settled()
    assert there.right()
    there.line.reachable = False  # nor is there a snapshot meanwhile
    there.line.moves("99.50", "0", lost=True)
    there.line.moves("99.40", "8.00")
    await settled()
    if not there.right():  # a whole book each time can miss nothing
        await there.refused(Doubt.GAP, Doubt.CHECKSUM, Doubt.LINE)
    there.line.reachable = True
    await there.comes_back()


async def test_half_a_frame_is_no_frame(there: There) -> None:
    there.line.reachable = False
    there.line.moves("99.50", "0", half=True)
    await settled()
    await there.refused(Doubt.FRAME, Doubt.LINE)
    there.line.reachable = True
    await there.comes_back()


@pytest.fixture(params=AT_PAPER)
async def session(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Rig, Door]]:
    """A session that trades there, over sockets of its own, and the house's hand in the exchange."""
    async with RIGS[request.param]() as rig:
        assert rig.door is not None
        yield rig, rig.door


async def without(rig: Rig, ghost: Decimal) -> VenueBook:
    """The first book from now on that does not have that bid; until then it is refused, or of before."""
    async with asyncio.timeout(20):
        while True:
            try:
                book = await rig.venue.book(rig.symbol)
            except Retry as stale:
                assert stale.code == "STALE_BOOK"
            else:
                if ghost not in dict(book.bids):
                    return book
            await asyncio.sleep(0.02)


async def test_a_session_that_was_cut_off_or_lost_an_update_tells_no_ghost(session: tuple[Rig, Door]) -> None:
    rig, door = session
    ghost, other = (await rig.venue.book(rig.symbol)).bids[:2]
    await door.disconnect()
    await door.level("BUY", str(ghost[0]), "0")
    assert (await without(rig, ghost[0])).bids[0] == other
    await door.fault("depth", "drop")
    await door.level("BUY", str(other[0]), "0")
    await asyncio.sleep(0.15)  # it was told, and lost
    await door.level("BUY", "2950", "7")  # the next shows it
    book = await without(rig, other[0])
    assert dict(book.bids).get(D(2950), D(7)) == 7 and ghost[0] not in dict(book.bids)
