"""The book without the right to write, and one event written between two runs. For commands that only look."""

from __future__ import annotations

from pathlib import Path

from agent.app.settings_tree import Settings
from agent.domain.errors import FairleadError, Halt, Retry
from agent.domain.events import Crossed
from agent.journal.book import Book
from agent.journal.query import read_entries
from agent.journal.registry import event_codec, is_derisking
from agent.journal.schema import connect_read_only
from agent.journal.store import Journal
from agent.ports import Clock


def read_book(settings: Settings) -> Book | None:
    """The fold of the journal as it is on disk, beside any running process; None where there is no journal yet."""
    told = read_events(settings.journal.path)
    if told is None:
        return None
    book = Book()
    for event in told:
        book.apply(event)
    return book


def read_crossings(settings: Settings) -> list[Crossed]:
    """The newest of each crossing between chains, without the rest of the record: for a look that is made again and again."""
    found: dict[str, Crossed] = {}
    for event in read_events(settings.journal.path, ("Crossed",)) or ():
        if isinstance(event, Crossed):
            found[event.cl_ord_id] = event
    return list(found.values())


def read_events(path: Path, kinds: tuple[str, ...] = ()) -> list[object] | None:
    """Every event of a journal, or those of some kinds, beside whoever writes it; None where there is none yet."""
    if not path.exists():
        return None
    codec = event_codec()
    try:
        db = connect_read_only(path)
    except Halt as none:
        if none.code == "JOURNAL_MISSING":  # another process is just making it
            return None
        raise
    try:
        return [
            codec.decode(entry.kind, entry.version, entry.payload) for entry in read_entries(db, kinds=kinds)
        ]
    finally:
        db.close()


async def append_event(settings: Settings, clock: Clock, event: object) -> str:
    """Writes one event durably and tells where: "journal", "emergency journal", or "" where a running process holds them.

    Raises Halt as `Journal.open` does, and JOURNAL_FAILED for new risk where only the emergency journal can be written.
    """
    try:
        journal = Journal.open(
            settings.journal.path,
            clock=clock,
            environment=settings.environment.value,
            codec=event_codec(),
            emergency=settings.journal.emergency_path,
            derisking=is_derisking,
        )
    except Retry:
        return ""
    try:
        await journal.record_durably(event)
        return "emergency journal" if journal.failure is not None else "journal"
    finally:
        journal.close()


def is_locked(error: FairleadError) -> bool:
    return error.code == "JOURNAL_LOCKED"
