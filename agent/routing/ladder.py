"""A book side as integer steps for the search, fee included.

The exact fill, with lots, ticks and minimum notional, is `agent.market.book`'s; a plan is made of that one only.
"""

from __future__ import annotations

from decimal import localcontext

from agent.domain.instruments import AssetId
from agent.domain.units import WIDE, raw_down, raw_up
from agent.market.book import Book
from agent.market.view import MarketView


def ladder(view: MarketView, book: Book, asset_in: AssetId) -> tuple[tuple[int, int], ...]:
    """(in raw, out raw) of every level of the side of `book` that takes `asset_in`, best first."""
    sells = book.base == asset_in
    base, quote = view.assets[book.base].decimals, view.assets[book.quote].decimals
    steps: list[tuple[int, int]] = []
    with localcontext(WIDE):
        keep = 1 - book.taker_fee_bps / 10_000
        for px, qty in book.bids if sells else book.asks:
            if sells:
                steps.append((raw_up(qty, base), raw_down(qty * px * keep, quote)))
            else:
                steps.append((raw_up(qty * px, quote), raw_down(qty * keep, base)))
    return tuple(step for step in steps if step[0] > 0)
