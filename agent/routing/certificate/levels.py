"""What taking a book's levels gains at the prices of a bound: whole numbers over one denominator, rounded up at the end."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from agent.domain.instruments import AssetId
from agent.market.book import Book
from agent.market.view import MarketView
from agent.routing.certificate.crossings import Crossing, crossings


class Side(NamedTuple):
    """Levels that take `given` for `got`, best first: (in, out) raw times `unit`, the fee taken out; lots and minima are left out."""

    given: AssetId
    got: AssetId
    levels: tuple[tuple[int, int], ...]
    unit: int


def sides_of_book(view: MarketView, book: Book) -> tuple[Side, Side]:
    """The two sides of a book: bids take its base, asks its quote."""
    keep = 1 - Fraction(book.taker_fee_bps) / 10_000
    base, quote = 10 ** view.assets[book.base].decimals, 10 ** view.assets[book.quote].decimals
    bids = [(Fraction(qty) * base, keep * Fraction(px * qty) * quote) for px, qty in book.bids]
    asks = [(Fraction(px * qty) * quote, keep * Fraction(qty) * base) for px, qty in book.asks]
    return _side(book.base, book.quote, bids), _side(book.quote, book.base, asks)


def _side(given: AssetId, got: AssetId, levels: Sequence[tuple[Fraction, Fraction]]) -> Side:
    unit = lcm(*(part.denominator for level in levels for part in level))
    return Side(given, got, tuple((int(taken * unit), int(paid * unit)) for taken, paid in levels), unit)


def open_sides(view: MarketView) -> list[Side | Crossing]:
    """The sides of every book, and the transfers."""
    return [*(side for book in view.books for side in sides_of_book(view, book)), *crossings(view)]


def levels_gain_up(side: Side | Crossing, v_in: int, v_out: int, cap: int | None) -> int:
    """What the levels gain that pay at the prices, or the transfer, up to `cap` raw in; rounded up."""
    if isinstance(side, Crossing):
        return side.gain_up(v_in, v_out, cap)
    total, left = 0, None if cap is None else cap * side.unit
    for taken, paid in side.levels:
        gain = paid * v_out - taken * v_in
        if gain <= 0 or left == 0:
            break
        if left is not None and left < taken:
            total += -(-gain * left // taken)
            break
        total += gain
        left = None if left is None else left - taken
    return -(-total // side.unit)


__all__ = ["Side", "levels_gain_up", "open_sides", "sides_of_book"]
