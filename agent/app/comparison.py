"""The books beside venues and chains: open orders, fills, positions, balances, nonces. Asks everywhere, changes nothing.

A difference is told with what explains it where something does: an order in flight, a stranger's order, somebody else
using the key. Foreign orders are named and left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.app.comparing import BOOKS_CONTRADICTED, ORDERS_OPEN, RUN_BOOKS_IT, Difference, unreachable
from agent.app.comparing_balances import compare_balances
from agent.app.comparing_chains import compare_chain
from agent.domain.errors import FairleadError, Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place, chain_of, venue_of
from agent.domain.order_state import TERMINAL
from agent.domain.reports import OrderSnapshot
from agent.journal.book import Book
from agent.journal.records import PartRecord
from agent.ports import HoldsPositions, KeepsConditions, KeepsLessOfNames
from agent.venues import as_far_as_told

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.ports import ExecutionVenue

DAY_NS, MINUTE_NS = 86_400 * 10**9, 60 * 10**9
POSITION = "position"
LEFT = "the settings leave others' orders to them (foreign_orders)"
CONTRADICTED = "nothing here explains it"
TOLD = 'it is not ours and was left alone: whoever has this key sent it (foreign_orders = "alarm", the default, tells it and locks nothing)'
YOUNG = "it is younger than a minute: the exchange may not tell it yet"
NOT_KNOWN = "it has an id of Fairlead's, and this journal does not know it: another Fairlead has this key, or this journal was lost"
OURS = "fl-"
"""What every client order id of Fairlead's begins with."""


@dataclass(frozen=True, slots=True)
class Compared:
    """`asked` are the places that answered; one that did not is a difference of its own."""

    asked: tuple[Place, ...]
    differences: tuple[Difference, ...]


def places_of(app: App) -> list[Place]:
    """Every place of the settings, also one that does not answer."""
    silent = [Place(f"cex:{name}") for name in app.unreachable if name not in app.venues]
    return [*silent, *(Place(f"cex:{name}") for name in app.venues), *(d.place for d in app.chains.values())]


async def compare(app: App, book: Book, places: Sequence[Place] | None = None) -> Compared:
    """All places, or those."""
    asked = places_of(app) if places is None else list(places)
    told = await asyncio.gather(*(_place(app, book, place) for place in asked), return_exceptions=True)
    answered: list[Place] = []
    found: list[Difference] = []
    for place, outcome in zip(asked, told, strict=True):
        if isinstance(outcome, FairleadError) and outcome.verb != "HALT":
            found.append(unreachable(place, str(outcome)))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            answered.append(place)
            found += outcome
    return Compared(tuple(answered), tuple(found))


async def _place(app: App, book: Book, place: Place) -> list[Difference]:
    """Raises as the place's reads; Retry VENUE_UNREACHABLE where it never answered."""
    name = venue_of(place)
    if name is None:
        found = await compare_chain(app, app.chains[chain_of(place) or 0], book)
    elif name not in app.venues:
        raise Retry("VENUE_UNREACHABLE", f"{name} does not answer: {app.unreachable.get(name, '')}")
    else:
        table = app.settings.venue(name)
        symbols, leave = (
            (table.symbols, table.foreign_orders == "leave") if table is not None else ((), False)
        )
        now_ns, known = app.clock.now_ns(), app.directory.assets
        found = await compare_venue(app.venues[name], book, symbols, now_ns, leave, known)
    return found + await compare_balances(app, book, place)


# ---------------------------------------------------------------------- exchanges


async def compare_venue(
    venue: ExecutionVenue,
    book: Book,
    symbols: Sequence[str],
    now_ns: int,
    leave: bool = False,
    known: Container[AssetId] = (),
) -> list[Difference]:
    """Open orders and what waits for its price, the last day's fills of these symbols, positions in contracts that are none of the assets `known`. `leave`: the
    settings leave others' orders to them. Raises as the
    venue's reads."""
    place = Place(f"cex:{venue.name}")
    ours = {name: record for name, record in book.parts.items() if record.part.place == place}
    opened = await opened_at(venue, ours)
    found: list[Difference] = []
    for name, order in opened.items():
        record = ours.get(name)
        about = (
            f"{order.side.value.lower()} {order.order_qty} {order.symbol} is open at {venue.name} as {name}"
        )
        if record is None:
            found.append(_foreign(place, "foreign order", about, name, leave, ORDERS_OPEN))
        elif (record.ended or record.status in TERMINAL) and await _stands(venue, order):
            told = f"{about}; the book says it ended"
            found.append(Difference(place, "open order", told, CONTRADICTED, False, BOOKS_CONTRADICTED))
    if isinstance(venue, KeepsConditions):
        for held in await venue.conditions():
            about = f"{held.about} waits at {venue.name} as {held.cl_ord_id}"
            if held.cl_ord_id not in ours:
                found.append(_foreign(place, "foreign order", about, held.cl_ord_id, leave, ORDERS_OPEN))
    for name, record in ours.items():
        if record.authorized is not None and not record.ended and name not in opened:
            found.append(await _missing(venue, place, record))
    combos = {
        r.authorized.order.symbol for r in ours.values() if r.legs and r.authorized and r.authorized.order
    }
    named = (
        *symbols,
        *sorted(combos - set(symbols)),
    )  # its legs may be instruments that the settings do not name
    found += await _fills(venue, place, ours, book, named, now_ns, leave)
    taken_over = frozenset(book.certified.told) if book.certified is not None else frozenset()
    return found + await unnamed_positions(venue, place, known, taken_over)


def _foreign(place: Place, kind: str, what: str, name: str, leave: bool, locks: str) -> Difference:
    """What is done there and is none of this journal's: others' by the settings, unless it says that it is Fairlead's."""
    if name.startswith(OURS):
        return Difference(place, kind, what, NOT_KNOWN, False, locks)
    return Difference(place, kind, what, LEFT if leave else TOLD, leave)


async def _stands(venue: ExecutionVenue, order: OrderSnapshot) -> bool:
    """Whether it is still open, now that the book has been looked at: its end may have been heard meanwhile."""
    seen, _ = await as_far_as_told(venue.query(order.cl_ord_id, order.symbol))
    return seen is not None and seen.status not in TERMINAL


async def opened_at(venue: ExecutionVenue, ours: dict[ClOrdId, PartRecord]) -> dict[ClOrdId, OrderSnapshot]:
    """What is open there by its name, one of ours under the whole of it. Raises Retry."""
    if isinstance(venue, KeepsLessOfNames):
        orders = ((name, record.authorized.order) for name, record in ours.items() if record.authorized is not None)  # fmt: skip
        venue.remember((name, order.symbol) for name, order in orders if order is not None)
    return {order.cl_ord_id: order for order in await venue.open_orders()}


async def unnamed_positions(
    venue: ExecutionVenue, place: Place, known: Container[AssetId], taken_over: Container[str] = ()
) -> list[Difference]:
    """Contracts that are held and that the settings do not name: no book of ours counts them. The others are holdings
    (`agent.app.contracts`). One is news until it was taken over, and again once it is another."""
    if not isinstance(venue, HoldsPositions):
        return []
    why = (
        "no asset of the settings is this contract, so that what it gains and loses is counted nowhere here: name it, close it there, or "
        "`fairlead reconcile --adopt` takes it over as it is"
    )
    found = []
    for held in sorted(await venue.positions(), key=lambda held: held.symbol):
        told = (
            f"{held.qty.normalize():f} {held.symbol} stand as a position at {venue.name}; the book has none"
        )
        if held.qty and held.asset not in known and f"{place}: {POSITION}: {told}" not in taken_over:
            found.append(Difference(place, POSITION, told, why, False))
    return found


async def _missing(venue: ExecutionVenue, place: Place, record: PartRecord) -> Difference:
    """Open in the book and not among the venue's open orders: asked for by its own id before anything is said."""
    assert record.authorized is not None and record.authorized.order is not None
    name = record.part.cl_ord_id
    seen, _ = await as_far_as_told(venue.query(name, record.authorized.order.symbol))
    if seen is None:
        return Difference(
            place, "unknown order", f"{name} is open in the book; {venue.name} does not know it",
            f"it is not assumed cancelled, and keeps its limits: `fairlead run --once` asks again, then `fairlead reconcile --end {name}` tells what speaks for ending it", False,
        )  # fmt: skip
    what = f"{name} is open in the book; {venue.name} says {seen.status.value}, {seen.cum_qty} done"
    return Difference(
        place, "open order", what, "its end was not heard yet: `fairlead run --once` books it", False
    )


async def _fills(
    venue: ExecutionVenue,
    place: Place,
    ours: dict[ClOrdId, PartRecord],
    book: Book,
    symbols: Sequence[str],
    now_ns: int,
    leave: bool,
) -> list[Difference]:
    """The last day's executions at the venue beside those in the book, by their ids. What was done before the account was taken over was
    taken over with the balances it made."""
    since = now_ns - DAY_NS
    theirs: dict[str, tuple[ClOrdId, str]] = {}
    over = book.certified.at_ns if book.certified is not None else -1
    old: set[str] = set()
    for symbol in symbols:
        for name, fill in await venue.fills(symbol, since):
            if fill.at_ns <= over:
                old.add(fill.exec_id)
                continue
            theirs[fill.exec_id] = (name, f"{fill.qty_in} → {fill.qty_out}")
    booked = {
        fill.exec_id: (name, fill.at_ns)
        for name, record in ours.items()
        for fill in record.fills.values()
        if since + MINUTE_NS <= fill.at_ns and over < fill.at_ns
        if record.authorized is None
        or record.authorized.order is None
        or record.authorized.order.symbol in symbols
    }
    known = {exec_id for record in ours.values() for exec_id in record.fills}
    found = []
    for exec_id, (name, what) in theirs.items():
        if exec_id in known:
            continue
        told = f"{venue.name} executed {what} for {name} ({exec_id}); the book has no such fill"
        if name in ours:
            found.append(Difference(place, "fill", told, RUN_BOOKS_IT, False))
        else:
            found.append(_foreign(place, "foreign fill", told, name, leave, BOOKS_CONTRADICTED))
    for exec_id, (name, at_ns) in booked.items():
        if exec_id not in theirs and exec_id not in old:
            told = f"the book has {exec_id} for {name}; {venue.name} does not"
            young = at_ns > now_ns - MINUTE_NS
            locks = "" if young else BOOKS_CONTRADICTED
            found.append(Difference(place, "fill", told, YOUNG if young else CONTRADICTED, False, locks))
    return found
