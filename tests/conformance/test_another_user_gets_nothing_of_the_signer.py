"""Another OS user can neither read the signer's memory nor its files nor talk to it; the same user cannot read its memory; and the attacks are real."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import custody as c
import pytest

SIGNER, OTHER, LISTED = 64_101, 65_534, 64_102  # no accounts of this machine but `nobody`
PROGRAM = Path(__file__).resolve().parents[1] / "support" / "other_user.py"
SECRET = b"exchange-secret-value"
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux' /proc"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become two other users"),
]


@dataclass
class Held:
    folder: Path
    socket: Path
    process: subprocess.Popen[bytes]

    @property
    def files(self) -> list[str]:
        kept = [
            *(self.folder / "keystore").iterdir(),
            *(self.folder / n for n in ("password", "api-secret", "api-key", "ledger.jsonl")),
        ]
        return [str(p) for p in kept]


def as_user(uid: int, gid: int, *words: str) -> list[str]:
    return [sys.executable, str(PROGRAM), str(uid), str(gid), *words]


@contextmanager
def signer(**changes: Any) -> Iterator[Held]:
    """In a folder that everybody may enter: what protects a file is its own mode."""
    folder = Path(tempfile.mkdtemp(prefix="fairlead-user-", dir="/tmp"))
    config, log = c.signer_files(folder, **changes), folder / "log"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SIGNER, SIGNER)
    for path in (folder, folder / "keystore"):
        path.chmod(0o755)
    command = as_user(SIGNER, SIGNER, "signer", str(folder / "s.sock"), str(config))
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
    try:
        until = time.monotonic() + 20
        while "signer ready" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield Held(folder, folder / "s.sock", process)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def tried(held: Held, uid: int, gid: int, pid: int | None = None, wanted: bytes = SECRET) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir="/tmp") as targets:
        json.dump(
            {"pid": pid or held.process.pid, "wanted": wanted.hex(), "files": held.files, "socket": str(held.socket)}, targets
        )  # fmt: skip
        targets.flush()
        done = subprocess.run(
            as_user(uid, gid, "thief", targets.name), capture_output=True, text=True, timeout=60, cwd="/"
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_another_user_reads_no_memory_no_file_and_gets_no_answer() -> None:
    with signer() as held:
        found = tried(held, OTHER, OTHER)
        assert (
            found["memory"] == found["attach"] == found["environ"] == found["socket"] == "PermissionError"
        ), found
        assert set(found["read"].values()) == set(found["write"].values()) == {"PermissionError"}, found
        assert len(found["read"]) >= 8 and stat.S_IMODE(held.socket.stat().st_mode) == 0o600


def test_not_even_its_own_user_reads_its_memory_and_the_attack_is_a_real_one() -> None:
    """The same thief finds what another process of his user holds, and reads and asks what is his to read and ask."""
    with signer() as held:
        found = tried(held, SIGNER, SIGNER)
        assert found["memory"] == found["attach"] == found["environ"] == "PermissionError", found
        assert set(found["read"].values()) == {"read"} and found["socket"] == "answered"
        prey = subprocess.Popen(as_user(SIGNER, SIGNER, "prey"), stdout=subprocess.PIPE, cwd="/")
        try:
            assert prey.stdout is not None and prey.stdout.readline() == b"ready\n"
            assert tried(held, SIGNER, SIGNER, prey.pid, b"prey-of-the-control-test")["memory"] == "found"
            assert (
                tried(held, OTHER, OTHER, prey.pid, b"prey-of-the-control-test")["memory"]
                == "PermissionError"
            )
        finally:
            prey.kill()
            prey.communicate()


def test_a_listed_client_is_answered_and_another_of_the_same_group_is_hung_up_on() -> None:
    with signer(clients=[LISTED]) as held:
        assert stat.S_IMODE(held.socket.stat().st_mode) == 0o660
        assert tried(held, LISTED, SIGNER)["socket"] == "answered"
        assert tried(held, OTHER, SIGNER)["socket"] in (
            "hung up",
            "ConnectionResetError",
            "BrokenPipeError",
        )
        assert tried(held, OTHER, OTHER)["socket"] == "PermissionError"
        listed = tried(held, LISTED, SIGNER)
        assert listed["memory"] == "PermissionError" and set(listed["read"].values()) == {"PermissionError"}
