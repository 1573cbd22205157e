"""One owner stops the agent: a transaction of that owner's own account to the Gate. Neither journal nor daemon is needed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping

from agent.app.endpoints import call_endpoints
from agent.app.multisig.room import Room
from agent.app.scoping import Granted
from agent.app.settings_tree import Owner
from agent.app.signatures import ROOT, attended_owner, owner_environment
from agent.domain.errors import Denied, Reconcile, Reject, Usage
from chains.bounded_json import loads
from chains.gas import Urgency, bid, gas_limit_up
from chains.raw_send import send_raw
from chains.rpc import Rpc
from chains.types import Address, Hash32, SignedTx

FREEZE_GAS = 120_000
PATIENCE_S = 180.0


def checked_owner(room: Room, owners: tuple[Address, ...], who: Address, has: Granted) -> Owner:
    """The settings' entry of an owner that may freeze. Raises Denied NOT_AN_OWNER, Usage NOT_GRANTED or OWNER_UNKNOWN."""
    if who not in owners:
        raise Denied("NOT_AN_OWNER", f"{who} is no owner of the Safe", f"owners: {', '.join(owners)}")
    if has.none_yet:
        raise Usage("NOT_GRANTED", "no Gate of this scope stands on the chain", "there is nothing to freeze")
    owner = next((o for o in room.settings.wallet.owners if o.address == who), None)
    if owner is None or not (owner.keystore or owner.signer):
        raise Usage("OWNER_UNKNOWN", f"the settings know no key of {who}", "add it under [[wallet.owners]]")
    return owner


async def freeze_by(room: Room, owner: Owner, has: Granted) -> Hash32:
    """The transaction's hash once it is mined; its key signs in a process of its own.

    Raises Denied where the owner does not sign, Reject FREEZE_REVERTED, Reconcile where it was sent and is not mined yet.
    """
    who = Address(owner.address)
    nonce, history = await asyncio.gather(room.gateway.nonce(who), room.gateway.fee_history())
    fees = bid(history, Urgency.URGENT)
    request = {
        "chain_id": room.chain.chain_id,
        "nonce": nonce,
        "gate": has.gate,
        "gas": gas_limit_up(FREEZE_GAS),
        "max_fee_wei": str(fees.max_fee_wei),
        "max_priority_fee_wei": str(fees.max_priority_fee_wei),
    }
    signed = await _signed(room, owner, request, nonce)
    # Public on purpose: the sooner everybody has it the better, and there is nothing in it to take advantage of.
    if not await sent_openly(room, signed):
        raise Reject("FREEZE_REVERTED", f"{signed.hash} reverted", "`fairlead wallet audit` tells more")
    return signed.hash


async def sent_openly(room: Room, signed: SignedTx) -> bool:
    """Sent to the chain's own endpoint, and whether it succeeded once it is mined. Raises Reconcile NOT_MINED_YET."""
    await send_raw(Rpc(call_endpoints(room.chain)[0], room.session), signed, "public")
    until = room.clock.now_ns() + int(PATIENCE_S * 1e9)
    while room.clock.now_ns() < until:
        receipt = await room.gateway.receipt(signed.hash)
        if receipt is not None:
            return receipt.status == 1
        await room.clock.sleep(0.5)
    raise Reconcile(
        "NOT_MINED_YET", f"{signed.hash} was sent and is not mined yet", "ask again: `fairlead wallet audit`"
    )


async def _signed(room: Room, owner: Owner, request: dict[str, object], nonce: int) -> SignedTx:
    return await signed_attended(room, owner, "keys.owner_freeze", [], request, nonce)


async def signed_attended(
    room: Room, owner: Owner, module: str, more: list[str], request: dict[str, object], nonce: int
) -> SignedTx:
    """A transaction, by a process of its own, which asks for the key. Raises Denied OWNER_DID_NOT_SIGN."""
    told = await answered_attended(room, owner, module, more, request)
    return SignedTx(
        room.chain.chain_id,
        Address(owner.address),
        nonce,
        bytes.fromhex(told["raw"][2:]),
        Hash32(told["hash"]),
    )


async def answered_attended(
    room: Room, owner: Owner, module: str, more: list[str], request: Mapping[str, object]
) -> dict[str, str]:
    """What such a process answers. Raises Denied OWNER_DID_NOT_SIGN."""
    attended = attended_owner(owner)
    command = [sys.executable, "-m", module, *attended.command, *more]
    command += ["--address", owner.address, "--environment", room.settings.environment.value]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=owner_environment(attended.references),
    )
    out, _ = await process.communicate(json.dumps(request).encode())
    if process.returncode != 0:
        raise Denied("OWNER_DID_NOT_SIGN", f"owner {owner.address} did not sign", "nothing was sent")
    told: dict[str, str] = loads(out)
    return told
