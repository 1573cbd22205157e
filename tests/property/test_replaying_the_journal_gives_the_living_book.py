"""Whatever happens to orders, in whatever order: the book that lived it and the book replayed from the file are the same book.

Every event goes the product's own way: admitted by the recorder, appended to the real journal, folded into the living book. In
between the journal is closed and opened, remembered states are stored, and its disk fills up, so that what must go on goes to the
emergency journal and is moved over by the next opening.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_events import CountingClock
from journal_moves import Teller

from agent.domain.submission_state import UNDECIDED
from agent.domain.units import WIDE
from agent.execution.recorder import Recorder
from agent.journal.book import Book
from agent.journal.living import DAY_NS
from agent.journal.projections import PROJECTIONS
from agent.journal.registry import NEW_RISK, event_codec, is_derisking
from agent.journal.replay import replay
from agent.journal.store import Journal
from agent.journal.verify import verify
from chains.errors import Halt

ACTS = ["tell"] * 24 + ["wait", "checkpoint", "reopen", "fill the disk"]


def whole(book: Book) -> dict[str, Any]:
    """All of a book's state, with more than its canonical text holds; what is kept to answer quickly has to say what the records say."""
    opened = [record for record in book.parts.values() if not record.ended]
    assert {id(record) for record in book.open_parts()} == {id(record) for record in opened}
    living = [record for name, record in book.children.items() if not book.child_ended(name)]
    assert {id(record) for record in book.living.children()} == {id(record) for record in living}
    signed = [r for r in book.parts.values() if r.authorized and (not r.settled or r.submission in UNDECIDED)]
    assert {id(record) for record in book.living.signed()} == {id(record) for record in signed}
    for now_ns in {record.approved.at_ns for record in book.children.values() if record.approved} | {0}:
        assert book.day_notional_usd(now_ns) == day_notional(book, now_ns)
    return {name: value for name, value in vars(book).items() if name != "living"}


def day_notional(book: Book, now_ns: int) -> Decimal:
    """As the rule says it, over all records."""
    total = Decimal(0)
    with localcontext(WIDE):
        for name, record in book.children.items():
            if record.approved is None or record.approved.at_ns // DAY_NS != now_ns // DAY_NS:
                continue
            done = sum((book.parts[part].base_qty() for part in record.parts), Decimal(0))
            part = min(done / record.child.qty, Decimal(1)) if record.child.qty else Decimal(0)
            total += record.approved.reservation.notional_usd * (part if book.child_ended(name) else 1)
    return total


@dataclass
class Life:
    """One home over several processes' lives: `told` is all that was recorded, `kept` what was acknowledged of it."""

    path: Path
    clock: CountingClock = field(default_factory=CountingClock)
    teller: Teller = field(default_factory=Teller)
    told: list[object] = field(default_factory=list)
    kept: list[object] = field(default_factory=list)

    def open(self) -> None:
        self.journal = Journal.open(
            self.path, clock=self.clock, environment="devnet", codec=event_codec(), derisking=is_derisking,
            emergency_size=1 << 18,
        )  # fmt: skip
        self.book = Book()
        for event in self.journal.events():
            self.book.apply(event)
        self.journal.remember("book", self.book.state_hash)
        self.recorder = Recorder(self.journal, self.book)

    async def tell(self, event: object, durably: bool) -> None:
        """Records one event; one that is refused leaves no trace in book or journal."""
        self.book.day_notional_usd(
            self.clock.at_ns
        )  # asked in between, as a review does: what ended is counted then
        counted, failed_before = self.book.events, self.journal.failure is not None
        head, hashed = self.journal.head(), self.book.state_hash()
        try:
            if durably:
                await self.recorder.record_durably(event)
            else:
                await self.recorder.record(event)
        except Halt as no:
            if self.book.events == counted:
                assert self.journal.head() == head and self.book.state_hash() == hashed, "half of it was done"
                if no.code == "DISK_FULL":
                    assert type(event).__name__ in NEW_RISK, "the emergency journal takes what reduces risk"
                return
            assert no.code == "DISK_FULL" and not failed_before, "counted, then refused"
            self.told.append(event)
            return
        self.told.append(event)
        if durably:
            assert self.journal.failure is None or is_derisking(event), "acknowledged, and not on the disk"
            self._must_stay(event)

    def _must_stay(self, event: object) -> None:
        """It was acknowledged: so was everything told before it that the journal still took."""
        if self.journal.failure is None:
            self.kept = list(self.told)
        else:
            self.kept.append(event)

    def fill(self) -> None:
        """From now on SQLite itself says that this database is full: the file may not grow by a page."""
        if self.journal.failure is None and self.journal._writer is not None:
            with suppress(sqlite3.Error):  # it was full already, and what was pending did not fit
                self.journal._writer.submit(_no_more_pages).result()

    def close(self) -> None:
        try:
            self.journal.close()
        except Halt as no:
            assert no.code == "DISK_FULL"


def _no_more_pages(db: Any) -> None:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


def survived(told: list[object], stored: list[object]) -> bool:
    """What the file holds is what was told, in order, with nothing missing but new risk that was never acknowledged."""
    at = 0
    for event in told:
        if at < len(stored) and stored[at] == event:
            at += 1
        elif is_derisking(event):
            return False
    return at == len(stored)


def judge(life: Life, lived: Book, failed: bool) -> None:
    stored = list(life.journal.events())
    assert survived(life.told, stored), "something was lost, doubled or moved"
    missing = [event for event in life.kept if event not in stored]
    assert not missing, f"acknowledged and lost: {missing[:1]}"
    if not failed:
        assert stored == life.told
        assert whole(life.book) == whole(lived) and life.book.state_hash() == lived.state_hash()
    again = Book()
    for event in stored:
        again.apply(event)
    assert whole(again) == whole(life.book)
    life.told, life.kept = list(stored), list(stored)


async def live(path: Path, acts: list[tuple[str, int]]) -> None:
    life = Life(path)
    life.open()
    try:
        for act, seed in acts:
            chance = random.Random(seed)
            match act:
                case "tell":
                    event = life.teller.tell(chance, life.book)
                    await life.tell(event, type(event).__name__ == "Authorized" or chance.random() < 0.5)
                case "wait":
                    await asyncio.sleep(chance.choice([0, 0.03]))
                case "checkpoint":
                    try:
                        life.journal.checkpoint()
                    except Halt as no:
                        assert no.code == "DISK_FULL"
                case "fill the disk":
                    life.fill()
                case "reopen":
                    reopen(life)
        reopen(life)
    finally:
        life.close()
    found = replay(path, event_codec(), PROJECTIONS)
    (rebuilt,) = found.states
    assert rebuilt.state_hash == life.book.state_hash() and whole(rebuilt.state) == whole(life.book)
    assert found.ok and (rebuilt.same or not life.told), (
        "the hash it stored while living is not the replayed one"
    )
    assert verify(path).ok


def reopen(life: Life) -> None:
    lived = life.book
    life.close()
    failed = life.journal.failure is not None
    life.open()
    judge(life, lived, failed)


HISTORY = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2**32)), min_size=30, max_size=150)


@settings(max_examples=100, deadline=None)
@given(acts=HISTORY)
def test_any_history(acts: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder) / "journal.db", acts))


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(max_examples=3_000, deadline=None)
@given(acts=HISTORY)
def test_any_history_very_often(acts: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder) / "journal.db", acts))
