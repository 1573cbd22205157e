"""The certificate every process begins with, before it signs anything: books = venue and chain, each difference explained, place by place.

    certify(app, desk)     the one check of `trade`, `run`, `rescue`, `lend` and `bridge`
    locks_of(differences)  what it judges by; `fairlead reconcile` shows the same

A place that no difference locks is open. One that does not answer is locked until it does and was compared (`agent.app.place_watch`); any
other lock holds until `fairlead reconcile --adopt`. The places beside it trade on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.app.certifying import refuse_uncertified
from agent.app.comparing import BALANCE_GONE, REMEDIES, RUN_BOOKS_IT, Difference
from agent.app.comparison import DAY_NS, Compared, compare
from agent.app.places import place_named
from agent.domain.errors import Reconcile, Reject, Retry
from agent.domain.events import Alarmed, Reconciled
from agent.domain.instruments import Place, venue_of
from agent.domain.order_state import ExecType
from agent.domain.reports import ExecutionReport
from agent.execution.locks import LOCKED, NOT_COMPARED, Lock

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.execution.desk import Desk

LOOKS, LOOK_S = 3, 2.0
"""An exchange may tell a balance later than the execution that made it: what seems to be gone is looked at again."""


def locks_of(differences: Sequence[Difference]) -> list[Lock]:
    """One a place, of all that lock it. A difference that stays is told before one that may heal."""
    found = []
    for place in dict.fromkeys(d.place for d in differences if d.locks):
        mine = sorted(
            (d for d in differences if d.place == place and d.locks), key=lambda d: d.locks == NOT_COMPARED
        )
        code = mine[0].locks
        why = "; ".join(_told(d) for d in mine)
        found.append(Lock(place, code, why, REMEDIES[code]))
    return found


def _told(found: Difference) -> str:
    return f"{found.what} ({found.why})" if found.kind == "balance" else found.what


async def certify(app: App, desk: Desk, *, stays: bool = False) -> list[Lock]:
    """Compares every place with the books, locks those where a difference has no explanation, and tells each lock as an alarm.

    Raises Reconcile NOT_CERTIFIED as `refuse_uncertified`; with the code of the first lock where no place is left that could trade, now or
    by itself later, unless the process `stays` for what passes a lock: rescues, following, cancelling.
    """
    await refuse_uncertified(app, desk.book)
    compared = await look(app, desk)
    locks = locks_of(compared.differences)
    for lock in locks:
        app.locks.shut(lock)
        await tell(app, desk, lock)
    if not stays and (shut := _all_shut(app)):
        told = "; ".join(f"{place_named(app.settings, lock.place)}: {lock.why}" for lock in shut)
        raise Reconcile(shut[0].code, f"no place is left to trade at: {told}", shut[0].remedy)
    return locks


async def look(app: App, desk: Desk, places: Sequence[Place] | None = None) -> Compared:
    """What was sent before is asked after, then all is compared, and written down where there is something to tell."""
    await _ask_after(desk, places)
    compared = await compare(app, desk.book, places)
    if await _hear_late(app, desk, compared):
        compared = await _again(app, desk, compared, lambda d: d.why == RUN_BOOKS_IT)
    for _ in range(LOOKS - 1):
        if not any(d.locks == BALANCE_GONE for d in compared.differences):
            break
        await app.clock.sleep(LOOK_S)
        compared = await _again(app, desk, compared, lambda d: d.locks == BALANCE_GONE)
    for place in dict.fromkeys(d.place for d in compared.differences):
        told = tuple(f"{d.kind}: {d.what}: {d.why}" for d in compared.differences if d.place == place)
        await desk.journal.record(Reconciled(place, told, app.clock.now_ns()))
    return compared


async def _again(app: App, desk: Desk, before: Compared, which: Callable[[Difference], bool]) -> Compared:
    """The places of those differences compared once more; the others as they were found."""
    places = list(dict.fromkeys(d.place for d in before.differences if which(d)))
    fresh = await compare(app, desk.book, places)
    kept = tuple(d for d in before.differences if d.place not in places)
    asked = tuple(p for p in before.asked if p not in places or p in fresh.asked)
    return replace(fresh, asked=asked, differences=(*kept, *fresh.differences))


async def _ask_after(desk: Desk, places: Sequence[Place] | None) -> None:
    """Orders of an earlier run that may have been filled while nobody listened: each is asked for by its id."""
    sent = [
        record.authorized
        for record in desk.book.open_parts()
        if record.authorized is not None and record.authorized.order is not None
        if places is None or record.part.place in places
    ]
    await asyncio.gather(*(desk.tracker.look_at_venue(one) for one in sent))


async def _hear_late(app: App, desk: Desk, compared: Compared) -> bool:
    """Books executions of orders of ours that the book has as over: nobody follows those. Whether there were any."""
    late = {d.place for d in compared.differences if d.kind == "fill" and d.why == RUN_BOOKS_IT}
    since = app.clock.now_ns() - DAY_NS
    if desk.book.certified is not None:
        since = max(since, desk.book.certified.at_ns + 1)
    heard = False
    for place in late:
        name = venue_of(place) or ""
        table = app.settings.venue(name)
        for symbol in table.symbols if table is not None else ():
            try:
                told = await app.venues[name].fills(symbol, since)
            except (Retry, Reject):
                continue  # the difference stands, and is told
            for order, fill in told:
                record = desk.book.parts.get(order)
                if record is not None and record.ended and fill.exec_id not in record.fills:
                    report = ExecutionReport(order, place, ExecType.TRADE, fill.at_ns, "", fill)
                    await desk.tracker.ingest(report)
                    heard = True
    return heard


async def tell(app: App, desk: Desk, lock: Lock) -> None:
    """As an alarm: whoever gets those learns which place trades no more, and what opens it."""
    text = f"{place_named(app.settings, lock.place)} gets no order of ours ({lock.code}): {lock.why} → {lock.remedy}"
    await desk.journal.record(Alarmed(LOCKED, text, app.clock.now_ns()))


def _all_shut(app: App) -> list[Lock]:
    """The locks of every place that trades by the settings, where there is one at each and none opens by itself."""
    trades = [Place(f"cex:{v.name}") for v in app.settings.venues if v.symbols]
    found = [app.locks.at(place) for place in (*trades, *(desk.place for desk in app.chains.values()))]
    shut = [lock for lock in found if lock is not None and not lock.opens_itself]
    return shut if len(shut) == len(found) else []


__all__ = ["certify", "locks_of", "look", "tell"]
