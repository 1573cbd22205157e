"""An order that others settle, from its signature to final truth: the exact allowance, the order book, the settlement contract's logs.

What moves the state is the chain alone: Trade logs that a quorum of endpoints tells are fills, and an order is over when a final block
is past its last second, holds its invalidation, or holds trades of all of it. The order book's status is a hint that alarms where it
differs. A signed order that was shown to anybody stays a bearer instrument until then, whatever the book answered: a refused post is
ended on chain, and only then rejected. Posting is idempotent: the UID is known before, and asked for before a second post.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.events import Alarmed, Authorized, Indeterminate, Reported, Settled, Submitted
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus
from agent.domain.orders import Offer
from agent.domain.reports import ExecutionReport, Fill
from agent.domain.units import qty_exact
from agent.execution.agent_offers import is_agents
from agent.execution.offers import INVALIDATED, TRADE, OnChain, fill_of, on_chain
from agent.execution.outbox import ATTEMPTS, PAUSE_S, Sent
from agent.execution.recorder import Recorder
from agent.execution.tracker import ChainTruth, ChainWatch
from agent.execution.wallet_batches import Rehearsal, WalletBatches
from agent.journal.records import PartRecord
from agent.ports import Clock
from chains.finality import first_block
from chains.gateway import MAX_LAG_BLOCKS
from chains.intents.cow import Told
from chains.types import Address, BlockRef, Call, CallResult, CowOrder, Log
from contracts.codec import decode_result, encode
from contracts.hashing import address_bytes

HINT_EVERY_NS = 2 * 10**9
MOST_ENDINGS = 3
"""So often an order's end is sent to the chain before a person is asked; it goes on being followed."""


class OrderBook(Protocol):
    """`chains.intents.cow.CowBook`, bound to what every order of ours has in common."""

    @property
    def name(self) -> str: ...

    async def post(self, offer: Offer, uid: str, signature: bytes) -> None: ...

    async def told(self, uid: str) -> Told | None: ...


class OfferTruth(ChainTruth, Protocol):
    async def logs_agreed(
        self, address: Address, topics: Sequence[bytes | Sequence[bytes] | None], first: int, last: int
    ) -> list[Log]: ...

    async def call(self, call: Call, block: int | str = "latest") -> CallResult: ...


class OfferChain(ChainWatch, Rehearsal, Protocol):
    """One chain as offers need it."""

    @property
    def truth(self) -> OfferTruth: ...

    @property
    def order_book(self) -> OrderBook: ...

    @property
    def relayer(self) -> Address: ...

    async def final_block(self, head: BlockRef) -> BlockRef:
        """The newest block that no reorganisation can take away, by the settings' own rule. Raises Retry."""
        ...


class AgentsOffers(Protocol):
    """The calls under the agent's own key, where it opened an order: `agent.execution.agent_offers`. Raises Usage where it has no power here."""

    def opening(self, order: CowOrder) -> Sequence[Call]: ...

    async def ending(self, order: CowOrder) -> Sequence[Call]:
        """None where another order has its place, or none: then there is nothing of it to end."""
        ...

    async def left(self, order: CowOrder) -> int: ...


@dataclass
class _Life:
    """What this process knows of one offer beside the record."""

    refused: str = ""
    never_posted: bool = False
    endings: int = 0
    hinted_ns: int = 0
    differed: bool = False
    alarmed: bool = False
    blocks: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Over:
    """No block can settle anything of it any more."""

    ended_on_chain: bool


class OfferRoad:
    """Implements `agent.execution.outbox.Offers`."""

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        chains: Mapping[int, OfferChain],
        decimals: Mapping[AssetId, int],
        batches: WalletBatches,
        agents: Mapping[int, AgentsOffers] | None = None,
    ) -> None:
        self._clock, self._recorder, self._chains = clock, recorder, chains
        self._agents = agents or {}
        self._decimals, self._batches = decimals, batches
        self._lives: dict[ClOrdId, _Life] = {}

    def _life(self, authorized: Authorized) -> _Life:
        return self._lives.setdefault(authorized.part.cl_ord_id, _Life())

    # ------------------------------------------------------------------ handing over

    async def submit(self, authorized: Authorized) -> Sent:
        """The allowance first, in a block; then the order. Where there is no allowance nothing can be settled, and nothing is shown."""
        part = authorized.part
        chain, life = self._chains[authorized.chain_id], self._life(authorized)
        try:
            what, calls = self._opening(authorized, chain)
            await self._batches.included(part, what, calls, chain, chain)
        except (Denied, Reject, Retry, Usage) as no:
            life.never_posted, life.refused = True, f"{no.code}: {no.message}"
            return self._unclear(authorized, f"no allowance was given, and nothing posted: {life.refused}")
        except Reconcile as unclear:
            return self._unclear(authorized, str(unclear))
        return await self._post(authorized)

    def _opening(self, authorized: Authorized, chain: OfferChain) -> tuple[str, Sequence[Call]]:
        """What has to be in a block before the order is shown to anybody."""
        offer, name = _offer(authorized), f"order {authorized.request_digest[:18]}…"
        order = offer.order
        most = qty_exact(order.sell_raw, self._decimals[authorized.part.asset_in])
        if is_agents(order):
            return f"open {name} at the Gate, with {most} for it", self._agents[order.chain_id].opening(order)
        calls = [Call(order.sell_token, encode("erc20", "approve", (chain.relayer, order.sell_raw)))]
        if offer.scheme == "presign":
            signed = encode("gpv2_settlement", "setPreSignature", (_bytes(authorized), True))
            calls.append(Call(order.settlement, signed))
        return f"let the vault relayer take exactly {most} for {name}", calls

    async def _post(self, authorized: Authorized) -> Submitted | Indeterminate:
        chain, part = self._chains[authorized.chain_id], authorized.part
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await chain.order_book.post(_offer(authorized), authorized.request_digest, authorized.raw)
                break
            except Retry as nothing_happened:
                if attempt == ATTEMPTS:
                    return self._unclear(authorized, str(nothing_happened))
                await self._clock.sleep(PAUSE_S * attempt)
            except Reconcile as unclear:
                return self._unclear(authorized, str(unclear))
            except Reject as no:
                self._life(authorized).refused = f"{no.code}: {no.message}"
                return self._unclear(
                    authorized, f"refused, and ended on chain since it was shown: {no.message}"
                )
        now = self._clock.now_ns()
        return Submitted(part.cl_ord_id, part.place, chain.order_book.name, authorized.request_digest, now)

    def _unclear(self, authorized: Authorized, why: str) -> Indeterminate:
        part = authorized.part
        return Indeterminate(part.cl_ord_id, part.place, why, self._clock.now_ns())

    # ------------------------------------------------------------------ following

    async def follow(self, authorized: Authorized) -> Settled:
        """Returns only when no block can settle anything of it any more, and what it left behind is taken back."""
        chain, part = self._chains[authorized.chain_id], authorized.part
        record = self._recorder.book.parts[part.cl_ord_id]
        over: _Over | None = None
        while over is None:
            told = chain.heads_told()
            try:
                over = await self._look(authorized, chain, record)
            except Retry:
                pass  # nothing was learnt, nothing is concluded
            if over is None:
                await chain.next_look(told)
        # The end is told last: a rejection frees the lane, and the lane is this batch's, too.
        await self._take_back(authorized, chain)
        await self._end(authorized, record, over)
        await self._batches.settle(part)
        return Settled(part, tuple(record.fills.values()), record.gas_wei, self._clock.now_ns())

    async def _look(self, authorized: Authorized, chain: OfferChain, record: PartRecord) -> _Over | None:
        """One look at the chain, its fills reported; how the order ended once it is over for good."""
        offer, life = _offer(authorized), self._life(authorized)
        head = await chain.truth.block("latest")
        seen, until = await self._seen(authorized, chain, head)
        await self._count(authorized, record, seen, until)
        if life.never_posted and not record.fills:
            if not is_agents(offer.order) or not await self._batches.took_effect(authorized.part):
                return _Over(ended_on_chain=False)
            # The agent's order exists by its opening alone: a block came after all that holds what had failed. It is ended as one refused.
            life.never_posted = False
        final = await chain.final_block(head)
        if final.number > until:
            return None  # too few endpoints tell that far
        invalid = seen.invalidated_in is not None and seen.invalidated_in <= final.number
        if seen.all_done(offer.order, final.number) or invalid or final.timestamp > offer.order.valid_to:
            return _Over(ended_on_chain=invalid)
        if seen.all_done(offer.order) or seen.invalidated_in is not None:
            return None  # over as soon as it is final
        if not record.submitted and not life.refused and head.timestamp < offer.order.valid_to:
            await self._ask_again(authorized, chain)
        elif record.submitted:
            await self._acknowledge(authorized, record)
            await self._hint(authorized, chain, seen, life)
        if (life.refused or self._wants_cancel(record)) and head.timestamp <= offer.order.valid_to:
            await self._end_on_chain(authorized, chain, record, life)
        return None

    async def _seen(self, authorized: Authorized, chain: OfferChain, head: BlockRef) -> tuple[OnChain, int]:
        """What the quorum tells, and until which block: a little behind the head where an endpoint lags. Raises Retry."""
        offer = _offer(authorized)
        owner = bytes(12) + address_bytes(offer.order.owner)
        first, until = first_block(offer.since_block), head.number
        while True:
            try:
                logs = await chain.truth.logs_agreed(
                    offer.order.settlement, [[TRADE, INVALIDATED], owner], first, until
                )
                return on_chain(logs, offer.order, authorized.request_digest), until
            except Retry:
                if until <= max(head.number - MAX_LAG_BLOCKS, offer.since_block):
                    raise
                until -= 1

    async def _count(self, authorized: Authorized, record: PartRecord, seen: OnChain, until: int) -> None:
        """Trades that are new become fills; fills whose block is gone are taken back. One in a block past `until` is no news."""
        now, blocks = self._clock.now_ns(), self._life(authorized).blocks
        there = {trade.exec_id for trade in seen.trades}
        for exec_id in [n for n in record.fills if n not in there and blocks.get(n, until) <= until]:
            await self._report(authorized, ExecType.TRADE_CANCEL, reference=exec_id)
        for trade in seen.trades:
            blocks[trade.exec_id] = trade.log.block_number
            if trade.exec_id not in record.fills:
                fill = fill_of(authorized.part, trade, self._decimals, now)
                await self._report(authorized, ExecType.TRADE, fill=fill)

    async def _acknowledge(self, authorized: Authorized, record: PartRecord) -> None:
        if record.status is OrdStatus.PENDING_NEW:
            await self._report(authorized, ExecType.NEW)

    async def _ask_again(self, authorized: Authorized, chain: OfferChain) -> None:
        """After an answer was lost, or a life: by the UID, and posted again only where the book has no such order."""
        part = authorized.part
        if await chain.order_book.told(authorized.request_digest) is not None:
            now = self._clock.now_ns()
            name, uid = chain.order_book.name, authorized.request_digest
            await self._recorder.record(Submitted(part.cl_ord_id, part.place, name, uid, now))
            return
        sent = await self._post(authorized)
        if isinstance(sent, Submitted):
            await self._recorder.record_durably(sent)

    async def _hint(self, authorized: Authorized, chain: OfferChain, seen: OnChain, life: _Life) -> None:
        """What the book says, against what the chain says: told to a person where it claims more than happened, twice running."""
        now = self._clock.now_ns()
        if life.alarmed or now - life.hinted_ns < HINT_EVERY_NS:
            return
        life.hinted_ns = now
        told: Told | None = None
        with suppress(FairleadError):
            told = await chain.order_book.told(authorized.request_digest)
        claims = told is not None and (told.status == "fulfilled" or told.sold_raw > seen.sold_raw())
        if claims and life.differed and told is not None:
            life.alarmed = True
            order = _offer(authorized).order
            done = seen.bought_raw() if order.buys else seen.sold_raw()
            what = f"{authorized.part.cl_ord_id}: {chain.order_book.name} says {told.status}, the chain holds {done} of "
            what += f"{order.whole_raw} {'bought' if order.buys else 'sold'}; the chain counts"
            await self._alarm("ORDER_BOOK_DIFFERS", what)
        life.differed = claims

    # ------------------------------------------------------------------ ending

    def _wants_cancel(self, record: PartRecord) -> bool:
        child = self._recorder.book.children.get(record.part.child)
        parent = self._recorder.book.parents.get(child.child.parent) if child is not None else None
        return record.cancel_requested or (parent is not None and parent.cancel_requested)

    async def _end_on_chain(
        self, authorized: Authorized, chain: OfferChain, record: PartRecord, life: _Life
    ) -> None:
        """invalidateOrder and no allowance, in one batch. A settlement already under way may come first: it is counted all the same."""
        if life.endings >= MOST_ENDINGS:
            return
        part, order = authorized.part, _offer(authorized).order
        if record.status is not OrdStatus.PENDING_CANCEL and record.status not in TERMINAL:
            await self._report(authorized, ExecType.PENDING_CANCEL)
        invalidate = encode("gpv2_settlement", "invalidateOrder", (_bytes(authorized),))
        calls: Sequence[Call] = [Call(order.settlement, invalidate), _no_allowance(order, chain)]
        what = f"end order {authorized.request_digest[:18]}… on chain, and its allowance"
        try:
            if is_agents(order):
                calls = await self._agents[order.chain_id].ending(order)
            if not calls:
                return  # none of it lies there in the block that was asked: the next may hold it (again)
            await self._batches.included(part, what, calls, chain, chain)
        except (Reject, Reconcile, Denied, Usage) as error:
            why = f"{part.cl_ord_id} could not be ended on chain and is followed until {order.valid_to}: {error}"
            await self._alarm("CANCEL_FAILED", why)
        life.endings += 1  # a Retry is none: nothing happened

    async def _end(self, authorized: Authorized, record: PartRecord, over: _Over) -> None:
        if record.status in TERMINAL:
            return
        refused = self._life(authorized).refused
        if refused and not record.fills:
            await self._report(authorized, ExecType.REJECTED, text=refused)
        elif over.ended_on_chain:
            await self._report(authorized, ExecType.CANCELED, text="ended on chain")
        else:
            await self._report(authorized, ExecType.EXPIRED, text="its last second passed")

    async def _take_back(self, authorized: Authorized, chain: OfferChain) -> None:
        """After the end nothing may stay approved, nor apart: what was not used up is taken back, or a person is told."""
        part, order = authorized.part, _offer(authorized).order
        left, why = 0, ""
        for attempt in range(MOST_ENDINGS + 1):
            try:
                left = await self._left(order, chain)
                if left == 0:
                    return
                if attempt == MOST_ENDINGS:
                    break
                what, calls = (
                    f"take back {left} left by order {authorized.request_digest[:18]}…",
                    [_no_allowance(order, chain)],
                )
                if is_agents(order):
                    calls = [*await self._agents[order.chain_id].ending(order)]
                await self._batches.included(part, what, calls, chain, chain)
            except (Retry, Reject) as error:
                why = str(error)
                await self._clock.sleep(PAUSE_S)
            except (Denied, Reconcile, Usage) as error:
                why = str(error)
                break
        much = f"{left or 'an unknown rest'} of {order.sell_token}"
        told = (
            f"{much} may still lie in {order.owner}: {why or 'it does not go'}; its `end` pays it to the Safe, whoever calls it"
            if is_agents(order)
            else f"the vault relayer may still take {much}: {why or 'it was revoked and is there again'}; take it back with "
            "`fairlead wallet propose --revoke`"
        )
        await self._alarm("OFFER_LEFT" if is_agents(order) else "ALLOWANCE_LEFT", f"{part.cl_ord_id}: {told}")

    async def _left(self, order: CowOrder, chain: OfferChain) -> int:
        if is_agents(order):
            return await self._agents[order.chain_id].left(order)
        asked = encode("erc20", "allowance", (order.owner, chain.relayer))
        answer = await chain.truth.call(Call(order.sell_token, asked))
        return int(decode_result("erc20", "allowance", answer.data)[0])

    # ------------------------------------------------------------------ the record

    async def _report(
        self,
        authorized: Authorized,
        exec_type: ExecType,
        *,
        fill: Fill | None = None,
        reference: str = "",
        text: str = "",
    ) -> None:
        part, book = authorized.part, self._recorder.book
        report = ExecutionReport(
            part.cl_ord_id, part.place, exec_type, self._clock.now_ns(), authorized.request_digest, fill, reference, text
        )  # fmt: skip
        if book.is_duplicate(report):
            return
        surprising = book.surprises(report)
        await self._recorder.record(Reported(report))
        if surprising:
            await self._alarm("FILL_AFTER_END", f"{part.cl_ord_id} was over and was filled all the same")

    async def _alarm(self, code: str, message: str) -> None:
        await self._recorder.record(Alarmed(code, message, self._clock.now_ns()))


def _offer(authorized: Authorized) -> Offer:
    assert authorized.offer is not None
    return authorized.offer


def _bytes(authorized: Authorized) -> bytes:
    return bytes.fromhex(authorized.request_digest[2:])


def _no_allowance(order: CowOrder, chain: OfferChain) -> Call:
    return Call(order.sell_token, encode("erc20", "approve", (chain.relayer, 0)))
