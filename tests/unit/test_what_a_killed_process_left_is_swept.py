"""Temporary folders of Anvil's go with the process that made them, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from chains.spill import YOUNG_S, Spill, sweep

HOLDER = (
    "from chains.spill import Spill; import time; s = Spill.make(); print(s.path, flush=True); time.sleep(60)"
)


def aged(path: Path) -> None:
    then = time.time() - YOUNG_S - 1
    os.utime(path, (then, then))


def test_it_is_gone_when_it_is_removed(tmp_path: Path) -> None:
    spill = Spill.make(tmp_path)
    (spill.path / "state").write_bytes(b"x")
    spill.remove()
    spill.remove()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    held = Spill.make(tmp_path)
    there = dict(os.environ, TMPDIR=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, env=there, text=True
    ) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        aged(held.path)
        aged(left)
        sweep(tmp_path)
        assert left.is_dir(), "its process lives"
        other.send_signal(signal.SIGKILL)
    aged(left)
    sweep(tmp_path)
    assert not left.exists()
    assert held.path.is_dir()
    held.remove()


def test_a_young_folder_and_a_link_are_left(tmp_path: Path) -> None:
    young, elsewhere = tmp_path / "fairlead-anvil-young", tmp_path / "mine"
    young.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    link = tmp_path / "fairlead-anvil-link"
    link.symlink_to(elsewhere)
    sweep(tmp_path)
    assert young.is_dir() and (elsewhere / "kept").read_text() == "x"
