"""A venue's books on one line, followed from the first time that one of them is asked for."""

from __future__ import annotations

import asyncio

from agent.domain.errors import Halt
from agent.ports import VenueBook
from agent.transport.books import Books
from chains.ending import ended

FIRST_BOOK_S, RESYNC_S = 5.0, 0.5


class Following:
    """Owns the task that reads the line; `close` ends it."""

    def __init__(self, name: str, books: Books) -> None:
        self._name, self._books = name, books
        self._task: asyncio.Task[None] | None = None

    async def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Halt BOOKS_STOPPED. The first call for a symbol begins to follow it, and waits a little."""
        if self._task is not None and self._task.done():
            over, self._task = self._task, None
            error = None if over.cancelled() else over.exception()
            if error is not None:  # told once; the next call begins anew
                raise Halt(
                    "BOOKS_STOPPED", f"{self._name}: {type(error).__name__}: {error}", "a bug: report it"
                ) from error
        if self._task is None:
            self._task = asyncio.create_task(self._books.run(), name=f"{self._name} books")
        new = symbol not in self._books.ladders
        await self._books.follow(symbol)
        await self._books.first(symbol, FIRST_BOOK_S if new else RESYNC_S)
        return self._books.book(symbol)

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await ended([task])
