"""The heads file stays small, survives a torn line, and still proves the oldest entries; the disk settings are the strict ones."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from journal_events import open_journal

from agent.journal.chain import Head, Seq
from agent.journal.heads import KEEP_ALL, HeadsFile, parse_head, read_heads
from agent.journal.schema import connect
from chains.errors import Usage


def head(seq: int) -> Head:
    return Head(Seq(seq), hashlib.sha256(str(seq).encode()).digest())


def test_old_heads_are_thinned_and_never_all_lost(tmp_path: Path) -> None:
    heads = HeadsFile(tmp_path / "h")
    for seq in range(1, 20_001):
        heads.note(head(seq), seq)
    heads.close()
    kept = read_heads(tmp_path / "h")
    assert len(kept) < 6_500 and kept[0] == head(1) and kept[-1] == head(20_000)
    assert kept[-KEEP_ALL:] == [head(seq) for seq in range(20_001 - KEEP_ALL, 20_001)]
    assert kept == sorted(kept, key=lambda one: one.seq)


def test_a_line_cut_short_by_a_crash_is_no_head_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "h"
    first = HeadsFile(path)
    first.note(head(1), 1)
    first.close()
    with path.open("ab") as file:
        file.write(b"2 abcdef")
    assert read_heads(path) == [head(1)]
    second = HeadsFile(path)
    second.note(head(3), 3)
    second.close()
    assert read_heads(path) == [head(1), head(3)]


def test_a_head_prints_as_it_is_read() -> None:
    assert parse_head(str(head(7))) == head(7)
    for text in ("", "7", "7:abc", "-1:" + "00" * 32, "x:" + "00" * 32):
        with pytest.raises(Usage):
            parse_head(text)


def test_every_commit_is_synced(tmp_path: Path) -> None:
    open_journal(tmp_path / "j.db").close()
    db = connect(tmp_path / "j.db")
    assert db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_one_variable_moves_every_folder(tmp_path: Path) -> None:
    script = "from agent.app import paths as p; print(p.default_settings(), p.state_dir('fork'), p.cache_dir(), p.run_dir('fork'), sep='\\n')"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FAIRLEAD_")}
    env = {
        **clean,
        "PYTHONPATH": ":".join(sys.path),
        "FAIRLEAD_HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": "/run/user/0",
    }
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True
    ).stdout
    wanted = ["config/fairlead.toml", "state/fork", "cache", "state/fork"]
    assert out.splitlines() == [str(tmp_path / part) for part in wanted]
