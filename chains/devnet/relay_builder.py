"""Block production on an Anvil that nobody else reaches: try a block, look at it, keep it or build it again.

A trial is the very block that would be kept, so what a lot is judged by is exactly what it would have done. Where a lot
fails in the trial the chain is rolled back, the first failing lot left out, and the block built again. Nobody reads the
chain meanwhile (`gate`), so a block that was thrown away was never visible.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chains.devnet.builders import Auction
from chains.devnet.builders import Builder as Bidder
from chains.devnet.relay_pool import Lot, Pools, Status
from chains.errors import FairleadError, Halt, Reject
from chains.evm import number
from chains.rawtx import RawTx, decode_raw
from chains.rpc import Rpc
from chains.types import Hash32

BASE_FEE_FLOOR_WEI = 10**9
SEQUENCER = "sequencer"
"""The road to a rollup's one builder, and its name among those who win slots."""


class Gate:
    """Many readers or one builder. A waiting builder holds new readers back, so that blocks come on time."""

    def __init__(self) -> None:
        self._condition = asyncio.Condition()
        self._readers = 0
        self._building = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        async with self._condition:
            await self._condition.wait_for(lambda: not self._building)
            self._readers += 1
        try:
            yield
        finally:
            async with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @asynccontextmanager
    async def build(self) -> AsyncIterator[None]:
        async with self._condition:
            await self._condition.wait_for(lambda: not self._building)
            self._building = True
            try:
                await self._condition.wait_for(lambda: self._readers == 0)
            except asyncio.CancelledError:
                self._building = False
                self._condition.notify_all()
                raise
        try:
            yield
        finally:
            async with self._condition:
                self._building = False
                self._condition.notify_all()


@dataclass(slots=True)
class Head:
    number: int
    hash: Hash32
    timestamp: int
    base_fee_wei: int = 0


@dataclass(slots=True)
class Builder:
    """`offset_s` is how far the chain's clock was moved ahead of the wall clock through the admin port."""

    upstream: Rpc
    pools: Pools
    gate: Gate = field(default_factory=Gate)
    head: Head = field(default_factory=lambda: Head(0, Hash32("0x" + "0" * 64), 0))
    offset_s: int = 0
    lost_slots: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    mined: asyncio.Condition = field(default_factory=asyncio.Condition)
    auction: Auction | None = None
    sequencer: bool = False
    """In front of a rollup: what arrives first goes first, and what waits is told to nobody."""
    sequenced: list[dict[str, Any]] = field(default_factory=list)

    @property
    def winners(self) -> list[dict[str, Any]]:
        """Who built each block that was not an admin's."""
        return self.auction.winners if self.auction is not None else self.sequenced

    @property
    def houses(self) -> list[Pools]:
        """Whoever holds private lots: the relay, and each builder of the auction."""
        return [self.pools, *(self.auction.rooms.values() if self.auction is not None else ())]

    async def start(self) -> None:
        """Take the Anvil over. Raises Halt where it mines by itself or orders by fees."""
        info = await self.upstream.call("anvil_nodeInfo")
        if info.get("transactionOrder") != "fifo":
            raise Halt(
                "UPSTREAM_ORDERS_BY_FEES",
                "the Anvil behind the relay reorders transactions",
                "start it with --order fifo --no-mining",
            )
        await self.upstream.call("evm_setAutomine", [False])
        await self.upstream.call("evm_setIntervalMining", [0])
        await self.refresh()

    async def refresh(self) -> None:
        block = await self.upstream.call("eth_getBlockByNumber", ["latest", False])
        self.head = Head(
            number(block["number"]),
            Hash32(block["hash"]),
            number(block["timestamp"]),
            number(block.get("baseFeePerGas") or "0x0"),
        )

    def now(self) -> int:
        return int(time.time()) + self.offset_s

    def ahead_s(self) -> int:
        """How far the head's own time runs ahead of the clock, because blocks came faster than one a second."""
        return max(0, self.head.timestamp - self.now())

    def next_timestamp(self) -> int:
        return max(self.now(), self.head.timestamp + 1)

    def anything_to_build(self) -> bool:
        number_, timestamp = self.head.number + 1, self.next_timestamp()
        return any(lot.open_at(number_, timestamp) for lot in self.pools.lots.values()) or any(
            self.pools.public_not_before.get(h, 0) <= number_ for h in self.pools.public
        )

    async def build(self) -> Head:
        """One block: lots that hold in it first (by tip per gas), then the public pool (by tip), each sender's nonces in order."""
        async with self.gate.build():
            await self._build()
        async with self.mined:
            self.mined.notify_all()
        return self.head

    async def _build(self) -> None:
        timestamp, target = self.next_timestamp(), self.head.number + 1
        base_fee = number(
            (await self.upstream.call("eth_feeHistory", ["0x1", "latest", []]))["baseFeePerGas"][-1]
        )
        nonces = await self._nonces()
        winner = self.auction.draw() if self.auction is not None else None
        lots = self._open_lots(target, timestamp, base_fee, nonces, winner)
        public = self._public_order(target, base_fee)
        while True:
            kept, sequence = arrange(lots, public, dict(nonces))
            # Anvil keeps every snapshot that is not gone back to: none is taken where nothing can fail the block.
            snapshot = await self.upstream.call("evm_snapshot") if kept else None
            if self.auction is not None:
                by = winner.coinbase if winner is not None else "0x" + "00" * 20
                await self.upstream.call("anvil_setCoinbase", [by])
            failed = await self._try(kept, sequence, timestamp)
            if failed is None:
                break
            lot, reason = failed
            if not await self.upstream.call("evm_revert", [snapshot]):
                raise Halt("ROLL_BACK_FAILED", "the Anvil behind the relay did not go back to its snapshot")
            await self.upstream.call("anvil_dropAllTransactions")
            self._tell(lot, reason)
            lots.remove(lot)
        await self.upstream.call("anvil_dropAllTransactions")
        await self._settle()
        if self.auction is not None:
            self.auction.built(self.head.number, self.head.hash, winner)
        elif self.sequencer:
            self.sequenced.append(
                {"block": self.head.number, "block_hash": self.head.hash, "winner": SEQUENCER}
            )

    def _tell(self, lot: Lot, reason: str) -> None:
        for house in self.houses:
            for tx in lot.txs:
                if tx.hash in house.seen:
                    house.seen[tx.hash].sim_error = reason

    async def _nonces(self) -> dict[str, int]:
        private = {tx.sender for house in self.houses for lot in house.lots.values() for tx in lot.txs}
        senders = private | {t.sender for t in self.pools.public.values()}
        wanted = sorted(senders)
        answers = await self.upstream.batch([("eth_getTransactionCount", [s, "latest"]) for s in wanted])
        nonces = {}
        for sender, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, FairleadError):
                raise answer
            nonces[str(sender)] = number(answer)
        return nonces

    def _open_lots(
        self, target: int, timestamp: int, base_fee: int, nonces: dict[str, int], winner: Bidder | None
    ) -> list[Lot]:
        """What the winner of this slot may put into it. The relay forwards to every builder: its own lots are theirs too."""
        now_ms, chosen = time.time_ns() // 10**6, []
        for house in self.houses:
            fitting = self._fitting(house, target, timestamp, base_fee, nonces)
            if house.name and self.auction is not None:
                theirs = winner is not None and winner.name == house.name
                fitting = [
                    lot for lot in fitting if theirs and winner and self.auction.in_time(winner, lot, now_ms)
                ]
            elif self.auction is not None and winner is None:
                fitting = []
            chosen += fitting
        if self.lost_slots > 0 and self.rng.random() < self.lost_slots:
            return []
        chosen.sort(key=lambda lot: (-lot.bid_at(base_fee), lot.arrived))
        return chosen

    def _fitting(
        self, house: Pools, target: int, timestamp: int, base_fee: int, nonces: dict[str, int]
    ) -> list[Lot]:
        chosen = []
        for lot in list(house.lots.values()):
            if lot.last < target:
                house.close(lot, Status.FAILED)
                continue
            if any(tx.nonce < nonces[tx.sender] for tx in lot.txs):
                house.close(lot, Status.FAILED, "SimErrorNonceTooLow")
                continue
            if min(tx.tip_at(base_fee) for tx in lot.txs) < 0:
                for tx in lot.txs:
                    house.seen[tx.hash].sim_error = "SimErrorMaxFeePerGasTooLow"
                continue
            if lot.open_at(target, timestamp):
                chosen.append(lot)
        return chosen

    def _public_order(self, target: int, base_fee: int) -> list[RawTx]:
        ready = [
            t for t in self.pools.public.values()
            if t.tip_at(base_fee) >= 0 and self.pools.public_not_before.get(t.hash, 0) <= target
        ]  # fmt: skip
        return ready if self.sequencer else sorted(ready, key=lambda tx: -tx.tip_at(base_fee))

    async def _try(self, lots: list[Lot], sequence: list[RawTx], timestamp: int) -> tuple[Lot, str] | None:
        """Mine `sequence` as one block; the first lot that does not hold in it, or None."""
        owner = {tx.hash: lot for lot in lots for tx in lot.txs}
        for tx in sequence:
            try:
                await self.upstream.call("eth_sendRawTransaction", ["0x" + tx.raw.hex()])
            except Reject as error:
                if tx.hash in owner:
                    return owner[tx.hash], sim_error(str(error))
                self.pools.drop_public(tx.hash)
        await self.upstream.call("evm_setNextBlockTimestamp", [timestamp])
        await self.upstream.call("evm_mine")
        receipts = {
            r["transactionHash"]: r
            for r in await self.upstream.call("eth_getBlockReceipts", ["latest"]) or []
        }
        for lot in lots:
            for tx in lot.txs:
                receipt = receipts.get(tx.hash)
                if receipt is None:
                    return lot, "SimErrorNotIncluded"
                if number(receipt["status"]) == 0 and tx.hash not in lot.may_revert:
                    return lot, "SimErrorExecutionReverted"
        return None

    async def _keep_base_fee(self) -> None:
        """Nearly empty blocks take the base fee down by an eighth each; a mainnet's never goes to nothing."""
        if self.head.base_fee_wei * 7 // 8 < BASE_FEE_FLOOR_WEI:
            await self.upstream.call("anvil_setNextBlockBaseFeePerGas", [hex(BASE_FEE_FLOOR_WEI)])

    async def _settle(self) -> None:
        await self.refresh()
        await self._keep_base_fee()
        for receipt in await self.upstream.call("eth_getBlockReceipts", ["latest"]) or []:
            tx_hash = Hash32(receipt["transactionHash"])
            self.pools.included.append(
                {"hash": tx_hash, "block": self.head.number, "block_hash": self.head.hash, "status": number(receipt["status"]),
                 "index": number(receipt["transactionIndex"]), "road": self.pools.road.get(tx_hash, "admin")}
            )  # fmt: skip
            self.pools.drop_public(tx_hash)
            for house in self.houses:
                if tx_hash in house.seen:
                    house.seen[tx_hash].status = Status.INCLUDED
                for lot in [lot for lot in house.lots.values() if any(t.hash == tx_hash for t in lot.txs)]:
                    house.close(lot, Status.INCLUDED)
        nonces = await self._nonces()
        for tx in list(self.pools.public.values()):
            if tx.nonce < nonces.get(tx.sender, 0):
                self.pools.drop_public(tx.hash)

    async def call_bundle(self, txs: list[RawTx]) -> tuple[int, dict[str, Any], dict[str, str]]:
        """The next block if it held these alone: (base fee, receipts by hash, refusals by hash). Nothing stays."""
        async with self.gate.build():
            base_fee = number(
                (await self.upstream.call("eth_feeHistory", ["0x1", "latest", []]))["baseFeePerGas"][-1]
            )
            snapshot, errors = await self.upstream.call("evm_snapshot"), {}
            for tx in txs:
                try:
                    await self.upstream.call("eth_sendRawTransaction", ["0x" + tx.raw.hex()])
                except Reject as error:
                    errors[str(tx.hash)] = str(error)
            await self.upstream.call("evm_setNextBlockTimestamp", [self.next_timestamp()])
            await self.upstream.call("evm_mine")
            receipts = {
                r["transactionHash"]: r
                for r in await self.upstream.call("eth_getBlockReceipts", ["latest"]) or []
            }
            await self.upstream.call("evm_revert", [snapshot])
            await self.upstream.call("anvil_dropAllTransactions")
            return base_fee, receipts, errors

    async def mine_admin(self, method: str, params: list[Any]) -> Any:
        """A set-up transaction through the admin port: alone in a block of its own, at once."""
        async with self.gate.build():
            result = await self.upstream.call(method, params)
            await self.upstream.call("evm_setNextBlockTimestamp", [self.next_timestamp()])
            await self.upstream.call("evm_mine")
            await self._settle()
        async with self.mined:
            self.mined.notify_all()
        return result

    async def reorg(self, depth: int, orphans: str) -> list[str]:
        """Replace the last `depth` blocks by empty ones; their transactions come back to their road or are dropped."""
        async with self.gate.build():
            first = self.head.number - depth + 1
            if depth < 1 or first < 1:
                raise Reject("BAD_REORG", f"cannot reorganise {depth} of {self.head.number} blocks")
            gone = [entry for entry in self.pools.included if entry["block"] >= first]
            raws = {a["hash"]: a["raw"] for a in self.pools.arrivals}
            await self.upstream.call("anvil_reorg", [depth, []])
            await self.upstream.call("anvil_dropAllTransactions")
            self.pools.included = [entry for entry in self.pools.included if entry["block"] < first]
            await self.refresh()
            for entry in gone:
                tx_hash, raw = entry["hash"], raws.get(entry["hash"])
                if raw is None:
                    continue
                tx = decode_raw(bytes.fromhex(raw[2:]))
                told = [house.seen[tx_hash] for house in self.houses if tx_hash in house.seen]
                if told:
                    for seen in told:
                        seen.status = Status.FAILED
                    if orphans == "return":
                        self.pools.counter += 1
                        last = max(told[0].max_block, self.head.number + 25)
                        self.pools.add_lot(
                            Lot(f"again-{self.pools.counter}", tx.sender, (tx,), 0, last, self.pools.counter)
                        )
                elif orphans == "return":
                    self.pools.public[tx_hash] = tx
        async with self.mined:
            self.mined.notify_all()
        return [str(entry["hash"]) for entry in gone]


def arrange(lots: list[Lot], public: list[RawTx], nonces: dict[str, int]) -> tuple[list[Lot], list[RawTx]]:
    """The lots and transactions whose nonces fit, in the order they enter the block. A lot enters whole or waits."""
    kept: list[Lot] = []
    sequence: list[RawTx] = []
    waiting = list(lots)
    progress = True
    while progress:
        progress = False
        for lot in list(waiting):
            after = dict(nonces)
            for tx in lot.txs:
                if tx.nonce != after[tx.sender]:
                    break
                after[tx.sender] += 1
            else:
                nonces.update(after)
                kept.append(lot)
                sequence.extend(lot.txs)
                waiting.remove(lot)
                progress = True
                break
    left = list(public)
    while True:
        ready = next((tx for tx in left if tx.nonce == nonces[tx.sender]), None)
        if ready is None:
            return kept, sequence
        nonces[ready.sender] += 1
        sequence.append(ready)
        left.remove(ready)


def sim_error(message: str) -> str:
    """The status API's word for why a node refused a transaction."""
    text = message.lower()
    for needle, name in (
        ("insufficient funds", "SimErrorInsufficientFunds"),
        ("nonce too low", "SimErrorNonceTooLow"),
        ("nonce too high", "SimErrorNonceTooHigh"),
        ("max fee", "SimErrorMaxFeePerGasTooLow"),
        ("chain id", "SimErrorInvalidChainId"),
        ("gas", "SimErrorOutOfGas"),
    ):
        if needle in text:
            return name
    return "SimErrorExecutionReverted"
