"""What exchange margin models share: exact decimals as fractions, tiers of maintenance margin, positions of one account. Pure.

Everything an exchange states is a decimal string; sums and products of them are exact here, and rounded once, against us:
equity down, margin up, the ratio down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields

PX_DECIMALS = 8
ONE = 10**PX_DECIMALS
VALUE_UNIT = "USD_1e8"


@dataclass(frozen=True, slots=True)
class Tier:
    """From a notional of `floor` on, maintenance is `rate` of the whole notional less `cum`."""

    floor: Fraction
    rate: Fraction
    cum: Fraction


@dataclass(frozen=True, slots=True)
class Position:
    """`size` below zero is short; prices are dollars for one unit. `isolated` is the margin put aside, None for cross."""

    asset: str
    size: Fraction
    entry_px: Fraction
    mark_px: Fraction
    tiers: tuple[Tier, ...]
    isolated: Fraction | None = None

    def profit(self, px: Fraction) -> Fraction:
        return self.size * (px - self.entry_px)

    def maintenance(self, px: Fraction) -> Fraction:
        return maintenance(self.tiers, abs(self.size) * px)


def maintenance(tiers: Sequence[Tier], notional: Fraction) -> Fraction:
    """The margin that must stay for that notional; at a bound both tiers give the same (see `tier_doubt`)."""
    found = tiers[0]
    for tier in tiers:
        if notional >= tier.floor:
            found = tier
    return max(notional * found.rate - found.cum, Fraction(0))


def with_cums(bounds: Sequence[tuple[Fraction, Fraction]]) -> tuple[Tier, ...]:
    """Tiers of (floor, rate), each deduction such that maintenance is continuous."""
    found: list[Tier] = []
    for floor, rate in bounds:
        cum = found[-1].cum + floor * (rate - found[-1].rate) if found else Fraction(0)
        found.append(Tier(floor, rate, cum))
    return tuple(found)


def tier_doubt(tiers: Sequence[Tier]) -> str:
    """Why a table of tiers cannot be right, "" where it can: it starts at 0, rises, and leaps nowhere."""
    if not tiers or tiers[0].floor != 0:
        return "its tiers do not start at 0"
    for before, after in zip(tiers, tiers[1:], strict=False):
        if after.floor <= before.floor or after.rate < before.rate:
            return f"its tiers do not rise at {float(after.floor):g}"
        # Tables are published rounded to cents and the like: a thousandth of the margin there, and never less than a cent.
        left, right = (after.floor * t.rate - t.cum for t in (before, after))
        if abs(left - right) > max(left / 1000, Fraction(1, 100)):
            return f"its tiers leap at {float(after.floor):g}"
    if any(t.rate >= 1 or t.rate <= 0 for t in tiers):
        return "a tier's rate is not between 0 and 1"
    return ""


def to_raw_down(value: Fraction) -> int:
    return int(value.numerator * ONE // value.denominator)


def to_raw_up(value: Fraction) -> int:
    return -int(-value.numerator * ONE // value.denominator)


def ratio_1e18_down(equity: Fraction, required: Fraction) -> int | None:
    """Equity over what is required, floored in 1e18, not below zero; None where nothing is required and nothing owed."""
    if required <= 0:
        return None if equity >= 0 else 0
    ratio = equity / required * 10**18
    return max(ratio.numerator // ratio.denominator, 0)


def number(raw: Mapping[str, Any], key: str, where: str, *, default: str | None = None) -> Fraction:
    return Fraction(fields.fraction(raw, key, where, default=default))


def positive(raw: Mapping[str, Any], key: str, where: str) -> Fraction:
    found = number(raw, key, where)
    if found <= 0:
        raise fields.wrong(f"{where}: {key} is {raw[key]!r}, not above zero")
    return found
