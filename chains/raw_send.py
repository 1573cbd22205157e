"""eth_sendRawTransaction to one endpoint, with what its refusals really mean. Shared by the plain roads."""

from __future__ import annotations

from chains.errors import Reconcile
from chains.evm import hash32
from chains.relay import Received
from chains.rpc import Rpc, RpcReject
from chains.types import SignedTx

KNOWN = ("already known", "known transaction", "already imported", "already in mempool")
CONSUMED = ("nonce too low", "nonce is too low", "old nonce")


async def send_raw(rpc: Rpc, signed: SignedTx, relay: str) -> Received:
    """Raises Reconcile where the nonce is already consumed (it may be by this very transaction), Reject for other refusals."""
    try:
        answer = await rpc.call("eth_sendRawTransaction", ["0x" + signed.raw.hex()], write=True)
    except RpcReject as error:
        said = error.rpc_message.lower()
        if any(words in said for words in KNOWN):
            return Received(relay, signed.hash, "already known")
        if any(words in said for words in CONSUMED):
            raise Reconcile(
                "NONCE_CONSUMED",
                f"nonce {signed.nonce} is already used",
                "look the transaction up by hash: it may be mined",
            ) from None
        raise
    if not isinstance(answer, str) or answer.lower() != hash32(signed.hash):
        raise Reconcile(
            "WRONG_HASH", f"{rpc.origin} answered with another transaction hash", "look it up by our own hash"
        )
    return Received(relay, signed.hash)
