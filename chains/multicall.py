"""Multicall3's `aggregate3` as pure bytes in, bytes out; `Gateway.multicall` is the one that sends it.

Three of the contract's own views travel in front of the wanted calls, so that every answer proves which block it is of:
getBlockNumber(), getCurrentBlockTimestamp() and getLastBlockHash() (the parent's hash).
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.errors import Retry
from chains.evm import selector, word
from chains.types import Address, BlockRef, Call, CallResult

MULTICALL3 = Address("0xcA11bde05977b3631167028862bE2a173976CA11")
PROOF_CALLS = (
    Call(MULTICALL3, selector("getBlockNumber()")),
    Call(MULTICALL3, selector("getCurrentBlockTimestamp()")),
    Call(MULTICALL3, selector("getLastBlockHash()")),
)


def encode_aggregate3(calls: Sequence[Call]) -> bytes:
    """Calldata of aggregate3((address target, bool allowFailure, bytes callData)[]), every call allowed to fail."""
    tails = []
    for call in calls:
        padded = call.data + b"\0" * (-len(call.data) % 32)
        tails.append(word(call.to) + word(1) + word(96) + word(len(call.data)) + padded)
    offsets, at = [], 32 * len(calls)
    for tail in tails:
        offsets.append(word(at))
        at += len(tail)
    return (
        selector("aggregate3((address,bool,bytes)[])")
        + word(32)
        + word(len(calls))
        + b"".join(offsets + tails)
    )


def decode_aggregate3(data: bytes, count: int) -> list[CallResult]:
    """The (bool success, bytes returnData)[] of `count` calls. Raises Retry where the bytes are not that."""

    def uint(at: int) -> int:
        if at < 0 or at + 32 > len(data):
            raise Retry("MALFORMED_ANSWER", "a multicall's answer is cut short")
        return int.from_bytes(data[at : at + 32], "big")

    base = uint(0)
    if uint(base) != count:
        raise Retry("MALFORMED_ANSWER", f"a multicall of {count} calls has {uint(base)} answers")
    results = []
    for i in range(count):
        head = base + 32 + uint(base + 32 + 32 * i)
        start = head + uint(head + 32)
        length = uint(start)
        if start + 32 + length > len(data):
            raise Retry("MALFORMED_ANSWER", "a multicall's answer is cut short")
        results.append(CallResult(uint(head) == 1, data[start + 32 : start + 32 + length]))
    return results


def proves(block: BlockRef, proofs: Sequence[CallResult], *, own_numbers: bool = True) -> bool:
    """Whether the three proof answers are those of `block`.

    `own_numbers=False` where the EVM's block.number is another chain's (Arbitrum): there only the time can be compared.
    """
    number, timestamp, parent = (
        int.from_bytes(p.data, "big") if p.ok and len(p.data) == 32 else -1 for p in proofs
    )
    if timestamp != block.timestamp:
        return False
    return not own_numbers or (number == block.number and parent == int(block.parent_hash, 16))
