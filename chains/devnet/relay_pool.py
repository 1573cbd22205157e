"""What waits in front of the local chain: the public pool, the private lots, and who knows what about them.

Pure bookkeeping. A lot is one private transaction or one bundle: it lands whole or not at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Any

from chains.rawtx import RawTx
from chains.types import Address, Hash32

PRIVATE_LIFE_BLOCKS = 25
READS_BYTES = 32 * 1024 * 1024


class Status(Enum):
    PENDING = "PENDING"
    INCLUDED = "INCLUDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


@dataclass(slots=True)
class Lot:
    """Transactions that must all succeed in one block, in order, between `first` and `last` block number.

    `may_revert` names the bundle's revertingTxHashes. Times are the chain's own seconds.
    """

    id: str
    owner: Address
    txs: tuple[RawTx, ...]
    first: int
    last: int
    arrived: int
    bundle: bool = False
    may_revert: frozenset[Hash32] = frozenset()
    min_timestamp: int = 0
    max_timestamp: int = 1 << 62
    replacement_uuid: str = ""
    not_before: int = 0
    arrived_ms: int = 0

    def open_at(self, number: int, timestamp: int) -> bool:
        return (
            max(self.first, self.not_before) <= number <= self.last
            and self.min_timestamp <= timestamp <= self.max_timestamp
        )

    def bid_at(self, base_fee_wei: int) -> Fraction:
        """What a builder earns by it per gas, wei: a bundle is worth what all of it pays."""
        return Fraction(
            sum(tx.tip_at(base_fee_wei) * tx.gas for tx in self.txs), sum(tx.gas for tx in self.txs) or 1
        )


@dataclass(slots=True)
class Seen:
    """The status API's record of one private transaction."""

    status: Status
    max_block: int
    sim_error: str = ""
    fast: bool = True


@dataclass(slots=True)
class Pools:
    lots: dict[str, Lot] = field(default_factory=dict)
    public: dict[Hash32, RawTx] = field(default_factory=dict)
    public_not_before: dict[Hash32, int] = field(default_factory=dict)
    seen: dict[Hash32, Seen] = field(default_factory=dict)
    road: dict[Hash32, str] = field(default_factory=dict)
    arrivals: list[dict[str, Any]] = field(default_factory=list)
    included: list[dict[str, Any]] = field(default_factory=list)
    reads: deque[dict[str, Any]] = field(default_factory=deque)
    reads_bytes: int = 0
    reads_dropped: int = 0
    counter: int = 0
    name: str = ""
    """The builder whose lots these are; '' for the relay that forwards to all."""

    def room(self, name: str) -> Pools:
        """A builder's own lots and statuses beside the same public pool and the same record of arrivals."""
        return Pools(
            public=self.public, public_not_before=self.public_not_before, road=self.road, arrivals=self.arrivals, name=name
        )  # fmt: skip

    def arrive(self, road: str, tx: RawTx, head: int, at_ms: int, owner: str = "") -> None:
        self.road.setdefault(tx.hash, road)
        self.arrivals.append(
            {"hash": tx.hash, "road": road, "sender": tx.sender, "nonce": tx.nonce, "head": head, "at_ms": at_ms,
             "owner": owner, "builder": self.name, "raw": "0x" + tx.raw.hex()}
        )  # fmt: skip

    def record_read(self, method: str, params: list[Any], at_ms: int) -> None:
        """Keep what a simulation would have told, the oldest dropped beyond `READS_BYTES`."""
        size = len(str(params))
        self.reads.append({"method": method, "params": params, "at_ms": at_ms, "size": size})
        self.reads_bytes += size
        while self.reads_bytes > READS_BYTES and self.reads:
            self.reads_bytes -= self.reads.popleft()["size"]
            self.reads_dropped += 1

    def add_public(self, tx: RawTx, not_before: int) -> str:
        """Take a public transaction; the reason where it cannot replace the one already there, else ''."""
        for other in self.public.values():
            if other.sender == tx.sender and other.nonce == tx.nonce and other.hash != tx.hash:
                # A node demands ten percent more on both fees before it replaces.
                if (
                    tx.max_fee_wei * 10 < other.max_fee_wei * 11
                    or tx.max_priority_fee_wei * 10 < other.max_priority_fee_wei * 11
                ):
                    return "replacement transaction underpriced"
                self.drop_public(other.hash)
                break
        self.public[tx.hash] = tx
        if not_before:
            self.public_not_before[tx.hash] = not_before
        return ""

    def drop_public(self, tx_hash: Hash32) -> None:
        self.public.pop(tx_hash, None)
        self.public_not_before.pop(tx_hash, None)

    def add_lot(self, lot: Lot) -> None:
        if lot.replacement_uuid:
            for other in [
                o
                for o in self.lots.values()
                if o.replacement_uuid == lot.replacement_uuid and o.owner == lot.owner
            ]:
                self.close(other, Status.CANCELLED)
        self.lots[lot.id] = lot
        for tx in lot.txs:
            self.seen[tx.hash] = Seen(Status.PENDING, lot.last)

    def close(self, lot: Lot, status: Status, sim_error: str = "") -> None:
        self.lots.pop(lot.id, None)
        for tx in lot.txs:
            record = self.seen.get(tx.hash)
            if record is not None and record.status is not Status.INCLUDED:
                record.status = status
                record.sim_error = sim_error or record.sim_error

    def lot_of(self, tx_hash: Hash32) -> Lot | None:
        return next(
            (lot for lot in self.lots.values() if not lot.bundle and lot.txs[0].hash == tx_hash), None
        )

    def public_run(self, sender: Address, nonce: int) -> int:
        """The nonce after the unbroken public run that starts at `nonce`: never counts a private transaction."""
        nonces = {tx.nonce for tx in self.public.values() if tx.sender == sender}
        while nonce in nonces:
            nonce += 1
        return nonce
