"""From a wish to a proposal: the transaction, dated, rehearsed, and recorded with the Safe it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.app.multisig import files
from agent.app.multisig.building import OwnerChange, changing_owners, rejection, revoking, transaction
from agent.app.multisig.effects import Effects
from agent.app.multisig.room import Room
from agent.app.multisig.state import SafeNow
from agent.app.multisig.words import instant
from agent.domain.errors import Reject, Usage
from chains.types import Address, Call
from contracts.codec import encode
from keys.safe_document import SafeDocument


@dataclass(frozen=True, slots=True)
class Wish:
    """Exactly one of `calls`, `revoke`, `owners` and `reject` is wanted. `valid_s` None: no deadline in the calldata."""

    calls: tuple[Call, ...] = ()
    revoke: tuple[tuple[Address, Address], ...] = ()
    owners: OwnerChange = OwnerChange()
    reject: int | None = None
    nonce: int | None = None
    valid_s: int | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Proposed:
    document: SafeDocument
    now: SafeNow
    effects: Effects


async def propose(room: Room, wish: Wish, anyway: bool = False) -> Proposed:
    """Raises Usage for wishes that cannot be, Reject WOULD_REVERT where it would fail as things stand."""
    now = await room.now()
    chain_id, safe = room.chain.chain_id, room.wallet
    if wish.reject is not None:
        if wish.reject < now.state.nonce:
            raise Usage(
                "SAFE_NONCE_USED",
                f"nonce {wish.reject} is used already, the Safe has come to {now.state.nonce}",
                "what was signed at it can never execute any more: there is nothing to reject",
            )
        tx = rejection(safe, wish.reject)
    else:
        nonce = _nonce(room, wish, now)
        deadline = None if wish.valid_s is None else now.block.timestamp + wish.valid_s
        tx = transaction(safe, await _calls(room, wish, now), nonce, room.wallets, deadline)
    made = instant(room.clock.now_ns() // 10**9)
    document = SafeDocument(
        chain_id, safe, tx, (), room.settings.environment.value, now.seen, wish.origin, made
    )
    effects = await room.rehearse(tx, now)
    if not effects.ok and not anyway:
        raise Reject(
            "WOULD_REVERT",
            f"it would fail as things stand: {effects.reason}",
            "nothing was written; --anyway proposes it all the same, for a later time",
        )
    return Proposed(document, now, effects)


async def _calls(room: Room, wish: Wish, now: SafeNow) -> Sequence[Call]:
    if wish.calls:
        return wish.calls
    if wish.owners:
        return changing_owners(room.wallet, now.state, wish.owners)
    permit2 = room.wallets.permit2
    asked = [Call(permit2, encode("permit2", "allowance", (room.wallet, t, s))) for t, s in wish.revoke]
    _, answers = await room.gateway.multicall(asked, now.block.number)
    calls: list[Call] = []
    for (token, spender), answer in zip(wish.revoke, answers, strict=True):
        granted = answer.ok and len(answer.data) >= 32 and int.from_bytes(answer.data[:32], "big") > 0
        calls += revoking(token, spender, permit2, granted)
    if not calls:
        raise Usage(
            "NOTHING_PROPOSED",
            "it is not said what the transaction should do",
            "--to, --calls, --revoke, --reject, --add-owner, --remove-owner or --threshold",
        )
    return calls


def _nonce(room: Room, wish: Wish, now: SafeNow) -> int:
    """The one asked for, else the first that no proposal kept here holds."""
    current = now.state.nonce
    if wish.nonce is not None:
        if wish.nonce < current:
            raise Usage(
                "SAFE_NONCE_USED", f"nonce {wish.nonce} is used already", f"the Safe has come to {current}"
            )
        return wish.nonce
    kept, _ = files.listed(files.folder(room.settings))
    taken = {
        d.tx.nonce
        for _, d in kept
        if (d.chain_id, d.safe, d.environment)
        == (room.chain.chain_id, room.wallet, room.settings.environment.value)
    }
    while current in taken:
        current += 1
    return current
