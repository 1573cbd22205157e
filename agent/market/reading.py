"""How codecs read numbers, frames and answers of strangers: exact, bounded, and every mishap one error. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any

import orjson

from agent.domain.errors import Halt, Reconcile, Retry
from agent.domain.orders import Side
from agent.market.feed import Row, Rows
from chains.bounded_json import loads

_NUMBER = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?[0-9]*(?:Z|\+00:00)",
    re.ASCII,
)
_PLAIN = "0123456789."
WIDEST = 10**24
MAX_FRAME = 32 * 1024 * 1024
NOT_AS_DOCUMENTED = (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError)
"""What reading a message raises that is not as it should be."""


class _Numbers(dict[str, Decimal]):
    """Text to its exact decimal, each checked once: feeds repeat themselves. Emptied when full, so its size is bounded."""

    KEPT = 1 << 15

    def __missing__(self, text: str) -> Decimal:
        plain = len(text) <= 50 and not text.strip(_PLAIN)  # the quick way for what feeds are made of
        if not plain and not _NUMBER.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is no number")
        value = Decimal(text)
        if len(self) >= self.KEPT:
            self.clear()
        self[text] = value
        return value


_numbers = _Numbers()


@contextmanager
def legible(what: str) -> Iterator[None]:
    """Whatever is not as documented becomes Retry BAD_FRAME: the book is fetched again."""
    try:
        yield
    except NOT_AS_DOCUMENTED as error:
        text = str(error)[:120]
        raise Retry(
            "BAD_FRAME",
            f"{what} is not as documented: {type(error).__name__} {text}",
            "the feed is taken up again",
        ) from None


class understood:  # lower case, for it is read as `with understood(…)`
    """Turns a payload that is not as it should be into Halt VENUE_DIALECT, or Reconcile where it answered a write. `like`: who says how it
    should be."""

    __slots__ = ("_like", "_what", "_write")

    def __init__(self, what: str, *, write: bool = False, like: str = "documented") -> None:
        self._what, self._write, self._like = what, write, like

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if isinstance(error, NOT_AS_DOCUMENTED):
            text = f"{self._what} is not as {self._like}: {type(error).__name__} {str(error)[:120]}"
            verb = Reconcile if self._write else Halt
            raise verb("VENUE_DIALECT", text, "report it with the payload") from None


def garbled(what: str, body: bytes, *, write: bool = False) -> Reconcile | Retry:
    """The error for an answer that is no JSON: it broke on its way, and says nothing of what was asked."""
    text = f"{what} came as {len(body)} bytes that are no JSON"
    if write:
        return Reconcile("GARBLED", text, "ask by client order id")
    return Retry("GARBLED", text, "ask again")


def texts(frame: str | bytes) -> Any:
    """A frame of a venue that writes its numbers as strings: the fast parser. Raises ValueError."""
    if len(frame) > MAX_FRAME:
        raise ValueError("longer than 32 MiB")
    return orjson.loads(frame)


def exact(frame: str | bytes) -> Any:
    """A frame of a venue that writes JSON numbers: none of them passes through a float. Raises ValueError."""
    data = frame.encode() if isinstance(frame, str) else frame
    if len(data) > MAX_FRAME:
        raise ValueError("longer than 32 MiB")
    return loads(data, parse_float=_numbers.__getitem__)


def number(value: Any) -> Decimal:
    """Any exact number, also below zero. Raises ValueError or TypeError."""
    if isinstance(value, str):
        return _numbers[value]
    if isinstance(value, Decimal):
        return value
    if type(value) is int and -WIDEST < value < WIDEST:
        return Decimal(value)
    raise TypeError(f"{str(value)[:40]} is no exact number")


def above_zero(value: Any) -> Decimal:
    found = number(value)
    if found <= 0:
        raise ValueError(f"{str(value)[:40]} is not above zero")
    return found


def maybe(value: Any) -> Decimal | None:
    """None where the venue tells nothing: null, or an empty text."""
    return None if value is None or value == "" else number(value)


def rows(pairs: Any) -> Rows:
    """[[price, quantity, …], …] with prices above zero and quantities not below it."""
    numbers = _numbers
    try:
        found: Rows = tuple([(numbers[pair[0]], numbers[pair[1]]) for pair in pairs])
    except TypeError:  # numbers already, or no pairs at all
        found = tuple([(number(pair[0]), number(pair[1])) for pair in pairs])
    return sound(found)


def sound(found: Rows) -> Rows:
    for px, qty in found:
        if px <= 0 or qty < 0:
            raise ValueError(f"no level: {px} × {qty}")
    return found


def row(px: Any, qty: Any) -> Row:
    return sound(((number(px), number(qty)),))[0]


def ns_of_ms(value: Any) -> int:
    """Raises ValueError for what is no instant between 1970 and 2554 (2^64 ns)."""
    if type(value) is not int or not 0 <= value < 1 << 44:
        raise ValueError(f"{str(value)[:40]} is no time in milliseconds")
    return value * 1_000_000


def ns_of_seconds(value: Any) -> int:
    """Seconds as a number or its text, exact to the nanosecond, what is finer cut off."""
    found = number(value)
    if not 0 <= found < 1 << 34:
        raise ValueError(f"{str(value)[:40]} is no time in seconds")
    return int(found * 1_000_000_000)


def ns_of_text(value: Any) -> int:
    """RFC 3339 in UTC, with up to nine decimals, to ns."""
    found = _STAMP.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:40]!r} is no time")
    whole = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int((found[3] or "0").ljust(9, "0"))


def whole(value: Any) -> int:
    """An id or a sequence: an int of at most 63 bits, also as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{str(value)[:40]} is no whole number")
    return value


def name(value: Any) -> str:
    """A symbol or an id: text that is neither empty nor long."""
    if not isinstance(value, str) or not 0 < len(value) <= 120:
        raise ValueError(f"{str(value)[:40]!r} is no name")
    return value


def side(value: Any, buy: str, sell: str) -> Side:
    if value == buy:
        return Side.BUY
    if value == sell:
        return Side.SELL
    raise ValueError(f"{str(value)[:40]!r} is neither {buy} nor {sell}")


def steps(digits: Any) -> Decimal:
    """10^-digits; below zero where a venue counts in tens or thousands."""
    if type(digits) is not int or not -12 <= digits <= 30:
        raise ValueError(f"{str(digits)[:40]} is no number of decimals")
    return Decimal(1).scaleb(-digits)
