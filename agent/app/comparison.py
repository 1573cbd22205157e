"""The books beside venues and chains: open orders, fills, positions, balances, nonces. Asks everywhere, changes nothing.

A difference is told with what explains it where something does: an order in flight, a stranger's order, somebody else
using the key. Foreign orders are named and left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.adoption import balances_now
from agent.app.operations import signed_at
from agent.app.places import place_named
from agent.domain.errors import FairleadError
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.order_state import TERMINAL
from agent.domain.reports import OrderSnapshot
from agent.domain.submission_state import UNDECIDED
from agent.journal.book import Book
from agent.journal.crossing_fold import awaited
from agent.journal.records import PartRecord
from agent.ports import HoldsPositions, KeepsConditions, KeepsLessOfNames
from chains.operations import sequence_of
from chains.types import Address

if TYPE_CHECKING:
    from agent.app.chain_desk import ChainDesk
    from agent.app.wiring import App
    from agent.ports import ExecutionVenue

DAY_NS, MINUTE_NS = 86_400 * 10**9, 60 * 10**9
POSITION = "position"
LEFT = "the settings leave others' orders to them (foreign_orders)"
CONTRADICTED = "nothing here explains it"
UNKNOWN_HISTORY = "a journal before this one, or another program: `fairlead reconcile --adopt` takes the account over as it is"


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` says both sides; `why` explains it, or says that nothing here does. `explained` ones need no action."""

    place: Place
    kind: str
    what: str
    why: str
    explained: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """`asked` are the places that answered; one that did not is a difference of its own."""

    asked: tuple[Place, ...]
    differences: tuple[Difference, ...]


async def compare(app: App, book: Book) -> Compared:
    places: list[Place] = []
    found: list[Difference] = []
    for name, why in app.unreachable.items():
        place = Place(f"cex:{name}")
        found.append(
            Difference(place, "unreachable", f"{name} does not answer: {why}", "unknown is not equal", False)
        )
    now_ns, tables = app.clock.now_ns(), {v.name: v for v in app.settings.venues}
    work = [
        (
            Place(f"cex:{n}"),
            compare_venue(
                v, book, tables[n].symbols, now_ns, tables[n].foreign_orders == "leave", app.directory.assets
            ),
        )
        for n, v in app.venues.items()
    ]
    work += [(desk.place, _chain(app, desk, book)) for desk in app.chains.values()]
    told = await asyncio.gather(*(each for _, each in work), return_exceptions=True)
    for (place, _), outcome in zip(work, told, strict=True):
        if isinstance(outcome, FairleadError) and outcome.verb != "HALT":
            found.append(Difference(place, "unreachable", str(outcome), "unknown is not equal", False))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            places.append(place)
            found += outcome
    try:
        found += await _balances(app, book)
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        found.append(
            Difference(Place(""), "unreachable", f"balances: {error}", "unknown is not equal", False)
        )
    return Compared(tuple(places), tuple(found))


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
    opened = await _opened(venue, ours)
    found: list[Difference] = []
    for name, order in opened.items():
        record = ours.get(name)
        about = (
            f"{order.side.value.lower()} {order.order_qty} {order.symbol} is open at {venue.name} as {name}"
        )
        if record is None:
            found.append(
                Difference(
                    place,
                    "foreign order",
                    about,
                    LEFT if leave else "it is not ours and was left alone: whoever has this key sent it",
                    leave,
                )
            )
        elif record.ended or (record.status in TERMINAL):
            found.append(
                Difference(place, "open order", f"{about}; the book says it ended", CONTRADICTED, False)
            )
    if isinstance(venue, KeepsConditions):
        why = LEFT if leave else "it waits for its price and was left alone: whoever has this key sent it"
        for held in await venue.conditions():
            about = f"{held.about} waits at {venue.name} as {held.cl_ord_id}"
            found.append(Difference(place, "foreign order", about, why, leave))
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
    fills = await _fills(venue, place, ours, book, named, now_ns - DAY_NS)
    found += [
        replace(d, why=LEFT, explained=True) if leave and d.kind == "foreign fill" else d for d in fills
    ]
    taken_over = frozenset(book.certified.told) if book.certified is not None else frozenset()
    return found + await unnamed_positions(venue, place, known, taken_over)


async def contradictions(
    venue: ExecutionVenue, book: Book, symbols: Sequence[str], now_ns: int
) -> list[Difference]:
    """What a book cannot have of an exchange that is right: orders of ours that stand there though the book ended them, and fills in the book,
    older than a minute, that the exchange does not have. Raises as the venue's reads."""
    place = Place(f"cex:{venue.name}")
    ours = {name: record for name, record in book.parts.items() if record.part.place == place}
    if not any(record.authorized is not None for record in ours.values()):
        return []
    found = [
        Difference(
            place,
            "open order",
            f"{name} is open at {venue.name}; the book says it ended",
            CONTRADICTED,
            False,
        )
        for name in await _opened(venue, ours)
        if (record := ours.get(name)) is not None and (record.ended or record.status in TERMINAL)
    ]
    fills = await _fills(venue, place, ours, book, symbols, now_ns - DAY_NS, now_ns - MINUTE_NS)
    return found + [d for d in fills if d.why == CONTRADICTED]


async def _opened(venue: ExecutionVenue, ours: dict[ClOrdId, PartRecord]) -> dict[ClOrdId, OrderSnapshot]:
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
    seen = await venue.query(name, record.authorized.order.symbol)
    if seen is None:
        return Difference(
            place, "unknown order", f"{name} is open in the book; {venue.name} does not know it",
            "it is not assumed cancelled: `fairlead run --once` asks again, then it needs a person", False,
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
    since: int,
    until: int | None = None,
) -> list[Difference]:
    """The executions at the venue since then beside those in the book (until then, where one is given), by their ids. What was done before
    the account was taken over was taken over with the balances it made."""
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
        fill.exec_id: name
        for name, record in ours.items()
        for fill in record.fills.values()
        if since + MINUTE_NS <= fill.at_ns and over < fill.at_ns and (until is None or fill.at_ns <= until)
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
        why = (
            "`fairlead run --once` books it"
            if name in ours
            else "the order is not ours: whoever has this key sent it"
        )
        found.append(Difference(place, "fill" if name in ours else "foreign fill", told, why, False))
    for exec_id, name in booked.items():
        if exec_id not in theirs and exec_id not in old:
            told = f"the book has {exec_id} for {name}; {venue.name} does not"
            found.append(Difference(place, "fill", told, CONTRADICTED, False))
    return found


# ---------------------------------------------------------------------- chains


async def _chain(app: App, desk: ChainDesk, book: Book) -> list[Difference]:
    found: list[Difference] = []
    mine = [r for r in book.parts.values() if r.authorized is not None and r.part.place == desk.place]
    if desk.operations is not None:
        desk.operations.since = signed_at(book, desk.operations.account)
    for record in mine:
        if record.submission not in UNDECIDED or record.ended or record.authorized is None:
            continue
        receipt = None
        for form in record.signed:
            receipt = receipt or await desk.truth.receipt(form.tx_hash)
        tx_hash = receipt.tx_hash if receipt is not None else record.authorized.tx_hash
        told = f"{record.part.cl_ord_id}: transaction {tx_hash} is "
        if receipt is not None:
            told += f"in block {receipt.block_number}; the book has it as {record.submission.value}"
            found.append(Difference(desk.place, "transaction", told, "`fairlead run --once` books it", False))
        else:
            told += f"in no block yet, deadline {record.authorized.deadline_s}"
            found.append(Difference(desk.place, "transaction", told, "it is in flight", True))
    if desk.sender is not None:
        signed = [r for r in mine if r.authorized and r.authorized.sender == desk.sender]
        used, pending = (
            await desk.gateway.nonce(desk.sender),
            await desk.gateway.nonce(desk.sender, "pending"),
        )
        taken_over = dict(book.certified.nonces).get(desk.place) if book.certified is not None else None
        found += _nonces(desk.place, desk.sender, signed, used, pending, taken_over)
    if (account := desk.operations) is not None:
        signed = [r for r in mine if r.authorized and r.authorized.sender == account.account]
        used = sequence_of(await account.next_nonce())
        found += _nonces(desk.place, account.account, signed, used, used, None)
    return found


def _nonces(
    place: Place, who: Address, mine: list[PartRecord], used: int, pending: int, taken_over: int | None
) -> list[Difference]:
    """Whoever sends: the nonces used on the chain against what this journal knows was used. Of an account behind ERC-4337 they are the
    sequence of our own key at the EntryPoint."""
    known = {sequence_of(form.nonce) for r in mine for form in r.signed}
    waiting = {
        sequence_of(r.authorized.nonce)
        for r in mine
        if r.authorized is not None and r.submission in UNDECIDED
    }
    found = []
    if not known and taken_over is None and used:
        told = f"{who} has used {used} nonces, and this journal signed for none of them"
        found.append(Difference(place, "history", told, UNKNOWN_HISTORY, False))
    first = taken_over if taken_over is not None else min(known, default=used)
    strange = [n for n in range(first, used) if n not in known]
    if strange:
        told = f"{who} has used nonces {', '.join(map(str, strange))} that this journal did not sign"
        found.append(
            Difference(
                place, "foreign nonce", told, "another program has this key, or another journal", False
            )
        )
    unseen = [n for n in range(used, pending) if n not in waiting]
    if unseen:
        told = f"{who} has transactions waiting at nonces {', '.join(map(str, unseen))} that are not ours"
        found.append(Difference(place, "foreign nonce", told, "another program has this key", False))
    ahead = sorted(n for n in known if n >= used and n not in waiting)
    if ahead:
        told = f"the book has nonces {', '.join(map(str, ahead))} as decided; the chain has used {used} only"
        found.append(
            Difference(place, "nonce", told, "a block was replaced: `fairlead run --once` looks again", False)
        )
    return found


# ---------------------------------------------------------------------- balances


async def _balances(app: App, book: Book) -> list[Difference]:
    found = []
    flying = {
        asset: record.part.cl_ord_id
        for record in book.open_parts()
        for asset in (record.part.asset_in, record.part.asset_out)
    } | awaited(book)
    for place, balances in (await balances_now(app)).items():
        for balance in balances:
            booked, there = book.holdings.get(balance.asset), balance.free + balance.locked
            if booked == there or (booked is None and not there):
                continue
            symbol = app.directory.symbols.get(balance.asset, balance.asset)
            where = place_named(app.settings, place_of(balance.asset))
            told = f"{symbol} at {where}: the book says {booked if booked is not None else 'nothing'}, {where} says {there}"
            part = flying.get(balance.asset)
            change = there - (booked or Decimal(0))
            if part is not None:
                found.append(Difference(place, "balance", told, f"{part} is in flight", True))
            elif booked is None:
                found.append(
                    Difference(place, "balance", told, "never seen before: the next order adopts it", True)
                )
            else:
                why = f"{'deposited' if change > 0 else 'taken'} {abs(change)} outside this journal; the next order adopts it"
                found.append(Difference(place, "balance", told, why, False))
    return found
