"""An order book at one instant, and what taking from it gives. Exact decimals; raw ints at the edges, rounded against us."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.units import WIDE, qty_exact, quantize_down, quantize_up, raw_down, raw_up

Levels = tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Book:
    """Levels are (price in quote per base, quantity of base), best first. The taker fee is paid in what is received."""

    venue: str
    symbol: str
    base: AssetId
    quote: AssetId
    taker_fee_bps: Decimal
    lot: Decimal
    tick: Decimal
    min_notional: Decimal
    bids: Levels
    asks: Levels

    @property
    def id(self) -> str:
        """The id a route's leg names it by: `VENUE:BASE/QUOTE`."""
        return f"{self.venue}:{self.symbol}"

    @property
    def place(self) -> Place:
        return place_of(self.base)

    def mid_px(self) -> Decimal | None:
        if not self.bids or not self.asks:
            return None
        with localcontext(WIDE):
            return (self.bids[0][0] + self.asks[0][0]) / 2


@dataclass(frozen=True, slots=True)
class BookFill:
    """`qty` is base on the lot, `px` the worst level needed; `complete` is false where depth or budget ran out early."""

    in_raw: int
    out_raw: int
    fee_raw: int
    fee_asset: AssetId
    qty: Decimal
    px: Decimal
    notional: Decimal
    complete: bool


def _take(levels: Levels, qty: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """(filled, notional, worst price) of taking up to `qty` from the best level on."""
    filled, notional, worst = Decimal(0), Decimal(0), Decimal(0)
    for px, size in levels:
        if filled >= qty:
            break
        part = min(size, qty - filled)
        filled, notional, worst = filled + part, notional + part * px, px
    return filled, notional, worst


def _fill(
    book: Book, sells: bool, qty: Decimal, asked: Decimal, base_decimals: int, quote_decimals: int
) -> BookFill | None:
    filled, notional, worst = _take(book.bids if sells else book.asks, qty)
    floored = quantize_down(filled, book.lot)
    if floored != filled:
        filled, notional, worst = _take(book.bids if sells else book.asks, floored)
    if filled <= 0 or notional < book.min_notional:
        return None
    keep = 1 - book.taker_fee_bps / 10_000
    if sells:
        gross = raw_down(notional, quote_decimals)
        out = raw_down(notional * keep, quote_decimals)
        return BookFill(
            raw_up(filled, base_decimals),
            out,
            gross - out,
            book.quote,
            filled,
            worst,
            notional,
            filled == asked,
        )
    gross = raw_down(filled, base_decimals)
    out = raw_down(filled * keep, base_decimals)
    return BookFill(
        raw_up(notional, quote_decimals),
        out,
        gross - out,
        book.base,
        filled,
        worst,
        notional,
        filled == asked,
    )


def sell_base(book: Book, base_raw: int, base_decimals: int, quote_decimals: int) -> BookFill | None:
    """Sells at most `base_raw` into the bids; None where lot, depth or minimum notional leave nothing to do."""
    with localcontext(WIDE):
        asked = qty_exact(base_raw, base_decimals)
        return _fill(book, True, quantize_down(asked, book.lot), asked, base_decimals, quote_decimals)


def buy_base(book: Book, quote_raw: int, base_decimals: int, quote_decimals: int) -> BookFill | None:
    """Spends at most `quote_raw` on the asks; None where lot, depth or minimum notional leave nothing to do."""
    with localcontext(WIDE):
        budget = qty_exact(quote_raw, quote_decimals)
        left, qty = budget, Decimal(0)
        for px, size in book.asks:
            part = min(size, left / px)
            qty, left = qty + part, left - part * px
            if part < size:
                break
        qty = quantize_down(qty, book.lot)
        fill = _fill(book, False, qty, qty, base_decimals, quote_decimals)
        # One lot less where rounding the cost up would pass the budget.
        if fill is not None and fill.in_raw > quote_raw:
            fill = _fill(book, False, qty - book.lot, qty, base_decimals, quote_decimals)
        if fill is None:
            return None
        complete = left < book.lot * fill.px
        return BookFill(
            fill.in_raw,
            fill.out_raw,
            fill.fee_raw,
            fill.fee_asset,
            fill.qty,
            fill.px,
            fill.notional,
            complete,
        )


def buy_base_exact(book: Book, base_raw: int, base_decimals: int, quote_decimals: int) -> BookFill | None:
    """Buys as few lots as bring at least `base_raw` after the fee, which is less than one lot more than what is wanted and its fee.

    None where the book is too thin, and where so much is below the least notional: more than is wanted is never bought to reach that.
    """
    with localcontext(WIDE):
        keep = 1 - book.taker_fee_bps / 10_000
        qty = quantize_up(qty_exact(base_raw, base_decimals) / keep, book.lot)
        fill = _fill(book, False, qty, qty, base_decimals, quote_decimals)
        if fill is not None and fill.out_raw < base_raw:  # what arrives is rounded down to a base unit
            qty += book.lot
            fill = _fill(book, False, qty, qty, base_decimals, quote_decimals)
    return fill if fill is not None and fill.complete else None
