"""Pieces of ABI-encoded view answers that need no full decoder. Pure."""

from __future__ import annotations

from chains.errors import Reject
from chains.evm import words


def first_words(data: bytes, count: int) -> list[int]:
    """The words of an answer of at least so many. Raises Reject MALFORMED_VIEW."""
    every = words(data)
    if len(every) < count:
        raise Reject("MALFORMED_VIEW", f"a view answers with {len(every)} words of at least {count}")
    return every


def uint_array(data: bytes, argument: int, at_least: int = 0) -> list[int]:
    """The uint array that is the `argument`-th value of ABI-encoded data. Raises Reject MALFORMED_VIEW where there is none, or it has
    fewer values than `at_least`."""
    every = first_words(data, argument + 1)
    at = every[argument] // 32
    found = every[at + 1 : at + 1 + every[at]] if at < len(every) else []
    if at >= len(every) or len(found) < max(at_least, every[at]):
        raise Reject("MALFORMED_VIEW", f"a view's list is cut short, or has fewer than {at_least} values")
    return found


def symbol_text(data: bytes | None) -> str:
    """A symbol, whether the token answers with a string or, as old ones do, with bytes32."""
    if data is None or len(data) < 32:
        return ""
    if len(data) >= 96 and words(data)[0] == 32:
        length = words(data)[1]
        raw = data[64 : 64 + length]
    else:
        raw = data[:32].rstrip(b"\0")
    text = raw.decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable())[:32]


def ratio_text(amp: int, precision: int) -> str:
    """amp / precision as a decimal string: a ramping amplification has a fraction."""
    whole, rest = divmod(amp, precision)
    if not rest:
        return str(whole)
    digits = str(rest * 10**9 // precision).rjust(9, "0")
    return f"{whole}.{digits.rstrip('0')}"
