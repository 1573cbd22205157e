"""Keys that run code (EIP-7702): which of the settings' do, and the one transaction that tells a key to, or takes it back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from agent.app.freezing import sent_openly, signed_attended
from agent.app.multisig.room import Room
from agent.app.settings_tree import Owner, Settings
from agent.domain.errors import Denied, Reject, Usage
from chains.gas import Urgency, bid, cost_at_most, gas_limit_up
from chains.gateway import Gateway
from chains.types import ZERO_ADDRESS, Address, Fees, Hash32
from chains.wallets import WalletKind, identify

DELEGATE_GAS = 80_000
"""A type-4 transaction to oneself with one authorization: 21,000 and 25,000 (EIP-7702), and room for the code to be called."""


@dataclass(frozen=True, slots=True)
class Runs:
    """One account and the code it runs; None where it is an ordinary key's. `who` says what the settings call it."""

    who: str
    account: Address
    delegate: Address | None

    @property
    def sentence(self) -> str:
        return (
            f"{self.who} {self.account} runs the code of {self.delegate} (EIP-7702): whoever that code obeys can do all that the key can, "
            f"until `fairlead wallet delegate --account {self.account} --revoke --live`"
        )


def accounts(settings: Settings) -> list[tuple[str, Address]]:
    """The keys that the settings know, as they call them."""
    found = [(f"owner {o.label}".strip(), Address(o.address)) for o in settings.wallet.owners]
    if settings.wallet.kind == "eoa":
        found.append(("the wallet", Address(settings.wallet.address)))
    if settings.wallet.sender is not None:
        found.append(("the sender", Address(settings.wallet.sender.address)))
    return found


async def running(gateway: Gateway, listed: Iterable[tuple[str, Address]]) -> list[Runs]:
    """What each runs at the head; contracts are left out. Raises Retry where the chain does not answer."""
    known = list(dict(reversed([(a, who) for who, a in listed])).items())
    found = await asyncio.gather(*(identify(gateway, account) for account, _ in known))
    return [
        Runs(who, account, wallet.delegate)
        for (account, who), wallet in zip(known, found, strict=True)
        if wallet.kind in (WalletKind.EOA, WalletKind.DELEGATED_EOA)
    ]


def holder_of(settings: Settings, account: Address, *, revoking: bool = False) -> Owner:
    """Whoever holds the account's key here. Raises Usage OWNER_UNKNOWN, Denied DELEGATION_IS_THE_AGENTS: its delegation is only taken back."""
    sender = settings.wallet.sender
    if sender is not None and sender.address == account and settings.scopes and not revoking:
        raise Denied(
            "DELEGATION_IS_THE_AGENTS",
            f"{account} is the agent's key: code that it runs would be a member of the role, too",
            "an agent behind an account is a Safe: `account` in [[scopes]]",
        )
    for owner in settings.wallet.owners:
        if owner.address == account and (owner.keystore or owner.signer):
            return owner
    if sender is not None and sender.address == account and (sender.keystore or sender.signer):
        return Owner(
            address=account,
            label="sender",
            keystore=sender.keystore,
            password=sender.password,
            signer=sender.signer,
        )
    raise Usage("OWNER_UNKNOWN", f"the settings know no key of {account}", "add it under [[wallet.owners]]")


def check_delegate(settings: Settings, delegate: Address, code: bytes) -> None:
    """Raises Denied DELEGATE_NOT_LISTED, Usage DELEGATE_NO_CODE."""
    if delegate == ZERO_ADDRESS:
        return
    if delegate not in settings.wallet.delegates:
        raise Denied(
            "DELEGATE_NOT_LISTED",
            f"{delegate} is not among wallet.delegates: whoever its code obeys could do all that the key can",
            "list it there only once you know that code",
        )
    if not code:
        raise Usage("DELEGATE_NO_CODE", f"nothing stands at {delegate} on this chain", "check the address")


@dataclass(frozen=True, slots=True)
class Planned:
    nonce: int
    gas: int
    fees: Fees

    @property
    def most_wei(self) -> int:
        return cost_at_most(self.gas, self.fees)


async def plan(room: Room, account: Address, delegate: Address) -> Planned:
    """What it would cost. Raises as `check_delegate`, and Usage NOTHING_TO_REVOKE, Denied NO_GAS."""
    found, code, nonce, history, wei = await asyncio.gather(
        identify(room.gateway, account),
        room.gateway.code(delegate),
        room.gateway.nonce(account),
        room.gateway.fee_history(),
        room.gateway.balance(account),
    )
    check_delegate(room.settings, delegate, code)
    if delegate == ZERO_ADDRESS and found.kind is WalletKind.EOA:
        raise Usage("NOTHING_TO_REVOKE", f"{account} runs no code on {room.chain.name}", "nothing was sent")
    made = Planned(nonce, gas_limit_up(DELEGATE_GAS), bid(history, Urgency.NORMAL))
    if wei < made.most_wei:
        raise Denied(
            "NO_GAS",
            f"{account} holds {wei} wei, and it may cost {made.most_wei}",
            "the account sends it itself: give it gas money",
        )
    return made


async def delegate_by(room: Room, owner: Owner, delegate: Address, made: Planned) -> Hash32:
    """Signed attended, sent, mined, and found to be so on the chain. Raises Denied, Reconcile, Reject DELEGATION_NOT_TAKEN."""
    request: dict[str, object] = {
        "chain_id": room.chain.chain_id,
        "nonce": made.nonce,
        "delegate": delegate,
        "gas": made.gas,
        "max_fee_wei": str(made.fees.max_fee_wei),
        "max_priority_fee_wei": str(made.fees.max_priority_fee_wei),
    }
    allow = [word for a in room.settings.wallet.delegates for word in ("--allow", a)]
    signed = await signed_attended(room, owner, "keys.owner_delegate", allow, request, made.nonce)
    await sent_openly(room, signed)
    account = Address(owner.address)
    now = (await identify(room.gateway, account)).delegate
    if now != (None if delegate == ZERO_ADDRESS else delegate):
        raise Reject(
            "DELEGATION_NOT_TAKEN",
            f"after {signed.hash} {account} runs {now or 'no code'}",
            "its nonce was used by another transaction meanwhile: do it again",
        )
    return signed.hash
