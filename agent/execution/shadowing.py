"""The shadow's road: every decision of the real one, and at its end what the market then gave instead of a signature.

The desk of it has no authority, no outbox and no tracker: there is nothing on this road that could sign or send. What would have been
signed is recorded as `Shadowed`, what the market gave for it as `ShadowSeen`: the first look decides whether it counts as filled, so
that a schedule goes on as it would have; later ones tell what waiting would have brought.
"""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from agent.domain.errors import FairleadError
from agent.domain.events import (
    Accepted,
    Approved,
    Attributed,
    Breach,
    ParentClosed,
    PartFailed,
    Shadowed,
    ShadowSeen,
    Sliced,
)
from agent.domain.orders import ChildOrder, ParentOrder, Part
from agent.execution.deciding import Deciding
from agent.execution.planning import part_px

LATER_S = (5.0, 60.0)
"""When the market is looked at again, in seconds after the look that decided."""


class Looker(Protocol):
    """Reads what the market gives now for exactly what would have been signed."""

    async def first(self, shadowed: Shadowed, approved: Approved) -> ShadowSeen:
        """At the first moment at which it could have taken effect; its `fill` is what it would have been."""
        ...

    async def again(self, shadowed: Shadowed, approved: Approved) -> ShadowSeen: ...


@dataclass(kw_only=True)
class ShadowDesk(Deciding):
    """`later_s` are seconds after the look that decides; `looking` are the looks that are still to come."""

    looker: Looker
    later_s: tuple[float, ...] = LATER_S
    looking: set[asyncio.Task[None]] = field(default_factory=set)

    def look_again(self, shadowed: Shadowed, approved: Approved) -> None:
        """Begins the later looks beside the road; whoever opened the desk ends them with it."""
        task = asyncio.create_task(self._later(shadowed, approved), name=f"looks {shadowed.part.cl_ord_id}")
        self.looking.add(task)
        task.add_done_callback(self._looked)

    def _looked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.looking.discard(task)  # what failed stays, and is raised where the desk is closed

    async def _later(self, shadowed: Shadowed, approved: Approved) -> None:
        began_ns = self.clock.now_ns()
        for after_s in self.later_s:
            due_ns = began_ns + int(after_s * 10**9)
            await self.clock.sleep(max((due_ns - self.clock.now_ns()) / 1e9, 0))
            await self.journal.record(await self.looker.again(shadowed, approved))


async def work(parent: ParentOrder, desk: ShadowDesk) -> Attributed | ParentClosed:
    """Work a parent to its end as the spine does, and send nothing."""
    record = desk.journal.record
    if parent.cl_ord_id not in desk.book.parents:
        await record(Accepted(parent, at_ns=desk.clock.now_ns()))
    async with TaskGroup() as children:
        while not (step := await desk.next_step(parent)).done:
            for child in step.children:
                await record(Sliced(child, at_ns=desk.clock.now_ns()))
                children.create_task(carry(child, desk), name=child.cl_ord_id)
            await desk.wait_until(parent, step.wake_ns)
    closed = await record(desk.closing(parent, step.done))
    if desk.book.filled_base(parent.cl_ord_id) == 0:
        return closed
    return await record(desk.attribute(parent))


async def carry(child: ChildOrder, desk: ShadowDesk) -> None:
    """Plan, review and rehearse one slice, then look what the market gives for it."""
    planned = await desk.journal.record(await desk.plan(child))
    if isinstance(planned, Breach):
        return
    verdict = await desk.journal.record(await desk.review(planned))
    if isinstance(verdict, Breach):
        return
    async with TaskGroup() as parts:
        for part in planned.parts:
            parts.create_task(carry_part(part, verdict, desk), name=part.cl_ord_id)


async def carry_part(part: Part, approved: Approved, desk: ShadowDesk) -> None:
    """The one place here that may catch: a part that cannot be made or rehearsed has failed, as it would at the top of a lane."""
    record = desk.journal.record
    try:
        prepared = await record(await desk.prepare(part, approved))
        simulated = await record(await desk.simulate(prepared, approved))
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        await record(PartFailed(part, error.code, str(error), desk.clock.now_ns()))
        return
    if isinstance(simulated, PartFailed):
        return
    shadowed = await record(
        Shadowed(
            part,
            simulated.order,
            part_px(part, approved.planned.child.side, part.in_raw, part.out_raw, desk.decimals)
            or Decimal(0),
            simulated.out_raw,
            simulated.floor_raw,
            simulated.block_number,
            desk.clock.now_ns(),
        )
    )
    await record(await desk.looker.first(shadowed, approved))
    desk.look_again(shadowed, approved)
