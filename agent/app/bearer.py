"""A Safe transaction that its owners have signed is a bearer instrument: whether somebody else has submitted ours, or used its nonce.

Asked where our own transaction has no receipt and the Safe's nonce is used: the Safe's own events name the hashes that were executed.
That ours is not among them proves something only where none is missing: as many events as the Safe's nonce grew by.
"""

from __future__ import annotations

from dataclasses import replace

from agent.domain.errors import FairleadError
from agent.execution.bearing import Fate
from chains.gateway import Gateway
from chains.rawtx import decode_raw
from chains.types import Address, Call, Hash32, Log, SignedTx
from contracts.codec import decode_call, decode_result, encode
from contracts.hashing import keccak
from keys.safe import SafeTx, safe_tx_hash

EXECUTED = keccak(b"ExecutionSuccess(bytes32,uint256)")
FAILED = keccak(b"ExecutionFailure(bytes32,uint256)")


async def fate_of(
    gateway: Gateway, safe: Address, signed: SignedTx, wallet_nonce: int, since: int, ours: frozenset[Hash32]
) -> Fate:
    """What became of the Safe's nonce, read in blocks from `since` on. `ours` are our own transactions; the gas of anybody else's is
    none of ours. Raises Retry."""
    if await _nonce(gateway, safe, "latest") <= wallet_nonce:
        return Fate()
    a = decode_call("safe", decode_raw(signed.raw).data).args
    wanted = safe_tx_hash(
        signed.chain_id, safe, SafeTx(a["to"], a["value"], a["data"], a["operation"], wallet_nonce)
    )
    head, first = await gateway.block("latest"), max(since, 1)
    done = await gateway.logs(safe, [EXECUTED], first, head.number)
    for log in done:
        if _names(log, wanted):
            receipt = await gateway.receipt(log.tx_hash)
            if receipt is not None and receipt.tx_hash not in ours:
                theirs = replace(receipt, gas_used=0, effective_gas_price_wei=0, l1_fee_wei=0)
                return Fate(used=True, receipt=theirs)
            return Fate(used=True)
    failed = await gateway.logs(safe, [FAILED], first, head.number)
    if any(_names(log, wanted) for log in failed):
        return Fate(used=True)
    try:
        grew = await _nonce(gateway, safe, head.number) - await _nonce(gateway, safe, first - 1)
    except FairleadError:
        return Fate(used=True)  # no endpoint keeps a state that old: nothing is proved
    everything = len(done) + len(failed) == grew and grew > 0
    before = await _nonce(gateway, safe, first - 1) <= wallet_nonce if everything else False
    return Fate(used=True, foreign=everything and before)


def _names(log: Log, wanted: bytes) -> bool:
    return wanted in (*log.topics[1:2], log.data[:32])  # Safe 1.3.0 does not index it


async def _nonce(gateway: Gateway, safe: Address, block: int | str) -> int:
    """Raises Retry; Usage NO_SAFE where nothing there answers as one."""
    answer = await gateway.call(Call(safe, encode("safe", "nonce")), block)
    return int(decode_result("safe", "nonce", answer.data)[0]) if answer.ok and answer.data else 0
