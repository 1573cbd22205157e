"""Follows one symbol's depth stream and keeps a DepthBook honest: re-snapshot on every doubt, stale in the meantime."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent.domain.errors import FairleadError, Halt, Retry
from agent.ports import Clock, VenueBook
from agent.transport.stream import Down, Quiet, Stream, Text, Up
from agent.venues.binance_spot import codec
from agent.venues.binance_spot.depth import DepthBook, Step

FIRST_BOOK_S, RESYNC_S = 5.0, 0.5
FULL, PROBE = 1_000, 5


class BookKeeper:
    """`snapshot(levels)` fetches the REST depth. `stale_ns` is how old the last proof of sequence may be."""

    def __init__(
        self,
        symbol: str,
        stream: Stream,
        snapshot: Callable[[int], Awaitable[Any]],
        clock: Clock,
        stale_ns: int,
    ) -> None:
        self.book_of = DepthBook(symbol)
        self.resyncs = 0
        self._stream, self._snapshot, self._clock, self._stale_ns = stream, snapshot, clock, stale_ns
        self._synced = asyncio.Event()
        self.failed: FairleadError | None = None

    async def run(self) -> None:
        """Never ends but by cancellation, or where the venue says something that cannot be understood."""
        try:
            async for event in self._stream.events():
                match event:
                    case Up():
                        await self._resync("connected: no snapshot yet")
                    case Text(data):
                        await self._hear(data)
                    case Quiet(seconds):
                        await self._prove(seconds)
                    case Down(why):
                        self._stale(f"the depth stream is down: {why}")
        except Halt as error:
            self.failed = error
            self._stale(error.message)
            self._synced.set()

    def _stale(self, why: str) -> None:
        self.book_of.lost(why)
        self._synced.clear()

    async def _resync(self, why: str) -> None:
        self._stale(why)
        self.resyncs += 1
        asked_ns = self._clock.now_ns()
        try:
            step = self._load(await self._snapshot(FULL), asked_ns)
        except Retry as error:
            await self._stream.drop(f"no snapshot: {error.message}")
            return
        if step is not Step.APPLIED:
            await self._stream.drop(f"the snapshot of {self.book_of.symbol} crosses")

    def _load(self, data: Any, asked_ns: int) -> Step:
        with codec.understood("depth"):
            step = self.book_of.snapshot(
                int(data["lastUpdateId"]), codec.levels(data["bids"]), codec.levels(data["asks"]), asked_ns
            )
        if step is Step.APPLIED:
            self._synced.set()
        return step

    async def _hear(self, text: str) -> None:
        message = codec.load(text.encode(), "a depth event")
        with codec.understood("a depth event"):
            data = message.get("data", message)
            if data.get("e") != "depthUpdate":
                return
        if self._apply(data) in (Step.GAP, Step.CROSSED):
            await self._resync(self.book_of.stale)
            # the snapshot may be older than the update that showed the gap: it is applied on top, or is old
            if not self.book_of.stale and self._apply(data) in (Step.GAP, Step.CROSSED):
                self._stale(self.book_of.stale)
                await self._stream.drop(self.book_of.stale)

    def _apply(self, data: Any) -> Step:
        with codec.understood("a depth event"):
            return self.book_of.difference(
                int(data["U"]),
                int(data["u"]),
                codec.levels(data["b"]),
                codec.levels(data["a"]),
                self._clock.now_ns(),
            )

    async def _prove(self, seconds: float) -> None:
        """Nothing for a while: either nothing happened, or the socket only looks alive. The REST book's id tells which."""
        asked_ns = self._clock.now_ns()
        try:
            data = await self._snapshot(PROBE)
        except Retry:
            return  # the book grows old meanwhile, and is refused for it
        with codec.understood("depth"):
            behind = int(data["lastUpdateId"]) > self.book_of.last_id
        if behind:
            self._stale(f"silent for {seconds:g} s while the book moved")
            await self._stream.drop(self.book_of.stale)
        elif not self.book_of.stale:
            self.book_of.at_ns = asked_ns

    async def book(self) -> VenueBook:
        """Raises Retry STALE_BOOK for a book that is not proved to be in sequence."""
        patience_s = RESYNC_S if self.book_of.last_id else FIRST_BOOK_S
        try:
            async with asyncio.timeout(patience_s):
                await self._synced.wait()
        except TimeoutError:
            raise self._refuse(self.book_of.stale or "no snapshot yet") from None
        if self.failed is not None:
            raise self.failed
        book = self.book_of
        age_ns = self._clock.now_ns() - book.at_ns
        if book.stale or age_ns > self._stale_ns:
            raise self._refuse(book.stale or f"last proved {age_ns / 1e9:.1f} s ago")
        bids, asks = book.levels()
        return VenueBook(book.symbol, bids, asks, book.at_ns)

    def _refuse(self, why: str) -> Retry:
        return Retry(
            "STALE_BOOK", f"the book of {self.book_of.symbol} is stale: {why}", "it is being fetched again"
        )
