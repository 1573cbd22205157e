"""Follows the books of some symbols at one venue over one line: sound while in step, stale on every doubt, fetched again by itself.

Where the venue gives snapshots by REST one is fetched for the book in doubt; where they come on the line itself the line is taken
up again, with growing pauses. A consumer that is slow reads `news`: the newest state of what matters most, see
`agent.market.conflation`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from agent.domain.errors import Retry, Usage
from agent.market.conflation import Conflation, Priority
from agent.market.feed import BookDelta, BookSnapshot, Count, Event, Note
from agent.market.feeds import FeedFacts
from agent.market.ladder import Doubt, Ladder, Step
from agent.ports import Clock, VenueBook
from agent.transport.stream import Down, Quiet, Stream, Text, Up

Fetch = Callable[[str], Awaitable[bytes]]
"""A path to the answer's body. Raises Retry."""
TRIES, PAUSE_S, LOOK_NS = 3, 0.2, 1_000_000_000


class Books:
    """`hear` gets every event that is no book's. `priorities` may be changed while it runs; what it does not name is watched."""

    def __init__(
        self,
        facts: FeedFacts,
        symbols: tuple[str, ...],
        stream: Stream,
        clock: Clock,
        fetch: Fetch | None = None,
        hear: Callable[[Event], None] | None = None,
        ahead_ns: int = 0,
        kept: int = 1_000,
    ) -> None:
        self.facts, self.ladders = facts, {s: Ladder(s, facts.rules, ahead_ns) for s in symbols}
        self.priorities: dict[str, Priority] = {}
        self.news: Conflation[Ladder] = Conflation(kept)
        self.resyncs = self.bad_frames = self.gaps = 0
        self._stream, self._clock, self._fetch, self._hear = stream, clock, fetch, hear
        self._said = facts.subscribe(symbols)[1]
        self._count: int | None = None
        self._loaded = asyncio.Event()
        self._next_look_ns = 0

    def doubts(self) -> Mapping[str, Doubt | None]:
        now_ns = self._clock.now_ns()
        return {symbol: ladder.look(now_ns) for symbol, ladder in self.ladders.items()}

    def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Usage NOT_FOLLOWED."""
        ladder = self.ladders.get(symbol)
        if ladder is None:
            raise Usage(
                "NOT_FOLLOWED", f"{self.facts.title}: {symbol} is not followed", "name it among the symbols"
            )
        bids, asks = ladder.sound(self._clock.now_ns())
        return VenueBook(symbol, bids, asks, ladder.heard_ns)

    async def first(self, seconds: float) -> None:
        """Waits for a sound book of each symbol, so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._loaded.wait()
        except TimeoutError:
            return  # `book` says what is missing

    async def run(self) -> None:
        """Never ends; cancel the task that runs it."""
        async for event in self._stream.events():
            match event:
                case Up():
                    self._lose(Doubt.NOT_LOADED)
                    self._count = None
                    for text in self._said:
                        await self._stream.say(text)
                    for symbol in self.ladders:
                        await self._snapshot(symbol)
                case Text(data):
                    await self._frame(data)
                case Quiet(seconds):
                    self._lose(Doubt.SILENT)
                    await self._stream.drop(f"silent for {seconds:g} s")
                case Down():
                    self._lose(Doubt.LINE)

    def _lose(self, doubt: Doubt) -> None:
        for ladder in self.ladders.values():
            ladder.lost(doubt)

    async def _frame(self, text: str) -> None:
        try:
            events = self.facts.decode(text)
        except Retry as error:
            self.bad_frames += 1
            self._lose(Doubt.FRAME)
            await self._stream.drop(error.message)
            return
        for event in events:
            if isinstance(event, BookDelta | BookSnapshot):
                await self._book(event)
            elif isinstance(event, Count):
                if self._count is not None and event.number != self._count + 1:
                    self.gaps += 1
                    self._lose(Doubt.GAP)
                    await self._stream.drop(f"message {self._count + 1} is missing")
                    return
                self._count = event.number
            else:
                await self._other(event)
        await self._look()

    async def _look(self) -> None:
        """Once a second: what has been silent for too long on a line that speaks is fetched again."""
        now_ns = self._clock.now_ns()
        if now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + LOOK_NS
        for ladder in self.ladders.values():
            if ladder.look(now_ns) is Doubt.SILENT:
                await self._resync(ladder)

    async def _other(self, event: Event) -> None:
        if isinstance(event, Note) and self.facts.reply is not None:
            text = self.facts.reply(event)
            if text is not None:
                await self._stream.say(text)
        if self._hear is not None:
            self._hear(event)

    async def _book(self, event: BookDelta | BookSnapshot) -> None:
        ladder = self.ladders.get(event.symbol)
        if ladder is None:
            return
        before, now_ns = ladder.doubt, self._clock.now_ns()
        whole = isinstance(event, BookSnapshot)
        step = ladder.load(event, now_ns) if isinstance(event, BookSnapshot) else ladder.apply(event, now_ns)
        # a snapshot that does not load is a doubt of its own; any other doubt but silence has its snapshot on the way
        if step is Step.STALE and (whole or before in (None, Doubt.SILENT)):
            await self._resync(ladder)
        elif step is Step.APPLIED:
            self._tell(ladder)

    def _tell(self, ladder: Ladder) -> None:
        self.news.put(ladder.symbol, self.priorities.get(ladder.symbol, Priority.WATCHED), ladder)
        if not self._loaded.is_set() and all(one.doubt is None for one in self.ladders.values()):
            self._loaded.set()

    async def _resync(self, ladder: Ladder) -> None:
        self.resyncs += 1
        if ladder.doubt is Doubt.GAP:
            self.gaps += 1
        if self.facts.snapshot is None:
            why = ladder.doubt.value if ladder.doubt is not None else ""
            self._lose(Doubt.LINE)
            await self._stream.drop(f"{ladder.symbol}: {why}")
        else:
            await self._snapshot(ladder.symbol)

    async def _snapshot(self, symbol: str) -> None:
        """By REST, where there is such a thing: tried a few times, for the first may be older than what was heard since."""
        if self.facts.snapshot is None or self._fetch is None:
            return
        path, answer = self.facts.snapshot(symbol)
        for number in range(TRIES):
            if number:
                await self._clock.sleep(PAUSE_S)
            try:
                (event,) = self.facts.answers[answer](symbol, await self._fetch(path))
            except Retry as error:
                await self._stream.drop(f"no snapshot of {symbol}: {error.message}")
                return
            if isinstance(event, BookSnapshot):
                ladder = self.ladders[symbol]
                if ladder.load(event, self._clock.now_ns()) is not Step.STALE:
                    self._tell(ladder)
                    return
        await self._stream.drop(f"no snapshot of {symbol} fits what was heard since")
