"""After a restart: every part that may have taken effect is asked after, by hash, nonce or client order id; then work goes on.

An Authorized without a later event is indeterminate. On a chain the very same signed bytes may be handed over again, since a
nonce can be used once; at an exchange nothing is sent again: the order is asked for by its id until its request can no
longer arrive. What was never signed never left.
"""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agent.domain.errors import Retry
from agent.domain.events import Authorized, Breach, Settled
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.orders import ParentOrder
from agent.domain.risk import BreachReason
from agent.domain.submission_state import SubmissionState
from agent.execution.deciding import Deciding
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.execution.tracker import never_left
from agent.journal.book import INTERRUPTED
from agent.journal.records import PartRecord

WAS_INTERRUPTED = BreachReason(
    INTERRUPTED, "the process ended before this slice was planned", "it is planned again"
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a start found: parts that had not left, and parts whose fate is being asked for."""

    never_left: tuple[ClOrdId, ...]
    asked: tuple[tuple[ClOrdId, Place], ...]
    unfinished: tuple[ClOrdId, ...]


async def close_what_never_left(desk: Deciding) -> tuple[ClOrdId, ...]:
    """Ends children and parts of an earlier run that no signature exists for."""
    ended = []
    for record in desk.book.open_parts():
        if record.authorized is None:
            await desk.journal.record(
                never_left(record, "the process ended before it was signed", desk.clock.now_ns())
            )
            ended.append(record.part.cl_ord_id)
    for name, child in list(desk.book.children.items()):
        if child.breach is None and not child.parts:
            await desk.journal.record(Breach(name, (WAS_INTERRUPTED,), desk.clock.now_ns()))
            ended.append(name)
    return tuple(ended)


def look(desk: Desk) -> Findings:
    """What is open in the book, changing nothing."""
    opened = desk.book.open_parts()
    return Findings(
        never_left=tuple(r.part.cl_ord_id for r in opened if r.authorized is None),
        asked=tuple((r.part.cl_ord_id, r.part.place) for r in opened if r.authorized is not None),
        unfinished=tuple(name for name, record in desk.book.parents.items() if record.closed is None),
    )


async def settle_open_parts(desk: Desk, only: Callable[[PartRecord], bool] = lambda part: True) -> None:
    """Follows every signed part of an earlier run to its end, or those chosen."""
    async with TaskGroup() as group:
        # A lane is entered in turn: the wallet's own batches first, since an offer holds its lane until nothing of it can be settled.
        for record in sorted(desk.book.open_parts(), key=lambda r: r.is_offer):
            if record.authorized is not None and only(record):
                begin = partial(carry_on, record.authorized, desk)
                sends = record.authorized.order is None  # an order at an exchange is never sent again
                entered = desk.lanes.enter(record.part, begin, holds=sends)
                group.create_task(entered, name=f"again {record.part.cl_ord_id}")


async def carry_signed(parent: ParentOrder, desk: Desk) -> None:
    """Works a parent whose parts were signed with another order's: exits that stand in a list behind their entry."""
    mine = {record.part.cl_ord_id for record in desk.book.parts_of(parent.cl_ord_id)}
    async with TaskGroup() as group:
        group.create_task(settle_open_parts(desk, lambda record: record.part.cl_ord_id in mine))
        group.create_task(work(parent, desk))


async def carry_on(authorized: Authorized, desk: Desk) -> Settled:
    """The end of the road for a part that was signed before: hand the same bytes over if they may not have left, follow. Raises Retry
    VENUE_UNREACHABLE where its venue never answered: it stays open, and is followed once that is back."""
    record, place = desk.book.parts[authorized.part.cl_ord_id], authorized.part.place
    if not desk.tracker.reaches(place):
        raise Retry("VENUE_UNREACHABLE", f"{place} does not answer", "it is followed as soon as it does")
    on_chain = authorized.order is None and authorized.offer is None
    waits = on_chain and record.submission is SubmissionState.AUTHORIZED  # what a road refused is over
    if waits and not record.submitted and await desk.tracker.may_send_again(authorized):
        await desk.journal.record_durably(await desk.outbox.submit(authorized))
    return await desk.journal.record(await desk.tracker.follow(authorized))


async def resume(desk: Desk) -> tuple[ClOrdId, ...]:
    """Reconciles everything open, then works every unfinished parent to its end. Gives the parents that were resumed."""
    await close_what_never_left(desk)
    unfinished = tuple(name for name, record in desk.book.parents.items() if record.closed is None)
    async with TaskGroup() as group:
        group.create_task(settle_open_parts(desk))
        for name in unfinished:
            group.create_task(work(desk.book.parents[name].parent, desk), name=f"resume {name}")
    return unfinished
