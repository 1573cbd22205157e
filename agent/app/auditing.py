"""Whether a chain still is as the settings' scope says, in one answer: what `wallet audit` tells and an unattended run asks.

`audit` reads every power at one block and the Safe beside it; `Audit.trouble` is the one reason not to use the agent's key, or None.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from agent.app import scoping
from agent.app.agent_account import account_findings
from agent.app.auditing_past import Logged, beside
from agent.app.delegating import accounts, running
from agent.app.multisig.delays import delays_of, sentence
from agent.app.multisig.room import Room
from agent.app.scoping import Granted
from agent.app.watching.safe_make import made_of
from agent.domain.risk import BreachReason
from chains.gateway import Gateway
from chains.types import Address, Call
from chains.userops import ENTRY_POINTS
from chains.wallets import SafeState
from contracts.codec import encode
from keys.scope import Scope
from keys.scope_bound import Bound, bound


@dataclass(frozen=True, slots=True)
class Audit:
    """`others` are the doors beside the Gate: modules, a guard, owners the settings do not know; the same of the agent's account, where
    that is a Safe behind ERC-4337; and keys of the settings that run code.

    Of the Safe also what it is made of; and powers that stand beside the scope, found in the logs. `waits` are widenings in the Gate's
    queue, which are no drift yet; `unread` says why the logs were not read, empty where they were.

    `bound` counts the gas money that is really the agent's account's, where that is more than the settings say: what it holds, and what lies
    for it in the EntryPoints where it is an ERC-4337 account, and what lies on the key that owns such an account. Every transaction that fails, or that others had signed, is paid out of it.
    """

    chain: str
    scope: Scope
    granted: Granted
    others: tuple[str, ...]
    bound: Bound
    waits: tuple[str, ...] = ()
    unread: str = ""

    @property
    def lapsed(self) -> bool:
        return bool(self.granted.expiry) and self.granted.expiry < self.granted.block.timestamp

    @property
    def left_s(self) -> int:
        """How long the power lasts without renewal; 0 once it has lapsed, or was never given."""
        return max(self.granted.expiry - self.granted.block.timestamp, 0)

    @property
    def drifted(self) -> bool:
        return bool(self.granted.differs or self.others)

    @property
    def trouble(self) -> BreachReason | None:
        has, on = self.granted, "" if self.chain == "ethereum" else f" --chain {self.chain}"
        if has.none_yet:
            return BreachReason(
                "SCOPE_NOT_GRANTED",
                f"{self.chain}: the owners have granted the agent's account {self.scope.agent} nothing yet",
                f"`fairlead wallet scope --propose{on}`, then the owners sign and execute it",
            )
        frozen = [c for c in has.differs if c.key == "gate frozen"]
        if frozen and len(has.differs) == 1:
            return BreachReason(
                "SCOPE_FROZEN",
                f"{self.chain}: an owner has frozen the Gate {has.gate}",
                "the owners decide; starting again waits in the Gate's queue",
            )
        if self.drifted:
            told = "; ".join([*map(str, has.differs), *self.others])
            return BreachReason(
                "SCOPE_DRIFT",
                f"{self.chain}: the chain is not as the settings say: {told}",
                f"`fairlead wallet audit{on}` tells all of it; put the settings or the chain right",
            )
        if self.lapsed:
            return BreachReason(
                "SCOPE_LAPSED",
                f"{self.chain}: the agent's power lapsed {has.block.timestamp - has.expiry} s ago",
                f"`fairlead wallet renew{on}`, then the owners sign and execute it",
            )
        return None


async def audit(room: Room, scope: Scope, creation: bytes, logged: Logged | None = None) -> Audit:
    """`logged`: what an audit before this one read of the logs. Raises Retry where the chain does not answer, Usage NO_FEED, Reject PRICE_UNKNOWN, and as `safe_now`."""
    held = await money_held(room, scope.agent)
    told = bound(replace(scope, gas_float_wei=max(scope.gas_float_wei, held)), await scoping.native_usd(room))
    has = await scoping.granted(room, scope, creation)
    here = await room.now()
    more = await beside(room.gateway, scope, has, logged or Logged(scoping.table_for(room).since))
    doors = others(room, here.state) + more.drift
    doors += await made_of(room.gateway, room.wallet, here.state, here.block.number)
    doors += tuple(sentence(d, room.wallet) for d in await delays_of(room.gateway, here.state.modules))
    if scoping.table_for(room).account == "safe_4337":
        sender = room.settings.wallet.sender
        key = Address(sender.address) if sender is not None else None
        doors += await account_findings(room.gateway, scope.agent, key)
    runs = await running(room.gateway, accounts(room.settings))
    doors += tuple(one.sentence for one in runs if one.delegate is not None)
    return Audit(room.chain.name, scope, has, doors, told, more.waits, more.unread)


async def gas_held(gateway: Gateway, account: Address) -> int:
    """Wei that the account can burn as gas: its own, and its deposits in every EntryPoint there is, for it can withdraw them. Raises Retry where the chain does not answer."""
    asked = [Call(at, encode("entry_point_07", "balanceOf", (account,))) for at in ENTRY_POINTS]
    own, (_, told) = await asyncio.gather(gateway.balance(account), gateway.multicall(asked))
    return own + sum(int.from_bytes(t.data, "big") for t in told if t.ok and len(t.data) == 32)


async def money_held(room: Room, account: Address) -> int:
    """Wei that whoever has the agent's key can burn or take away: the account's, and the key's own where the account is a Safe that it
    owns. Raises Usage NO_SCOPE, Retry."""
    sender = room.settings.wallet.sender
    own = await gas_held(room.gateway, account)
    if scoping.table_for(room).account == "key" or sender is None or sender.address == account:
        return own
    return own + await gas_held(room.gateway, Address(sender.address))


def others(room: Room, state: SafeState) -> tuple[str, ...]:
    wallet = room.settings.wallet
    known = {o.address for o in wallet.owners}
    found = [f"module {m} can act without any owner" for m in state.modules]
    if int(state.guard, 16):
        found.append(f"guard {state.guard} stands in front of the owners' transactions")
    if known and known != set(state.owners):
        found.append("the owners on chain are not those of the settings")
    if known and state.threshold != wallet.threshold:
        found.append(f"{state.threshold} owners must sign, the settings say {wallet.threshold}")
    return tuple(found)
