"""The emergency journal's file: what is torn, what is damaged, whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal.emergency import EmergencyJournal
from chains.errors import Halt, Retry, Usage


def opened(path: Path, environment: str = "devnet") -> EmergencyJournal:
    return EmergencyJournal.open(path, environment=environment, size=1 << 15)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "e"
    journal = opened(path)
    for i in range(3):
        journal.append(i, "Cancelled", 1, b'{"n":"%d"}' % i * 100)
    journal.close()
    return path


def test_records_come_back_and_its_size_never_changes(three: Path) -> None:
    assert three.stat().st_size == 1 << 15
    journal = opened(three)
    assert [saved.at_ns for saved in journal.records] == [0, 1, 2]
    assert len({saved.digest for saved in journal.records}) == 3
    journal.clear()
    journal.close()
    assert opened(three).records == () and three.stat().st_size == 1 << 15


def test_a_torn_last_record_was_never_acknowledged(three: Path) -> None:
    data = bytearray(three.read_bytes())
    last = data.rindex(b"FLR1")
    data[last + 300 :] = bytes(len(data) - last - 300)
    three.write_bytes(data)
    journal = opened(three)
    assert [saved.at_ns for saved in journal.records] == [0, 1]
    journal.append(9, "Cancelled", 1, b"{}")
    journal.close()
    assert [saved.at_ns for saved in opened(three).records] == [0, 1, 9]


def test_a_damaged_record_that_others_follow_halts(three: Path) -> None:
    data = bytearray(three.read_bytes())
    data[data.index(b"FLR1") + 100] ^= 1
    three.write_bytes(data)
    with pytest.raises(Halt) as error:
        opened(three)
    assert error.value.code == "EMERGENCY_DAMAGED" and three.read_bytes() == bytes(data)


def test_it_belongs_to_one_environment_and_one_process(three: Path) -> None:
    with pytest.raises(Usage, match="'devnet', not 'live'"):
        opened(three, "live")
    first = opened(three)
    with pytest.raises(Retry):
        opened(three)
    first.close()


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"precious")
    with pytest.raises(Halt) as error:
        opened(tmp_path / "e")
    assert error.value.code == "EMERGENCY_DAMAGED" and (tmp_path / "e").read_bytes() == b"precious"


def test_a_place_that_cannot_be_prepared_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Halt, match="journal.emergency_path") as error:
        opened(tmp_path / "file" / "e")
    assert error.value.code == "EMERGENCY_UNWRITABLE"
