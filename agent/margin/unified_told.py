"""What an exchange says itself of a unified account, and whether that is what is computed here. Pure.

`told` of an account: `equity` and `maintenance` in dollars and `ratio`, equity over maintenance, each [least, most] as decimal strings, any of
them left out where it is not told, `most` of the ratio null where it has no end. The exchange is asked before and after the positions are read,
so that a figure is one between two; what it rounds comes on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.exchange import number

ROUNDING, CENT = Fraction(1, 1000), Fraction(1, 100)
"""A thousandth and a cent: prices and rates are told rounded, and sums of them again."""

Span = tuple[Fraction, Fraction | None]


@dataclass(frozen=True, slots=True)
class Told:
    equity: Span | None = None
    maintenance: Span | None = None
    ratio: Span | None = None

    def disagreement(self, equity: Fraction, least: Fraction, most: Fraction) -> str:
        """`least` and `most` are what must stay without and with the fees of closing: what is told may be either, or between."""
        ratio = (equity / most if most > 0 else None, equity / least if least > 0 else None)
        for name, span, slack, low, high in (
            ("an equity", self.equity, CENT, equity, equity),
            ("a maintenance margin", self.maintenance, CENT, least, most),
            ("a ratio", self.ratio, Fraction(0), *ratio),
        ):
            if span is not None and (
                low is None or not _meet(span, slack, low, low if high is None else high)
            ):
                return f"the exchange tells {name} of {_words(span)}, and {_words((low, high))} is computed"
        return ""


def _meet(span: Span, slack: Fraction, low: Fraction, high: Fraction) -> bool:
    least, most = span
    below = most is None or low <= most + abs(most) * ROUNDING + slack
    return below and high >= least - abs(least) * ROUNDING - slack


def _words(span: tuple[Fraction | None, Fraction | None]) -> str:
    shown = [f"{float(one):.8g}" for one in span if one is not None]
    return shown[0] if len(set(shown)) == 1 else " to ".join(shown) or "none"


def read_told(account: Mapping[str, Any], where: str) -> Told | None:
    """Raises Usage naming the wrong key."""
    if "told" not in account:
        return None
    raw, where = account["told"], f"{where}, told"
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"equity", "maintenance", "ratio"})
    return Told(*(_span(raw, key, where) for key in ("equity", "maintenance", "ratio")))


def _span(raw: Mapping[str, Any], key: str, where: str) -> Span | None:
    rows = raw.get(key)
    if rows is None:
        return None
    if not isinstance(rows, list) or len(rows) != 2:
        raise fields.wrong(f"{where}: {key} is [least, most]")
    named = {"least": rows[0], "most": rows[1]}
    return number(named, "least", where), None if rows[1] is None else number(named, "most", where)
