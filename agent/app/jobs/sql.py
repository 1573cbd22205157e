"""What a job store does, in the SQL that SQLite and PostgreSQL both speak (`?` for what is given). Where the tables are is its heirs' business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, Protocol

from agent.app.jobs.store import BEGUN, CLAIMED, DONE, KEPT, Held, Lease, Reserved, Room, StoredJob
from agent.domain.units import sum_exact
from agent.journal.living import DAY_NS

TABLES = (
    "CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, tbl TEXT NOT NULL, body TEXT NOT NULL, added_ns BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS stopped (name TEXT PRIMARY KEY, why TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fires (job TEXT NOT NULL, key TEXT NOT NULL, at_ns BIGINT NOT NULL, owner TEXT NOT NULL, "
    "until_ns BIGINT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (job, key))",
    "CREATE INDEX IF NOT EXISTS fires_by_time ON fires (job, at_ns)",
    "CREATE TABLE IF NOT EXISTS reserved (budget TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL, at_ns BIGINT NOT NULL, "
    "usd TEXT NOT NULL, is_open INTEGER NOT NULL, PRIMARY KEY (budget, owner, name))",
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
                # A lapsed claim of somebody who died while pricing did nothing, and holds nobody up; nor does what a clock that was
                # set back since had dated further ahead than one fire is from another.
                words = "SELECT 1 FROM fires WHERE job = ? AND key <> ? AND at_ns > ? AND at_ns < ? AND (state <> ? OR until_ns > ?)"
                if db.rows(words, job, key, at_ns - spacing_ns, at_ns + spacing_ns, CLAIMED, now_ns):
                    return False
            db.change(
                "INSERT INTO fires VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (job, key) DO UPDATE SET "
                "at_ns = excluded.at_ns, owner = excluded.owner, until_ns = excluded.until_ns, state = excluded.state",
                *(job, key, at_ns, owner, until_ns, CLAIMED),
            )
            return True

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        with self._writing() as db:
            return _begun(db, Held(job, key, now_ns), owner)

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

    def reserve(
        self, wanted: Reserved, limit_usd: Decimal, since_ns: int, fire: Held | None = None
    ) -> Room | None:
        with self._writing() as db:
            mine = (wanted.budget, wanted.owner, wanted.name)
            others = list[Reserved]()
            words, given = _which(wanted.budget)
            for row in _rows(db.rows(words, *given)):
                if (row.budget, row.owner, row.name) != mine:
                    others.append(row)
                elif not row.open:
                    return None
            if fire is not None and not _begun(db, fire, wanted.owner, ask=True):
                return None
            room = _room_for(wanted, others, limit_usd, since_ns)
            if room.granted:
                db.change(
                    "INSERT INTO reserved VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (budget, owner, name) DO UPDATE SET "
                    "at_ns = excluded.at_ns, usd = excluded.usd",
                    *(*mine, wanted.at_ns, f"{wanted.usd:f}"),
                )
                # Another day is kept for whoever's clock is behind.
                words = "DELETE FROM reserved WHERE budget = ? AND is_open = 0 AND at_ns < ?"
                db.change(words, wanted.budget, since_ns - DAY_NS)
                if fire is not None:
                    _begun(db, fire, wanted.owner)
            return room

    def settle(self, budget: str, owner: str, name: str, usd: Decimal, at_ns: int | None = None) -> bool:
        which = "WHERE budget = ? AND owner = ? AND name = ? AND is_open = 1"
        with self._writing() as db:
            if not usd:
                return db.change(f"DELETE FROM reserved {which}", budget, owner, name) == 1
            if at_ns is not None:
                db.change(f"UPDATE reserved SET at_ns = ? {which}", at_ns, budget, owner, name)
            words = f"UPDATE reserved SET usd = ?, is_open = 0 {which}"
            return db.change(words, f"{usd:f}", budget, owner, name) == 1

    def reserved(self, budget: str | None = None) -> tuple[Reserved, ...]:
        words, given = _which(budget)
        return tuple(_rows(self._read(words, *given)))


def _room_for(wanted: Reserved, others: list[Reserved], limit_usd: Decimal, since_ns: int) -> Room:
    """Whether what counts of the others leaves room."""
    counting = [row for row in others if row.counts(since_ns)]
    counted = sum_exact(row.usd for row in counting)
    elsewhere = dict[str, Decimal]()
    for row in counting:
        if row.open and row.owner != wanted.owner:
            elsewhere[row.owner] = sum_exact((elsewhere.get(row.owner, Decimal(0)), row.usd))
    return Room(sum_exact((counted, wanted.usd)) <= limit_usd, counted, elsewhere)


def _begun(db: Transaction, fire: Held, owner: str, ask: bool = False) -> bool:
    """Whether the fire may be begun by that owner; it is, unless only asked."""
    where = "WHERE job = ? AND key = ? AND owner = ? AND (state = ? OR (state = ? AND until_ns > ?))"
    given = (fire.job, fire.key, owner, BEGUN, CLAIMED, fire.now_ns)
    if ask:
        return bool(db.rows(f"SELECT 1 FROM fires {where}", *given))
    return db.change(f"UPDATE fires SET state = ? {where}", BEGUN, *given) == 1


def _which(budget: str | None) -> tuple[str, tuple[str, ...]]:
    words = "SELECT budget, owner, name, at_ns, usd, is_open FROM reserved"
    return (words, ()) if budget is None else (f"{words} WHERE budget = ?", (budget,))


def _rows(rows: list[tuple[Any, ...]]) -> list[Reserved]:
    found = [Reserved(b, o, n, at, Decimal(usd), bool(is_open)) for b, o, n, at, usd, is_open in rows]
    return sorted(found, key=lambda row: (row.at_ns, row.owner, row.name))


__all__ = ["TABLES", "SqlStore", "Transaction"]
