"""A process is killed with SIGKILL while it writes: every event it was told is durable is there, and the chain is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from journal_events import open_journal

from agent.journal.verify import verify

CHILD = Path(__file__).parents[1] / "support" / "journal_child.py"


def write_until_killed(path: Path, writers: int, seconds: float) -> list[int]:
    child = subprocess.Popen(
        [sys.executable, str(CHILD), "crash", str(path), str(writers)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith(b"open "), "the journal opens after every kill"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    lines = child.stdout.read().split(b"\n")[:-1]
    child.wait()
    child.stdout.close()
    return [int(line.split()[1]) for line in lines]


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.full)])
def test_killed_again_and_again(tmp_path: Path, kills: int) -> None:
    chance, path = random.Random(7), tmp_path / "j.db"
    last = 0
    for _ in range(kills):
        acknowledged = write_until_killed(path, chance.choice([1, 4, 16]), chance.uniform(0.01, 0.3))
        verdict = verify(path)
        assert verdict.ok, verdict.faults
        assert verdict.head.seq >= max([last, *acknowledged])
        last = verdict.head.seq
    assert last > 20
    journal = open_journal(path)
    assert journal.head().seq == last
    journal.close()


def test_killed_while_the_file_is_being_made(tmp_path: Path) -> None:
    """Whatever a kill during the very first opening leaves, the next opening works."""
    for delay in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25):
        path = tmp_path / f"{delay}" / "j.db"
        child = subprocess.Popen(
            [sys.executable, str(CHILD), "crash", str(path), "1"],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        time.sleep(delay)
        child.kill()
        child.wait()
        open_journal(path).close()
        assert verify(path).ok
