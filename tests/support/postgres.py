"""A PostgreSQL server of one's own: the host's programs where there are any, else those of a package; ended by whoever started it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg8000.dbapi import connect
from pg8000.exceptions import DatabaseError, InterfaceError

from agent.app.jobs.postgres_store import Database
from chains.devnet.supervisor import free_port

PASSWORD = "local and thrown away: p@ss/word"


def programs() -> Path:
    """The folder of initdb and postgres."""
    found = shutil.which("initdb")
    if found:
        return Path(os.path.realpath(found)).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if installed:
        return installed[-1]
    import pgserver

    return Path(pgserver.__file__).parent / "pginstall" / "bin"


def user() -> str | None:
    """As whom it runs: PostgreSQL refuses root."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


class Server:
    def __init__(self, port: int) -> None:
        self.port, self._made = port, 0

    def database(self) -> Database:
        """A new, empty one."""
        self._made += 1
        name = f"jobs{self._made}"
        db = connect("fairlead", host="127.0.0.1", port=self.port, database="postgres", password=PASSWORD)
        try:
            db.autocommit = True
            db.cursor().execute(f"CREATE DATABASE {name}")
        finally:
            db.close()
        return Database("127.0.0.1", self.port, name, "fairlead", PASSWORD)


@contextmanager
def postgres() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="fairlead-postgres-"))
    whose, port, bin_ = user(), free_port(), programs()
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if whose is not None:
            entry = pwd.getpwnam(whose)
            for path in (folder, secret):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        data = folder / "data"
        made = subprocess.run(
            [bin_ / "initdb", "-D", data, "-U", "fairlead", "-A", "scram-sha-256", "--pwfile", secret, "-N"],
            user=whose, cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        options = ["-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(
                [bin_ / "postgres", *options], user=whose, cwd=folder, stdout=log, stderr=log
            )
        try:
            _up(port, running, folder / "log")
            yield Server(port)
        finally:
            running.send_signal(signal.SIGQUIT)
            running.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _up(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            connect("fairlead", host="127.0.0.1", port=port, database="postgres", password=PASSWORD).close()
            return
        except (DatabaseError, InterfaceError, OSError):
            assert running.poll() is None, log.read_text()
            time.sleep(0.05)
    raise AssertionError(log.read_text())
