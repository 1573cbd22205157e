"""What a plan may use while places are locked: the others. Where nothing is left, the refusal names the lock."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.errors import Denied, FairleadError
from agent.domain.instruments import Place, place_of
from agent.domain.orders import ChildOrder
from agent.execution.locks import Locks
from agent.market.view import MarketView, pool_place

NOWHERE = frozenset({"NO_ROUTE", "NO_INVENTORY"})
"""Refusals that a place more could have prevented."""


def without_locked(view: MarketView, child: ChildOrder, locks: Locks | None) -> MarketView:
    """An order that only makes a position smaller may go wherever that is."""
    shut = {lock.place for lock in locks or ()}
    if not shut or child.reduce_only:
        return view
    return replace(
        view,
        pools={name: pool for name, pool in view.pools.items() if pool_place(name) not in shut},
        books=tuple(book for book in view.books if Place(f"cex:{book.venue}") not in shut),
        inventory={a: 0 if place_of(a) in shut else raw for a, raw in view.inventory.items()},
    )


def locked_out(no: FairleadError, view: MarketView, locks: Locks | None) -> Denied | None:
    """The refusal where a plan was not found and places that are locked trade or hold one of the assets; None where that is not why."""
    places = {place_of(asset) for asset in view.inventory}
    shut = [lock for lock in locks or () if lock.place in places]
    if not shut or no.code not in NOWHERE:
        return None
    told = "; ".join(lock.denied().message for lock in shut)
    return Denied(shut[0].denied().code, f"{told}; without: {no.message}", shut[0].remedy)
