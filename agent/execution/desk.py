"""The desk: what the spine's steps need, wired once per process: what decides, and what signs, sends and follows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent.algos.step import Step
from agent.domain.errors import FairleadError, Reconcile
from agent.domain.events import Alarmed, Approved, Breach, PartFailed, Planned, Prepared, Simulated
from agent.domain.ids import ClOrdId
from agent.domain.orders import ChildOrder, ParentOrder, Part
from agent.execution.deciding import Deciding
from agent.execution.lanes import Lanes
from agent.execution.outbox import Outbox
from agent.execution.tracker import Tracker
from agent.ports import Authorizer

AGAIN_NS = 3600 * 10**9


@dataclass(kw_only=True)
class Desk(Deciding):
    authority: Authorizer
    outbox: Outbox
    tracker: Tracker
    lanes: Lanes = field(init=False)
    stopped: dict[ClOrdId, FairleadError] = field(default_factory=dict)
    """Signed parts whose lane stopped: open until a later run has asked after them."""
    _refused_ns: dict[ClOrdId, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.part_stopped)
        self.tracker.answers = self.outbox.answers
        self.journal.watchers.append(self.lanes.saw)
        super().__post_init__()

    async def next_step(self, parent: ParentOrder) -> Step:
        """As it is decided. Raises Reconcile PART_OPEN where only signed parts are left whose lanes have stopped: nobody follows them
        here."""
        self._need_followers(parent)
        return await super().next_step(parent)

    def _need_followers(self, parent: ParentOrder) -> None:
        if not self.stopped:
            return
        opened = [part.part for part in self.book.parts_of(parent.cl_ord_id) if not part.ended]
        if opened and all(part.cl_ord_id in self.stopped for part in opened):
            part = opened[0]
            raise Reconcile(
                "PART_OPEN",
                f"{part.cl_ord_id} at {part.place} was signed, and then: {self.stopped[part.cl_ord_id]}",
                "it may take effect: `fairlead reconcile` asks after it, `fairlead run --once` goes on",
            )

    async def plan(self, child: ChildOrder) -> Planned | Breach:
        found = await super().plan(child)
        if isinstance(found, Breach):
            await self._refused(child, found)
        return found

    async def review(self, plan: Planned) -> Approved | Breach:
        verdict = await super().review(plan)
        if isinstance(verdict, Breach):
            await self._refused(plan.child, verdict)
        elif plan.child.closes:
            self._refused_ns.pop(plan.child.parent, None)
        return verdict

    async def _refused(self, child: ChildOrder, why: Breach) -> None:
        """An exit whose price was reached and that was refused protects nothing: its owner is to know, once an hour at most."""
        reason, now = why.reasons[0], self.clock.now_ns()
        if not child.closes or child.exits is not None or reason.rule == "LIMIT":
            return  # nothing watched here; or a take-profit whose price went away again
        if 0 <= now - self._refused_ns.get(child.parent, -AGAIN_NS) < AGAIN_NS:
            return
        self._refused_ns[child.parent] = now
        text = f"exit {child.parent} was reached and is not done: {reason.rule}: {reason.message} ({reason.remedy}); it is tried again"
        await self.journal.record(Alarmed("EXIT_REFUSED", text, now))

    async def simulate(self, prepared: Prepared, approved: Approved) -> Simulated | PartFailed:
        """The rehearsal; what the signature needs to know of the chain is read meanwhile."""
        rehearsal = self.workshop.simulate(prepared, approved, self.views[prepared.part.child])
        if prepared.chain is None:
            return await rehearsal
        simulated, _ = await asyncio.gather(rehearsal, self.authority.look(prepared.chain.chain_id))
        return simulated

    async def part_stopped(self, part: Part, error: FairleadError) -> None:
        """Called at the top of a lane: a part that was not signed has ended, a signed one waits for reconciliation."""
        now = self.clock.now_ns()
        record = self.book.parts[part.cl_ord_id]
        if record.authorized is None:
            await self.journal.record(PartFailed(part, error.code, str(error), now))
        else:
            self.stopped[part.cl_ord_id] = error
            await self.journal.record(Alarmed(error.code, f"{part.cl_ord_id}: {error}", now))
