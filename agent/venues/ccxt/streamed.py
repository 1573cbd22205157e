"""Books of an exchange of the family as the library's own sockets tell them, so that fewer are asked for by REST.

The library keeps them in step by the exchange's own count where it knows how; what it cannot know is doubted here: a book is given only
while updates of it come, a line that broke or a book that crossed leaves no level behind, and each is begun anew from a snapshot every
minute. Whoever finds none here asks by REST, as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.domain.errors import FairleadError, Retry
from agent.ports import Clock, VenueBook
from agent.venues.ccxt.library import Library
from chains.ending import ended

ANEW_NS = 60 * 10**9
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 20.0


class StreamedBooks:
    """`read` makes a book of what the library says; `heard` counts updates, by symbol."""

    def __init__(self, clock: Clock, read: Callable[[str, object, int], VenueBook]) -> None:
        self._clock, self._read = clock, read
        self._books: dict[str, VenueBook] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.heard: dict[str, int] = {}

    def follow(self, library: Library, symbol: str, unified: str, levels: int) -> None:
        """Begins once for each symbol."""
        if symbol not in self._tasks:
            work = self._follow(library, symbol, unified, levels)
            self._tasks[symbol] = asyncio.create_task(work, name=f"{library.name} book {symbol}")

    def book(self, symbol: str, not_before_ns: int) -> VenueBook | None:
        found = self._books.get(symbol)
        return found if found is not None and found.at_ns > not_before_ns else None

    async def close(self) -> None:
        tasks, self._tasks = list(self._tasks.values()), {}
        await ended(tasks)
        self._books.clear()

    async def _follow(self, library: Library, symbol: str, unified: str, levels: int) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            begun_ns = self._clock.now_ns()
            try:
                while self._clock.now_ns() - begun_ns < ANEW_NS:
                    told = await library.call("watch_order_book", unified, levels)
                    self._books[symbol] = self._read(symbol, told, self._clock.now_ns())
                    self.heard[symbol] = self.heard.get(symbol, 0) + 1
                    pause_s = FIRST_PAUSE_S
            except Retry:
                pass  # the line broke, or the book crossed: begun anew
            except FairleadError:
                pause_s = LONGEST_PAUSE_S  # refused, or not understood: by REST meanwhile
            self._books.pop(symbol, None)
            library.forget_book(unified)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
