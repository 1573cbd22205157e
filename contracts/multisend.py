"""MultiSend's packed batches: for each part operation (1 byte), to (20), value (32), length of data (32), data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.abi_types import AbiError
from contracts.codec import encode
from contracts.hashing import address_bytes, checksum


@dataclass(frozen=True, slots=True)
class Part:
    """One call of a batch: `value` in wei, `operation` 0 call, 1 delegatecall (which MultiSendCallOnly reverts on)."""

    to: str
    value: int
    data: bytes
    operation: int = 0


def pack(parts: Iterable[Part]) -> bytes:
    """The `transactions` argument. Raises AbiError when a part does not fit its fields."""
    out = []
    for part in parts:
        if not 0 <= part.value < 1 << 256 or part.operation not in (0, 1):
            raise AbiError(f"a batch part has value {part.value} and operation {part.operation}")
        head = part.operation.to_bytes(1, "big") + address_bytes(part.to)
        out.append(head + part.value.to_bytes(32, "big") + len(part.data).to_bytes(32, "big") + part.data)
    return b"".join(out)


def unpack(transactions: bytes) -> tuple[Part, ...]:
    """The parts of a batch. Raises AbiError when the bytes do not end exactly at the end of a part."""
    parts, at = [], 0
    while at < len(transactions):
        size = int.from_bytes(transactions[at + 53 : at + 85], "big")
        end = at + 85 + size
        if at + 85 > len(transactions) or end > len(transactions):
            raise AbiError(f"the batch part at byte {at} runs past the end of the batch")
        operation = transactions[at]
        if operation > 1:
            raise AbiError(f"the batch part at byte {at} has unknown operation {operation}")
        to = checksum(transactions[at + 1 : at + 21])
        value = int.from_bytes(transactions[at + 21 : at + 53], "big")
        parts.append(Part(to, value, transactions[at + 85 : end], operation))
        at = end
    return tuple(parts)


def calldata(parts: Iterable[Part]) -> bytes:
    """multiSend(bytes) over the packed parts."""
    return encode("multi_send", "multiSend", (pack(parts),))
