"""Follows the books of some symbols at one venue over one line: sound while in step, stale on every doubt, fetched again by itself.

What the line says is read at once and applied as the loop has time, the most important instrument first (`agent.market.intake`): a
process that is busy planning falls behind on what is only watched, not on what it works. Where the venue gives snapshots by REST
one is fetched for the book in doubt; where they come on the line itself the line is taken up again, with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.domain.errors import Retry, Usage
from agent.market.conflation import Priority
from agent.market.feed import BookDelta, BookSnapshot, Count, Event, Note
from agent.market.feeds import FeedFacts
from agent.market.intake import Intake
from agent.market.ladder import Doubt, Ladder, Step
from agent.ports import Clock, VenueBook
from agent.transport.stream import Down, Quiet, Stream, Text, Up

Fetch = Callable[[str], Awaitable[bytes]]
"""A path to the answer's body. Raises Retry."""
TRIES, PAUSE_S, LOOK_NS, LATE_S = 3, 0.2, 1_000_000_000, 0.3
KEPT, EACH = 1_000, 512
"""Instruments that may wait, and updates of each: a minute of a busy book."""


class Books:
    """`hear` gets every event that is no book's; `rank` says what an instrument matters now; `ahead_ns` as `Ladder`'s."""

    def __init__(
        self,
        facts: FeedFacts,
        symbols: tuple[str, ...],
        stream: Stream,
        clock: Clock,
        fetch: Fetch | None = None,
        hear: Callable[[Event], None] | None = None,
        ahead_ns: int = 0,
        rank: Callable[[str], Priority] = lambda symbol: Priority.WATCHED,
        kept: int = KEPT,
        each: int = EACH,
    ) -> None:
        self.facts, self.ladders = facts, {s: Ladder(s, facts.rules, ahead_ns) for s in symbols}
        self.waiting = Intake(kept, each)
        self.resyncs = self.bad_frames = self.gaps = 0
        self.trouble = ""
        self._stream, self._clock, self._fetch, self._hear, self._rank = stream, clock, fetch, hear, rank
        self._ahead_ns = ahead_ns
        self._count: int | None = None
        self._loaded: dict[str, asyncio.Event] = {s: asyncio.Event() for s in symbols}
        self._came = asyncio.Event()
        self._up = False
        self._group: asyncio.TaskGroup | None = None
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._next_look_ns = self._line_ns = 0

    async def follow(self, symbol: str) -> None:
        """One symbol more, on the line that is up already or the next one."""
        if symbol in self.ladders:
            return
        self.ladders[symbol] = Ladder(symbol, self.facts.rules, self._ahead_ns)
        self._loaded[symbol] = asyncio.Event()
        if self._up:
            for text in self.facts.subscribe((symbol,))[1]:
                await self._stream.say(text)
            self._ask(symbol)

    def clocks(self, ahead_ns: int) -> None:
        """How far the venue's clock is before ours, measured anew."""
        self._ahead_ns = ahead_ns
        for ladder in self.ladders.values():
            ladder.ahead_ns = ahead_ns

    def doubts(self) -> Mapping[str, Doubt | None]:
        self._heed_silence()
        now_ns = self._clock.now_ns()
        return {symbol: ladder.look(now_ns) for symbol, ladder in self.ladders.items()}

    def told(self) -> dict[str, Any]:
        """What became of what the line said: counts since the start, by priority where that matters."""
        return {
            "books": len(self.ladders),
            "in_doubt": {s: d.value for s, d in self.doubts().items() if d is not None},
            "resyncs": self.resyncs,
            "gaps": self.gaps,
            "bad_frames": self.bad_frames,
            "superseded": {p.name: n for p, n in self.waiting.superseded.items()},
            "dropped": {p.name: n for p, n in self.waiting.given_up.items()},
            "most_waiting": self.waiting.most,
        }

    def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Usage NOT_FOLLOWED."""
        ladder = self.ladders.get(symbol)
        if ladder is None:
            raise Usage(
                "NOT_FOLLOWED", f"{self.facts.title}: {symbol} is not followed", "name it among the symbols"
            )
        self._heed_silence()
        try:
            bids, asks = ladder.sound(self._clock.now_ns())
        except Retry as stale:
            hint = f"{stale.hint}; {self.trouble}" if self.trouble else stale.hint
            raise Retry(stale.code, stale.message, hint) from None
        return VenueBook(symbol, bids, asks, ladder.heard_ns)

    async def first(self, symbol: str, seconds: float) -> None:
        """Waits for a sound book of this symbol, so long at most."""
        if self.ladders[symbol].look(self._clock.now_ns()) is None:
            return
        self._loaded[symbol].clear()
        try:
            async with asyncio.timeout(seconds):
                await self._loaded[symbol].wait()
        except TimeoutError:
            return  # `book` says what is missing

    async def run(self) -> None:
        """Never ends; cancel the task that runs it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._apply())
            if self.facts.probe is not None and self._fetch is not None:
                group.create_task(self._watch())
            if self.facts.line_quiet_s:
                group.create_task(self._watch_line())
            try:
                await self._read()
            finally:
                self._group = None  # whoever asks for a book from now on starts no task that nobody would end

    # the line

    async def _read(self) -> None:
        async for event in self._stream.events():
            match event:
                case Up():
                    self._forget(Doubt.NOT_LOADED)
                    self._up, self._line_ns = True, self._clock.now_ns()
                    for text in self.facts.subscribe(tuple(self.ladders))[1] if self.ladders else ():
                        await self._stream.say(text)
                    for symbol in self.ladders:
                        self._ask(symbol)
                case Text(data):
                    await self._frame(data)
                case Quiet(seconds):
                    self._lose(Doubt.SILENT)
                    await self._stream.drop(f"silent for {seconds:g} s")
                case Down(why):
                    self._up = False
                    self.trouble = f"the line is down: {why}"
                    self._forget(Doubt.LINE)

    def _forget(self, doubt: Doubt) -> None:
        """A line's end or beginning: what was heard before, or is being fetched, says nothing of what comes."""
        self._lose(doubt)
        self._count = None
        self.waiting.clear()
        for task in self._fetching.values():
            task.cancel()
        self._fetching.clear()

    def _lose(self, doubt: Doubt) -> None:
        for ladder in self.ladders.values():
            ladder.lost(doubt)

    def _heed_silence(self) -> bool:
        """Whether the line has said nothing for too long, not even that it lives: every book of it is in doubt then, at once."""
        quiet_ns = int(self.facts.line_quiet_s * 1e9)
        silent = self._up and 0 < quiet_ns < self._clock.now_ns() - self._line_ns
        if silent:
            self._lose(Doubt.SILENT)
        return silent

    async def _watch_line(self) -> None:
        """An open socket may be nobody's: what should speak and does not is taken up again."""
        while True:
            await self._clock.sleep(self.facts.line_quiet_s / 4)
            if self._heed_silence():
                self._up = False
                await self._stream.drop(f"silent for {self.facts.line_quiet_s:g} s")

    async def _frame(self, text: str) -> None:
        self._line_ns = self._clock.now_ns()
        try:
            events = self.facts.decode(text)
        except Retry as error:
            self.bad_frames += 1
            self.trouble = error.message
            self._lose(Doubt.FRAME)
            await self._stream.drop(error.message)
            return
        for event in events:
            if isinstance(event, BookDelta | BookSnapshot):
                await self._take_in(event)
            elif isinstance(event, Count):
                if self._count is not None and event.number != self._count + 1:
                    self.gaps += 1
                    self._lose(Doubt.GAP)
                    self.waiting.clear()
                    await self._stream.drop(f"message {self._count + 1} is missing")
                    return
                self._count = event.number
            else:
                await self._other(event)

    async def _take_in(self, event: BookDelta | BookSnapshot) -> None:
        if event.symbol not in self.ladders:
            return
        gone = self.waiting.put(event, self._rank(event.symbol))
        if gone is not None:
            self.ladders[gone].lost(Doubt.BEHIND)
            await self._resync(self.ladders[gone])
        self._came.set()

    async def _other(self, event: Event) -> None:
        if isinstance(event, Note) and self.facts.reply is not None:
            text = self.facts.reply(event)
            if text is not None:
                await self._stream.say(text)
        if self._hear is not None:
            self._hear(event)

    # the books

    async def _apply(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while (taken := self.waiting.take()) is not None:
                for event in taken[1]:
                    await self._book(event)
                await asyncio.sleep(0)  # what came meanwhile may matter more
            await self._look()

    async def _look(self) -> None:
        """Once a second: what has been silent for too long on a line that speaks is fetched again."""
        now_ns = self._clock.now_ns()
        if now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + LOOK_NS
        for ladder in list(self.ladders.values()):
            if ladder.look(now_ns) is Doubt.SILENT:
                await self._resync(ladder)

    async def _book(self, event: BookDelta | BookSnapshot) -> None:
        ladder = self.ladders[event.symbol]
        before, now_ns = ladder.doubt, self._clock.now_ns()
        whole = isinstance(event, BookSnapshot)
        step = ladder.load(event, now_ns) if isinstance(event, BookSnapshot) else ladder.apply(event, now_ns)
        # a snapshot that does not load is a doubt of its own; any other doubt but silence has its snapshot on the way
        if step is Step.STALE and (whole or before in (None, Doubt.SILENT)):
            await self._resync(ladder)
        elif ladder.doubt is None:
            self._loaded[ladder.symbol].set()

    async def _resync(self, ladder: Ladder) -> None:
        self.resyncs += 1
        if ladder.doubt is Doubt.GAP:
            self.gaps += 1
        if self.facts.snapshot is None:
            why = ladder.doubt.value if ladder.doubt is not None else ""
            self._lose(Doubt.LINE)
            await self._stream.drop(f"{ladder.symbol}: {why}")
        else:
            self._ask(ladder.symbol)

    # by REST

    def _ask(self, symbol: str) -> None:
        """Fetches a snapshot beside everything else; one at a time of each symbol."""
        asked = self._fetching.get(symbol)
        if self.facts.snapshot is None or self._fetch is None or self._group is None:
            return
        if asked is None or asked.done():
            self._fetching[symbol] = self._group.create_task(self._snapshot(symbol, self._fetch))

    async def _snapshot(self, symbol: str, fetch: Fetch) -> None:
        """Tried a few times, for the first may be older than what was heard since."""
        assert self.facts.snapshot is not None
        path, answer = self.facts.snapshot(symbol)
        for number in range(TRIES):
            if number:
                await self._clock.sleep(PAUSE_S)
            try:
                (event,) = self.facts.answers[answer](symbol, await fetch(path))
            except Retry as error:
                self.trouble = f"no snapshot of {symbol}: {error.message}"
                await self._stream.drop(self.trouble)
                return
            ladder = self.ladders[symbol]
            if isinstance(event, BookSnapshot) and ladder.load(event, self._clock.now_ns()) is not Step.STALE:
                self.trouble = ""
                self._loaded[symbol].set()
                return
        self.trouble = f"no snapshot of {symbol} fits what was heard since"
        await self._stream.drop(self.trouble)

    async def _watch(self) -> None:
        """Where silence may mean that nothing happened: whoever was silent is asked after by REST."""
        probe_ns = int(self.facts.probe_s * 1e9)
        while True:
            await self._clock.sleep(self.facts.probe_s / 3)
            now_ns = self._clock.now_ns()
            for ladder in list(self.ladders.values()):
                if ladder.look(now_ns) is Doubt.SILENT:
                    await self._resync(ladder)
                elif ladder.doubt is None and now_ns - ladder.heard_ns > probe_ns:
                    await self._prove(ladder)

    async def _prove(self, ladder: Ladder) -> None:
        assert self.facts.probe is not None and self._fetch is not None
        path, answer = self.facts.probe(ladder.symbol)
        asked_ns = self._clock.now_ns()
        try:
            (event,) = self.facts.answers[answer](ladder.symbol, await self._fetch(path))
        except Retry:
            return  # the book grows old meanwhile, and is refused for it
        if not isinstance(event, BookSnapshot) or event.seq is None:
            return
        if ladder.seq is None or event.seq > ladder.seq:
            await self._clock.sleep(LATE_S)  # it may be under way
            if ladder.doubt is None and (ladder.seq is None or event.seq > ladder.seq):
                self._lose(Doubt.SILENT)
                await self._stream.drop(f"{ladder.symbol}: silent while the book moved")
        elif ladder.doubt is None:
            ladder.alive(asked_ns)
