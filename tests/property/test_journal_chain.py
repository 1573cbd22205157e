"""No single altered byte, rewritten tail, truncation or gap passes verification, and none is ever overwritten at opening."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from journal_events import Cancelled, Did, open_journal

from agent.journal.chain import Head, genesis, link
from agent.journal.heads import parse_head
from agent.journal.verify import verify
from chains.errors import Halt

ENTRIES = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "j.db"

    async def write() -> None:
        journal = open_journal(path)
        for i in range(ENTRIES):
            await journal.record_durably(
                Did(f"fl-{i % 6}", 10**18 * i) if i % 5 else Cancelled(f"fl-{i % 6}", "because")
            )
        journal.close()

    asyncio.run(write())
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    for file in whole.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / whole.name


def stored(path: Path) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT * FROM entries ORDER BY seq").fetchall()
    finally:
        db.close()


def change(path: Path, statement: str, *values: Any) -> None:
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, values)
    db.close()


@pytest.mark.parametrize("column", ["at_ns", "kind", "version", "payload", "prev_hash", "hash"])
def test_an_altered_byte_in_any_column_is_found_and_its_entry_named(copy: Path, column: str) -> None:
    chance = random.Random(f"seed 1 {column}")
    for row in chance.sample(stored(copy), 6):
        original = dict(
            zip(("seq", "at_ns", "kind", "version", "payload", "prev_hash", "hash"), row, strict=True)
        )
        value = original[column]
        if isinstance(value, int):
            wrong: Any = value ^ (1 << chance.randrange(8))
        else:
            data = bytearray(value.encode() if isinstance(value, str) else value)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(7)
            wrong = data.decode() if isinstance(value, str) else bytes(data)
        change(copy, f"UPDATE entries SET {column} = ? WHERE seq = ?", wrong, row[0])
        verdict = verify(copy)
        assert not verdict.ok and verdict.faults[0].kind == "ALTERED" and verdict.faults[0].seq == row[0]
        with pytest.raises(Halt) as error:
            open_journal(copy)
        assert error.value.code == "JOURNAL_CORRUPT"
        change(copy, f"UPDATE entries SET {column} = ? WHERE seq = ?", value, row[0])
        assert verify(copy).ok


@pytest.mark.parametrize("count", [150, pytest.param(3_000, marks=pytest.mark.full)])
def test_a_byte_altered_anywhere_in_the_file_is_found_or_alters_no_entry(copy: Path, count: int) -> None:
    chance = random.Random(2)
    original, truth = copy.read_bytes(), stored(copy)
    found = 0
    for _ in range(count):
        data = bytearray(original)
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
        copy.write_bytes(data)
        if verify(copy).ok:
            assert stored(copy) == truth, f"byte {at} altered an entry and was not found"
        else:
            found += 1
            try:
                open_journal(
                    copy
                ).close()  # damage outside the entries may open; damage of an entry never does
                assert stored(copy) == truth
            except Halt as error:
                assert error.code == "JOURNAL_CORRUPT", error
                assert copy.read_bytes() == bytes(data), "nothing was overwritten"
            for left in ("j.db-wal", "j.db-shm"):
                copy.with_name(left).unlink(missing_ok=True)
    assert found > count // 4, "most of the file is entries: the test would otherwise look nowhere"


@pytest.mark.parametrize("first", [1, 2, 30, ENTRIES])
def test_a_tail_rewritten_with_right_hashes_is_found_against_the_heads(copy: Path, first: int) -> None:
    rows = stored(copy)
    seen = Head(rows[-1][0], rows[-1][6])
    previous = rows[first - 2][6] if first > 1 else genesis("devnet")
    db = sqlite3.connect(copy)
    for seq, at_ns, kind, version, payload, _, _ in rows[first - 1 :]:
        payload = payload.replace(b"000000", b"000001").replace(b"because", b"becaus3")
        digest = link(previous, seq, at_ns, kind, version, payload)
        db.execute(
            "UPDATE entries SET payload=?, prev_hash=?, hash=? WHERE seq=?", (payload, previous, digest, seq)
        )
        previous = digest
    db.commit()
    db.close()
    changed = [a[0] for a, b in zip(rows, stored(copy), strict=True) if a != b]
    verdict = verify(copy)
    fault = verdict.faults[0]
    assert fault.kind == "REWRITTEN" and fault.seq == changed[0] and fault.after == changed[0] - 1
    with pytest.raises(Halt) as error:
        open_journal(copy)
    assert error.value.code == "JOURNAL_CORRUPT"
    copy.with_name("j.db.heads").unlink()
    assert verify(copy).ok, "the rewritten chain is a perfect one: only a head seen elsewhere tells"
    fault = verify(copy, anchors=[parse_head(str(seen))]).faults[0]
    assert fault.kind == "REWRITTEN" and fault.seq == ENTRIES


@pytest.mark.parametrize("left", [0, 1, 40, ENTRIES - 1])
def test_a_truncation_is_found(copy: Path, left: int) -> None:
    change(copy, "DELETE FROM entries WHERE seq > ?", left)
    fault = verify(copy).faults[0]
    assert fault.kind == "TRUNCATED" and fault.seq == left + 1
    with pytest.raises(Halt, match="was seen outside it"):
        open_journal(copy)
    assert len(stored(copy)) == left, "nothing was written"


def test_a_gap_is_found(copy: Path) -> None:
    change(copy, "DELETE FROM entries WHERE seq IN (17, 18)")
    fault = verify(copy).faults[0]
    assert (fault.kind, fault.seq) == ("GAP", 17)


def test_entries_that_changed_places_are_found(copy: Path) -> None:
    change(copy, "UPDATE entries SET seq = -seq WHERE seq IN (8, 9)")
    change(copy, "UPDATE entries SET seq = 17 + seq WHERE seq IN (-8, -9)")
    assert verify(copy).faults[0].seq == 8


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM subjects WHERE seq = 9",
        "INSERT INTO subjects VALUES ('fl-x', 9)",
        "INSERT INTO lineage VALUES ('a', 'b')",
    ],
)
def test_an_order_hidden_from_the_index_is_found(copy: Path, statement: str) -> None:
    change(copy, statement)
    assert verify(copy).faults[0].kind == "INDEX"


@pytest.mark.parametrize("content", [b"not a journal", b"\0" * 8192, b""])
def test_a_file_that_is_no_journal_is_reported_and_left_as_it_is(copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    with pytest.raises(Halt) as error:
        open_journal(copy)
    assert error.value.code == "JOURNAL_CORRUPT" and "nothing was overwritten" in error.value.hint
    assert copy.read_bytes() == content


def test_a_journal_that_vanished_is_not_silently_begun_anew(copy: Path) -> None:
    copy.unlink()
    with pytest.raises(Halt) as error:
        open_journal(copy)
    assert error.value.code == "JOURNAL_CORRUPT" and not copy.exists()
