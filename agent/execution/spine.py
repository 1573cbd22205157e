"""The one road an order travels. Start reading here.

`await record(step(...))` is a pure stage; a second `await` inside it marks an effect. No stage begins before the previous
one is appended, and nothing leaves before `Authorized` is durable: the journal alone can say where a crashed order stood.
Errors are handled in the outbox, halts at the top of a lane; there is no `try` on the road.
"""

from __future__ import annotations

from asyncio import TaskGroup
from functools import partial

from agent.domain.events import (
    Accepted,
    Approved,
    Attributed,
    Breach,
    ParentClosed,
    PartFailed,
    Refused,
    Settled,
    Sliced,
)
from agent.domain.orders import ChildOrder, ParentOrder, Part
from agent.execution.desk import Desk


async def work(parent: ParentOrder, desk: Desk) -> Attributed | ParentClosed:
    """Work a parent order to its end: the algo decides what and when, `carry` does it."""
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


async def carry(child: ChildOrder, desk: Desk) -> None:
    """Carry one slice: a plan over every place, one review of the whole, then each place's part in its own lane."""
    record = desk.journal.record

    planned = await record(await desk.plan(child))
    if isinstance(planned, Breach):
        return

    verdict = await record(await desk.review(planned))
    if isinstance(verdict, Breach):
        return

    await desk.lanes.run({part: partial(carry_part, part, verdict, desk) for part in planned.parts})
    await record(desk.prove(planned))  # how far from the best the plan can have been: nothing waits for that


async def carry_part(part: Part, approved: Approved, desk: Desk) -> Settled | Refused | PartFailed:
    """Carry what one place executes, from calls to final truth; each line is one recorded stage."""
    record, record_durably = desk.journal.record, desk.journal.record_durably

    prepared = await record(await desk.prepare(part, approved))
    simulated = await record(await desk.simulate(prepared, approved))
    if isinstance(simulated, PartFailed):
        return simulated

    authorized = await record_durably(await desk.authority.authorize(simulated))
    if isinstance(authorized, Refused):
        return authorized

    await record_durably(await desk.outbox.submit(authorized))
    return await record(await desk.tracker.follow(authorized))
