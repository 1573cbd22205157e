"""The one thread that writes: group commit.

It sleeps until somebody waits for durability, then writes everything appended so far in one transaction and one fsync; what
is appended while that fsync runs forms the next group. When idle the window is therefore zero, and under load it is exactly the
disk's own time. Entries that nobody waits for are written after `LINGER_S` at the latest.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from agent.journal.chain import Entry, Head
from agent.journal.coders import loads
from agent.journal.schema import INSERT
from agent.journal.subjects import subjects

LINGER_S = 0.02
MAX_GROUP = 4_096


class Writer:
    """Owns the connection from `start` to `stop`. Called on its thread: `on_durable(head, at_ns)`, and `on_failed(error, group)` with
    what it was writing; what was put after that is still to be had from `abandon`."""

    def __init__(
        self,
        db: sqlite3.Connection,
        on_durable: Callable[[Head, int], None],
        on_failed: Callable[[Exception, Sequence[Entry]], None],
    ) -> None:
        self._db, self._on_durable, self._on_failed = db, on_durable, on_failed
        self._ready = threading.Condition(threading.Lock())
        self._pending: list[Entry] = []
        self._demanded = 0
        self._stopping = False
        self._lingering = False
        self._jobs: list[tuple[Callable[[sqlite3.Connection], None], Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, entry: Entry) -> None:
        with self._ready:
            self._pending.append(entry)
            if not self._lingering and not self._demanded:
                self._lingering = True
                self._ready.notify()

    def demand(self, seq: int) -> None:
        """Somebody waits for `seq`: write now."""
        with self._ready:
            if seq > self._demanded:
                self._demanded = seq
                self._ready.notify()

    def submit(self, job: Callable[[sqlite3.Connection], None]) -> Future[None]:
        """Runs `job` in a transaction of its own after everything appended so far."""
        future: Future[None] = Future()
        with self._ready:
            self._jobs.append((job, future))
            self._ready.notify()
        return future

    def abandon(self) -> list[Entry]:
        """What was put and not taken up: for whoever was told that writing failed."""
        with self._ready:
            left, self._pending = self._pending, []
        return left

    def stop(self) -> None:
        """Writes what is pending, then ends the thread."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _take(
        self,
    ) -> tuple[list[Entry], list[tuple[Callable[[sqlite3.Connection], None], Future[None]]]] | None:
        with self._ready:
            while not self._demanded and not self._jobs and not self._stopping:
                if self._pending:
                    self._lingering = True
                    if not self._ready.wait(LINGER_S) or len(self._pending) >= MAX_GROUP:
                        break
                else:
                    self._ready.wait()
            group, self._pending = self._pending, []
            jobs, self._jobs = self._jobs, []
            self._demanded, self._lingering = 0, False
            if not group and not jobs and self._stopping:
                return None
            return group, jobs

    def _run(self) -> None:
        while (work := self._take()) is not None:
            group, jobs = work
            try:
                if group:
                    self._commit(group)
                for job, future in jobs:
                    self._db.execute("BEGIN IMMEDIATE")
                    job(self._db)
                    self._db.execute("COMMIT")
                    future.set_result(None)
            except (sqlite3.Error, OSError) as wrong:
                self._fail(wrong, group, jobs)
                return

    def _commit(self, group: list[Entry]) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            INSERT, [(e.seq, e.at_ns, e.kind, e.version, e.payload, e.prev_hash, e.hash) for e in group]
        )
        index(db, group)
        db.execute("COMMIT")
        last = group[-1]
        self._on_durable(Head(last.seq, last.hash), last.at_ns)

    def _fail(
        self,
        wrong: Exception,
        group: list[Entry],
        jobs: list[tuple[Callable[[sqlite3.Connection], None], Future[None]]],
    ) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the journal is given up already; SQLite rolls back when the file is opened next
        self._on_failed(wrong, group)
        for _, future in jobs:
            if not future.done():
                future.set_exception(wrong)


def index(db: sqlite3.Connection, group: list[Entry]) -> None:
    ids: list[tuple[str, int]] = []
    lineage: set[tuple[str, str]] = set()
    for entry in group:
        named, sources = subjects(loads(entry.payload))
        ids.extend((i, entry.seq) for i in named)
        lineage |= sources
    if ids:
        db.executemany("INSERT INTO subjects VALUES (?, ?)", ids)
    if lineage:
        db.executemany("INSERT OR IGNORE INTO lineage VALUES (?, ?)", list(lineage))
