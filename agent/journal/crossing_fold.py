"""What the book counts of money between two chains: gone with its deposit, back with a fill over there or a refund here. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.units import WIDE, qty_exact
from chains.bridges.flight import OVER, Flight, Stage, held, moved
from chains.errors import Halt

if TYPE_CHECKING:
    from agent.domain.events import Crossed
    from agent.journal.book import Book


def flight_of(event: Crossed) -> Flight:
    return Flight(event.in_raw, event.out_raw, event.deadline_s, Stage(event.stage), event.paid_raw)


def is_over(event: Crossed) -> bool:
    return Stage(event.stage) in OVER


def may_cross(book: Book, event: Crossed) -> None:
    """Raises Halt FORBIDDEN_TRANSITION where the table has no edge from what the book knows, or the terms are others."""
    before = book.crossings.get(event.cl_ord_id)
    if before is None:
        if event.stage != Stage.SENT.value:
            why = f"{event.cl_ord_id} was never sent across and cannot be {event.stage}"
            raise Halt("FORBIDDEN_TRANSITION", why, "this is a bug: report it")
        return
    same = ("bridge", "given", "received", "decimals", "in_raw", "out_raw", "deadline_s", "since_block")
    if any(getattr(before, name) != getattr(event, name) for name in same):
        why = f"{event.cl_ord_id} was sent across on other terms"
        raise Halt("FORBIDDEN_TRANSITION", why, "this is a bug: report it")
    moved(flight_of(before), Stage(event.stage), event.paid_raw)


def crossed(book: Book, event: Crossed) -> None:
    """A fill that a reorganisation took away is taken back with it: what stood before is undone, what stands now is counted."""
    before = book.crossings.get(event.cl_ord_id)
    with localcontext(WIDE):
        for sign, known in ((-1, before), (1, event)):
            for asset, qty in brought(known) if known is not None else ():
                book.holdings[asset] = book.holdings.get(asset, Decimal(0)) + sign * qty
    book.crossings[event.cl_ord_id] = event


def brought(event: Crossed) -> Iterator[tuple[AssetId, Decimal]]:
    """What came of it so far, in whole units. The deposit itself is its part's fill."""
    if event.stage == Stage.REFUNDED.value:
        yield event.given, qty_exact(event.in_raw, event.decimals)
    elif event.paid_raw:
        yield event.received, qty_exact(held(flight_of(event)).destination, event.decimals)


def open_crossings(book: Book) -> list[Crossed]:
    return [c for c in book.crossings.values() if not is_over(c)]


def awaited(book: Book) -> dict[AssetId, ClOrdId]:
    """Balances that a crossing may change at any moment, seen by us or not: nobody else's deposit explains them before it is over."""
    found: dict[AssetId, ClOrdId] = {}
    for one in open_crossings(book):
        found[one.received] = one.cl_ord_id
        if one.stage == Stage.EXPIRED.value:
            found[one.given] = one.cl_ord_id
    return found
