"""The disk fills up while orders are recorded. New risk halts, cancels are saved on a second path, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from journal_events import Cancelled, Did, open_journal

from agent.journal.emergency import EmergencyJournal
from agent.journal.verify import verify
from chains.errors import Halt

CHILD = Path(__file__).parents[1] / "support" / "journal_child.py"
ENV = {**os.environ, "PYTHONPATH": ":".join(sys.path)}


def story(output: str, code: str = "JOURNAL_FAILED") -> tuple[int, list[str]]:
    lines = output.splitlines()
    assert lines[0] == "opened well"
    assert lines[1].startswith(f"halted {code} after ")
    return int(lines[1].split()[-1]), lines[2:]


def fill(path: Path, emergency: Path, limit: int, *prefix: str) -> str:
    child = subprocess.run(
        [*prefix, sys.executable, str(CHILD), "full", str(path), str(emergency), str(limit)],
        capture_output=True,
        text=True,
        env=ENV,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def judge(path: Path, emergency: Path, count: int) -> None:
    """With space again, the next opening moves the cancels over; once, however often it is opened."""
    for _ in range(2):
        journal = open_journal(path, emergency=emergency)
        events = list(journal.events())
        journal.close()
        done = [event for event in events if isinstance(event, Did)]
        assert [event.amount_raw for event in done[:count]] == list(range(count)), (
            "what was acknowledged is there"
        )
        assert len(done) - count <= 1, "no more than the event in flight can be there besides"
        assert [e.cl_ord_id for e in events if isinstance(e, Cancelled)] == ["fl-0", "fl-1", "fl-2"]
        assert isinstance(events[-1], Cancelled)
        assert verify(path).ok


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    path, emergency = tmp_path / "main" / "j.db", tmp_path / "second" / "emergency"
    count, rest = story(fill(path, emergency, 300_000))
    assert count > 10
    assert rest == ["refused JOURNAL_FAILED", "cancelled fl-0", "cancelled fl-1", "cancelled fl-2", "closed"]
    judge(path, emergency, count)


def small_disk_works() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The same on a file system of 512 KiB, full for every process; then a whole new process that starts on the full disk."""
    if not small_disk_works():
        pytest.skip(
            "this machine lets an ordinary user mount no tmpfs of his own (unshare -rm); the rlimit test above still runs"
        )
    disk, saved, emergency = tmp_path / "disk", tmp_path / "saved", tmp_path / "second" / "emergency"
    disk.mkdir()
    script = tmp_path / "inside.sh"
    script.write_text(
        f"mount -t tmpfs -o size=512k tmpfs {disk} || exit 9\n"
        f"{sys.executable} {CHILD} full {disk}/j.db {emergency} 0 || exit 8\n"
        f"cat /dev/zero > {disk}/filler 2>/dev/null; cp -r {disk} {saved}1\n"
        f"{sys.executable} {CHILD} full {disk}/j.db {emergency} 0 || exit 7\n"
        f"rm {disk}/filler; cp -r {disk} {saved}\n"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", str(script)],
        capture_output=True,
        text=True,
        env=ENV,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    count, first = story("\n".join(lines[:7]), "DISK_FULL")
    second = lines[7:]
    refused_and_cancelled = [
        "refused DISK_FULL",
        "cancelled fl-0",
        "cancelled fl-1",
        "cancelled fl-2",
        "closed",
    ]
    assert first == refused_and_cancelled
    assert second == ["opened failed", "halted DISK_FULL after 0", *refused_and_cancelled]
    journal = open_journal(saved / "j.db", emergency=emergency)
    events = list(journal.events())
    journal.close()
    cancels = [event.cl_ord_id for event in events if isinstance(event, Cancelled)]
    assert cancels == ["fl-0", "fl-1", "fl-2"] * 2
    assert [event.amount_raw for event in events if isinstance(event, Did)][:count] == list(range(count))
    assert verify(saved / "j.db").ok


def test_a_crash_between_moving_and_emptying_moves_nothing_twice(tmp_path: Path) -> None:
    path, emergency = tmp_path / "main" / "j.db", tmp_path / "second" / "emergency"
    count, _ = story(fill(path, emergency, 300_000))
    full_emergency = emergency.read_bytes()
    open_journal(path, emergency=emergency).close()
    emergency.write_bytes(full_emergency)  # as if the process had died after the commit, before the emptying
    judge(path, emergency, count)


def test_the_emergency_journal_itself_has_an_end_and_says_so(tmp_path: Path) -> None:
    path, emergency = tmp_path / "main" / "j.db", tmp_path / "second" / "emergency"
    fill(path, emergency, 300_000)
    small = EmergencyJournal.open(emergency, environment="devnet")
    with pytest.raises(Halt) as error:
        for i in range(10_000):
            small.append(i, "Cancelled", 1, b"{}")
    assert error.value.code == "EMERGENCY_FULL"
    small.close()
