"""Noise_KK as other implementations write it, and what it refuses: other keys, other purposes, repeats, changes, cuts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import Denied, Usage
from keys.noise import Channel, Handshake, public_of

ONE, TWO, THREE, FOUR = (bytes([n]) * 32 for n in (1, 2, 3, 4))


def pair(prologue: bytes = b"a prologue", other: bytes = b"") -> tuple[Handshake, Handshake]:
    a = Handshake(True, ONE, public_of(TWO), prologue, THREE)
    return a, Handshake(False, TWO, public_of(ONE), other or prologue, FOUR)


def channels() -> tuple[Channel, Channel]:
    a, b = pair()
    b.read(a.write())
    a.read(b.write())
    return a.channel(), b.channel()


def test_the_bytes_are_those_of_another_implementation() -> None:
    """Made by the `noiseprotocol` package for Python with the same keys, fresh ones included."""
    a, b = pair()
    first = a.write()
    assert (
        first.hex()
        == "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22d49b9e49180349175533cb12101f6821"
    )
    b.read(first)
    second = b.write()
    assert (
        second.hex()
        == "ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b69e8d43dbcca2cba9cd0d88f30d8d48c"
    )
    a.read(second)
    ours, theirs = a.channel(), b.channel()
    assert ours._out.encrypt(b"one").hex() == "8b560ed8df5f6384573e7a25c27b606f4019a6"
    assert ours._out.encrypt(b"two").hex() == "d29bfad45cbc7e30aa3f3b17c036c4404da6a1"
    assert theirs._out.encrypt(b"three").hex() == "6a492ce0295fbbc5722d349b4f4fb44b6633e4c2c4"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=2_000) | st.integers(64_999, 131_000).map(bytes), max_size=5))
def test_whatever_is_sealed_opens_in_its_order_both_ways(messages: list[bytes]) -> None:
    a, b = channels()
    for message in messages:
        assert b.open(a.seal(message)) == message
        assert a.open(b.seal(message)) == message


def refused(read: object, *given_: bytes) -> None:
    with pytest.raises(Denied) as denied:
        read(*given_)  # type: ignore[operator]
    assert denied.value.code == "CHANNEL_NOT_AUTHENTIC" and denied.value.hint


def test_another_key_or_another_purpose_is_refused_at_the_first_message() -> None:
    a, b = pair(other=b"another prologue")
    refused(b.read, a.write())
    stranger = Handshake(True, FOUR, public_of(TWO), b"a prologue")
    refused(pair()[1].read, stranger.write())
    a, _ = pair()
    wrong = Handshake(False, FOUR, public_of(ONE), b"a prologue")
    refused(wrong.read, a.write())
    a, b = pair()
    first = a.write()
    refused(b.read, first[:-1])
    refused(pair()[1].read, first[:40] + bytes([first[40] ^ 1]) + first[41:])
    refused(pair()[1].read, bytes(32) + first[32:])


def test_a_recording_of_one_conversation_is_worth_nothing_in_the_next() -> None:
    a, b = pair()
    first = a.write()
    b.read(first)
    a.read(b.write())
    said = a.channel().seal(b"sign this")
    again = Handshake(False, TWO, public_of(ONE), b"a prologue")
    again.read(first)
    again.write()
    refused(again.channel().open, said)


def test_repeats_gaps_changes_and_cuts_do_not_open() -> None:
    a, b = channels()
    one, two = a.seal(b"one"), a.seal(b"two")
    refused(channels()[1].open, two)
    assert b.open(one) == b"one"
    refused(b.open, one)
    for bent in (one[:-1], one + b"\0", one[:5] + bytes([one[5] ^ 1]) + one[6:], b"", b"\0\x05abcde"):
        refused(channels()[1].open, bent)
    long = channels()[0].seal(bytes(130_001))
    refused(channels()[1].open, long[: 2 + int.from_bytes(long[:2], "big")])
    refused(a.open, channels()[0].seal(b"one's own voice"))


def test_a_key_of_another_length_is_named() -> None:
    with pytest.raises(Usage, match="32 bytes"):
        public_of(b"short")
