"""Opening the journal's file: made where absent, verified where present, never repaired and never overwritten."""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agent.journal.chain import Head, Seq, genesis
from agent.journal.heads import read_heads
from agent.journal.schema import (
    DAMAGE,
    FORMAT,
    connect,
    corrupt,
    create_tables,
    failure_code,
    is_disk_trouble,
    meta,
)
from agent.journal.verify import check_anchors, check_chain, heads_path
from chains.errors import FairleadError, Halt, Usage


@dataclass(frozen=True, slots=True)
class Opened:
    """`failure` is why the file cannot be written, though it reads."""

    db: sqlite3.Connection
    head: Head
    failure: Exception | None

    def failed(self, wrong: Exception) -> Opened:
        return dataclasses.replace(self, failure=wrong)


def open_database(path: Path, environment: str) -> Opened:
    """Halt JOURNAL_CORRUPT, JOURNAL_UNWRITABLE or DISK_FULL; Usage JOURNAL_ENVIRONMENT."""
    fresh = not path.exists() or path.stat().st_size == 0
    if fresh and read_heads(heads_path(path)):
        raise corrupt(path, "it is gone or empty, yet entries of it were seen (its .heads file is there)")
    try:
        db = connect(path)
    except DAMAGE as wrong:
        if not is_disk_trouble(wrong):
            raise corrupt(path, str(wrong)) from wrong
        if fresh:
            raise _unwritable(path, wrong) from wrong
        return _verified(_connect_full_disk(path), path, environment).failed(wrong)
    try:
        if fresh or _unfinished(db, path):
            create_tables(db, environment)
            return Opened(db, Head(Seq(0), genesis(environment)), None)
        opened = _verified(db, path, environment)
        try:
            _probe(db)
        except sqlite3.OperationalError as wrong:
            return opened.failed(wrong)
        return opened
    except DAMAGE as wrong:
        db.close()
        raise (_unwritable(path, wrong) if is_disk_trouble(wrong) else corrupt(path, str(wrong))) from wrong
    except FairleadError:
        db.close()
        raise


def _unfinished(db: sqlite3.Connection, path: Path) -> bool:
    """Whether its maker died before the tables were there; then nothing was ever recorded in it."""
    empty: bool = db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    return empty and not read_heads(heads_path(path))


def _unwritable(path: Path, wrong: BaseException) -> Halt:
    return Halt(
        failure_code(path, wrong, "JOURNAL_UNWRITABLE"),
        f"the journal {path} cannot be written: {wrong}",
        "free space, or check the folder's permissions",
    )


def _connect_full_disk(path: Path) -> sqlite3.Connection:
    try:
        return connect(path, exclusive=True)
    except DAMAGE as wrong:
        raise _unwritable(path, wrong) from wrong


def _probe(db: sqlite3.Connection) -> None:
    """One small durable write, so that a full disk is known before an order needs it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(
            "INSERT OR REPLACE INTO meta VALUES ('opened', coalesce((SELECT value + 1 FROM meta WHERE key = 'opened'), 1))"
        )
        db.execute("COMMIT")
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _verified(db: sqlite3.Connection, path: Path, environment: str) -> Opened:
    facts = meta(db)
    if facts.get("format") != FORMAT:
        raise corrupt(path, f"it is not a {FORMAT} file")
    if facts.get("environment") != environment:
        raise Usage(
            "JOURNAL_ENVIRONMENT",
            f"the journal {path} belongs to '{facts.get('environment')}', not '{environment}'",
            "give each environment its own journal.path",
        )
    head, fault = check_chain(db, environment)
    fault = fault or check_anchors(db, head, read_heads(heads_path(path)), environment)
    if fault is not None:
        raise corrupt(path, fault.message)
    return Opened(db, head, None)
