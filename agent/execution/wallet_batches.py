"""The wallet's own batches around an offer: its exact allowance before, the end of it after. Each walks the road from Instructed on.

A batch is a part of its own, a child of the offer's part, so that its gas is counted there; it runs inside the lane the offer holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry
from agent.domain.events import Authorized, ChainBatch, Instructed, PartFailed, Refused, Simulated
from agent.domain.ids import ClOrdId, part_id
from agent.domain.orders import Part
from agent.domain.submission_state import SubmissionState
from agent.execution.outbox import Outbox
from agent.execution.recorder import Recorder
from agent.execution.tracker import ChainWatch, Tracker
from agent.ports import Authorizer, Clock
from chains.types import Call

DECIDED = (SubmissionState.INCLUDED, SubmissionState.FINAL, SubmissionState.REVERTED, SubmissionState.EXPIRED, SubmissionState.CANCELLED)  # fmt: skip


class Rehearsal(Protocol):
    async def rehearse(self, calls: Sequence[Call], asset: str) -> tuple[ChainBatch, int, int]:
        """The calls as a dated batch (its guard looks at `asset`, any ERC-20), its gas and the block it was rehearsed on, here. Raises Reject WOULD_REVERT."""
        ...


class WalletBatches:
    def __init__(
        self, clock: Clock, recorder: Recorder, authority: Authorizer, outbox: Outbox, tracker: Tracker
    ) -> None:
        self._clock, self._recorder = clock, recorder
        self._authority, self._outbox, self._tracker = authority, outbox, tracker

    def open_of(self, part: Part) -> list[Authorized]:
        """What was signed for a part and has not ended, by an earlier life too."""
        return [
            r.authorized
            for r in self._recorder.book.parts.values()
            if r.part.child == part.cl_ord_id and not r.ended and r.authorized is not None
        ]

    async def included(
        self, part: Part, what: str, calls: Sequence[Call], chain: Rehearsal, watch: ChainWatch
    ) -> None:
        """Returns once a block holds the batch; `settle` follows it on to finality.

        Raises Denied or Retry where it was not signed, Reject where it would revert, did revert or ran out of time, Reconcile where it
        is unclear.
        """
        batch, gas, block = await chain.rehearse(calls, part.asset_in)
        mine = self._next(part)
        record = self._recorder.record
        await record(Instructed(mine, what, self._clock.now_ns()))
        simulated = Simulated(mine, batch, None, 0, 0, gas, block, self._clock.now_ns())
        await record(simulated)
        try:
            signed = await self._authority.authorize(simulated)
        except FairleadError as error:  # nothing was signed: it ends here, and is no open part
            await record(PartFailed(mine, error.code, str(error), self._clock.now_ns()))
            raise
        authorized = await self._recorder.record_durably(signed)
        if isinstance(authorized, Refused):
            raise Denied(authorized.rule, authorized.message, authorized.remedy)
        await self._recorder.record_durably(await self._outbox.submit(authorized))
        await self._until_decided(authorized, watch)

    async def settle(self, part: Part) -> None:
        """Follows every batch of a part to its end."""
        for authorized in self.open_of(part):
            await self._recorder.record(await self._tracker.follow(authorized))

    async def took_effect(self, part: Part) -> bool:
        """Whether a batch of a part is in a block for good: each is followed to its end first, since what a block reverted, or a relay
        refused, another block may hold after all."""
        await self.settle(part)
        mine = (r for r in self._recorder.book.parts.values() if r.part.child == part.cl_ord_id)
        return any(r.submission is SubmissionState.FINAL for r in mine)

    async def _until_decided(self, authorized: Authorized, watch: ChainWatch) -> None:
        record = self._recorder.book.parts[authorized.part.cl_ord_id]
        while record.submission not in DECIDED:
            told = watch.heads_told()
            try:
                settled = await self._tracker.look_once(authorized, watch, record)
                if settled is not None:
                    await self._recorder.record(settled)
                    break
            except Retry:
                pass  # no endpoint answered: nothing was learnt
            if record.submission not in DECIDED:
                await watch.next_look(told)
        if record.submission is None:
            raise Reconcile("BATCH_UNCLEAR", f"{record.part.cl_ord_id}: its state is unknown")
        if record.submission not in (SubmissionState.INCLUDED, SubmissionState.FINAL):
            state = record.submission.value
            raise Reject("BATCH_FAILED", f"{record.what}: the transaction ended {state}", "plan again")

    def _next(self, part: Part) -> Part:
        """A part that gives and takes nothing, under an id that was not used yet."""
        child, attempt = ClOrdId(part.cl_ord_id), 1
        while part_id(child, part.place, attempt) in self._recorder.book.parts:
            attempt += 1
        name = part_id(child, part.place, attempt)
        return Part(name, child, part.place, attempt, part.asset_in, part.asset_out, 0, 0, 0, ())
