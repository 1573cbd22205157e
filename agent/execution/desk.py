"""The desk: what the spine's steps need, wired once per process: what decides, and what signs, sends and follows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent.algos.step import Step
from agent.domain.errors import FairleadError, Reconcile
from agent.domain.events import Alarmed, Approved, PartFailed, Prepared, Simulated
from agent.domain.ids import ClOrdId
from agent.domain.orders import ParentOrder, Part
from agent.execution.deciding import Deciding
from agent.execution.lanes import Lanes
from agent.execution.outbox import Outbox
from agent.execution.tracker import Tracker
from agent.ports import Authorizer


@dataclass(kw_only=True)
class Desk(Deciding):
    authority: Authorizer
    outbox: Outbox
    tracker: Tracker
    lanes: Lanes = field(init=False)
    stopped: dict[ClOrdId, FairleadError] = field(default_factory=dict)
    """Signed parts whose lane stopped: open until a later run has asked after them."""

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
        opened = [part.part for part in self.book.parts_of(parent.cl_ord_id) if not part.ended]
        if opened and all(part.cl_ord_id in self.stopped for part in opened):
            part = opened[0]
            raise Reconcile(
                "PART_OPEN",
                f"{part.cl_ord_id} at {part.place} was signed, and then: {self.stopped[part.cl_ord_id]}",
                "it may take effect: `fairlead reconcile` asks after it, `fairlead run --once` goes on",
            )

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
