"""How a signed transaction or operation is cancelled: its roads are asked to drop it, and another takes its place at the same nonce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.app.operations import EitherSender
from agent.app.signatures import SignerOwners
from agent.domain.events import Authorized
from agent.execution.authority import OwnerSignatures
from agent.execution.cancelling import Cancel, Note
from agent.execution.outbox import signed_tx
from agent.execution.replacing import fees_of
from chains.gas import Urgency, bid, bump_up
from chains.types import Address, UnsignedTx
from keys.safe import SafeTx, exec_transaction, pack_signatures, safe_tx_hash

if TYPE_CHECKING:
    from agent.app.wiring import App

REJECTION_GAS = 120_000
"""An empty call of a Safe to itself: the proxy, the nonce, three signatures, with room for more."""


def canceller(app: App, sender: EitherSender, owners: OwnerSignatures) -> Cancel:
    """Cancels a transaction: asks its relay to drop it, and takes its place at the same nonce, by the same road.

    What the owners signed stays executable by whoever saw it until the Safe's own nonce is used or its deadline has passed.
    So the Safe's rejection goes there, an empty call to itself that uses both nonces. Owners who sign attended are not asked:
    then an empty transfer uses the sender's nonce alone, and the signer signs nothing else at that Safe nonce until the deadline.
    A user operation's nonce is used by another operation that does nothing.
    """

    async def cancel(authorized: Authorized, note: Note) -> None:
        desk = app.chains[authorized.chain_id]
        record = app.desk.book.parts.get(authorized.part.cl_ord_id) if app.desk is not None else None
        for form in record.signed if record is not None else (authorized,):
            await desk.cancel(signed_tx(form))
        fees = bump_up(
            fees_of(authorized.raw), at_least=bid(await desk.gateway.fee_history(), Urgency.URGENT)
        )
        head = await desk.gateway.block("latest")
        chain_id, nonce = authorized.chain_id, authorized.nonce
        if isinstance(owners, SignerOwners) and authorized.wallet_nonce >= 0:
            nothing = SafeTx(desk.wallet, 0, b"", 0, authorized.wallet_nonce)
            found = await owners.collect(chain_id, desk.wallet, nothing, head.timestamp)
            listed = tuple(Address(o.address) for o in app.settings.wallet.owners)
            digest = safe_tx_hash(chain_id, desk.wallet, nothing)
            packed = pack_signatures(digest, found.values(), listed, app.settings.wallet.threshold)
            data = exec_transaction(nothing, packed)
            outer = UnsignedTx(chain_id, nonce, desk.wallet, 0, data, REJECTION_GAS, fees)
            signed = await sender.sign(outer, nothing.nonce, head.timestamp)
        else:
            empty = UnsignedTx(chain_id, nonce, authorized.sender, 0, b"", 21_000, fees)
            signed = await sender.cancel(empty, head.timestamp, authorized.deadline_s)
        last = head.number + desk.profile.max_blocks
        await note(signed, last)
        await desk.send(signed, authorized.protection, last)

    return cancel
