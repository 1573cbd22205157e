"""A Safe transaction that its owners have signed is a bearer instrument: whether somebody else has submitted ours.

Asked where our own transaction has no receipt and the Safe's nonce is used: the Safe's own event names the hash that was executed.
"""

from __future__ import annotations

from dataclasses import replace

from chains.gateway import Gateway
from chains.rawtx import decode_raw
from chains.types import Address, Call, Receipt, SignedTx
from contracts.codec import decode_call, decode_result, encode
from contracts.hashing import keccak
from keys.safe import SafeTx, safe_tx_hash

EXECUTED = keccak(b"ExecutionSuccess(bytes32,uint256)")


async def executed_by_another(
    gateway: Gateway, safe: Address, signed: SignedTx, wallet_nonce: int, since: int
) -> Receipt | None:
    """The receipt of whoever executed it in a block from `since` on, its gas none of ours; None where nobody did. Raises Retry."""
    answer = await gateway.call(Call(safe, encode("safe", "nonce")))
    if not answer.ok or int(decode_result("safe", "nonce", answer.data)[0]) <= wallet_nonce:
        return None
    a = decode_call("safe", decode_raw(signed.raw).data).args
    wanted = safe_tx_hash(
        signed.chain_id, safe, SafeTx(a["to"], a["value"], a["data"], a["operation"], wallet_nonce)
    )
    head = await gateway.block("latest")
    for log in await gateway.logs(safe, [EXECUTED], max(since, 0), head.number):
        if wanted in (*log.topics[1:2], log.data[:32]):  # Safe 1.3.0 does not index it
            receipt = await gateway.receipt(log.tx_hash)
            if receipt is not None and receipt.tx_hash != signed.hash:
                return replace(receipt, gas_used=0, effective_gas_price_wei=0, l1_fee_wei=0)
    return None
