"""A small chain in memory: blocks in time, nonces, receipts, reverts, reorganisations. Real calldata in, real maths inside.

It decodes what is sent to it (the Safe's execTransaction, the batch, the routers' swaps), swaps in real pool arithmetic,
and writes the ERC-20 logs that a fill is read from. One wallet, one V2 and one V3 pool at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import custody as c

from agent.amm import Pool, Reverted, swap_exact_in
from agent.app.bearer import EXECUTED
from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry
from agent.execution.settlement import TRANSFER
from agent.ports import Clock
from chains import profiles
from chains.gas import FeeHistory
from chains.profile import ChainProfile
from chains.rawtx import decode_raw
from chains.relay import Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.simulate import SafeCall, Simulation, StepResult
from chains.types import (
    Address,
    BlockRef,
    Call,
    CallResult,
    Hash32,
    Log,
    Protection,
    Receipt,
    SignedTx,
    UnsignedTx,
)
from contracts.codec import decode_call, decode_result, encode
from contracts.decode import to_leaves
from contracts.hashing import keccak
from contracts.leaves import Swap
from keys.curve import SigningKey
from keys.safe import SafeTx, check_packed, exec_transaction, safe_tx_hash
from keys.transactions import assemble, digest

BASE_FEE = 10**9
GAS_SAFE, GAS_SWAP = 120_000, 110_000
SENDER: SigningKey = c.AGENT
OWNERS = tuple(owner.address for owner in c.OWNERS)


@dataclass(frozen=True)
class World:
    """Everything a block leaves behind."""

    pools: Mapping[str, Pool]
    tokens: Mapping[str, int]
    ether: int
    nonce: int
    safe_nonce: int


@dataclass(frozen=True)
class Block:
    ref: BlockRef
    world: World
    receipts: Mapping[str, Receipt]
    raws: tuple[bytes, ...]


@dataclass
class FakeChain:
    """Gateway, relay and simulator of one chain. Blocks come by the clock, every `block_s`; `finality` of them settle.

    Trouble: `mining` False leaves blocks empty; `relay_says` is a list of "unreachable", "refuses", "lost_before",
    "lost_after", one for each next send; `deaf` makes every read Retry; `hidden` hashes have no receipt for whoever asks.
    """

    clock: Clock
    chain_id: int
    pools: Mapping[str, Pool]
    tokens: Mapping[str, int]
    block_s: int = 2
    finality: int = 2
    mining: bool = True
    base_fee_wei: int = BASE_FEE
    honours: frozenset[Protection] = frozenset({Protection.PRIVATE})
    keeps: bool = False
    """Whether its relay gives nothing back."""
    relay_says: list[str] = field(default_factory=list)
    deaf: bool = False
    hidden: set[str] = field(default_factory=set)
    pending: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    """Every hand-over that reached the relay, in order."""
    others: list[bytes] = field(default_factory=list)
    until: dict[bytes, int] = field(default_factory=dict)
    """The last block that the relay tries each transaction in, as it was asked."""
    numbered: bool = True
    """Whether the wallet counts what it executed; the agent's Gate does not."""

    def __post_init__(self) -> None:
        self.profile_data: ChainProfile = profiles.load(self.chain_id)
        now_s = self.clock.now_ns() // 10**9
        world = World(dict(self.pools), dict(self.tokens), 10**19, 0, 0)
        self.forks = 0
        self.blocks = [Block(self._ref(100, now_s, "0x" + "00" * 32), world, {}, ())]
        for _ in range(3):
            self._mine(now_s)
        self.known = {
            c.SAFE: "safe",
            self.profile_data.contracts["safe_multi_send_call_only"]: "multi_send",
            self.profile_data.contracts["permit2"]: "permit2",
            self.profile_data.contracts["universal_router"]: "universal_router",
            **{token: "erc20" for token in self.tokens},
        }

    # ------------------------------------------------------------------ the test's hand

    @property
    def world(self) -> World:
        return self.head.world

    @property
    def head(self) -> Block:
        self._advance()
        return self.blocks[-1]

    def balance_of(self, token: str) -> int:
        return self.world.tokens.get(token, 0)

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            self._mine(self.blocks[-1].ref.timestamp + self.block_s)

    def reorg(self, depth: int, keep: bool = True) -> None:
        """Replaces the last `depth` blocks by as many empty ones; their transactions are pending again where `keep`."""
        self._advance()
        gone = self.blocks[-depth:]
        del self.blocks[-depth:]
        self.forks += 1
        if keep:
            self.pending = [raw for block in gone for raw in block.raws] + self.pending
        held, self.mining = self.mining, False
        for block in gone:
            self._mine(block.ref.timestamp)
        self.mining = held

    def adopt(self, blocks: list[Block]) -> None:
        """Makes an earlier branch the canonical one again."""
        self.blocks = list(blocks)
        mined = {raw for block in blocks for raw in block.raws}
        self.pending = [raw for raw in self.pending if raw not in mined]

    def foreign(self) -> None:
        """Another program uses the sending key: its nonce is gone in the next block."""
        world = self.world
        self.blocks[-1] = replace(self.blocks[-1], world=replace(world, nonce=world.nonce + 1))

    def elsewhere(self, raw: bytes) -> None:
        """Somebody who has seen it submits the Safe transaction inside ours, in the next block and at his own cost."""
        self.others.append(raw)

    def foreign_batch(self) -> None:
        """The owners do something else with the Safe: its nonce is gone in the next block."""
        self.others.append(b"")

    def swaps(self) -> int:
        """Successful transactions on the canonical chain."""
        self._advance()
        return sum(r.status for block in self.blocks for r in block.receipts.values())

    def gas_spent(self) -> int:
        return sum(
            r.gas_used * r.effective_gas_price_wei for block in self.blocks for r in block.receipts.values()
        )

    # ------------------------------------------------------------------ gateway

    def _advance(self) -> None:
        now_s = self.clock.now_ns() // 10**9
        while self.blocks[-1].ref.timestamp + self.block_s <= now_s:
            self._mine(self.blocks[-1].ref.timestamp + self.block_s)

    def _read(self) -> None:
        if self.deaf:
            raise Retry("NO_ENDPOINT", "no endpoint answered", "")
        self._advance()

    async def block(self, tag: int | str = "latest") -> BlockRef:
        self._read()
        if tag in ("finalized", "safe"):
            return self.blocks[max(len(self.blocks) - 1 - self.finality, 0)].ref
        if isinstance(tag, int):
            return next(b.ref for b in self.blocks if b.ref.number == tag)
        return self.blocks[-1].ref

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        self._read()
        if tx_hash in self.hidden:
            return None
        return next((b.receipts[tx_hash] for b in self.blocks if tx_hash in b.receipts), None)

    async def nonce(self, address: Address, block: int | str = "latest") -> int:
        self._read()
        return self.blocks[-1].world.nonce

    async def balance(self, address: Address, block: int | str = "latest") -> int:
        self._read()
        return self.blocks[-1].world.ether

    async def call(self, call: Call, block: int | str = "latest") -> CallResult:
        self._read()
        if decode_call("safe", call.data).function == "nonce":
            at = self.blocks[-1] if block == "latest" else None
            at = at or next((b for b in self.blocks if b.ref.number == block), self.blocks[0])
            return CallResult(True, at.world.safe_nonce.to_bytes(32, "big"))
        raise AssertionError("this chain knows no such call")

    async def logs(self, address: str, topics: Sequence[bytes], first: int, last: int) -> list[Log]:
        """The Safe's own, of whomever."""
        self._read()
        logs = [log for block in self.blocks for receipt in block.receipts.values() for log in receipt.logs]
        there = [log for log in logs if first <= log.block_number <= last]
        return [log for log in there if log.address == address and log.topics[0] in topics]

    async def fee_history(self) -> FeeHistory:
        self._read()
        return FeeHistory(self.blocks[-1].ref.number, (self.base_fee_wei,) * 2, ((10**7, 10**7, 10**7),))

    # ------------------------------------------------------------------ relay

    @property
    def profile(self) -> RelayProfile:
        return RelayProfile(
            "memory", self.honours, frozenset({self.chain_id}), "memory", False, ("the test",)
        )

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        check_road(item, self.profile)
        says = self.relay_says.pop(0) if self.relay_says else ""
        if says == "unreachable":
            raise Retry("RELAY_UNREACHABLE", "the relay cannot be reached", "")
        if says == "refuses":
            raise Reject("RELAY_REFUSED", "the relay does not want it", "")
        lost = Reconcile("RELAY_TIMEOUT", "the relay did not answer", "")
        if says == "lost_before":
            raise lost
        self.sent.append(item.signed.raw)
        self.until[item.signed.raw] = max_block or 2**63
        if item.signed.raw not in self.pending:
            self.pending.append(item.signed.raw)
        if says == "lost_after":
            raise lost
        return Received("memory", item.signed.hash, item.signed.hash)

    async def cancel(self, signed: SignedTx) -> bool:
        if self.keeps:
            return False
        before = len(self.pending)
        self.pending = [raw for raw in self.pending if decode_raw(raw).hash != signed.hash]
        return len(self.pending) < before

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        return RelayStatus.UNKNOWN

    # ------------------------------------------------------------------ mining

    def _ref(self, number: int, timestamp: int, parent: str) -> BlockRef:
        name = f"{self.chain_id} {number} {self.forks}".encode()
        return BlockRef(
            number, Hash32("0x" + keccak(name).hex()), Hash32(parent), timestamp, self.base_fee_wei
        )

    def _mine(self, timestamp: int) -> None:
        last = self.blocks[-1]
        ref = self._ref(last.ref.number + 1, timestamp, last.ref.hash)
        world, receipts, raws = last.world, dict[str, Receipt](), list[bytes]()
        for raw in self.others:
            world, theirs = self._by_another(world, ref, raw)
            receipts[theirs.tx_hash] = theirs
        self.others = []
        if self.mining:
            left = []
            for raw in sorted(self.pending, key=lambda r: -decode_raw(r).max_fee_wei):
                tx = decode_raw(raw)
                if self.until.get(raw, 2**63) < ref.number:
                    continue
                if tx.nonce != world.nonce:
                    if tx.nonce > world.nonce:
                        left.append(raw)
                    continue
                world, receipts[tx.hash] = self._execute(world, ref, raw)
                raws.append(raw)
            self.pending = left
        self.blocks.append(Block(ref, world, receipts, tuple(raws)))

    def _execute(self, world: World, ref: BlockRef, raw: bytes) -> tuple[World, Receipt]:
        tx = decode_raw(raw)
        assert tx.sender == SENDER.address, tx.sender
        after, logs, gas, reason = world, (), 21_000, ""
        if tx.to == c.SAFE:
            after, logs, gas, reason = self._safe(world, ref, tx.data)
        price = self.base_fee_wei + tx.tip_at(self.base_fee_wei)
        after = replace(world if reason else after, nonce=world.nonce + 1, ether=world.ether - gas * price)
        found = () if reason else tuple(replace(log, tx_hash=tx.hash) for log in logs)
        return after, Receipt(tx.hash, ref.number, ref.hash, 0 if reason else 1, gas, price, found)

    def _by_another(self, world: World, ref: BlockRef, raw: bytes) -> tuple[World, Receipt]:
        name = Hash32("0x" + keccak(b"elsewhere" + raw).hex())
        if raw:
            after, logs, _, reason = self._safe(world, ref, decode_raw(raw).data)
            assert not reason, reason
        else:
            after, logs = replace(world, safe_nonce=world.safe_nonce + 1), (self._done(ref, keccak(b"?"), 0),)
        found = tuple(replace(log, tx_hash=name) for log in logs)
        return after, Receipt(name, ref.number, ref.hash, 1, 0, 0, found)

    def _done(self, ref: BlockRef, hashed: bytes, index: int) -> Log:
        topics = (EXECUTED, hashed)
        return Log(Address(c.SAFE), topics, bytes(32), ref.number, ref.hash, Hash32(""), index)

    def _safe(self, world: World, ref: BlockRef, data: bytes) -> tuple[World, tuple[Log, ...], int, str]:
        a = decode_call("safe", data).args
        tx = SafeTx(a["to"], a["value"], a["data"], a["operation"], world.safe_nonce)
        hashed = safe_tx_hash(self.chain_id, Address(c.SAFE), tx)
        try:
            check_packed(hashed, a["signatures"], OWNERS, 2)
        except FairleadError:
            return world, (), GAS_SAFE, "GS026"
        after, logs, gas, reason = self.apply(world, ref, ref.timestamp, Call(Address(c.SAFE), data))
        logs = (*logs, self._done(ref, hashed, len(logs)))
        return replace(after, safe_nonce=world.safe_nonce + self.numbered), logs, gas, reason

    def apply(
        self, world: World, ref: BlockRef, now_s: int, call: Call
    ) -> tuple[World, tuple[Log, ...], int, str]:
        """What a batch does: every swap in its pool, all or nothing."""
        pools, tokens = dict(world.pools), dict(world.tokens)
        logs: list[Log] = []
        gas = GAS_SAFE
        for leaf in to_leaves(call, self.known):
            if not isinstance(leaf, Swap):
                continue
            gas += GAS_SWAP
            if leaf.deadline is not None and now_s > leaf.deadline:
                return world, (), gas, "TransactionDeadlinePassed"
            name = next(n for n, p in pools.items() if p.kind == leaf.protocol)
            sold, bought = self._asset(leaf.token_in), self._asset(leaf.token_out)
            swapped = swap_exact_in(pools[name], sold, bought, leaf.amount_in)
            if isinstance(swapped, Reverted) or swapped.amount_out < leaf.amount_out:
                return world, (), gas, "TooLittleReceived"
            if tokens.get(leaf.token_in, 0) < leaf.amount_in:
                return world, (), gas, "TRANSFER_FROM_FAILED"
            pools[name] = swapped.after
            tokens[leaf.token_in] -= leaf.amount_in
            tokens[leaf.token_out] = tokens.get(leaf.token_out, 0) + swapped.amount_out
            logs.append(self._moved(leaf.token_in, leaf.amount_in, ref, len(logs), out=True))
            logs.append(self._moved(leaf.token_out, swapped.amount_out, ref, len(logs), out=False))
        return replace(world, pools=pools, tokens=tokens), tuple(logs), gas, ""

    def _asset(self, token: str) -> str:
        return f"eip155:{self.chain_id}/erc20:{token}"

    def _moved(self, token: str, amount: int, ref: BlockRef, index: int, *, out: bool) -> Log:
        safe, pool = bytes(12) + bytes.fromhex(c.SAFE[2:]), bytes(31) + b"\x01"
        ends = (safe, pool) if out else (pool, safe)
        data = amount.to_bytes(32, "big")
        return Log(Address(token), (TRANSFER, *ends), data, ref.number, ref.hash, Hash32(""), index)

    # ------------------------------------------------------------------ simulator

    @property
    def simulator(self) -> FakeSimulator:
        return FakeSimulator(self)


@dataclass
class FakeSimulator:
    """Rehearses on the head's state, as the local fork does."""

    chain: FakeChain

    async def run_safe(
        self,
        safe: Address,
        inner: SafeCall,
        executor: Address,
        *,
        watch: Sequence[tuple[Address, Address]] = (),
        **_: Any,
    ) -> Simulation:
        head = self.chain.head
        tx = SafeTx(inner.to, inner.value, inner.data, inner.operation, head.world.safe_nonce)
        call = Call(safe, exec_transaction(tx, b""))
        now_s = self.chain.clock.now_ns() // 10**9
        after, logs, gas, reason = self.chain.apply(head.world, head.ref, now_s, call)
        changes = {key: after.tokens.get(key[0], 0) - head.world.tokens.get(key[0], 0) for key in watch}
        return Simulation(head.ref, (StepResult(not reason, b"", reason, gas, logs),), changes, 0.1)

    async def run(self, steps: Sequence[object], **_: Any) -> Simulation:
        """Raw transactions are not rehearsed here: so a road that includes reverts is told nothing twice."""
        raise Retry("NO_REHEARSAL", f"{len(steps)} steps", "")

    async def call_here(self, call: Call) -> bytes:
        a = list(decode_call("safe", call.data).args.values())
        tx = SafeTx(a[0], a[1], a[2], a[3], a[9])
        return encode_hash(safe_tx_hash(self.chain.chain_id, call.to, tx))


def encode_hash(value: bytes) -> bytes:
    assert decode_result("safe", "getTransactionHash", value)[0] == value
    return value


@dataclass
class FakeOwners:
    """Two of three owners' real signatures; `refuses` makes them say no. As the signer does, they keep their own ledger and
    refuse a second transaction of a Safe nonce while the first may still execute."""

    refuses: bool = False
    execute: None = None
    ledger: dict[tuple[int, int], tuple[bytes, int]] = field(default_factory=dict)

    async def collect(self, chain_id: int, safe: Address, tx: SafeTx, now_s: int) -> Mapping[Address, bytes]:
        if self.refuses:
            raise Denied("OWNER_DID_NOT_SIGN", "an owner did not sign", "nothing was sent")
        hashed = safe_tx_hash(chain_id, safe, tx)
        earlier, deadline = self.ledger.get((chain_id, tx.nonce), (hashed, 0))
        if earlier != hashed and now_s <= deadline:
            raise Denied(
                "POLICY_NONCE_REUSED", f"Safe nonce {tx.nonce} was already signed for something else"
            )
        profile = profiles.load(chain_id)
        known = {
            profile.contracts["safe_multi_send_call_only"]: "multi_send",
            profile.contracts["permit2"]: "permit2",
            profile.contracts["universal_router"]: "universal_router",
        }
        leaves = to_leaves(Call(tx.to, tx.data), known, tx.operation)
        deadlines = [leaf.deadline for leaf in leaves if isinstance(leaf, Swap) and leaf.deadline]
        self.ledger[chain_id, tx.nonce] = (hashed, max(deadlines, default=0))
        return {owner.address: owner.sign(hashed) for owner in c.OWNERS[:2]}


@dataclass
class FakeSender:
    """The sending key, in memory; `signed` is everything it ever signed."""

    signed: list[SignedTx] = field(default_factory=list)

    async def sign(self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False) -> SignedTx:
        return self._sign(tx)

    async def cancel(self, tx: UnsignedTx, now_s: int) -> SignedTx:
        return self._sign(tx)

    def _sign(self, tx: UnsignedTx) -> SignedTx:
        made = assemble(tx, SENDER.sign(digest(tx)), SENDER.address)
        self.signed.append(made)
        return made


__all__ = ["FakeChain", "FakeOwners", "FakeSender", "encode"]
