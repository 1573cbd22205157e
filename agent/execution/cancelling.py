"""The transactions that take an order's nonce in its stead: signed, recorded, sent; and their gas is booked whoever won.

Where somebody else submits what the owners signed, the order is done and its sender's nonce is still free: our cancelling
transaction, or a form of the order that then reverts, may be mined there afterwards. It is no form of the order and costs gas.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.domain.errors import Denied, Reconcile, Reject, Usage
from agent.domain.events import Authorized, CancelSigned, GasPaid
from agent.domain.ids import ClOrdId
from agent.domain.submission_state import UNDECIDED
from agent.execution.recorder import Recorder
from agent.journal.records import PartRecord
from agent.ports import Clock
from chains.types import Address, BlockRef, Hash32, Receipt, SignedTx

Note = Callable[[SignedTx, int], Awaitable[None]]
"""Told of a cancelling transaction, and of the last block its roads keep it for, before it is sent."""
Cancel = Callable[[Authorized, Note], Awaitable[None]]


class Truth(Protocol):
    async def receipt(self, tx_hash: Hash32) -> Receipt | None: ...

    async def nonce(self, address: Address, block: int | str = "latest") -> int: ...


class Watch(Protocol):
    @property
    def truth(self) -> Truth: ...

    async def is_final(self, receipt: Receipt, head: BlockRef) -> bool: ...


class Cancels:
    def __init__(self, clock: Clock, recorder: Recorder, send: Cancel) -> None:
        self._clock, self._recorder, self._send = clock, recorder, send
        self._tried: set[ClOrdId] = set()
        self._decided: set[ClOrdId] = set()

    def tried(self, record: PartRecord) -> bool:
        """In this process's life: what an earlier one signed may not have left, and is signed again at today's fees."""
        return record.part.cl_ord_id in self._tried

    async def cancel(self, authorized: Authorized) -> bool:
        """Whether one was signed; its hash is on the disk before it leaves. Raises as whoever signs or takes it refuses."""
        part, signed_any = authorized.part, False

        async def note(signed: SignedTx, max_block: int) -> None:
            nonlocal signed_any
            now = self._clock.now_ns()
            signed_any = True
            told = CancelSigned(part.cl_ord_id, part.place, signed.hash, max_block, now)
            if signed.hash not in _cancels_of(self._recorder.book.parts[part.cl_ord_id]):
                await self._recorder.record_durably(told)

        try:
            await self._send(authorized, note)
        except (Reject, Reconcile, Denied, Usage):
            self._tried.add(part.cl_ord_id)
            raise
        self._tried.add(part.cl_ord_id)
        return signed_any

    async def receipt(self, record: PartRecord, watch: Watch) -> Receipt | None:
        """The receipt of whichever cancelling transaction was mined."""
        for cancel in record.cancels:
            found = await watch.truth.receipt(cancel.tx_hash)
            if found is not None:
                return found
        return None

    async def may_come(
        self, record: PartRecord, authorized: Authorized, watch: Watch, head: BlockRef
    ) -> bool:
        """Whether a cancelling transaction may still be mined beside what decided the order: it would cost gas."""
        if all(head.number > cancel.max_block for cancel in record.cancels):
            return False
        return await watch.truth.nonce(authorized.sender) <= authorized.nonce

    def cost_at(self, authorized: Authorized) -> ClOrdId | None:
        """Whose transaction of ours, beside its own order, was mined at this very nonce."""
        for name in self._recorder.book.contested:
            record = self._recorder.book.parts[name]
            if record.side_gas and name != authorized.part.cl_ord_id and _same_nonce(record, authorized):
                return name
        return None

    async def count_gas(self, watch: Watch, authorized: Authorized) -> None:
        """Books what our transactions cost that decided nothing, for every part of this sender that more was signed for."""
        parts = self._recorder.book.parts
        open_ = [
            parts[name]
            for name in sorted(self._recorder.book.contested - self._decided)
            if _same_sender(parts[name], authorized) and not _told_elsewhere(parts[name])
        ]
        if open_:
            used = await watch.truth.nonce(authorized.sender)
            for record in open_:
                await self._count(watch, record, used)

    async def _count(self, watch: Watch, record: PartRecord, used: int) -> None:
        ours = {f.tx_hash: f.nonce for f in record.signed}
        assert record.authorized is not None
        ours |= {cancel.tx_hash: record.authorized.nonce for cancel in record.cancels}
        mined: dict[Hash32, Receipt] = {}
        for tx_hash, nonce in ours.items():
            if nonce < used and tx_hash != record.winner:
                found = await watch.truth.receipt(tx_hash)
                if found is not None:
                    mined[tx_hash] = found
        if mined.keys() - _cancels_of(record) and not record.settled and not record.winner:
            return  # a form of an order that had expired: its own story tells of it
        if record.settled and all(nonce < used for nonce in ours.values()):
            self._decided.add(record.part.cl_ord_id)
        for gone in [h for h in record.side_gas if Hash32(h) not in mined]:
            await self._tell(record, Hash32(gone), None)
        for tx_hash, receipt in mined.items():
            if record.side_gas.get(tx_hash) != _cost(receipt):
                await self._tell(record, tx_hash, receipt)

    async def _tell(self, record: PartRecord, tx_hash: Hash32, mined: Receipt | None) -> None:
        found = (0, "", 0, 0, 0)
        if mined is not None:
            found = (
                mined.block_number,
                mined.block_hash,
                mined.gas_used,
                mined.effective_gas_price_wei,
                mined.l1_fee_wei,
            )
        now = self._clock.now_ns()
        await self._recorder.record(GasPaid(record.part.cl_ord_id, record.part.place, tx_hash, *found, now))


def _cancels_of(record: PartRecord) -> set[Hash32]:
    return {cancel.tx_hash for cancel in record.cancels}


def _cost(receipt: Receipt) -> int:
    return receipt.gas_used * receipt.effective_gas_price_wei + receipt.l1_fee_wei


def _told_elsewhere(record: PartRecord) -> bool:
    """Whether the order's own story tells of all gas: no block has decided yet, or what did is the one use of its only nonce."""
    forms = record.signed
    ours = {form.tx_hash for form in forms} | _cancels_of(record)
    alone = len({form.nonce for form in forms}) == 1
    return not forms or record.submission in UNDECIDED or (record.winner in ours and alone)


def _same_sender(record: PartRecord, other: Authorized) -> bool:
    mine = record.authorized
    return mine is not None and (mine.chain_id, mine.sender) == (other.chain_id, other.sender)


def _same_nonce(record: PartRecord, other: Authorized) -> bool:
    return (
        _same_sender(record, other)
        and record.authorized is not None
        and record.authorized.nonce == other.nonce
    )


__all__ = ["Cancel", "Cancels", "Note"]
