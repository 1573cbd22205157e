"""Appending, durability, one writer, environments, folds: the journal as the spine uses it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from journal_events import EVENTS, TOTALS, Cancelled, CountingClock, Did, open_journal

from agent.journal.codec import Codec
from agent.journal.fold import fold
from agent.journal.query import read_entries
from agent.journal.replay import replay
from agent.journal.schema import connect_read_only
from agent.journal.verify import verify
from chains.errors import Halt, Retry, Usage


async def test_events_come_back_in_order_and_the_chain_holds(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    events = [Did(f"fl-{i}", i) for i in range(100)]
    for event in events:
        assert await journal.record(event) is event
    await journal.durable(journal.head().seq)
    assert journal.durable_head() == journal.head()
    assert list(journal.events()) == events
    journal.close()
    verdict = verify(tmp_path / "j.db")
    assert verdict.ok and verdict.entries == 100 and verdict.environment == "devnet" and verdict.anchors > 0


async def test_record_durably_returns_only_when_another_connection_can_read_it(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    for i in range(20):
        await journal.record_durably(Did("fl-a", i))
        db = connect_read_only(tmp_path / "j.db")
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (i + 1,)
        db.close()
    journal.close()


async def test_an_event_nobody_waits_for_becomes_durable_by_itself(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    seq = journal.append(Did("fl-a", 1))
    for _ in range(200):
        if journal.durable_head().seq >= seq:
            break
        await asyncio.sleep(0.01)
    assert journal.durable_head().seq == seq
    journal.close()


async def test_concurrent_waiters_share_commits(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    await asyncio.gather(*[journal.record_durably(Did(f"fl-{i}", i)) for i in range(500)])
    journal.close()
    commits = len((tmp_path / "j.db.heads").read_bytes().splitlines())
    assert verify(tmp_path / "j.db").entries == 500
    assert commits < 50, f"{commits} commits for 500 events that waited together"


async def test_the_same_story_gives_the_same_hash(tmp_path: Path) -> None:
    heads = []
    for name in ("a", "b"):
        journal = open_journal(tmp_path / f"{name}.db")
        for i in range(50):
            await (journal.record_durably if i % 7 == 0 else journal.record)(Did(f"fl-{i}", i))
        journal.close()
        heads.append(journal.head())
    assert heads[0] == heads[1]


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = open_journal(path)
    with pytest.raises(Retry) as error:
        open_journal(path)
    assert error.value.code == "JOURNAL_LOCKED"
    assert f"pid {os.getpid()}" in error.value.message and "let it finish or stop it" in error.value.hint
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from journal_events import open_journal; open_journal(Path(sys.argv[1]))",
            str(path),
        ],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        check=False,
    )
    assert "JOURNAL_LOCKED" in child.stderr and f"pid {os.getpid()}" in child.stderr
    journal.close()
    open_journal(path).close()


def test_a_journal_of_another_environment_is_refused(tmp_path: Path) -> None:
    open_journal(tmp_path / "j.db").close()
    (tmp_path / "j.db.emergency").unlink()
    with pytest.raises(Usage, match="'devnet', not 'live'") as error:
        open_journal(tmp_path / "j.db", environment="live")
    assert error.value.code == "JOURNAL_ENVIRONMENT"
    fork = open_journal(tmp_path / "fork.db", environment="fork")
    assert fork.head().hash != open_journal(tmp_path / "k.db").head().hash, (
        "the chain itself names its environment"
    )
    fork.close()


async def test_folds_live_and_replayed_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = open_journal(path)
    live = journal.follow(TOTALS)
    for i in range(40):
        await journal.record(Did(f"fl-{i % 5}", i))
    await journal.record_durably(Cancelled("fl-3", "why not"))
    assert live.state == {"fl-0": 140, "fl-1": 148, "fl-2": 156, "fl-4": 172}
    journal.close()
    again = replay(path, Codec(EVENTS), [TOTALS])
    assert again.ok and again.states[0].same is True and again.states[0].state == live.state
    journal = open_journal(path, clock=CountingClock(1_800_000_000_000_000_000))
    live = journal.follow(TOTALS)
    assert live.state == again.states[0].state == fold(journal.events(), TOTALS)
    await journal.record_durably(Did("fl-9", 1))
    journal.close()
    assert replay(path, Codec(EVENTS), [TOTALS]).states[0].same is True


async def test_replay_tells_when_the_recorded_state_was_another(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = open_journal(path)
    live = journal.follow(TOTALS)
    await journal.record_durably(Did("fl-1", 1))
    live.state["fl-1"] = 2  # what a projection must never do: change a state in place
    journal.close()
    assert not replay(path, Codec(EVENTS), [TOTALS]).ok


async def test_entries_are_found_by_order_kind_and_time(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    for i in range(10):
        await journal.record(Did(f"fl-{i % 2}", i))
    await journal.record_durably(Cancelled("fl-1", "x"))
    journal.close()
    db = connect_read_only(tmp_path / "j.db")
    assert [e.seq for e in read_entries(db, order="fl-1")] == [2, 4, 6, 8, 10, 11]
    assert [e.seq for e in read_entries(db, order="fl-1", kinds=["Cancelled"])] == [11]
    third = next(read_entries(db, first=3)).at_ns
    assert [e.seq for e in read_entries(db, since_ns=third, until_ns=third + 2_000)] == [3, 4]
    assert [e.seq for e in read_entries(db, order="fl-")] == []
    db.close()


async def test_a_value_that_cannot_be_written_leaves_the_chain_whole(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    await journal.record(Did("fl-a", 1))
    with pytest.raises(Halt):
        await journal.record(Did("fl-a", 1.5))  # type: ignore[arg-type]
    await journal.record_durably(Did("fl-a", 2))
    journal.close()
    assert verify(tmp_path / "j.db").entries == 2


async def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.db")
    journal.close()
    with pytest.raises(Halt) as error:
        await journal.record(Did("fl-a", 1))
    assert error.value.code == "JOURNAL_CLOSED"
