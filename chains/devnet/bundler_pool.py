"""The bundler's pool: one operation for a (sender, nonce), replaced at +10 % of both fees, few for one sender. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chains.devnet.bundler_simulation import refused
from chains.errors import Denied
from chains.types import Address, Hash32
from chains.userops import UserOperation, check_replacement

MAX_OF_SENDER = 4
"""ERC-7562's SAME_SENDER_MEMPOOL_COUNT, for senders without stake."""
MAX_POOL = 1000


@dataclass(slots=True)
class Entry:
    """`in_flight` while a bundle with it is on its way: then nothing replaces it."""

    op: UserOperation
    hash: Hash32
    in_flight: bool = False


@dataclass(slots=True)
class Pool:
    entries: dict[tuple[Address, int], Entry] = field(default_factory=dict)

    def check(self, op: UserOperation, op_hash: Hash32) -> None:
        """Whether the pool would take it. Raises RpcReject -32602."""
        held = self.entries.get((op.sender, op.nonce))
        if held is not None:
            if held.hash == op_hash:
                raise refused(-32602, "already known")
            if held.in_flight:
                raise refused(
                    -32602, "replacement refused: an operation of this sender and nonce is in a bundle"
                )
            try:
                check_replacement(held.op, op)
            except Denied as error:
                raise refused(-32602, f"replacement underpriced: {error.message}; {error.hint}") from None
            return
        if sum(sender == op.sender for sender, _ in self.entries) >= MAX_OF_SENDER:
            raise refused(-32602, f"the sender has {MAX_OF_SENDER} operations in the pool already")
        if len(self.entries) >= MAX_POOL:
            raise refused(-32602, "the pool is full")

    def add(self, op: UserOperation, op_hash: Hash32) -> None:
        self.check(op, op_hash)
        self.entries[op.sender, op.nonce] = Entry(op, op_hash)

    def find(self, op_hash: str) -> Entry | None:
        return next((entry for entry in self.entries.values() if entry.hash == op_hash), None)

    def best(self, count: int) -> list[Entry]:
        """The next bundle: highest tip first, one for a sender, since a sender's first can spoil its second (ERC-7562)."""
        chosen: dict[Address, Entry] = {}
        for entry in sorted(self.entries.values(), key=lambda e: -e.op.fees.max_priority_fee_wei):
            if not entry.in_flight:
                chosen.setdefault(entry.op.sender, entry)
        return list(chosen.values())[:count]

    def drop(self, gone: Iterable[Entry]) -> None:
        """Takes these very entries out; one that replaced another meanwhile stays."""
        for entry in gone:
            if self.entries.get((entry.op.sender, entry.op.nonce)) is entry:
                del self.entries[entry.op.sender, entry.op.nonce]
