"""Pieces of ABI-encoded view answers that need no full decoder. Pure."""

from __future__ import annotations

from chains.evm import words


def uint_array(data: bytes, argument: int) -> list[int]:
    """The uint array that is the `argument`-th value of ABI-encoded data."""
    every = words(data)
    at = every[argument] // 32
    return every[at + 1 : at + 1 + every[at]]


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
