"""FIX messages as bytes and back. Pure. The fields' syntax is simplefix's; what frames a message is checked here, which it does not do.

    8=FIX.4.4 | 9=length of what follows up to the trailer | 35=type | … | 10=sum of all bytes before, modulo 256

Source: FIX 4.4 with errata, volume 1, "Standard header and trailer". `|` stands for SOH (0x01).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import simplefix

from agent.domain.errors import Usage

BEGIN = "FIX.4.4"
LONGEST = 1 << 16
"""Bytes of a message that is taken for one: what claims more is garbled, so that no length makes us wait and keep for ever."""
_HEAD = b"8=FIX.4.4\x019="
_LENGTH_DIGITS, _TRAILER = 8, 7
_STAMP = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})-([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}|[0-9]{6}|[0-9]{9}))?",
    re.ASCII,
)
_EPOCH = date(1970, 1, 1).toordinal()
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
Pair = tuple[int, str]
BEGIN_STRING, BODY_LENGTH, CHECK_SUM, MSG_TYPE = 8, 9, 10, 35
FRAME = frozenset({BEGIN_STRING, BODY_LENGTH, CHECK_SUM, MSG_TYPE})


@dataclass(frozen=True, slots=True)
class Message:
    """`fields` in the order they came, without BeginString, BodyLength, MsgType (`kind`) and CheckSum."""

    kind: str
    fields: tuple[Pair, ...]

    def get(self, tag: int, default: str = "") -> str:
        """The first field of this tag; `default` where there is none."""
        return next((value for found, value in self.fields if found == tag), default)

    def whole(self, tag: int) -> int:
        """A field that is a number of messages, seconds or a tag. Raises ValueError where it is none or not there."""
        text = self.get(tag)
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise ValueError(f"tag {tag} is {text[:40]!r}, no whole number")
        return int(text)

    def says(self, tag: int) -> bool:
        return self.get(tag) == "Y"


@dataclass(frozen=True, slots=True)
class Garbled:
    """Bytes that are no message, and why."""

    why: str


def encode(kind: str, fields: Iterable[Pair]) -> bytes:
    """A whole frame. Raises Usage FIX_VALUE for a value that is empty or would end its field."""
    message = simplefix.FixMessage()
    message.append_pair(BEGIN_STRING, BEGIN, header=True)
    message.append_pair(MSG_TYPE, kind, header=True)
    for tag, value in fields:
        if tag in FRAME or not _PRINTABLE.fullmatch(value):
            raise Usage(
                "FIX_VALUE", f"tag {tag}: {value[:40]!r} cannot stand in a FIX field", "send printable ASCII"
            )
        message.append_pair(tag, value)
    frame: bytes = message.encode()
    return frame


def decode(frame: bytes) -> Message | Garbled:
    """One whole frame, as `Framer` cut it or alone: its length and sum are checked here too."""
    why = _fault(frame)
    if why:
        return Garbled(why)
    parser = simplefix.FixParser()
    parser.append_buffer(frame)
    try:
        parsed = parser.get_message()
    except (simplefix.errors.ParsingError, ValueError) as error:
        return Garbled(f"{type(error).__name__} {str(error)[:80]}")
    if parsed is None or parser.get_buffer():
        return Garbled("its fields do not end where it does")
    try:
        pairs = [(int(tag), value.decode()) for tag, value in parsed.pairs]
    except UnicodeDecodeError:
        return Garbled("a value is no text")
    if sum(len(b"%d" % int(tag)) + len(value) + 2 for tag, value in parsed.pairs) != len(frame):
        return Garbled("a tag is not written as a plain number")  # what int() takes besides: 1_1, +11, 011
    tags = [tag for tag, _ in pairs]
    if tags[:3] != [BEGIN_STRING, BODY_LENGTH, MSG_TYPE] or FRAME & set(tags[3:-1]):
        return Garbled("its first three fields are not 8, 9, 35, or one of them comes again")
    if min(tags) <= 0:
        return Garbled("a tag is no number above zero")
    return Message(pairs[2][1], tuple(pairs[3:-1]))


def _fault(frame: bytes) -> str:
    """Why it is no frame by length and sum; empty where it is one."""
    head = _length_of(frame)
    if not isinstance(head, tuple):
        return head or "its length is missing"
    start, length = head
    end = start + length
    if len(frame) != end + _TRAILER or frame[end : end + 3] != b"10=" or frame[-1:] != b"\x01":
        return "its trailer is not where its length says"
    said = frame[end + 3 : end + 6]
    if not said.isdigit() or int(said) != sum(frame[:end]) % 256:
        return f"its sum is {sum(frame[:end]) % 256:03d}, and it says {said.decode('ascii', 'replace')}"
    return ""


def _length_of(buffer: bytes | bytearray) -> tuple[int, int] | str:
    """(where the body starts, its length); a text saying what is wrong, empty where more bytes must come first."""
    if not buffer.startswith(_HEAD):
        return (
            "" if _HEAD.startswith(bytes(buffer[: len(_HEAD)])) else "it does not begin with 8=FIX.4.4 and 9"
        )
    end = buffer.find(b"\x01", len(_HEAD), len(_HEAD) + _LENGTH_DIGITS + 1)
    if end < 0:
        return "" if len(buffer) <= len(_HEAD) + _LENGTH_DIGITS else "its length is no number"
    digits = bytes(buffer[len(_HEAD) : end])
    if not digits.isdigit():
        return "its length is no number"
    length = int(digits)
    if length > LONGEST:
        return f"it claims {length} bytes"
    return end + 1, length


class Framer:
    """Cuts a stream of bytes into messages. After what is garbled it goes on at the next thing that begins like a message."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes kept for a message that has not ended."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Message | Garbled]:
        self._buffer += data
        while self._buffer:
            head = _length_of(self._buffer)
            if isinstance(head, tuple):
                whole = head[0] + head[1] + _TRAILER
                if len(self._buffer) < whole:
                    return
                found = decode(bytes(self._buffer[:whole]))
                if isinstance(found, Message):
                    del self._buffer[:whole]
                    yield found
                    continue
                why = found.why
            elif not head:
                return
            else:
                why = head
            self._skip()
            yield Garbled(why)

    def _skip(self) -> None:
        """Forgets up to the next beginning of a message, or of what may become one."""
        nearest = self._buffer.find(_HEAD, 1)
        if nearest < 0:
            kept = next(n for n in range(len(_HEAD), -1, -1) if self._buffer.endswith(_HEAD[:n]))
            nearest = max(len(self._buffer) - kept, 1)
        del self._buffer[:nearest]


def stamp(at_ns: int) -> str:
    """UTCTIMESTAMP to the millisecond, rounded down."""
    at = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return f"{at:%Y%m%d-%H:%M:%S}.{at_ns // 10**6 % 1_000:03d}"


def stamp_ns(text: str) -> int:
    """Nanoseconds since the epoch of a UTCTIMESTAMP. Raises ValueError. A leap second is the second after it."""
    found = _STAMP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no UTC timestamp")
    year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"{text!r} is no time of a day")
    days = date(year, month, day).toordinal() - _EPOCH
    fraction = int((found[7] or "0").ljust(9, "0"))
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 10**9 + fraction
