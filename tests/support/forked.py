"""Commands as processes that start at once: see `fork_server`. `Forked` is what of `subprocess.Popen` tests use."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def _server() -> str:
    """The socket of this test process's own server, started at its first command and ended with it."""
    folder = tempfile.TemporaryDirectory(prefix="fl-fork-")
    path = str(Path(folder.name) / "s")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FAIRLEAD_")}
    command = [sys.executable, str(Path(__file__).with_name("fork_server.py")), path]
    server = subprocess.Popen(command, cwd=ROOT, env=kept, stdin=subprocess.PIPE, start_new_session=True)

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(10)
        folder.cleanup()

    atexit.register(end)
    while not Path(path).exists():
        assert server.poll() is None, "the server of commands ended at its start"
        time.sleep(0.01)
    return path


class Forked:
    """One command at work. `returncode` is None until it has ended and was waited for; -N where signal N ended it."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path, out: IO[str], err: IO[str]) -> None:
        self.args, self.returncode = argv, None
        self._talk = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self._talk.connect(_server())
                break
            except (
                ConnectionRefusedError,
                BlockingIOError,
            ):  # bound and not yet listening, or its queue is full
                time.sleep(0.01)
        asked = json.dumps({"argv": argv, "env": env, "cwd": str(cwd)}).encode() + b"\n"
        sent = socket.send_fds(self._talk, [asked], [out.fileno(), err.fileno()])
        self._talk.sendall(asked[sent:])
        self._heard = b""
        self.pid = int(self._read(None)["pid"])

    returncode: int | None

    def _read(self, patience_s: float | None) -> dict[str, int]:
        self._talk.settimeout(patience_s)
        while b"\n" not in self._heard:
            got = self._talk.recv(4096)
            assert got, "the server of commands has gone"
            self._heard += got
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)  # type: ignore[no-any-return]

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                self.returncode = self._read(0.0)["status"]
            except (TimeoutError, BlockingIOError):
                return None
            self._talk.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            try:
                self.returncode = self._read(timeout)["status"]
            except TimeoutError as late:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout) from late
            self._talk.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def fairlead(argv: list[str], env: dict[str, str], patience_s: float) -> Ran:
    """The command line in a process of its own, to its end. Raises AssertionError where that does not come in time."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process, late = Forked(argv, env, ROOT, out, err), False
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            late = True
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        done = Ran(int(process.returncode or 0), out.read(), err.read())
    assert not late, (
        f"`{' '.join(argv)}` did not end in {patience_s} s; as far as it came: {done.err}\n{done.out}"
    )
    return done
