"""What is too small to be ordered anywhere: a lot or a least notional of every book that could take it, where no pool could either. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId, place_of
from agent.domain.orders import ChildOrder, Side
from agent.domain.units import WIDE, qty_exact, quantize_down, quantize_up, sum_exact
from agent.market.book import Book
from agent.market.view import MarketView

BELOW_MINIMUM = "BELOW_MINIMUM"
"""The code of what no place takes because it is too small: more attempts change nothing."""


def too_small(
    view: MarketView, child: ChildOrder, base: Sequence[AssetId], quote: Sequence[AssetId]
) -> Reject | None:
    """A Reject BELOW_MINIMUM where only exchanges could trade the slice, and each of them takes no order as small; None otherwise.

    `base`, `quote`: the two groups of assets. A book without a price on our side proves nothing, nor do pools where enough is held for
    all of it. A purchase is counted with the fee that is taken of it, and a slice that waits for a better price at that price.
    """
    selling = child.side is Side.SELL
    given = base if selling else quote
    books = [
        book
        for book in view.books
        if book.base in base
        and book.quote in quote
        and view.inventory.get(book.base if selling else book.quote, 1) > 0
    ]
    told = [_why(book, child) for book in books]
    if not told or "" in told or _pools_may(view, given, min(_needed(book, child) for book in books)):
        return None
    return Reject(BELOW_MINIMUM, "; ".join(told), "order more")


def _touch(book: Book, child: ChildOrder) -> Decimal:
    """The best price on our side; 0 where there is none."""
    levels = book.bids if child.side is Side.SELL else book.asks
    return levels[0][0] if levels else Decimal(0)


def _needed(book: Book, child: ChildOrder) -> Decimal:
    """About what has to be given for the slice, in whole units."""
    return child.qty if child.side is Side.SELL else WIDE.multiply(child.qty, _touch(book, child))


def _pools_may(view: MarketView, given: Sequence[AssetId], needed: Decimal) -> bool:
    """Whether as much is held where pools trade."""
    with_pools = {place_of(AssetId(asset)) for pool in view.pools.values() for asset in pool.assets}
    there = [asset for asset in given if place_of(asset) in with_pools]
    if any(asset not in view.inventory for asset in there):
        return True
    held = sum_exact(qty_exact(view.inventory[asset], view.assets[asset].decimals) for asset in there)
    return bool(there) and held >= needed


def _why(book: Book, child: ChildOrder) -> str:
    """Why this book does not take the slice; "" where it may."""
    touch = _touch(book, child)
    if not touch:
        return ""
    base, quote = (symbol.partition("@")[0] for symbol in (child.base, child.quote))
    said = f"{child.qty.normalize():f} {base}"
    with localcontext(WIDE):
        if child.side is Side.SELL:
            qty = quantize_down(child.qty, book.lot)
        else:
            qty = quantize_up(child.qty / (1 - book.taker_fee_bps / 10_000), book.lot)
        if qty <= 0:
            return f"{said} is less than the lot of {book.lot.normalize():f} at {book.venue}"
        worth = qty * max(touch, child.limit_px or Decimal(0))
        if worth >= book.min_notional:
            return ""
        told = f"{quantize_down(worth, Decimal('0.01')):f} {quote}"
    least = f"{book.min_notional.normalize():f} {quote}"
    return f"{said} makes an order of {told}, and the smallest at {book.venue} is {least}"
