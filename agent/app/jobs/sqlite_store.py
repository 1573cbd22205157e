"""The job store in an SQLite file, for daemons of one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.app.jobs.store import BEGUN, CLAIMED, DONE, KEPT, Lease, StoredJob
from agent.domain.errors import Denied, Retry

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, tbl TEXT NOT NULL, body TEXT NOT NULL, added_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stopped (name TEXT PRIMARY KEY, why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fires (
  job TEXT NOT NULL, key TEXT NOT NULL, at_ns INTEGER NOT NULL, owner TEXT NOT NULL, until_ns INTEGER NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY (job, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fires_by_time ON fires (job, at_ns);
"""
BUSY_S = 5.0


class SqliteStore:
    """Opens the file for each transaction, so that a moved or restored one is never written through an old handle."""

    def __init__(self, path: Path, kept: int = KEPT) -> None:
        self.path, self._kept = path, kept

    def add(self, job: StoredJob) -> bool:
        with self._writing() as db:
            found = db.execute(
                "INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?)",
                (job.name, job.table, job.body, job.added_ns),
            )
            return found.rowcount == 1

    def remove(self, name: str) -> bool:
        with self._writing() as db:
            return db.execute("DELETE FROM jobs WHERE name = ?", (name,)).rowcount == 1

    def jobs(self) -> tuple[StoredJob, ...]:
        return tuple(
            StoredJob(*row) for row in self._read("SELECT name, tbl, body, added_ns FROM jobs ORDER BY name")
        )

    def stop(self, name: str, why: str) -> None:
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO stopped VALUES (?, ?)", (name, why))

    def start(self, name: str) -> bool:
        with self._writing() as db:
            return db.execute("DELETE FROM stopped WHERE name = ?", (name,)).rowcount == 1

    def stopped(self) -> dict[str, str]:
        return dict(self._read("SELECT name, why FROM stopped ORDER BY name"))

    def claim(
        self,
        job: str,
        key: str,
        at_ns: int,
        owner: str,
        now_ns: int,
        until_ns: int,
        spacing_ns: int = 0,
        resume: bool = False,
    ) -> bool:
        with self._writing() as db:
            held = db.execute(
                "SELECT owner, until_ns, state FROM fires WHERE job = ? AND key = ?", (job, key)
            ).fetchone()
            if held is not None:
                whose, lapses, state = held
                mine = whose == owner
                if state == BEGUN:
                    return mine and resume
                if state == DONE or (not mine and lapses > now_ns):
                    return False
            if spacing_ns:
                # A lapsed claim of somebody who died while pricing did nothing, and holds nobody up.
                near = db.execute(
                    "SELECT 1 FROM fires WHERE job = ? AND key <> ? AND at_ns > ? AND (state <> ? OR until_ns > ?)",
                    (job, key, at_ns - spacing_ns, CLAIMED, now_ns),
                ).fetchone()
                if near is not None:
                    return False
            db.execute(
                "INSERT OR REPLACE INTO fires VALUES (?, ?, ?, ?, ?, ?)",
                (job, key, at_ns, owner, until_ns, CLAIMED),
            )
            return True

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        with self._writing() as db:
            found = db.execute(
                "UPDATE fires SET state = ? WHERE job = ? AND key = ? AND owner = ? AND (state = ? OR (state = ? AND until_ns > ?))",
                (BEGUN, job, key, owner, BEGUN, CLAIMED, now_ns),
            )
            return found.rowcount == 1

    def finish(self, job: str, key: str, owner: str) -> None:
        with self._writing() as db:
            db.execute(
                "UPDATE fires SET state = ? WHERE job = ? AND key = ? AND owner = ?", (DONE, job, key, owner)
            )
            db.execute(
                "DELETE FROM fires WHERE job = ? AND state = ? AND at_ns < "
                "(SELECT at_ns FROM fires WHERE job = ? ORDER BY at_ns DESC LIMIT 1 OFFSET ?)",
                (job, DONE, job, self._kept - 1),
            )

    def leases(self, job: str, limit: int = 20) -> tuple[Lease, ...]:
        words = "SELECT job, key, at_ns, owner, until_ns, state FROM fires WHERE job = ? ORDER BY at_ns DESC, key DESC LIMIT ?"
        return tuple(Lease(*row) for row in self._read(words, job, limit))

    # ------------------------------------------------------------------ the file

    def _read(self, words: str, *given: object) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self._writing() as db:
            return [tuple(row) for row in db.execute(words, given)]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._belongs_to_us()
            db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            try:
                db.executescript(_TABLES)
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                db.close()
        except (sqlite3.Error, OSError) as wrong:
            raise Retry(
                "JOBS_STORE",
                f"the jobs' file {self.path} does not answer: {wrong}",
                "check its permissions, its disk and who holds it",
            ) from wrong

    def _belongs_to_us(self) -> None:
        """Whoever can write here can have orders sent. Raises Denied JOBS_STORE_OPEN, and OSError."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if self.path.stat().st_mode & 0o022:
            raise Denied(
                "JOBS_STORE_OPEN",
                f"others may write to the jobs' file {self.path}",
                f"chmod go-w {self.path}",
            )
