"""The book kept up to date from outside the process that writes it: the journal's new entries, as they become durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from types import TracebackType

from agent.app.settings_tree import Settings
from agent.domain.errors import Reconcile, Retry
from agent.journal.book import Book
from agent.journal.query import read_entries
from agent.journal.registry import event_codec
from agent.journal.schema import WriterLock, connect_read_only
from agent.ports import Clock

LOOK_S = 0.15


def held_by(settings: Settings) -> str | None:
    """The pid of the process that holds the journal, or None where nobody does. Makes no file."""
    path = settings.journal.path
    lock = WriterLock(path)
    if not lock.path.exists():
        return None
    try:
        lock.acquire(tell=False)
    except Retry as held:
        return held.message.partition("(pid ")[2].partition(")")[0] or "unknown"
    except OSError:
        return None
    lock.release()
    return None


class Tail:
    """`with Tail(settings) as tail`: `tail.book` is the fold so far; `await tail.until(done)` follows it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.book = Book()
        self.watchers: list[Callable[[object], None]] = []
        self._settings, self._clock = settings, clock
        self._codec, self._next = event_codec(), 1
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Tail:
        if self._settings.journal.path.exists():
            self._db = connect_read_only(self._settings.journal.path)
            self.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db is not None:
            self._db.close()

    def look(self) -> int:
        """Counts what is new; gives how much that was."""
        if self._db is None:
            return 0
        before = self._next
        for entry in list(read_entries(self._db, first=self._next)):
            event = self._codec.decode(entry.kind, entry.version, entry.payload)
            self.book.apply(event)
            self._next = entry.seq + 1
            for watcher in self.watchers:
                watcher(event)
        return self._next - before

    async def until(self, done: Callable[[Book], bool]) -> None:
        """Raises Reconcile CARRIER_ENDED where the process that writes the journal has ended before."""
        while True:
            alone = held_by(self._settings) is None
            self.look()
            if done(self.book):
                return
            if alone and not self.look():
                raise Reconcile(
                    "CARRIER_ENDED",
                    "the process that carried it ended before the order did",
                    "`fairlead run --once` finishes it",
                )
            await self._clock.sleep(LOOK_S)
