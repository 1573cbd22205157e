"""Follows what was signed until it is over for good: a transaction to finality, an exchange order to its end.

Only evidence moves the state: a receipt the quorum agrees on, a nonce consumed, a deadline that the chain itself has
passed, a venue's own word. A report may come twice, late, or after the end; the book counts it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from agent.domain.errors import Denied, Reconcile, Reject, Retry, Usage
from agent.domain.events import Authorized, PartFailed, Replaced, Settled
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.order_state import TERMINAL, ExecType
from agent.domain.reports import Fill
from agent.domain.submission_state import Observation, SubmissionState, observe
from agent.execution.bearing import FREE, Fate
from agent.execution.cancelling import Cancel, Cancels
from agent.execution.nonce_gaps import NonceGaps
from agent.execution.outbox import Offers, observed, offers_of, signed_tx
from agent.execution.recorder import Recorder
from agent.execution.settlement import fill_of
from agent.execution.venue_following import VenueFollower
from agent.journal.book import NEVER_LEFT
from agent.journal.records import PartRecord
from agent.ports import Clock, ExecutionVenue
from chains.operations import sequence_of
from chains.types import Address, BlockRef, Hash32, Protection, Receipt, SignedTx


class ChainTruth(Protocol):
    """What the tracker asks of a chain; answers are a quorum's."""

    async def block(self, tag: int | str = "latest") -> BlockRef: ...

    async def receipt(self, tx_hash: Hash32) -> Receipt | None: ...

    async def nonce(self, address: Address, block: int | str = "latest") -> int: ...


class ChainWatch(Protocol):
    """One chain as the tracker needs it: its truth, when to look again, when a block is final, whose wallet it is."""

    @property
    def truth(self) -> ChainTruth: ...

    @property
    def wallet(self) -> Address: ...

    def heads_told(self) -> int:
        """How many new heads were told so far; 0 for ever where none are."""
        ...

    async def next_look(self, told: int, *, learnt: bool = True) -> None:
        """Waits for a head after the first `told`, or for as long as a poll takes; so long in any case after a look that learnt nothing."""
        ...

    async def is_final(self, receipt: Receipt, head: BlockRef) -> bool: ...

    async def wallet_fate(
        self, signed: SignedTx, wallet_nonce: int, signed_at: int, ours: frozenset[Hash32]
    ) -> Fate:
        """What became of the wallet's own nonce since block `signed_at`; `ours` are our own transactions."""
        ...

    async def cancel(self, signed: SignedTx) -> bool:
        """Asks its relay to drop it."""
        ...

    async def tend(self, signed: SignedTx, protection: Protection, head: BlockRef, max_block: int) -> str:
        """Keeps what waits at its relay worth waiting for; why it is withdrawn from there now, or ''."""
        ...


class Replaces(Protocol):
    """See `agent.execution.replacing`."""

    async def better(
        self, authorized: Authorized, before: int, signed_ns: int, head: BlockRef
    ) -> Replaced | None: ...

    async def again_at(self, authorized: Authorized, nonce: int, head: BlockRef) -> Replaced | None: ...

    async def hand_over(self, authorized: Authorized) -> None: ...


NEAR_S = 3_600
"""What has no deadline as near as this is a wallet's creation, which its address alone keeps from being done twice."""

REPORT_OF_END = {
    SubmissionState.REVERTED: ExecType.REJECTED,
    SubmissionState.EXPIRED: ExecType.EXPIRED,
    SubmissionState.CANCELLED: ExecType.CANCELED,
}
"""What an order is told when its transaction has reached such a state."""


class Tracker(VenueFollower):
    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        chains: Mapping[int, ChainWatch],
        venues: Mapping[str, ExecutionVenue],
        decimals: Mapping[AssetId, int],
        cancel_on_chain: Cancel,
        audit_s: float = 1.0,
        replacer: Replaces | None = None,
        halted: Callable[[], str] = lambda: "",
    ) -> None:
        super().__init__(clock, recorder, venues, audit_s)
        self._chains, self._decimals = chains, decimals
        self._cancels = Cancels(clock, recorder, cancel_on_chain)
        self._replacer, self._handed, self._halted = replacer, set[Hash32](), halted
        self._stays, self._withdrawn, self._taken_told = set[ClOrdId](), set[ClOrdId](), set[ClOrdId]()
        self._gaps = NonceGaps()
        self.offers: Offers | None = None

    async def follow(self, authorized: Authorized) -> Settled:
        """Returns only when nothing more is expected; a cancelled task leaves the part open for the next run."""
        if authorized.offer is not None:
            return await offers_of(self.offers).follow(authorized)
        if authorized.order is None:
            return await self._follow_chain(authorized)
        return await self._follow_venue(authorized)

    # ------------------------------------------------------------------ chain

    async def _follow_chain(self, authorized: Authorized) -> Settled:
        watch = self._chains[authorized.chain_id]
        record = self._recorder.book.parts[authorized.part.cl_ord_id]
        while True:
            told = watch.heads_told()  # a head told during the look is not waited for again
            authorized = record.authorized or authorized  # fees may have been raised meanwhile
            learnt = True
            try:
                settled = await self.look_once(authorized, watch, record)
            except Retry:
                settled, learnt = None, False  # no endpoint answered: nothing is concluded
            if settled is not None:
                return settled
            await watch.next_look(told, learnt=learnt)

    async def may_send_again(self, authorized: Authorized) -> bool:
        """Whether handing over the same signed bytes can still do what it was meant to: not mined, nonce free, in time."""
        truth = self._chains[authorized.chain_id].truth
        if await truth.nonce(authorized.sender) > authorized.nonce:
            return False
        return (await truth.block("latest")).timestamp <= authorized.deadline_s

    async def look_once(
        self, authorized: Authorized, watch: ChainWatch, record: PartRecord
    ) -> Settled | None:
        """One look at the chain; records what it shows and gives the settlement once there is one."""
        if record.submitted and record.submission is SubmissionState.AUTHORIZED:
            await self._see(authorized, Observation.RECEIVED)
        head = await watch.truth.block("latest")
        receipt = await self._receipt(authorized, watch, record)
        fate = FREE
        undone = receipt is None or receipt.status == 0
        if undone and authorized.wallet_nonce >= 0:  # whoever has seen it could submit it
            at, ours = authorized.since_block, frozenset(f.tx_hash for f in record.signed)
            fate = await watch.wallet_fate(signed_tx(authorized), authorized.wallet_nonce, at, ours)
            receipt = fate.receipt or receipt
        if receipt is not None:  # any of what was signed for the nonce may have won
            authorized = next((a for a in record.signed if a.tx_hash == receipt.tx_hash), authorized)
        await self._catch_up(authorized, watch, record, receipt)
        await self._cancels.count_gas(watch, authorized)
        state = record.submission
        if state in (SubmissionState.INCLUDED, SubmissionState.REVERTED):
            if receipt is None or receipt.block_hash != record.included_in:
                text = "the block that held it was replaced"
                if receipt is not None and receipt.tx_hash != record.winner:
                    text = "what was signed for another nonce was mined"
                await self._see(authorized, Observation.REORGED, text=text)
                return None
            if not await watch.is_final(receipt, head):
                return None
            if await self._cancels.may_come(record, authorized, watch, head):
                return None
            if state is SubmissionState.REVERTED and await self._may_execute(record, watch, head, fate):
                return None
            if state is SubmissionState.INCLUDED:
                await self._see(authorized, Observation.FINALIZED)
            return self._settle(record)
        if state is SubmissionState.FINAL:
            return self._settle(record)
        if receipt is not None:
            seen = Observation.INCLUDED if receipt.status == 1 else Observation.REVERTED
            await self._see(authorized, seen, receipt=receipt, wallet=watch.wallet)
            return None
        return await self._absent(authorized, watch, record, head, fate)

    async def _receipt(self, authorized: Authorized, watch: ChainWatch, record: PartRecord) -> Receipt | None:
        """Asked by hash only once a block has used the nonce: until then the hash is nobody's business, and there is none."""
        forms = record.signed or (authorized,)
        if record.submission in (SubmissionState.AUTHORIZED, SubmissionState.BROADCAST):
            used = await watch.truth.nonce(authorized.sender)
            forms = tuple(form for form in forms if form.nonce < used)
        reverted: Receipt | None = None
        for form in forms:
            receipt = await watch.truth.receipt(form.tx_hash)
            if receipt is not None and receipt.status == 1:
                return receipt  # of forms at several nonces one may revert before, or behind, the one that executes
            reverted = reverted or receipt
        return reverted

    async def _may_execute(self, record: PartRecord, watch: ChainWatch, head: BlockRef, fate: Fate) -> bool:
        """Whether what was signed could still succeed: a form at another nonce than the one that was decided; or, sent by anybody who
        has read it in the block that holds the revert, what a Safe's owners signed for a nonce that is free still."""
        form = record.signed[0]
        if fate.foreign or head.timestamp > form.deadline_s:
            return False
        if record.submission is SubmissionState.REVERTED and form.wallet_nonce >= 0 and not fate.used:
            return True
        if not _several(record):
            return False
        used = await watch.truth.nonce(form.sender)
        return any(form.nonce >= used for form in record.signed)

    async def _absent(
        self, authorized: Authorized, watch: ChainWatch, record: PartRecord, head: BlockRef, fate: Fate
    ) -> Settled | None:
        state = record.submission
        cancelled = await self._cancels.receipt(record, watch)
        if state is SubmissionState.EXPIRED:
            if await self._cancels.may_come(record, authorized, watch, head):
                return None
            if await self._may_execute(record, watch, head, fate):
                return None
            return self._settle(record)
        if state is SubmissionState.CANCELLED:
            if record.cancels and (cancelled is None or cancelled.block_hash != record.included_in):
                await self._see(authorized, Observation.REORGED, text="its cancellation was taken back")
                return None
            if cancelled is not None and not await watch.is_final(cancelled, head):
                return None
            if await self._may_execute(record, watch, head, fate):
                return None
            return self._settle(record)
        if cancelled is not None:
            await self._see(authorized, Observation.CANCEL_MINED, receipt=cancelled)
            return None
        used = await watch.truth.nonce(authorized.sender)
        if used > authorized.nonce:
            if await self._receipt(authorized, watch, record) is not None:
                return None  # mined since it was looked for: the next look tells
            if await self._cancels.receipt(record, watch) is None:
                await self._taken(authorized, watch, record, head, fate)
            return None
        if fate.foreign:
            for form in record.signed:  # it can only revert now, and is worth nothing to wait for
                await watch.cancel(signed_tx(form))
            await self._end_taken(authorized, "SAFE_NONCE_TAKEN", _safe_nonce(authorized, watch))
            return None
        if head.timestamp > authorized.deadline_s and head.number > authorized.max_block:
            await self._see(
                authorized, Observation.EXPIRED, text="its deadline passed before it was included"
            )
            return None
        if self._wants_cancel(record):
            if not self._cancels.tried(record):
                await self._cancel(authorized, record)
            return None
        # Where the Safe's own nonce is used, by whomever, a form in the gap could only revert.
        if not fate.used and self._gaps.to_fill(self._recorder.book, record, used, head):
            await self._fill_gap(authorized, watch, record, used, head)
            return None
        # Where a reorganisation gave back the nonce that another program had used, the form signed for it goes first.
        waits = next((form for form in record.signed if form.nonce == used), authorized)
        why = await watch.tend(signed_tx(waits), authorized.protection, head, authorized.max_block)
        part = authorized.part.cl_ord_id
        if why and part not in self._withdrawn:
            self._withdrawn.add(part)
            text = f"{part} was taken back from its relay at block {head.number}: {why}"
            await self._alarm("WITHDRAWN", text)
        if why:
            return None
        self._withdrawn.discard(part)
        if state is SubmissionState.BROADCAST:
            await self._improve(authorized, record, head)
        return None

    async def _improve(self, authorized: Authorized, record: PartRecord, head: BlockRef) -> None:
        """Higher fees for what has waited too long. What a run before this one signed and may not have sent is sent first."""
        if self._replacer is None or record.what or self._halted():
            return  # what its owners sent by hand is theirs to replace; and a halt hands nothing over
        part = authorized.part.cl_ord_id
        try:
            if record.earlier and authorized.tx_hash not in self._handed:
                self._handed.add(authorized.tx_hash)
                await self._replacer.hand_over(authorized)
            if part in self._stays:
                return
            better = await self._replacer.better(authorized, len(record.earlier), authorized.at_ns, head)
            if better is None:
                return
            await self._recorder.record_durably(better)
            assert record.authorized is not None
            self._handed.add(better.tx_hash)
            await self._replacer.hand_over(record.authorized)
            await self._see(record.authorized, Observation.REPLACED)
        except (Reject, Reconcile, Denied, Usage) as error:
            self._stays.add(part)
            await self._alarm("NOT_REPLACED", f"{part} keeps its fees and is followed on: {error}")

    async def _taken(
        self, authorized: Authorized, watch: ChainWatch, record: PartRecord, head: BlockRef, fate: Fate
    ) -> None:
        """The sender's nonce went to a transaction that is no form of the order. While the Safe's own is free, the same call is
        signed for the next one; where that is used too and by whom is not known, the deadline decides. So it does where there is
        none: a reorganisation could give the nonce back to what was signed, and only that kept it from being done twice."""
        own = self._cancels.cost_at(authorized)
        who = f"{authorized.sender}'s nonce {sequence_of(authorized.nonce)} on chain {authorized.chain_id}"
        text = f"its nonce was used by {f'a transaction of ours for {own}' if own else 'another transaction'}"
        part, in_time = authorized.part.cl_ord_id, head.timestamp <= authorized.deadline_s
        alone = authorized.wallet_nonce < 0 and authorized.deadline_s < head.timestamp + NEAR_S
        if fate.used and not fate.foreign and in_time:
            return
        if alone and in_time:
            if not own and part not in self._taken_told:
                self._taken_told.add(part)
                await self._alarm("NONCE_TAKEN", f"{part}: {text}, {who}; it ends at its deadline")
            return
        again = None
        stopped = record.what or self._halted() or self._wants_cancel(record)
        if self._replacer is not None and authorized.wallet_nonce >= 0 and not fate.used and not stopped:
            try:
                nonce = await watch.truth.nonce(authorized.sender)
                again = await self._replacer.again_at(authorized, nonce, head)
            except (Reject, Reconcile, Denied, Usage):
                again = (
                    None  # it is planned again instead, once what the owners signed is worth nothing any more
                )
        if again is None:
            told = own or part in self._taken_told
            await self._end_taken(authorized, "" if told else "NONCE_TAKEN", f"{text}, {who}")
            return
        await self._recorder.record_durably(again)
        if not own:
            await self._alarm("NONCE_TAKEN", f"{part}: {text}, {who}; it goes on at nonce {again.nonce}")
        await self._hand_over_again(record)

    async def _fill_gap(
        self, authorized: Authorized, watch: ChainWatch, record: PartRecord, used: int, head: BlockRef
    ) -> None:
        """The same call at the nonce that nobody uses any more: the Safe's own lets one of its forms execute. Without that one it waits
        for its deadline, since both could."""
        part = authorized.part.cl_ord_id
        if self._replacer is None or record.what or self._halted() or part in self._stays:
            return
        who = f"{part}: nonce {sequence_of(used)} of {authorized.sender} on chain {authorized.chain_id} was given back by a reorganisation"
        if authorized.wallet_nonce < 0:
            self._stays.add(part)
            await self._alarm(
                "NONCE_GAP",
                f"{who}, and what waits above it ends at its deadline: use that nonce for an empty transfer",
            )
            return
        try:
            again = await self._replacer.again_at(authorized, used, head)
        except (Reject, Reconcile, Denied, Usage) as error:
            self._stays.add(part)
            await self._alarm("NONCE_GAP", f"{who}, and it could not be signed for that one: {error}")
            return
        if again is not None:
            for form in record.signed:  # what is left of those could only revert behind it
                await watch.cancel(signed_tx(form))
            await self._recorder.record_durably(again)
            await self._alarm("NONCE_GAP", f"{who}; it goes on at that one")
            await self._hand_over_again(record)

    async def _end_taken(self, authorized: Authorized, code: str, text: str) -> None:
        await self._see(authorized, Observation.EXPIRED, text=text)
        if code:
            told = f"{authorized.part.cl_ord_id}: {text}: another program, or another Fairlead, has this key"
            await self._alarm(code, told)

    async def _hand_over_again(self, record: PartRecord) -> None:
        assert self._replacer is not None and record.authorized is not None
        self._handed.add(record.authorized.tx_hash)
        try:
            await self._replacer.hand_over(record.authorized)
        except (Reject, Reconcile, Denied, Usage) as error:
            part = record.part.cl_ord_id
            await self._alarm(
                "NOT_HANDED_OVER", f"{part} is followed on, and told again at its next look: {error}"
            )
        await self._see(record.authorized, Observation.REPLACED)

    async def _cancel(self, authorized: Authorized, record: PartRecord) -> None:
        """Tried once; where it is refused the transaction is followed on: it may be in the next block already."""
        part = authorized.part.cl_ord_id
        try:
            sent = await self._cancels.cancel(authorized)
        except (Reject, Reconcile, Denied, Usage) as error:
            await self._alarm("CANCEL_FAILED", f"{part} could not be cancelled, and is followed on: {error}")
            return
        if sent:
            await self._report(authorized, ExecType.PENDING_CANCEL)

    async def _catch_up(
        self, authorized: Authorized, watch: ChainWatch, record: PartRecord, receipt: Receipt | None
    ) -> None:
        """The reports of what was observed last, where the process ended between the two."""
        for gone in [name for name in record.fills if not _is_of(name, record)]:
            text = "the block that held it was replaced"
            await self._report(authorized, ExecType.TRADE_CANCEL, reference=gone, text=text)
        if record.submission is SubmissionState.BROADCAST and record.status in TERMINAL:
            await self._report(authorized, ExecType.NEW, text="told by the state it had reached")
        if record.submission is SubmissionState.INCLUDED:
            if not record.fills and receipt is not None and receipt.block_hash == record.included_in:
                await self._report(
                    authorized, ExecType.TRADE, fill=self._fill(authorized, receipt, watch.wallet)
                )
            return
        owed = REPORT_OF_END.get(record.submission) if record.submission is not None else None
        if owed is not None and record.status not in TERMINAL:
            await self._report(authorized, owed, text="told by the state it had reached")

    async def _see(
        self,
        authorized: Authorized,
        seen: Observation,
        *,
        receipt: Receipt | None = None,
        wallet: Address | None = None,
        text: str = "",
    ) -> None:
        """Records an observation and the report the submission table makes of it."""
        record = self._recorder.book.parts[authorized.part.cl_ord_id]
        if record.submission is None:
            return
        _, exec_type = observe(record.submission, seen)
        now = self._clock.now_ns()
        found = (
            observed(authorized, seen, now)
            if receipt is None
            else observed(
                authorized,
                seen,
                now,
                block_number=receipt.block_number,
                block_hash=receipt.block_hash,
                gas_used=receipt.gas_used,
                gas_price_wei=receipt.effective_gas_price_wei,
                l1_fee_wei=receipt.l1_fee_wei,
                tx_hash=receipt.tx_hash,
            )
        )
        await self._recorder.record(found)
        if exec_type is None:
            return
        fill: Fill | None = None
        reference = ""
        if exec_type is ExecType.TRADE and receipt is not None and wallet is not None:
            fill = self._fill(authorized, receipt, wallet)
        if exec_type is ExecType.TRADE_CANCEL:
            reference = next(iter(record.fills), "")
        await self._report(authorized, exec_type, fill=fill, reference=reference, text=text)

    def _fill(self, authorized: Authorized, receipt: Receipt, wallet: Address) -> Fill:
        part = authorized.part
        decimals = self._decimals[part.asset_in], self._decimals[part.asset_out]
        fill = fill_of(part, receipt, wallet, *decimals, self._clock.now_ns())
        around = self._recorder.book.parts.get(part.child)
        if around is not None and around.is_offer:
            # What goes to lie apart for an order, and what comes home from there: its own trades say what was sold and bought.
            return replace(fill, qty_in=Decimal(0), qty_out=Decimal(0))
        return fill


def never_left(part: PartRecord, why: str, at_ns: int) -> PartFailed:
    """A part of an earlier run that was not signed: nothing of it can take effect."""
    return PartFailed(part.part, NEVER_LEFT, why, at_ns)


def _is_of(exec_id: str, record: PartRecord) -> bool:
    """Whether a fill is of the block that holds the transaction now."""
    return bool(record.included_in) and exec_id.endswith(f"@{record.included_in}")


def _several(record: PartRecord) -> bool:
    return len({form.nonce for form in record.signed}) > 1


def _safe_nonce(authorized: Authorized, watch: ChainWatch) -> str:
    """What is said where another transaction of the wallet's own was executed at our nonce."""
    where = f"nonce {authorized.wallet_nonce} of the Safe {watch.wallet} on chain {authorized.chain_id}"
    return f"{where} was used by a transaction that this journal does not know"
