"""Frames: the documented ones, cut anywhere, broken, and with values that would begin a field of their own."""

from __future__ import annotations

import pytest
from fix_peer import documented, summed

from agent.domain.errors import Usage
from agent.transport.fix.message import LONGEST, Framer, Garbled, Message, decode, encode, stamp, stamp_ns

ORDER = encode("D", [(49, "OURS"), (56, "SPOT"), (34, "2"), (11, "a-1"), (55, "ETHUSDC")])


def test_every_documented_sample_is_read_or_does_not_add_up_as_it_is_printed() -> None:
    """Some were edited by hand after they were made: their sums show it."""
    found = [decode(frame) for frame in documented()]
    sound = [one for one in found if isinstance(one, Message)]
    edited = [one for one in found if isinstance(one, Garbled)]
    assert len(sound) == 16 and {one.kind for one in sound} >= {"A", "5", "B", "q", "N", "XLR"}
    assert all(one.why.startswith(("its sum is", "its trailer is not")) for one in edited)
    again = [decode(summed(frame)) for frame in documented()]
    assert {one.kind for one in again if isinstance(one, Message)} >= {"D", "8", "F", "9", "r", "XCN"}


def test_a_documented_message_is_written_as_it_was_read() -> None:
    for frame in documented():
        read = decode(frame)
        if isinstance(read, Message) and b"\x019=0" not in frame:
            assert encode(read.kind, read.fields) == frame


def test_a_stream_cut_anywhere_gives_the_same_messages() -> None:
    stream = ORDER * 3
    for at in range(1, len(stream)):
        framer = Framer()
        got = [*framer.feed(stream[:at]), *framer.feed(stream[at:])]
        assert [one.kind for one in got if isinstance(one, Message)] == ["D"] * 3 and framer.waiting == 0


def test_after_what_is_garbled_it_goes_on_at_the_next_message() -> None:
    wrong = ORDER.replace(b"ETHUSDC", b"BTCUSDC")
    got = list(Framer().feed(wrong + b"noise\x01" + ORDER + ORDER[:20] + ORDER))
    assert [type(one) for one in got if isinstance(one, Message)] == [Message, Message]
    assert sum(isinstance(one, Garbled) for one in got) >= 2


@pytest.mark.parametrize(
    "head", [b"8=FIX.4.4\x019=99999999\x01", b"8=FIX.4.4\x019=123456789", b"8=FIX.4.4\x019=-5\x01", b"8=FIX.4.2\x019=5\x01"]
)  # fmt: skip
def test_no_length_makes_it_wait_for_ever(head: bytes) -> None:
    framer = Framer()
    got = list(framer.feed(head + b"x" * 2_000))
    assert any(isinstance(one, Garbled) for one in got) and framer.waiting < 20
    assert [one.kind for one in framer.feed(ORDER) if isinstance(one, Message)] == ["D"]


def test_what_it_keeps_is_bounded() -> None:
    framer = Framer()
    for _ in range(200):
        list(framer.feed(b"8=FIX.4.4\x019=65000\x01" + b"y" * 1_000))
        assert framer.waiting <= LONGEST + 2_000


@pytest.mark.parametrize("value", ["a\x01150=F", "", "a\nb", "é", "a\x00"])
def test_no_value_begins_a_field_of_its_own(value: str) -> None:
    with pytest.raises(Usage) as refused:
        encode("D", [(11, value)])
    assert refused.value.code == "FIX_VALUE"


def test_times_are_exact() -> None:
    assert stamp_ns("20240611-09:01:46.228950") == 1_718_096_506_228_950_000
    assert stamp_ns("20240611-09:01:46") == 1_718_096_506_000_000_000
    assert stamp(1_718_096_506_228_950_999) == "20240611-09:01:46.228"
    assert stamp_ns("20161231-23:59:60") == stamp_ns("20170101-00:00:00")
    for wrong in (
        "2024-06-11T09:01:46",
        "20240611-09:01:46.22",
        "20241311-09:01:46",
        "20240230-09:01:46",
        "20240611-24:01:46",
        "20240611-09:60:46",
        "20240611-09:01:61",
        "",
    ):
        with pytest.raises(ValueError):
            stamp_ns(wrong)
