"""What is told beyond one chain's scope: approvals that nobody meant to leave, the same address on the settings' other chains, and what
lies on the agent's key there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.app.auditing import gas_held
from agent.app.multisig.room import Room, open_room
from agent.app.watching.holdings_check import held_on
from agent.app.watching.reading import Reading
from agent.app.watching.words import amount
from agent.domain.errors import FairleadError
from chains.types import Address
from chains.wallets import WalletKind, identify


@dataclass(frozen=True, slots=True)
class Wide:
    """`drift`: not as the settings say. `notes`: worth knowing, and no drift. `unread`: what could not be looked at, and why."""

    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def __add__(self, other: Wide) -> Wide:
        return Wide(self.drift + other.drift, self.notes + other.notes, self.unread + other.unread)


async def wide(room: Room, since: int, requests: int = 40) -> Wide:
    """`since`: the first block whose logs are searched for approvals, in so many requests. Raises Retry where the chain does not answer."""
    others = [c for c in room.settings.chains if c.chain_id != room.chain.chain_id]
    told = await asyncio.gather(approved(room, since, requests), *(_elsewhere(room, c.name) for c in others))
    return sum(told, Wide())


@dataclass(frozen=True, slots=True)
class Purse:
    """What lies on the agent's key on a chain where no scope bounds it; `wei` None where the chain did not answer."""

    chain: str
    native: str
    wei: int | None

    @property
    def sentence(self) -> str:
        if self.wei is None:
            return f"what lies on the agent's key on {self.chain} is not known: the chain did not answer"
        return f"beside it all that lies on the agent's key on {self.chain}, now {amount(self.wei, 18)} {self.native}"


async def purses(room: Room) -> tuple[Purse, ...]:
    """The key is the same on every chain of the settings: whoever steals it takes what it holds there, too. Empty ones are left out."""
    sender, scoped = room.settings.wallet.sender, {t.chain for t in room.settings.scopes}
    bare = [c for c in room.settings.chains if c.name not in scoped and c.chain_id != room.chain.chain_id]
    if sender is None:
        return ()

    async def one(name: str) -> Purse:
        chain = room.settings.chain(name)
        assert chain is not None
        there = await open_room(room.settings, chain, room.session)
        try:
            return Purse(name, there.profile.native, await gas_held(there.gateway, Address(sender.address)))
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return Purse(name, there.profile.native, None)

    found = await asyncio.gather(*(one(c.name) for c in bare))
    return tuple(purse for purse in found if purse.wei != 0)


async def approved(room: Room, since: int, requests: int) -> Wide:
    """What others may take that the scope does not give its Gate."""
    reading = Reading(room.settings, {room.chain.chain_id: room.gateway}, room.session)
    held = await held_on(reading, room.chain, since, requests)
    drift = [f"{a.spender_name} ({a.spender}) may {a.may(held.tokens[a.token])}" for a in held.left]
    unread = [f"approvals: the logs were not searched: {held.unsearched}"] if held.unsearched else []
    return Wide(tuple(drift), (), tuple(unread))


async def _elsewhere(room: Room, name: str) -> Wide:
    chain = room.settings.chain(name)
    assert chain is not None
    try:
        return await _there(await open_room(room.settings, chain, room.session))
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return Wide(unread=(f"{name}: {error.message}",))


async def _there(room: Room) -> Wide:
    """The same address there: it is the settings' wallet, or somebody else's, or nobody's yet."""
    found, wallet, where = await identify(room.gateway, room.wallet), room.settings.wallet, room.chain.name
    if found.kind is WalletKind.EOA and wallet.kind == "eoa":
        return Wide()
    if found.kind is WalletKind.EOA:
        return Wide(
            notes=(f"{where}: nothing stands at {room.wallet}: send nothing there before it is created",)
        )
    if found.safe is None:
        return Wide((f"{where}: what stands at {room.wallet} is {found.what}",))
    known, state = {o.address for o in wallet.owners}, found.safe
    drift = [f"{where}: module {m} can act as {room.wallet} without any owner" for m in state.modules]
    if known and (known != set(state.owners) or state.threshold != wallet.threshold):
        has = f"{state.threshold} of {', '.join(state.owners)}"
        drift.append(f"{where}: {room.wallet} is owned by {has}, not as the settings say")
    if int(state.guard, 16):
        drift.append(f"{where}: guard {state.guard} stands in front of the owners' transactions")
    return Wide(tuple(drift))
