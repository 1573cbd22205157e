"""The second lock and the signature: what was rehearsed becomes one signed transaction of a Safe, or one signed request.

The only file of execution that knows keys. It holds none: signatures come from the signer process, or from owners who
sign attended in a process of their own. The Safe's hash is computed here and compared with the contract's own answer on
this machine before anybody signs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from agent.domain.errors import Denied, FairleadError, Halt, Reconcile, Retry
from agent.domain.events import Authorized, ChainBatch, Refused, Simulated
from agent.domain.ids import ClOrdId
from agent.domain.instruments import venue_of
from agent.execution import nonce_lanes
from agent.execution.locks import Locks
from agent.execution.outbox import Outbox
from agent.journal.book import Book
from agent.ports import Clock, ExecutionVenue
from chains.gas import FeeHistory, Urgency, bid, gas_limit_up
from chains.gateway import Gateway
from chains.nonces import next_nonce
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, Fees, Hash32, SignedTx, UnsignedTx
from chains.warm import Warm
from contracts import multisend
from contracts.codec import decode_result, encode
from keys import safe_signatures
from keys.safe import DELEGATECALL, SafeTx, exec_transaction, safe_tx_hash

NONCE_REUSED = "POLICY_NONCE_REUSED"
"""The signer's refusal of a second, different signature for a nonce while the first may still execute."""
NO_WALLET_NONCE = -1
"""In the record of a transaction that carries no Safe transaction."""
EXEC_OVERHEAD_GAS = 60_000
"""What Safe.execTransaction adds around the batch: the proxy, the nonce, and two or three signature checks."""


class LocalCall(Protocol):
    """eth_call on this machine's own fork, at the block it stands at: calldata goes nowhere else."""

    async def call_here(self, call: Call) -> bytes: ...


class Execute(Protocol):
    """Owners' and sender's signatures in one question: the outer transaction with its calldata, signed. Denied where refused."""

    async def __call__(
        self, safe: Address, tx: SafeTx, digest: bytes, sender: Address, outer: UnsignedTx, now_s: int
    ) -> SignedTx: ...


class OwnerSignatures(Protocol):
    """Collects the threshold of owners' signatures over a Safe transaction; Denied where they are refused.

    `execute`: where owners and sender live together in the signer and nobody is asked; else None.
    """

    @property
    def execute(self) -> Execute | None: ...

    async def collect(
        self, chain_id: int, safe: Address, tx: SafeTx, now_s: int
    ) -> Mapping[Address, bytes]: ...


class OfferAuthorizer(Protocol):
    """The signature of an order that others settle: `agent.execution.offer_authority`."""

    async def authorize(self, simulated: Simulated) -> Authorized: ...


class SenderSignature(Protocol):
    async def sign(
        self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False
    ) -> SignedTx: ...


@dataclass
class ChainAuthority:
    """What authority needs of one chain. `agent_roles`: the Roles modifiers whose member the sender is, where its own key trades;
    `agent_offers`: what holds the orders it makes for others to settle; `next_nonce`: where the sender's nonces are not its transactions, but
    an EntryPoint's; `block_time_ms`: as a rule, 0 where it is not known."""

    gateway: Gateway | Warm
    local: LocalCall
    wallet: Address
    owners: tuple[Address, ...]
    threshold: int
    multi_send: Address
    sender: Address
    max_blocks: int
    agent_roles: frozenset[Address] = frozenset()
    agent_offers: Address | None = None
    next_nonce: Callable[[], Awaitable[int]] | None = None
    urgency: Urgency = Urgency.NORMAL
    fees: dict[str, Fees] = field(default_factory=dict)
    block_time_ms: int = 0

    def last_block(self, head: BlockRef, deadline_s: int) -> int:
        """The last block that what is signed at `head` is handed over for: none whose time is past the deadline in its calldata."""
        if not self.block_time_ms:
            return head.number + self.max_blocks
        in_time = -(-(deadline_s - head.timestamp) * 1000 // self.block_time_ms)
        return head.number + min(self.max_blocks, max(in_time, 1))


@dataclass(frozen=True, slots=True)
class Seen:
    """A chain just before a signature: its head, the next nonces as it counts them, and what gas went for.

    `undecided` are the nonces signed here that no block had decided when it was read.
    """

    at_ns: int
    undecided: tuple[int, ...]
    head: BlockRef
    wallet_nonce: int
    nonce: int
    history: FeeHistory


SEEN_FOR_NS = 2 * 10**9
"""What was read longer ago is read again: a lane is serial, but other people's blocks go on."""


class Authority:
    """Implements `agent.ports.Authorizer`."""

    def __init__(
        self,
        clock: Clock,
        book: Book,
        chains: Mapping[int, ChainAuthority],
        venues: Mapping[str, ExecutionVenue],
        owners: OwnerSignatures,
        sender: SenderSignature,
        outbox: Outbox,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock, self._book, self._chains, self._venues = clock, book, chains, venues
        self._owners, self._sender, self._outbox, self._ready = owners, sender, outbox, ready
        self._seen: dict[int, Seen] = {}
        self.offers: OfferAuthorizer | None = None
        self.locks = Locks()
        """Places that get no signature of ours; see `agent.execution.locks`."""
        self.say: Callable[[str], None] = lambda text: None
        """Tells a person what is waited for."""

    async def look(self, chain_id: int) -> None:
        self._seen.pop(chain_id, None)
        with suppress(FairleadError):  # authorize reads again, and says what is wrong
            self._seen[chain_id] = await self._read(self._chains[chain_id], chain_id)

    async def _read(self, chain: ChainAuthority, chain_id: int) -> Seen:
        undecided = tuple(a.nonce for a in self._undecided(chain_id, chain.sender))
        return Seen(
            self._clock.now_ns(),
            undecided,
            *await asyncio.gather(
                chain.gateway.block("latest"),
                self._wallet_nonce(chain, chain_id),
                chain.next_nonce() if chain.next_nonce is not None else chain.gateway.nonce(chain.sender),
                chain.gateway.fee_history(),
            ),
        )

    async def authorize(self, simulated: Simulated) -> Authorized | Refused:
        """Raises Retry NONCE_HELD, after waiting, where the signer had signed something else for the same nonce."""
        await self._ready()
        try:
            self._need_open(simulated)
            if simulated.offer is not None:
                return await self._offer(simulated)
            if simulated.chain is not None:
                return await self._transaction(simulated, simulated.chain)
            return await self._request(simulated)
        except Denied as no:
            if no.code == NONCE_REUSED and simulated.chain is not None:
                await self._outlive(simulated.chain)
                raise Retry("NONCE_HELD", no.message, "it has expired by now: plan again") from no
            return Refused(simulated.part, no.code, no.message, no.hint, self._clock.now_ns())

    def _need_open(self, simulated: Simulated) -> None:
        record, before = (
            self._book.parts.get(ClOrdId(n)) for n in (simulated.part.cl_ord_id, simulated.part.child)
        )
        signed = before is not None and before.authorized is not None
        self.locks.refuse(simulated, record.what if record is not None else "", signed)

    async def _offer(self, simulated: Simulated) -> Authorized:
        if self.offers is None:
            raise Denied(
                "INTENT_NEEDS_OWNERS",
                "an order for others to settle is the Safe's own signature, and nobody who may give it is here: the agent's own key "
                "makes one from its fields where the owners' scope says so, and never signs a bare UID",
                "owners sign it, or trade with --protection private",
            )
        return await self.offers.authorize(simulated)

    async def _outlive(self, batch: ChainBatch) -> None:
        """Waits until whatever was signed for this nonce before can no longer execute: its deadline is not after ours.

        A process that died between the signature and its record leaves the signer with one that nobody else knows of.
        """
        gateway, told = self._chains[batch.chain_id].gateway, False
        while (head := await gateway.block("latest")).timestamp <= batch.deadline_s:
            if not told:
                told, until = True, datetime.fromtimestamp(batch.deadline_s, UTC)
                self.say(
                    f"eip155:{batch.chain_id}: the signer signed for this nonce before, and no record here names what: waiting until "
                    f"{until:%H:%M:%S} UTC by the chain's clock, {batch.deadline_s - head.timestamp} s from now, when that has lapsed"
                )
            await self._clock.sleep(1)

    async def _request(self, simulated: Simulated) -> Authorized:
        assert simulated.order is not None
        venue = self._venues[venue_of(simulated.part.place) or ""]
        request = await venue.authorize(simulated.order)
        self._outbox.signed_requests[simulated.part.cl_ord_id] = request
        return Authorized(
            part=simulated.part,
            order=simulated.order,
            chain_id=0,
            sender=ZERO_ADDRESS,
            nonce=0,
            wallet_nonce=0,
            tx_hash=Hash32(""),
            raw=b"",
            request_digest=request.digest,
            protection=self._protection(simulated.part.child),
            max_block=0,
            deadline_s=0,
            floor_raw=simulated.floor_raw,
            at_ns=self._clock.now_ns(),
        )

    def _protection(self, child: ClOrdId):  # type: ignore[no-untyped-def]
        return self._book.children[child].child.protection

    async def _transaction(self, simulated: Simulated, batch: ChainBatch) -> Authorized:
        chain = self._chains[batch.chain_id]
        seen = await self._seen_now(chain, batch.chain_id)
        head, nonce = seen.head, self._next(batch.chain_id, chain.sender, seen.nonce)
        if len(batch.calls) == 1 and batch.calls[0].to in chain.agent_roles:
            # The owners' word is the scope they granted: the agent's key signs alone, and no Safe nonce is used.
            return await self._signed(simulated, batch, chain, seen, nonce, batch.calls[0], NO_WALLET_NONCE)
        held = self._book.living.signed()
        wallet_nonce = next_nonce(nonce_lanes.wallet(held, batch.chain_id, chain.wallet, seen.wallet_nonce))
        tx = self.safe_tx(chain, batch, wallet_nonce)
        digest = safe_tx_hash(batch.chain_id, chain.wallet, tx)
        check = self.check_hash(chain, batch.chain_id, tx, digest)
        execute = self._owners.execute
        if execute is None:  # people are asked only for a hash that the contract itself confirms
            await check
            signatures = await self._owners.collect(batch.chain_id, chain.wallet, tx, head.timestamp)
            given = [safe_signatures.read(digest, signature) for signature in signatures.values()]
            packed = safe_signatures.pack(given, chain.owners, chain.threshold)
            return await self._outer(simulated, batch, chain, seen, nonce, tx, packed)
        # Signed beside the check: what the contract does not confirm is signed for its nonce, and never leaves.
        outer = self._unsigned(simulated, batch, chain, seen, nonce, Call(chain.wallet, b""))
        signing = execute(chain.wallet, tx, digest, chain.sender, outer, head.timestamp)
        signed, _ = await asyncio.gather(signing, check)
        return self._authorized(simulated, batch, chain, seen, signed, wallet_nonce)

    async def authorize_signed(self, simulated: Simulated, tx: SafeTx, packed: bytes) -> Authorized | Refused:
        """The sender's signature around a Safe transaction that its owners have signed themselves, at a nonce they chose.

        Refused SAFE_NONCE_USED, SAFE_NONCE_TAKEN where that nonce is not the Safe's next, or something of ours works at it.
        """
        await self._ready()
        batch = simulated.chain
        assert batch is not None
        chain = self._chains[batch.chain_id]
        seen = await self._read(chain, batch.chain_id)
        mine = self._undecided(batch.chain_id, chain.sender)
        try:
            if tx.nonce != seen.wallet_nonce:
                raise Denied(
                    "SAFE_NONCE_USED" if tx.nonce < seen.wallet_nonce else "SAFE_NONCE_FUTURE",
                    f"it is signed for nonce {tx.nonce}, the Safe is at {seen.wallet_nonce}",
                    "nothing was sent",
                )
            if taken := [a for a in mine if a.wallet_nonce == tx.nonce]:
                raise Denied(
                    "SAFE_NONCE_TAKEN",
                    f"{taken[0].part.cl_ord_id} was sent at Safe nonce {tx.nonce} and is not decided yet",
                    f"wait for it, or `fairlead cancel {taken[0].part.cl_ord_id}`",
                )
            nonce = self._next(batch.chain_id, chain.sender, seen.nonce)
            return await self._outer(simulated, batch, chain, seen, nonce, tx, packed, attended=True)
        except Denied as no:
            return Refused(simulated.part, no.code, no.message, no.hint, self._clock.now_ns())

    async def authorize_creation(self, simulated: Simulated) -> Authorized | Refused:
        """The sender's own call of the Safe proxy factory, the batch's only call: it carries no Safe transaction (wallet_nonce -1)."""
        await self._ready()
        batch = simulated.chain
        assert batch is not None
        (call,) = batch.calls
        chain = self._chains[batch.chain_id]
        history, head = await asyncio.gather(chain.gateway.fee_history(), chain.gateway.block("latest"))
        nonce = self._next(batch.chain_id, chain.sender, await chain.gateway.nonce(chain.sender))
        seen = Seen(self._clock.now_ns(), (), head, NO_WALLET_NONCE, nonce, history)
        try:
            return await self._signed(simulated, batch, chain, seen, nonce, call, NO_WALLET_NONCE)
        except Denied as no:
            return Refused(simulated.part, no.code, no.message, no.hint, self._clock.now_ns())

    async def _outer(
        self,
        simulated: Simulated,
        batch: ChainBatch,
        chain: ChainAuthority,
        seen: Seen,
        nonce: int,
        tx: SafeTx,
        packed: bytes,
        attended: bool = False,
    ) -> Authorized:
        call = Call(chain.wallet, exec_transaction(tx, packed))
        return await self._signed(simulated, batch, chain, seen, nonce, call, tx.nonce, attended)

    async def _signed(
        self,
        simulated: Simulated,
        batch: ChainBatch,
        chain: ChainAuthority,
        seen: Seen,
        nonce: int,
        call: Call,
        wallet_nonce: int,
        attended: bool = False,
    ) -> Authorized:
        outer = self._unsigned(simulated, batch, chain, seen, nonce, call)
        signed = await self._sender.sign(outer, max(wallet_nonce, 0), seen.head.timestamp, attended=attended)
        return self._authorized(simulated, batch, chain, seen, signed, wallet_nonce)

    def _unsigned(
        self,
        simulated: Simulated,
        batch: ChainBatch,
        chain: ChainAuthority,
        seen: Seen,
        nonce: int,
        call: Call,
    ) -> UnsignedTx:
        return UnsignedTx(
            chain_id=batch.chain_id,
            nonce=nonce,
            to=call.to,
            value=0,
            data=call.data,
            gas=gas_limit_up(simulated.gas + EXEC_OVERHEAD_GAS),
            fees=bid(seen.history, chain.urgency),
        )

    def _authorized(
        self,
        simulated: Simulated,
        batch: ChainBatch,
        chain: ChainAuthority,
        seen: Seen,
        signed: SignedTx,
        wallet_nonce: int,
    ) -> Authorized:
        return Authorized(
            part=simulated.part,
            order=None,
            chain_id=batch.chain_id,
            sender=chain.sender,
            nonce=signed.nonce,
            wallet_nonce=wallet_nonce,
            tx_hash=signed.hash,
            raw=signed.raw,
            request_digest="",
            protection=batch.protection,
            max_block=chain.last_block(seen.head, batch.deadline_s),
            deadline_s=batch.deadline_s,
            floor_raw=simulated.floor_raw,
            at_ns=self._clock.now_ns(),
            signed_block=seen.head.number,
        )

    async def _seen_now(self, chain: ChainAuthority, chain_id: int) -> Seen:
        """What `look` read, unless it is old or one of our own transactions was signed or decided since: then read anew."""
        seen = self._seen.pop(chain_id, None)
        if seen is not None and self._clock.now_ns() - seen.at_ns <= SEEN_FOR_NS:
            if seen.undecided == tuple(a.nonce for a in self._undecided(chain_id, chain.sender)):
                return seen
        return await self._read(chain, chain_id)

    def safe_tx(self, chain: ChainAuthority, batch: ChainBatch, nonce: int) -> SafeTx:
        """The batch as the Safe's one transaction: a delegatecall of the official MultiSendCallOnly, no refunds."""
        parts = [multisend.Part(call.to, call.value, call.data) for call in batch.calls]
        return SafeTx(chain.multi_send, 0, multisend.calldata(parts), DELEGATECALL, nonce)

    async def check_hash(self, chain: ChainAuthority, chain_id: int, tx: SafeTx, digest: bytes) -> None:
        """Raises Halt SAFE_HASH_DIFFERS where the contract's own answer is another: nothing signed over it may leave."""
        asked = encode(
            "safe",
            "getTransactionHash",
            (tx.to, tx.value, tx.data, tx.operation, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, tx.nonce),
        )
        answer = await chain.local.call_here(Call(chain.wallet, asked))
        if decode_result("safe", "getTransactionHash", answer)[0] != digest:
            raise Halt(
                "SAFE_HASH_DIFFERS",
                f"the Safe {chain.wallet} on chain {chain_id} computes another transaction hash than Fairlead",
                "its code or version is not what the settings say; run `fairlead wallet show`",
            )

    async def _wallet_nonce(self, chain: ChainAuthority, chain_id: int) -> int:
        data = await chain.gateway.call(Call(chain.wallet, encode("safe", "nonce")))
        if not data.ok:
            raise Reconcile(
                "NO_SAFE",
                f"{chain.wallet} on chain {chain_id} does not answer as a Safe",
                "run `fairlead wallet`",
            )
        return int(decode_result("safe", "nonce", data.data)[0])

    def _next(self, chain_id: int, sender: Address, latest: int) -> int:
        """The sender's next nonce, past what is signed here and no block has decided for good."""
        return next_nonce(nonce_lanes.sending(self._book.living.signed(), chain_id, sender, latest))

    def _undecided(self, chain_id: int, sender: Address) -> list[Authorized]:
        """Signed transactions whose nonce no block has decided yet."""
        from agent.domain.submission_state import SubmissionState as S

        return [
            record.authorized
            for record in self._book.living.signed()
            if record.authorized is not None
            and record.authorized.chain_id == chain_id
            and record.authorized.sender == sender
            and record.submission in (S.AUTHORIZED, S.BROADCAST)
        ]
