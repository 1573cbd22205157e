"""The job store in a PostgreSQL database, for daemons of several hosts. Its tables are in the schema `fairlead`, made where they are missing.

A transaction takes one advisory lock, so those that write go one after another, as they do in a file. A lease lapses by the clock of
whoever asks: hosts keep theirs within the minute that every lease is longer than it has to be. Whoever can write to this database can
have orders sent: outside this host only TLS with a verified certificate is spoken to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from agent.app.jobs.sql import TABLES, SqlStore, Transaction
from agent.app.jobs.store import KEPT
from agent.domain.errors import Retry, Usage

if TYPE_CHECKING:
    import ssl

    from pg8000.dbapi import Connection, Cursor

TIMEOUT_S = 3.0
QUIET_S = 15.0
"""What did not answer is not asked again for so long: orders at work must not wait for it."""
_LOCK = 0x0FA1_12EAD


@dataclass(frozen=True, slots=True)
class Database:
    """Where it is. The password is in no repr."""

    host: str
    port: int
    name: str
    user: str
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Database:
        """From `postgresql://USER[:PASSWORD]@HOST[:PORT]/NAME`. Raises Usage BAD_DATABASE_URL, which tells nothing of it."""
        try:
            parts = urlsplit(url)
            port = parts.port or 5432
        except ValueError:
            parts, port = urlsplit(""), 0
        name = parts.path.removeprefix("/")
        if (
            parts.scheme not in ("postgresql", "postgres")
            or not (parts.hostname and parts.username and name)
            or "/" in name
            or parts.query
            or parts.fragment
        ):
            raise Usage(
                "BAD_DATABASE_URL",
                "daemon.jobs_database: what it refers to is no PostgreSQL URL",
                "write postgresql://USER:PASSWORD@HOST:PORT/NAME where the reference points, and nothing behind the name",
            )
        password = unquote(parts.password) if parts.password is not None else None
        return cls(parts.hostname, port, unquote(name), unquote(parts.username), password)

    @property
    def here(self) -> bool:
        """Whether it is on this host."""
        if self.host == "localhost":
            return True
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False

    @property
    def shown(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.name}"


class _Written:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def rows(self, words: str, *given: object) -> list[tuple[Any, ...]]:
        self._cursor.execute(words.replace("?", "%s"), given)
        return [tuple(row) for row in self._cursor.fetchall()]

    def change(self, words: str, *given: object) -> int:
        self._cursor.execute(words.replace("?", "%s"), given)
        return int(self._cursor.rowcount)


class PostgresStore(SqlStore):
    """Keeps one connection; a database that went away and came back, or failed over, is connected to anew."""

    def __init__(self, database: Database, kept: int = KEPT, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(kept)
        self.database, self._tls = database, tls
        self._db: Connection | None = None
        self._one_by_one = threading.Lock()
        self._quiet_until = 0.0

    def __del__(self) -> None:
        self._let_go()

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        from pg8000.exceptions import DatabaseError, InterfaceError

        with self._one_by_one:
            if time.monotonic() < self._quiet_until:
                raise self._silent("it did not answer a moment ago")
            try:
                db, cursor = self._begun()
                yield _Written(cursor)
                db.commit()
            except (DatabaseError, InterfaceError, OSError) as wrong:
                self._let_go()
                if not isinstance(wrong, DatabaseError):
                    self._quiet_until = time.monotonic() + QUIET_S
                raise self._silent(_reason(wrong)) from None
            except BaseException:
                self._let_go()
                raise

    def _begun(self) -> tuple[Connection, Cursor]:
        """A transaction that has the lock. Raises what pg8000 raises."""
        from pg8000.exceptions import DatabaseError, InterfaceError

        if self._db is not None:
            with suppress(DatabaseError, InterfaceError, OSError):
                return self._db, _locked(self._db)
            self._let_go()
        self._db = self._connected()
        _locked(self._db, make=True)
        self._db.commit()
        return self._db, _locked(self._db)

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(Exception):
                db.close()

    def _connected(self) -> Connection:
        import ssl

        from pg8000.dbapi import connect

        to = self.database
        tls = None if to.here else self._tls or ssl.create_default_context()
        return connect(
            to.user,
            host=to.host,
            port=to.port,
            database=to.name,
            password=to.password,
            ssl_context=tls,
            timeout=TIMEOUT_S,
            application_name="fairlead",
        )

    def _silent(self, why: str) -> Retry:
        return Retry(
            "JOBS_STORE",
            f"the jobs' database {self.database.shown} does not answer: {why}",
            "check that it runs, lets this user in and lets it create a schema",
        )


def _locked(db: Connection, make: bool = False) -> Cursor:
    cursor = db.cursor()
    # Whatever the database's own default is: a snapshot taken before the wait for the lock would not show what was written meanwhile.
    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    if make:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS fairlead")
    cursor.execute("SET LOCAL search_path TO fairlead")
    for words in TABLES if make else ():
        cursor.execute(words)
    return cursor


def _reason(wrong: Exception) -> str:
    """The server's own message, where there is one; else what kind of failure it was."""
    told = wrong.args[0] if wrong.args else ""
    if isinstance(told, dict):
        return str(told.get("M", ""))
    return str(told) or type(wrong).__name__


__all__ = ["Database", "PostgresStore"]
