"""The job store in an SQLite file, for daemons of one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.app.jobs.sql import TABLES, SqlStore, Transaction
from agent.app.jobs.store import KEPT
from agent.domain.errors import Denied, Retry

BUSY_S = 5.0


class _Written:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def rows(self, words: str, *given: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._db.execute(words, given)]

    def change(self, words: str, *given: object) -> int:
        return self._db.execute(words, given).rowcount


class SqliteStore(SqlStore):
    """Opens the file for each transaction, so that a moved or restored one is never written through an old handle."""

    def __init__(self, path: Path, kept: int = KEPT) -> None:
        super().__init__(kept)
        self.path = path

    def _read(self, words: str, *given: object) -> list[tuple[Any, ...]]:
        return super()._read(words, *given) if self.path.exists() else []

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._belongs_to_us()
            db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            try:
                for words in TABLES:
                    db.execute(words)
                db.execute("BEGIN IMMEDIATE")
                yield _Written(db)
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
