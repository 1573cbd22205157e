"""A reader that comes between the file and its tables sees no journal yet; an emptied one with heads beside it is no beginning."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.domain.errors import Halt
from agent.journal.schema import connect, connect_read_only, create_tables
from agent.journal.verify import heads_path, verify


def test_between_the_file_and_its_tables_there_is_none_yet(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db = connect(path)
    with pytest.raises(Halt) as none:
        connect_read_only(path)
    assert none.value.code == "JOURNAL_MISSING"
    create_tables(db, "devnet")
    connect_read_only(path).close()
    db.close()


def test_an_emptied_journal_that_was_used_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connect(path).close()
    heads_path(path).write_text('{"seq": 5}\n')
    db = connect_read_only(path)
    with pytest.raises(sqlite3.Error):
        db.execute("SELECT * FROM entries")
    db.close()
    try:
        assert not verify(path).ok
    except Halt as halt:
        assert halt.code == "JOURNAL_CORRUPT"
