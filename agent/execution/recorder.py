"""The journal and the book as one: an event is admitted by the state tables, appended, and only then counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.journal.book import Book
from agent.journal.chain import Seq

E = TypeVar("E")


class Store(Protocol):
    def append(self, event: object) -> Seq:
        """The event's place, taken at once. Raises Halt where it cannot be written."""
        ...

    async def durable(self, seq: Seq) -> None:
        """Returns once the event is on the disk."""
        ...


class Recorder:
    """Implements `agent.ports.Journal`. `watchers` see every event after it was counted, in order.

    Admitting, appending and counting are one step that nothing comes between: the book sees events in the journal's own
    order, so replaying the journal gives the same book. Waiting for the disk comes after.
    """

    def __init__(self, store: Store, book: Book) -> None:
        self.store, self.book = store, book
        self.watchers: list[Callable[[object], None]] = []

    async def record(self, event: E) -> E:
        self.take(event)
        return event

    async def record_durably(self, event: E) -> E:
        await self.store.durable(self.take(event))
        return event

    def take(self, event: object) -> Seq:
        """Admitted, appended and counted, now. Raises as the store's `append` and the book's `admit`."""
        self.book.admit(event)
        seq = self.store.append(event)
        self.book.apply(event, known=True)
        for watcher in self.watchers:
            watcher(event)
        return seq
