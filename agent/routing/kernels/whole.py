"""Integers up to 2**104 as two parts of 52 bits, each exact as a float: what a raw amount needs and a machine word does not hold."""

from __future__ import annotations

from typing import TypeAlias

from agent.routing.kernels.jit import inlined

BITS = 52
MASK = (1 << BITS) - 1
MOST = 1 << (2 * BITS)
"""Amounts from here on are left to the interpreted search."""

Pair: TypeAlias = tuple[int, int]
"""(high, low): high * 2**52 + low."""


def pair(whole: int) -> Pair:
    """An integer of Python's as its parts."""
    return whole >> BITS, whole & MASK


@inlined
def as_float(high: int, low: int) -> float:
    """Rounded once, as Python rounds an integer: both parts are exact."""
    return float(high) * 4503599627370496.0 + float(low)


@inlined
def less(ah: int, al: int, bh: int, bl: int) -> bool:
    return ah < bh or (ah == bh and al < bl)


@inlined
def plus(ah: int, al: int, bh: int, bl: int) -> Pair:
    low = al + bl
    return ah + bh + (low >> 52), low & 4503599627370495


@inlined
def minus(ah: int, al: int, bh: int, bl: int) -> Pair:
    """`a` is not less than `b`."""
    low = al - bl
    return ah - bh + (low >> 52), low & 4503599627370495


@inlined
def halved(high: int, low: int, times: int) -> Pair:
    """Divided by 2**times, rounded down."""
    return high >> times, (low >> times) | ((high << (52 - times)) & 4503599627370495)


__all__ = ["BITS", "MASK", "MOST", "Pair", "as_float", "halved", "less", "minus", "pair", "plus"]
