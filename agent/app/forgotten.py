"""An order at an exchange that the exchange tells nothing of any more, ended in the books by its owner's word.

Such an order stays open and keeps its limits, since nobody here can know what became of it (`QUARANTINED`, `FILLS_NOT_TOLD`). What speaks for
its having done no more than is booked: it is not among the open orders, no trade of it is listed that the books lack, and what is held of the
two assets it trades is to the last digit what the books say, and nothing is locked there that could be it. Where that does not hold, or somebody else's order may explain it, its owner has
to say why it is over; then what is held is taken over as it is. Nothing is sent and no fill is made up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.adoption import balances_at, difference
from agent.app.comparison import opened_at
from agent.app.places import place_named
from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.events import Adopted, Alarmed, CancelRequested, Reconciled, Reported, Settled
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, cex_id, venue_of
from agent.domain.order_lists import pair_of
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import Balance, ExecutionReport, Fill
from agent.domain.units import WIDE, ZERO, qty_exact, sum_exact
from agent.execution.recorder import Recorder
from agent.journal.book import Book
from agent.journal.records import PartRecord
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from agent.ports import HoldsPositions, KeepsConditions
from agent.venues import as_far_as_told

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.ports import Clock, ExecutionVenue

YOUNG_NS, BEFORE_NS = 60 * 10**9, 60 * 10**9
ENDED_BY_HAND = "ENDED_BY_HAND"


@dataclass(frozen=True, slots=True)
class Held:
    """What the books and the exchange say is held of an asset, whole units; `balance` is the exchange's own."""

    asset: AssetId
    symbol: str
    booked: Decimal
    balance: Balance

    @property
    def there(self) -> Decimal:
        return WIDE.add(self.balance.free, self.balance.locked)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is known of such a part. `told`: what its exchange answers, in words; `clear`: it says that it has no such order. `others`: what
    else of ours is open there in the same assets, and may be what a difference is. `goes_on`: its order is neither over nor cancelled."""

    record: PartRecord
    parent: ClOrdId | None
    goes_on: bool
    where: str
    told: str
    clear: bool
    held: tuple[Held, ...]
    others: tuple[ClOrdId, ...]

    @property
    def name(self) -> ClOrdId:
        return self.record.part.cl_ord_id

    @property
    def differing(self) -> tuple[Held, ...]:
        return tuple(one for one in self.held if one.there != one.booked)

    @property
    def proved(self) -> bool:
        return self.clear and not self.differing

    @property
    def rest(self) -> Decimal:
        """What was ordered and is not booked as done."""
        return WIDE.subtract(self.record.order_qty or ZERO, self.record.base_qty())


async def look(app: App, book: Book, name: ClOrdId) -> Forgotten:
    """Asks the exchange for all that it tells. Raises Usage NO_EXCHANGE_ORDER; Reject ALREADY_ENDED; Retry as its reads; Reconcile STILL_KNOWN
    where somebody else than its owner ends it: the exchange, `run`, time."""
    record = book.parts.get(name)
    if record is None or record.authorized is None or record.authorized.order is None:
        raise Usage(
            "NO_EXCHANGE_ORDER",
            f"{name} is no part that was signed for an exchange",
            "`fairlead orders ID` lists an order's parts; on a chain nonce and deadline decide, `fairlead run --once` asks",
        )
    if record.ended:
        raise Reject("ALREADY_ENDED", f"{name} is over", f"`fairlead orders {name}` tells its story")
    part, venue = record.part, app.venues.get(venue_of(record.part.place) or "")
    where = place_named(app.settings, part.place)
    if venue is None:
        raise Retry(
            "VENUE_UNREACHABLE", f"{where} does not answer", "what is held there has to be read first"
        )
    if app.clock.now_ns() - record.authorized.at_ns < YOUNG_NS:
        raise Reconcile(
            "STILL_KNOWN", f"{name} was signed less than a minute ago", "it may still arrive: try again"
        )
    told, clear = await _told(venue, book, record)
    there = {balance.asset: balance for balance in await balances_at(app, part.place, book)}
    assets = dict.fromkeys((part.asset_in, part.asset_out, *(leg.asset for leg in record.legs)))
    if clear and (locked := await _locked(app, venue, record)):
        told, clear = (
            f"{told}, but holds {locked}, which no open order explains: it may stand there still",
            False,
        )
    held = tuple(
        Held(
            one,
            app.directory.symbols.get(one, one),
            book.holdings.get(one, ZERO),
            there.get(one, Balance(one, ZERO)),
        )
        for one in assets
    )
    others = tuple(
        other.part.cl_ord_id
        for other in book.open_parts()
        if other is not record and other.part.place == part.place and other.authorized is not None
        if other.legs or record.legs or assets.keys() & {other.part.asset_in, other.part.asset_out}
    )
    child = book.children.get(part.child)
    entry = book.parts.get(child.child.after) if child is not None and child.child.after else None
    if entry is not None and not entry.ended:
        raise Reconcile(
            "STILL_KNOWN",
            f"{name} waits behind {entry.part.cl_ord_id}, which is open",
            f"`fairlead reconcile --end {entry.part.cl_ord_id}` tells of that one",
        )
    above = book.parents.get(child.child.parent) if child is not None else None
    goes_on = above is not None and above.closed is None and not above.cancel_requested
    name_above = above.parent.cl_ord_id if above is not None else None
    return Forgotten(record, name_above, goes_on, where, told, clear, held, others)


async def _told(venue: ExecutionVenue, book: Book, record: PartRecord) -> tuple[str, bool]:
    """In words, and whether it says that it has no such order."""
    assert record.authorized is not None and record.authorized.order is not None
    name, symbol = record.part.cl_ord_id, record.authorized.order.symbol
    ours = {one.part.cl_ord_id: one for one in book.parts.values() if one.part.place == record.part.place}
    opened = {pair_of(order) or order for order in await opened_at(venue, ours)}
    waiting = await venue.conditions() if isinstance(venue, KeepsConditions) else ()
    if name in opened or name in {pair_of(held.cl_ord_id) or held.cl_ord_id for held in waiting}:
        raise Reconcile(
            "STILL_KNOWN", f"{name} is open at {venue.name}", f"`fairlead cancel {name}` ends it there"
        )
    since = record.authorized.at_ns - BEFORE_NS
    listed = await venue.fills(symbol, since)
    _need_booked(venue, record, [fill for whose, fill in listed if (pair_of(whose) or whose) == name])
    try:
        found, whole = await as_far_as_told(venue.query(name, symbol))
    except FairleadError as why:
        if why.verb == "HALT":
            raise
        return f"cannot say what became of it: {why.message}", False
    if found is None:
        if not (record.submitted or record.status is not OrdStatus.PENDING_NEW):
            raise Reconcile(
                "STILL_KNOWN", f"{venue.name} never acknowledged {name}", "`fairlead run --once` ends it"
            )
        return "acknowledged it, and says that it has no such order", True
    if found.status not in TERMINAL:
        raise Reconcile(
            "STILL_KNOWN", f"{name} is open at {venue.name}", f"`fairlead cancel {name}` ends it there"
        )
    _need_booked(venue, record, found.fills)  # its own trades, also where the list of all leaves them out
    if whole or record.base_qty() == found.cum_qty:
        raise Reconcile("STILL_KNOWN", f"{venue.name} says that {name} is {found.status.value}", "`fairlead run --once` books it")  # fmt: skip
    done, booked = found.cum_qty.normalize(), record.base_qty().normalize()
    return f"says {found.status.value}, {done:f} done; trades of {booked:f} are listed or booked", False


def _need_booked(venue: ExecutionVenue, record: PartRecord, fills: Sequence[Fill]) -> None:
    for fill in fills:
        if fill.exec_id not in record.fills:
            raise Reconcile(
                "STILL_KNOWN",
                f"{venue.name} lists a trade of {record.part.cl_ord_id} that the books lack ({fill.exec_id})",
                "`fairlead run --once` books it",
            )


async def _locked(app: App, venue: ExecutionVenue, record: PartRecord) -> str:
    """What is locked there beyond what its open orders explain, where that is as much as this order would hold; '' where it is not, or the
    venue holds margin and not coins."""
    part = record.part
    if isinstance(venue, HoldsPositions) or record.legs:
        return ""
    locked = sum((one.locked for one in await venue.balances() if one.asset == part.asset_in), ZERO)
    instruments = {one.symbol: one for one in await venue.instruments()}
    given = sum_exact(fill.qty_in for fill in record.fills.values())
    with localcontext(WIDE):
        for order in await venue.open_orders():
            left, traded = order.order_qty - order.cum_qty, instruments.get(order.symbol)
            if traded is not None and part.asset_in == cex_id(venue.name, traded.base if order.side is Side.SELL else traded.quote):  # fmt: skip
                locked -= left if order.side is Side.SELL else left * (order.px or ZERO)
        wanted = qty_exact(part.in_raw, app.directory.decimals[part.asset_in]) - given
        symbol = app.directory.symbols.get(part.asset_in, part.asset_in)
        # What was planned to be given and what is locked for it differ by the price that it rests at.
        return f"{locked.normalize():f} {symbol} locked" if locked > 0 and locked * 2 >= wanted else ""


def check(found: Forgotten, why: str) -> None:
    """Raises Reconcile NOT_PROVED where the evidence wants an owner's word that is not given, PARTS_OPEN where what is held cannot be taken
    over yet."""
    if found.proved:
        return
    if found.differing and found.others:
        raise Reconcile(
            "PARTS_OPEN",
            f"what differs at {found.where} may be of {', '.join(found.others)}, which are open there too",
            "let them end first (`fairlead cancel`, `fairlead run --once`)",
        )
    if not why.strip():
        raise Reconcile(
            "NOT_PROVED",
            f"that {found.name} is over and did no more than is booked is not proved by what is held at {found.where}",
            'look at the exchange\'s own page, then say what you know: `--why "…"`; what is held there is taken over as it is',
        )


def because(found: Forgotten, why: str) -> str:
    """The reason that is written down."""
    if found.proved:
        proof = f"{found.where} {found.told}, and holds what the books say"
        return f"{proof}; {why.strip()}" if why.strip() else proof
    return f"{found.where} {found.told}; its owner says: {why.strip()}"


async def events_of(app: App, book: Book, found: Forgotten, who: str, why: str, cancel: bool) -> list[object]:
    """What ends it in the books, in order. Raises as `check`, and as the prices' reads where what is held is taken over."""
    check(found, why)
    now, part = app.clock.now_ns(), found.record.part
    reason = because(found, why)
    events = list[object]()
    if cancel and found.goes_on and found.parent is not None:
        events.append(CancelRequested(found.parent, f"reconcile --end by {who}", now))
    if found.record.status not in TERMINAL:
        text = f"ended in the books by {who}: {reason}"
        events.append(
            Reported(ExecutionReport(part.cl_ord_id, part.place, ExecType.CANCELED, now, text=text))
        )
    fills = tuple(found.record.fills.values())
    events.append(Settled(part, fills, found.record.gas_wei, now))
    if found.differing:
        prices, symbols = await app.oracles.prices(), app.directory.symbols
        changed = tuple(one.balance for one in found.differing)
        named = tuple((one.asset, symbols[one.asset]) for one in found.differing if one.asset in symbols)
        events.append(Reconciled(part.place, tuple(difference(book, one) for one in changed), now))
        events.append(Adopted(part.place, changed, named, prices, now))
    events.append(Alarmed(ENDED_BY_HAND, f"{part.cl_ord_id} was ended in the books by {who}: {reason}", now))
    return events


@asynccontextmanager
async def writing(settings: Settings, clock: Clock) -> AsyncIterator[Recorder]:
    """The journal, held for as long as this lasts, and its book. Raises Retry JOURNAL_LOCKED, Halt."""
    journal = Journal.open(
        settings.journal.path,
        clock=clock,
        environment=settings.environment.value,
        codec=event_codec(),
        emergency=settings.journal.emergency_path,
        derisking=is_derisking,
    )
    try:
        book = Book()
        for event in journal.events():
            book.apply(event)
        yield Recorder(journal, book)
    finally:
        journal.close()


async def record_all(recorder: Recorder, events: Sequence[object]) -> None:
    """On the disk when this returns. Raises Halt."""
    for event in events[:-1]:
        await recorder.record(event)
    await recorder.record_durably(events[-1])
