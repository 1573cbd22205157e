"""A journal that knows nothing of an account with history: nothing is traded until its owner has taken that over by a command.

So it is on a new machine whose state was lost with the old one. Venues and chains tell what there is: open orders, fills, balances,
used nonces. What they cannot tell is a private transaction that still waits somewhere; it carries a deadline, so it is waited out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.app.adoption import adoptions
from agent.app.comparing_chains import account_place
from agent.app.comparison import OURS
from agent.app.runs_as import runs_as
from agent.app.wiring import DEADLINE_S
from agent.domain.errors import FairleadError, Reconcile
from agent.domain.events import Adopted, Certified, Reconciled
from agent.domain.instruments import Place, venue_of
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.journal.book import Book
from agent.ports import HoldsPositions, KeepsConditions
from agent.venues import as_far_as_told
from chains.operations import sequence_of
from chains.types import Protection

if TYPE_CHECKING:
    from agent.app.chain_desk import ChainDesk
    from agent.app.comparison import Compared
    from agent.app.wiring import App
    from agent.ports import ExecutionVenue

DAY_NS = 86_400 * 10**9


async def history(app: App, book: Book) -> tuple[str, ...]:
    """What has been done with this account that the journal does not know of; () where it has signed, or was taken over.

    A place that does not answer may have history: unknown is not safe.
    """
    if book.certified is not None or any(r.authorized is not None for r in book.parts.values()):
        return ()
    found = [f"{name} does not answer: {why}" for name, why in app.unreachable.items()]
    for desk in app.chains.values():
        if desk.sender is None:
            continue
        try:
            used = await desk.gateway.nonce(desk.sender, "pending")
            done = sequence_of(await desk.operations.next_nonce()) if desk.operations is not None else 0
        except FairleadError as error:
            found.append(f"{desk.profile.name} does not answer: {error}")
            continue
        if used:
            found.append(f"{desk.sender} has sent {used} transactions on {desk.profile.name}")
        if done and desk.operations is not None:
            found.append(f"{desk.operations.account} has sent {done} user operations on {desk.profile.name}")
    for name, venue in app.venues.items():
        found += await _at(app, name, venue)
    return tuple(found)


async def _at(app: App, name: str, venue: ExecutionVenue) -> list[str]:
    configured = app.settings.venue(name)
    try:
        opened = len(await venue.open_orders())
        waiting = len(await venue.conditions()) if isinstance(venue, KeepsConditions) else 0
        since = app.clock.now_ns() - DAY_NS
        done = sum([len(await venue.fills(s, since)) for s in configured.symbols]) if configured else 0
        held = {p.symbol: p.qty for p in await venue.positions()} if isinstance(venue, HoldsPositions) else {}
    except FairleadError as error:
        return [f"{name} does not answer: {error}"]
    told = [f"{name} has {opened} open orders and {done} fills of the last day"] if opened or done else []
    told += [f"{name} has {waiting} orders that wait for their price"] if waiting else []
    return told + [f"{name} has a position of {qty:f} {what}" for what, qty in sorted(held.items()) if qty]


async def refuse_uncertified(app: App, book: Book) -> None:
    """Raises Reconcile NOT_CERTIFIED, Retry SIGNER_UNREACHABLE."""
    if found := await history(app, book):
        await app.signer.status()  # without it no exchange answers: that is told as what it is
        raise Reconcile(
            "NOT_CERTIFIED",
            f"this journal knows nothing of an account with history: {'; '.join(found)}",
            "`fairlead reconcile` shows what there is, `fairlead reconcile --adopt` takes it over; nothing is traded before",
        )


async def drop_ours(app: App, book: Book) -> list[str]:
    """Cancels the open orders that Fairlead's own client order ids name and this journal does not follow. Raises as the venue."""
    told, followed = [], {r.part.cl_ord_id for r in book.open_parts()}
    for name, venue in app.venues.items():
        if isinstance(venue, KeepsConditions):
            for held in await venue.conditions():
                if held.cl_ord_id.startswith(OURS) and held.cl_ord_id not in followed:
                    told.append(f"{held.cl_ord_id} at {name}: {await venue.end_condition(held)}")
        for order in await venue.open_orders():
            if order.cl_ord_id.startswith(OURS) and order.cl_ord_id not in followed:
                ended = await venue.cancel(order.cl_ord_id, order.symbol)
                told.append(f"{order.cl_ord_id} at {name}: {ended.status.value}, {ended.cum_qty} done")
    return told


async def certificate(
    app: App, book: Book, compared: Compared, at_once: bool, cancelled: Sequence[str] = ()
) -> list[Reconciled | Adopted | Certified]:
    """The events that take the account over as it is. Raises Reconcile PARTS_OPEN, PLACES_UNKNOWN, ORDERS_OPEN, NONCES_PENDING,
    NOT_QUIET where what there is may still change without anybody here seeing it."""
    await _need_no_open_parts(app, book)
    if silent := [d.what for d in compared.differences if d.kind == "unreachable"]:
        raise Reconcile(
            "PLACES_UNKNOWN", "; ".join(silent), "every place has to answer before an account is taken over"
        )
    standing = ("open order", "foreign order")
    if orders := [d.what for d in compared.differences if d.locks and d.kind in standing]:
        raise Reconcile(
            "ORDERS_OPEN",
            "; ".join(orders),
            "nobody follows them here: `--cancel` ends them, or end them at the exchange",
        )
    nonces = []
    for desk in app.chains.values():
        if desk.sender is not None:
            nonces.append((desk.place, await _quiet(desk, book, at_once)))
        if (account := desk.operations) is not None:
            here = account_place(desk.place, account.account)
            nonces.append((here, sequence_of(await account.next_nonce())))
    now = app.clock.now_ns()
    told = (
        *(f"cancelled {one}" for one in cancelled),
        *(f"{d.place}: {d.kind}: {d.what}" for d in compared.differences),
    )
    looked = [
        Reconciled(Place(p), tuple(d.what for d in compared.differences if d.place == p), now)
        for p in compared.asked
    ]
    taken = await adoptions(app, book)
    await _need_no_open_parts(app, book)  # what was filled meanwhile would be counted twice
    by = f"reconcile --adopt by {runs_as()}"
    return [*looked, *taken, Certified(tuple(nonces), told, by, now)]


async def _need_no_open_parts(app: App, book: Book) -> None:
    """What stands at an exchange just as the book has it changes no balance, and is followed on. Raises Reconcile PARTS_OPEN for anything
    else that was signed and is not over."""
    opened = []
    for record in book.open_parts():
        signed, name = record.authorized, record.part.cl_ord_id
        if signed is None:
            continue
        venue = app.venues.get(venue_of(record.part.place) or "")
        asked = venue.query(name, signed.order.symbol) if venue is not None and signed.order else None
        seen = (await as_far_as_told(asked))[0] if asked is not None else None
        same = seen is not None and {f.exec_id for f in seen.fills} <= set(record.fills)
        same &= seen is not None and (record.legs != () or seen.cum_qty == record.base_qty())
        if seen is None or seen.status in TERMINAL or record.status is OrdStatus.PENDING_NEW or not same:
            opened.append(name)
    if opened:
        raise Reconcile(
            "PARTS_OPEN",
            f"signed and not over: {', '.join(opened)}",
            "`fairlead run --once` finishes them first",
        )


async def _quiet(desk: ChainDesk, book: Book, at_once: bool) -> int:
    """The sender's next nonce, once nothing that was signed before the first look can still be mined."""
    assert desk.sender is not None
    used, pending = await desk.gateway.nonce(desk.sender), await desk.gateway.nonce(desk.sender, "pending")
    if pending > used:
        raise Reconcile(
            "NONCES_PENDING",
            f"{desk.sender} has {pending - used} transactions waiting on {desk.profile.name}",
            "wait until they are mined, then try again",
        )
    if at_once or desk.protection is not Protection.PRIVATE:
        return used
    first_s = book.first_looked_ns.get(desk.place, desk.clock.now_ns()) // 10**9
    left = first_s + DEADLINE_S - (await desk.gateway.block("latest")).timestamp
    if left >= 0:
        raise Reconcile(
            "NOT_QUIET",
            f"a private transaction of an earlier run could wait for {desk.profile.name} for another {left + 1} s of its blocks",
            "try again then; `--at-once` where you know that there is none",
        )
    return used


__all__ = ["certificate", "drop_ours", "history", "refuse_uncertified"]
