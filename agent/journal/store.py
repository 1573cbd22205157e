"""The journal: one append-only, hash-chained file per environment, one writer, state = fold.

`append` fixes an event's place and hash in memory at once; a writer thread makes it durable soon, or at once for whoever awaits
`durable`. When writing fails the journal turns `failed` for good: new risk is refused with Halt, and what must go on, with what of
it was in flight, goes to the emergency journal, which the next opening moves over.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agent.journal.chain import Entry, Head, Seq, genesis, link
from agent.journal.codec import Codec
from agent.journal.emergency import SIZE, EmergencyJournal
from agent.journal.fold import Live, Projection
from agent.journal.heads import HeadsFile
from agent.journal.merge import merge_emergency
from agent.journal.opening import open_database
from agent.journal.query import read_entries
from agent.journal.schema import WriterLock, connect_read_only, failure_code
from agent.journal.verify import heads_path
from agent.journal.writer import Writer
from chains.errors import Halt

E = TypeVar("E")


class Clock(Protocol):
    def now_ns(self) -> int: ...


class Journal:
    """Made by `open`. `append`, `record` and `record_durably` belong to the event loop's thread."""

    def __init__(self, path: Path, codec: Codec, clock: Clock, environment: str, lock: WriterLock) -> None:
        self.path, self.environment = path, environment
        self._codec, self._clock, self._lock = codec, clock, lock
        self._head = self._durable = Head(Seq(0), genesis(environment))
        self._mutex = threading.Lock()
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._failure: Halt | None = None
        self._writer: Writer | None = None
        self._db: sqlite3.Connection | None = None
        self._heads: HeadsFile | None = None
        self._emergency: EmergencyJournal | None = None
        self._derisking: Callable[[object], bool] = lambda event: False
        self.on_failure: Callable[[Halt], None] = lambda failure: None
        """Called once, on the writer's thread, when writing fails after a good opening."""
        self._saved: set[int] = set()
        self._live: list[Live[Any]] = []
        self._lived: dict[str, Callable[[], str]] = {}

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        environment: str,
        codec: Codec,
        emergency: Path | None = None,
        emergency_size: int = SIZE,
        derisking: Callable[[object], bool] = lambda event: False,
    ) -> Journal:
        """Opens or makes the journal, verifies its chain, and moves emergency records into it.

        `derisking` says which events may go to the emergency journal when the main one has failed. A disk that is full
        already at opening gives a journal that is `failed` from the start and can still be read, cancel and halt.
        Retry JOURNAL_LOCKED; Usage JOURNAL_ENVIRONMENT; Halt JOURNAL_CORRUPT, JOURNAL_UNWRITABLE, DISK_FULL, EMERGENCY_….
        """
        lock = WriterLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
        except OSError as wrong:
            raise Halt(
                failure_code(path, wrong, "JOURNAL_UNWRITABLE"),
                f"the journal {path} cannot be opened: {wrong}",
                "check journal.path and the folder's permissions",
            ) from wrong
        journal = cls(path, codec, clock, environment, lock)
        try:
            journal._derisking = derisking
            journal._emergency = EmergencyJournal.open(
                emergency or path.with_name(path.name + ".emergency"),
                environment=environment,
                size=emergency_size,
            )
            journal._start()
        except BaseException:
            journal._release()
            raise
        return journal

    def _start(self) -> None:
        opened = open_database(self.path, self.environment)
        self._db, self._head, self._durable = opened.db, opened.head, opened.head
        if opened.failure is None and self._emergency is not None and self._emergency.records:
            try:
                self._head = self._durable = merge_emergency(self._db, self._emergency, self._head)
            except (sqlite3.Error, OSError) as wrong:
                opened = opened.failed(wrong)
        if opened.failure is not None:
            self._fail(opened.failure)
            return
        try:
            self._heads = HeadsFile(heads_path(self.path))
        except OSError as wrong:
            self._fail(wrong)
            return
        self._writer = Writer(self._db, self._on_durable, self._fail)
        self._writer.start()

    # -- writing ----------------------------------------------------------------------------------------------------

    @property
    def failure(self) -> Halt | None:
        """Why nothing more can be written, or None."""
        return self._failure

    def append(self, event: object) -> Seq:
        """The event's place in the chain, taken now; durable soon after.

        Halt JOURNAL_FAILED (DISK_FULL where that is why) once writing has failed, unless the event de-risks: then it is in the emergency journal, synced.
        Halt JOURNAL_UNKNOWN_TYPE or JOURNAL_VALUE for what cannot be written exactly.
        """
        kind, version, payload = self._codec.encode(event)
        at_ns = self._clock.now_ns()
        with self._mutex:
            if self._failure is not None:
                return self._append_emergency(event, at_ns, kind, version, payload)
            if self._writer is None:
                raise Halt("JOURNAL_CLOSED", "the journal is closed", "this is a bug: report it")
            previous = self._head
            seq = Seq(previous.seq + 1)
            digest = link(previous.hash, seq, at_ns, kind, version, payload)
            self._head = Head(seq, digest)
            self._writer.put(Entry(seq, at_ns, kind, version, payload, previous.hash, digest))
        for live in self._live:
            live.apply(event, seq)
        return seq

    def _append_emergency(self, event: object, at_ns: int, kind: str, version: int, payload: bytes) -> Seq:
        assert self._failure is not None
        if self._emergency is None or not self._derisking(event):
            raise self._failure
        self._emergency.append(at_ns, kind, version, payload)
        seq = Seq(self._head.seq + 1)
        self._head = Head(seq, link(self._head.hash, seq, at_ns, kind, version, payload))
        self._saved.add(seq)
        for live in self._live:
            live.apply(event, seq)
        return seq

    async def durable(self, seq: Seq) -> None:
        """Returns once `seq` is on the disk. Halt JOURNAL_FAILED where it could not be written."""
        with self._mutex:
            if seq <= self._durable.seq or seq in self._saved:
                return
            if self._failure is not None:
                raise self._failure
            if self._writer is None:
                raise Halt("JOURNAL_CLOSED", "the journal is closed", "this is a bug: report it")
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append((seq, loop, waiter))
            self._writer.demand(seq)
        await waiter

    async def record(self, event: E) -> E:
        """Appended in order; durable soon."""
        self.append(event)
        return event

    async def record_durably(self, event: E) -> E:
        """Appended, and on the disk when this returns."""
        await self.durable(self.append(event))
        return event

    # -- reading ----------------------------------------------------------------------------------------------------

    def head(self) -> Head:
        """The newest entry, durable or not: what every alert carries."""
        return self._head

    def durable_head(self) -> Head:
        return self._durable

    def entries(self, first: int = 1) -> Iterator[Entry]:
        """Durable entries in order, from a connection of its own."""
        db = connect_read_only(self.path) if self._failure is None else self._db
        assert db is not None
        try:
            yield from read_entries(db, first=first)
        finally:
            if db is not self._db:
                db.close()

    def events(self, first: int = 1) -> Iterator[Any]:
        """Durable events in order, then those saved in the emergency journal."""
        for entry in self.entries(first):
            yield self._codec.decode(entry.kind, entry.version, entry.payload)
        if self._emergency is not None:
            for saved in self._emergency.records:
                yield self._codec.decode(saved.kind, saved.version, saved.payload)

    def follow(self, projection: Projection[Any]) -> Live[Any]:
        """A fold kept up to date: over everything stored, then over every append. Call it before the first append."""
        live = Live(projection)
        for event in self.events():
            live.apply(event, Seq(live.seq + 1))
        self._live.append(live)
        return live

    def remember(self, name: str, state_hash: Callable[[], str]) -> None:
        """A state that somebody else folds, under its projection's name: `checkpoint` and `close` store its hash.

        It must have seen every event of this journal, stored and appended, when they are called.
        """
        self._lived[name] = state_hash

    # -- the end ----------------------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Stores every followed state's hash at the current head, for `journal replay` to compare with; blocks until durable.

        Halt JOURNAL_FAILED.
        """
        if self._failure is not None or self._writer is None:
            return
        seq = self._head.seq
        marks = [(live.projection.name, seq, live.state_hash()) for live in self._live if seq]
        marks += [(name, seq, state_hash()) for name, state_hash in self._lived.items() if seq]
        try:
            self._writer.submit(lambda db: _store_marks(db, marks)).result()
        except (sqlite3.Error, OSError) as wrong:
            raise self._failure or _failed(self.path, wrong) from None

    def close(self) -> None:
        """Writes what is pending and lets the file go. Halt JOURNAL_FAILED where the last entries could not be written."""
        failed_before = self._failure is not None
        try:
            if self._writer is not None:
                self.checkpoint()
                self._writer.stop()
        finally:
            self._release()
        if self._failure is not None and not failed_before:
            raise self._failure

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None
        for part in (self._db, self._heads, self._emergency):
            if part is not None:
                try:
                    part.close()
                except sqlite3.Error:
                    continue  # a failed file is closed by the kernel; the next opening verifies it
        self._db = self._heads = self._emergency = None
        self._lock.release()

    # -- called on the writer's thread ------------------------------------------------------------------------------

    def _on_durable(self, head: Head, at_ns: int) -> None:
        with self._mutex:
            self._durable = head
            ready = [waiter for waiter in self._waiters if waiter[0] <= head.seq]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > head.seq]
        _resolve(ready, None)
        if self._heads is not None:
            self._heads.note(head, at_ns)

    def _fail(self, wrong: Exception, group: Sequence[Entry] = ()) -> None:
        """From now on nothing is written here. What was told already and is not on the disk goes the emergency journal's way as
        far as it tells what happened or takes risk away; new risk among it was never acknowledged, and is dropped."""
        failure = _failed(self.path, wrong)
        with self._mutex:
            self._failure = failure
            flying = [*group, *(self._writer.abandon() if self._writer is not None else ())]
            self._save([entry for entry in flying if entry.seq > self._durable.seq])
            waiters, self._waiters = self._waiters, []
        self.on_failure(failure)
        _resolve([waiter for waiter in waiters if waiter[0] in self._saved], None)
        _resolve([waiter for waiter in waiters if waiter[0] not in self._saved], failure)

    def _save(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self._emergency is None:
                return
            if self._derisking(self._codec.decode(entry.kind, entry.version, entry.payload)):
                try:
                    self._emergency.append(entry.at_ns, entry.kind, entry.version, entry.payload)
                except Halt:
                    return  # it has no room: whoever waits for these hears that the journal failed
                self._saved.add(entry.seq)


def _failed(path: Path, wrong: Exception) -> Halt:
    return Halt(
        failure_code(path, wrong, "JOURNAL_FAILED"),
        f"the journal {path} cannot be written ({wrong}): new risk is halted, cancelling goes on",
        "free or repair that disk and start Fairlead again; what was saved meanwhile is moved over",
    )


def _resolve(
    waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]], failure: Halt | None
) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, loop, waiter in waiters:
        by_loop.setdefault(loop, []).append(waiter)
    for loop, futures in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set, futures, failure)
        except RuntimeError:
            continue  # that loop is closed: nobody waits any more


def _set(futures: list[asyncio.Future[None]], failure: Halt | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


def _store_marks(db: sqlite3.Connection, marks: list[tuple[str, Seq, str]]) -> None:
    db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", marks)
