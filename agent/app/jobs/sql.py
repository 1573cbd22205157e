"""What a job store does, in the SQL that SQLite and PostgreSQL both speak (`?` for what is given). Where the tables are is its heirs' business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, Protocol

from agent.app.jobs.store import BEGUN, CLAIMED, DONE, KEPT, Lease, StoredJob

TABLES = (
    "CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, tbl TEXT NOT NULL, body TEXT NOT NULL, added_ns BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS stopped (name TEXT PRIMARY KEY, why TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fires (job TEXT NOT NULL, key TEXT NOT NULL, at_ns BIGINT NOT NULL, owner TEXT NOT NULL, "
    "until_ns BIGINT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (job, key))",
    "CREATE INDEX IF NOT EXISTS fires_by_time ON fires (job, at_ns)",
)


class Transaction(Protocol):
    """One transaction, alone among those that write."""

    def rows(self, words: str, *given: object) -> list[tuple[Any, ...]]: ...

    def change(self, words: str, *given: object) -> int:
        """How many rows it touched."""
        ...


class SqlStore(ABC):
    """Implements `JobStore` but for the transaction itself."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Transaction]:
        """One transaction, the tables there; ended well with the block. Raises Retry JOBS_STORE."""

    def _read(self, words: str, *given: object) -> list[tuple[Any, ...]]:
        with self._writing() as db:
            return db.rows(words, *given)

    def add(self, job: StoredJob) -> bool:
        words = "INSERT INTO jobs VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING"
        with self._writing() as db:
            return db.change(words, job.name, job.table, job.body, job.added_ns) == 1

    def remove(self, name: str) -> bool:
        with self._writing() as db:
            return db.change("DELETE FROM jobs WHERE name = ?", name) == 1

    def jobs(self) -> tuple[StoredJob, ...]:
        found = self._read("SELECT name, tbl, body, added_ns FROM jobs")
        return tuple(sorted((StoredJob(*row) for row in found), key=lambda job: job.name))

    def stop(self, name: str, why: str) -> None:
        words = "INSERT INTO stopped VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET why = excluded.why"
        with self._writing() as db:
            db.change(words, name, why)

    def start(self, name: str) -> bool:
        with self._writing() as db:
            return db.change("DELETE FROM stopped WHERE name = ?", name) == 1

    def stopped(self) -> dict[str, str]:
        return dict(sorted(self._read("SELECT name, why FROM stopped")))

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
            held = db.rows("SELECT owner, until_ns, state FROM fires WHERE job = ? AND key = ?", job, key)
            if held:
                whose, lapses, state = held[0]
                mine = whose == owner
                if state == BEGUN:
                    return bool(mine and resume)
                if state == DONE or (not mine and lapses > now_ns):
                    return False
            if spacing_ns:
                # A lapsed claim of somebody who died while pricing did nothing, and holds nobody up.
                words = "SELECT 1 FROM fires WHERE job = ? AND key <> ? AND at_ns > ? AND (state <> ? OR until_ns > ?)"
                if db.rows(words, job, key, at_ns - spacing_ns, CLAIMED, now_ns):
                    return False
            db.change(
                "INSERT INTO fires VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (job, key) DO UPDATE SET "
                "at_ns = excluded.at_ns, owner = excluded.owner, until_ns = excluded.until_ns, state = excluded.state",
                *(job, key, at_ns, owner, until_ns, CLAIMED),
            )
            return True

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        words = (
            "UPDATE fires SET state = ? WHERE job = ? AND key = ? AND owner = ? "
            "AND (state = ? OR (state = ? AND until_ns > ?))"
        )
        with self._writing() as db:
            return db.change(words, BEGUN, job, key, owner, BEGUN, CLAIMED, now_ns) == 1

    def finish(self, job: str, key: str, owner: str) -> None:
        with self._writing() as db:
            db.change(
                "UPDATE fires SET state = ? WHERE job = ? AND key = ? AND owner = ?", DONE, job, key, owner
            )
            db.change(
                "DELETE FROM fires WHERE job = ? AND state = ? AND at_ns < "
                "(SELECT at_ns FROM fires WHERE job = ? ORDER BY at_ns DESC LIMIT 1 OFFSET ?)",
                *(job, DONE, job, self._kept - 1),
            )

    def leases(self, job: str, limit: int = 20) -> tuple[Lease, ...]:
        words = "SELECT job, key, at_ns, owner, until_ns, state FROM fires WHERE job = ? ORDER BY at_ns DESC, key DESC LIMIT ?"
        return tuple(Lease(*row) for row in self._read(words, job, limit))


__all__ = ["TABLES", "SqlStore", "Transaction"]
