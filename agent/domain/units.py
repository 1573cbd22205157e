"""The only bridge between base units (int) and amounts people read (Decimal); the rounding is in the function's name.

The context holds 120 digits: a uint256 needs 78, and a price times an amount must not lose any.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation, localcontext

from agent.domain.errors import Usage

WIDE = Context(prec=120)
ZERO = Decimal(0)
_CENT = Decimal("0.01")
_FURTHEST = 50
"""Digits: products of two such numbers are exact in `WIDE`."""


def qty_exact(raw: int, decimals: int) -> Decimal:
    """Base units to a quantity of whole units; always exact."""
    return Decimal(raw).scaleb(-decimals, context=WIDE)


def raw_exact(qty: Decimal, decimals: int, what: str = "amount") -> int:
    """A quantity to base units. Raises Usage TOO_MANY_DECIMALS where the asset cannot hold it."""
    scaled = qty.scaleb(decimals, context=WIDE)
    if scaled != scaled.to_integral_value(context=WIDE):
        raise Usage(
            "TOO_MANY_DECIMALS",
            f"{what} {qty} has more decimals than the asset's {decimals}",
            f"use at most {decimals} decimals",
        )
    return int(scaled)


def raw_down(qty: Decimal, decimals: int) -> int:
    return int(qty.scaleb(decimals, context=WIDE).to_integral_value(ROUND_FLOOR, context=WIDE))


def raw_up(qty: Decimal, decimals: int) -> int:
    return int(qty.scaleb(decimals, context=WIDE).to_integral_value(ROUND_CEILING, context=WIDE))


def quantize_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value`."""
    return WIDE.multiply(WIDE.divide(value, step).to_integral_value(ROUND_FLOOR, context=WIDE), step)


def quantize_up(value: Decimal, step: Decimal) -> Decimal:
    return WIDE.multiply(WIDE.divide(value, step).to_integral_value(ROUND_CEILING, context=WIDE), step)


def sum_exact(values: Iterable[Decimal]) -> Decimal:
    """Of quantities; 0 of none."""
    total = ZERO
    for value in values:
        total = WIDE.add(total, value)
    return total


def mul_exact(left: Decimal, right: Decimal) -> Decimal:
    return WIDE.multiply(left, right)


def div_down(numerator: Decimal, denominator: Decimal, places: int = 18) -> Decimal:
    """numerator / denominator, rounded down to `places` decimals."""
    with localcontext(WIDE):
        return (numerator / denominator).quantize(Decimal(1).scaleb(-places), ROUND_FLOOR)


def div_up(numerator: Decimal, denominator: Decimal, places: int = 18) -> Decimal:
    with localcontext(WIDE):
        return (numerator / denominator).quantize(Decimal(1).scaleb(-places), ROUND_CEILING)


def less_bps_down(raw: int, bps: int) -> int:
    """`raw` less `bps` basis points, rounded down: a floor we hold others to."""
    return raw * (10_000 - bps) // 10_000


def plus_bps_down(raw: int, bps: int) -> int:
    """`raw` and `bps` basis points more, rounded down: a ceiling we hold ourselves to."""
    return raw * (10_000 + bps) // 10_000


def plus_bps_up(raw: int, bps: int) -> int:
    return -(-raw * (10_000 + bps) // 10_000)


def bps_between(value: Decimal, reference: Decimal) -> Decimal:
    """(value - reference) / reference in basis points, for reading: two decimals, rounded half even."""
    share = WIDE.divide(WIDE.subtract(value, reference), reference)
    return WIDE.multiply(share, 10_000).quantize(_CENT, context=WIDE)


def parse_qty(text: str, what: str = "amount") -> Decimal:
    """What a person typed, as a positive Decimal. Raises Usage BAD_AMOUNT naming `what`.

    A comma is read by some as a decimal point and by others as nothing, so none is taken.
    """
    hint = "write it like 25 or 0.5"
    if "," in text:
        raise Usage("BAD_AMOUNT", f"{what} '{text}' has a comma, which can be read in two ways", hint)
    try:
        value = Decimal(text) if text.isascii() and "_" not in text else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise Usage("BAD_AMOUNT", f"{what} '{text}' is not a number", hint)
    if value <= 0:
        raise Usage("BAD_AMOUNT", f"{what} must be greater than zero, not {text}", hint)
    if abs(value.adjusted()) > _FURTHEST or len(value.as_tuple().digits) > _FURTHEST:
        raise Usage("BAD_AMOUNT", f"{what} '{text[:40]}' is further from 1 than any amount or price", hint)
    return value
