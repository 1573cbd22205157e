"""Frames that were cut, mixed and changed, by a seed; and the numbers that a frame tells."""

from __future__ import annotations

import random
from decimal import Decimal, InvalidOperation
from typing import Any

HOSTILE = ["null", "-1", "1e9", "1E-99", "1e999", "NaN", "Infinity", '"NaN"', '"-0"', "9" * 5_000, "[]", "{}", '""', "true", "[" * 2_000]  # fmt: skip
HOSTILE += ['"1_0"', '" 1"', '"١"', '"0x1"', '"1e400"', '"' + "9" * 60 + '"', "0.1e+99", "-0.0"]


def changed(text: str, chance: random.Random, others: list[str]) -> str:
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(text)) if text else 0
        kind = chance.choice((0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 6))
        if kind == 0:
            text = text[:at] + chr(chance.choice((0, 34, 44, 46, 48, 57, 45, 91, 123, 125, 255, 0xD800 - 1))) + text[at + 1 :]  # fmt: skip
        elif kind == 1:
            text = text[:at] + text[at + chance.randrange(1, 40) :]
        elif kind == 2:
            text = text[:at] + text[at : at + 30] * chance.choice((2, 3)) + text[at:]
        elif kind == 3:
            text = text[:at]
        elif kind == 4:
            other = chance.choice(others)
            text = text[:at] + other[chance.randrange(len(other)) :]
        elif kind == 5:
            text = _swapped(text, at, chance.choice(HOSTILE))
        else:
            text = text[:at] + str(chance.randrange(10)) + text[at:]
    return text


def _swapped(text: str, at: int, value: str) -> str:
    """The value after the next colon or comma is another."""
    begin = max(text.find(":", at), text.find(",", at))
    if begin < 0:
        return text
    end = next((i for i in range(begin + 1, len(text)) if text[i] in ",}]"), len(text))
    return text[: begin + 1] + value + text[end:]


def numbers(value: Any, found: set[Decimal]) -> set[Decimal]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            numbers(one, found)
    elif isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        try:
            found.add(Decimal(value))
        except (InvalidOperation, ValueError):
            pass
    return found
