"""A Safe transaction that its owners have signed is a bearer instrument: whether somebody else has submitted ours, or used its nonce.

Asked where our own transaction has no receipt and the Safe's nonce is used: the Safe's own events name the hashes that were executed.
That ours is not among them proves something only where none is missing: each use of the nonce tells one event, so there are as many
since it was signed as the Safe's nonce has grown by.
"""

from __future__ import annotations

from dataclasses import replace

from agent.execution.bearing import Fate
from chains.gateway import Gateway
from chains.rawtx import decode_raw
from chains.types import Address, Call, Hash32, Log, SignedTx
from contracts.codec import decode_call, decode_result, encode
from contracts.hashing import keccak
from keys.safe import SafeTx, safe_tx_hash

OLDER = 35
"""Blocks before the signature that are looked through, too: a reorganisation moves what was in them."""
EXECUTED = keccak(b"ExecutionSuccess(bytes32,uint256)")
FAILED = keccak(b"ExecutionFailure(bytes32,uint256)")


async def fate_of(
    gateway: Gateway,
    safe: Address,
    signed: SignedTx,
    wallet_nonce: int,
    signed_at: int,
    ours: frozenset[Hash32],
) -> Fate:
    """What became of the Safe's nonce since block `signed_at`, where it was the Safe's next. `ours` are our own transactions; the gas of
    anybody else's is none of ours. Raises Retry."""
    if await _nonce(gateway, safe, "latest") <= wallet_nonce:
        return Fate()
    a = decode_call("safe", decode_raw(signed.raw).data).args
    wanted = safe_tx_hash(
        signed.chain_id, safe, SafeTx(a["to"], a["value"], a["data"], a["operation"], wallet_nonce)
    )
    head = await gateway.block("latest")
    first, used = max(signed_at - OLDER, 1), await _nonce(gateway, safe, head.number)
    logs = await gateway.logs(safe, [EXECUTED], first, head.number)
    ours_done = next((log for log in logs if _names(log, wanted)), None)
    if ours_done is not None:
        receipt = await gateway.receipt(ours_done.tx_hash)
        if receipt is not None and receipt.tx_hash not in ours:
            theirs = replace(receipt, gas_used=0, effective_gas_price_wei=0, l1_fee_wei=0)
            return Fate(used=True, receipt=theirs)
        return Fate(used=True)
    logs = [*logs, *await gateway.logs(safe, [FAILED], first, head.number)]
    told = sum(log.block_number > signed_at for log in logs)
    unknown = any(_names(log, wanted) for log in logs) or used <= wallet_nonce
    return Fate(used=True, foreign=not unknown and told >= used - wallet_nonce)


def _names(log: Log, wanted: bytes) -> bool:
    return wanted in (*log.topics[1:2], log.data[:32])  # Safe 1.3.0 does not index it


async def _nonce(gateway: Gateway, safe: Address, block: int | str) -> int:
    """Raises Retry; Usage NO_SAFE where nothing there answers as one."""
    answer = await gateway.call(Call(safe, encode("safe", "nonce")), block)
    return int(decode_result("safe", "nonce", answer.data)[0]) if answer.ok and answer.data else 0
