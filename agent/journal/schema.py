"""The journal's SQLite file: its tables, how it is opened, and the lock that admits one writer."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import IO

from chains.errors import Halt, Retry

FORMAT = "fairlead journal/1"
_LEAST_BYTES = 1 << 16
"""SQLite's shared memory and one small transaction: with less than this free, nothing can be written."""
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
  payload BLOB NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE subjects (id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (id, seq)) WITHOUT ROWID;
CREATE TABLE lineage (id TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (source, id)) WITHOUT ROWID;
CREATE TABLE merged (hash BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE states (projection TEXT NOT NULL, seq INTEGER NOT NULL, state_hash TEXT NOT NULL, PRIMARY KEY (projection, seq)) WITHOUT ROWID;
"""
COLUMNS = "seq, at_ns, kind, version, payload, prev_hash, hash"
INSERT = f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"


DAMAGE = (sqlite3.DatabaseError, UnicodeError, OverflowError)
"""What SQLite raises for a damaged file: text that is not UTF-8 comes out as a UnicodeError, even in its own messages."""
_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
}


def is_disk_trouble(wrong: BaseException) -> bool:
    """Whether the disk or its permissions are at fault, not the file's content."""
    return isinstance(wrong, sqlite3.OperationalError) and (wrong.sqlite_errorcode & 0xFF) in _DISK


def failure_code(path: Path, wrong: BaseException, otherwise: str) -> str:
    """DISK_FULL where that is why a write failed; SQLite says so itself, or only that it could not open or extend a file."""
    if isinstance(wrong, OSError):
        full = wrong.errno in (errno.ENOSPC, errno.EDQUOT)
    else:
        full = getattr(wrong, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    try:
        full = full or shutil.disk_usage(path.parent).free < _LEAST_BYTES
    except OSError:
        pass
    return "DISK_FULL" if full else otherwise


def corrupt(path: Path, what: str) -> Halt:
    return Halt(
        "JOURNAL_CORRUPT",
        f"the journal {path} is damaged: {what}",
        "nothing was overwritten; run `fairlead journal verify`, keep a copy of the file, restore a backup, "
        "then `fairlead reconcile` before trading",
    )


class WriterLock:
    """Held by the one process that may append. The kernel lets go of it when that process ends, however it ends."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".lock")
        self._file: IO[str] | None = None

    def acquire(self, tell: bool = True) -> None:
        """Retry JOURNAL_LOCKED, naming the holder, where another process writes. `tell` leaves our own name in the file."""
        handle = open(self.path, "a+", encoding="ascii")
        for patience in (0.01, 0.03, 0.06, 0):  # whoever only asks who holds it has it for a moment
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if patience:
                    time.sleep(patience)
                    continue
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise Retry(
                "JOURNAL_LOCKED",
                f"another Fairlead process (pid {holder}) is writing the journal {self.path.with_suffix('')}",
                "let it finish or stop it; reading commands work meanwhile",
            ) from None
        try:
            if tell:
                handle.truncate(0)
                handle.write(str(os.getpid()))
                handle.flush()
        except OSError:
            pass  # the holder's name is a courtesy; a full disk must not cost the lock
        self._file = handle

    def release(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                pass
            self._file = None


def connect(path: Path, *, exclusive: bool = False) -> sqlite3.Connection:
    """The writer's connection: WAL, an fsync at every commit, UTF-8 checked.

    `exclusive` keeps the WAL's index in memory instead of a file beside the journal: a full disk can still be read.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        if exclusive:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=4000")
        db.execute("PRAGMA temp_store=MEMORY")
    except DAMAGE:
        db.close()
        raise
    return db


def connect_read_only(path: Path) -> sqlite3.Connection:
    """For show, verify, export and replay: works beside a writer, and on a read-only medium."""
    if not path.exists():
        raise Halt(
            "JOURNAL_MISSING",
            f"there is no journal at {path}",
            "it is made by the first order; see `fairlead config explain journal.path`",
        )
    wal = path.with_name(path.name + "-wal")
    modes = (
        ["mode=ro", "mode=rw"] if wal.exists() and wal.stat().st_size else ["mode=ro", "mode=ro&immutable=1"]
    )
    for mode in modes:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=5.0
        )
        try:
            if mode == "mode=rw":
                db.execute("PRAGMA locking_mode=EXCLUSIVE")
            tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables == (0,) and not _was_used(path):
                db.close()
                raise Halt(
                    "JOURNAL_MISSING",
                    f"the journal at {path} is being made and holds nothing yet",
                    "it is made by the first order",
                )
            return db
        except DAMAGE as wrong:
            db.close()
            if not is_disk_trouble(wrong):
                raise corrupt(path, str(wrong)) from wrong
            if mode == modes[-1]:
                raise Halt(
                    "JOURNAL_UNREADABLE",
                    f"the journal {path} cannot be read: {wrong}",
                    "check the folder's permissions",
                ) from wrong
    raise AssertionError("unreachable")


def _was_used(path: Path) -> bool:
    """Whether heads of it were kept beside it: then an empty file is no beginning."""
    kept = path.with_name(path.name + ".heads")
    return kept.exists() and kept.stat().st_size > 0


def create_tables(db: sqlite3.Connection, environment: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";"):
            if statement.strip():
                db.execute(statement)
        db.executemany("INSERT INTO meta VALUES (?, ?)", [("format", FORMAT), ("environment", environment)])
        db.execute("COMMIT")
    except sqlite3.Error:
        db.execute("ROLLBACK")
        raise


def meta(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT key, value FROM meta"))
