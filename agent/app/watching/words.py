"""Figures as people read them, shortened but never rounded up in our favour."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from agent.domain.units import WIDE, qty_exact


def amount(raw: int, decimals: int, places: int = 6) -> str:
    return quantity(qty_exact(raw, decimals), places)


def quantity(value: Decimal, places: int = 6) -> str:
    """Thousands apart, at most `places` decimals, rounded down; dust is shown as such."""
    with localcontext(WIDE):
        cut = value.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR)
    return f"<{Decimal(1).scaleb(-places):f}" if value and not cut else _plain(cut)


def quantity_up(value: Decimal, places: int = 6) -> str:
    """What is owed: rounded up."""
    with localcontext(WIDE):
        return _plain(value.quantize(Decimal(1).scaleb(-places), ROUND_CEILING))


def _plain(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def usd(value: Decimal | None, places: int = 2) -> str:
    if value is None:
        return "UNKNOWN"
    with localcontext(WIDE):
        return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR):,f}"


def age(seconds: int) -> str:
    """At most two units: `12 s`, `3 min`, `5 h 20 min`, `12 d`."""
    seconds = max(seconds, 0)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    days = seconds // 86_400
    return f"{days} d" if days < 730 else f"{days // 365} years"


def short(address: str) -> str:
    return f"{address[:6]}…{address[-4:]}"


def many(count: int, thing: str) -> str:
    """`1 book`, `2 books`, `1,000 pools`; `thing` takes a plain s."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def unknown_words(names: Sequence[str], of: int) -> str:
    """Which of so many accounts were not judged; "" where all were. No exit status tells it: what was asked for, a look, is done."""
    if not names:
        return ""
    return f"UNKNOWN, which is not SAFE: {len(names)} of {many(of, 'account')} could not be judged: {', '.join(names)}"
