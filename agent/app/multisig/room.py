"""One chain opened for the owners' commands: its reads, and a rehearsal on this machine. Neither journal nor signer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from agent.app.endpoints import call_endpoints
from agent.app.multisig.building import Wallets
from agent.app.multisig.effects import Effects, effects_of
from agent.app.multisig.state import SafeNow, safe_now
from agent.app.settings_tree import Chain, Settings
from agent.app.watching.words import age
from agent.domain.errors import FairleadError
from agent.domain.instruments import chain_place
from agent.ports import Clock
from agent.transport.clock import SystemClock
from chains import profiles
from chains.gateway import Gateway
from chains.profile import ChainProfile
from chains.rpc import Rpc
from chains.simulate import WATCHER, Simulator
from chains.types import Address, BlockRef, Call
from contracts.codec import encode
from keys.safe import SafeTx

T = TypeVar("T")


@dataclass
class Room:
    settings: Settings
    chain: Chain
    profile: ChainProfile
    gateway: Gateway
    session: aiohttp.ClientSession
    clock: Clock

    @property
    def wallet(self) -> Address:
        return Address(self.settings.wallet.address)

    @property
    def wallets(self) -> Wallets:
        contracts = self.profile.contracts
        return Wallets(
            contracts["safe_multi_send_call_only"],
            contracts["permit2"],
            contracts.get("universal_router"),
            self.profile.wrapped_native,
        )

    @property
    def executor(self) -> Address:
        sender = self.settings.wallet.sender
        return Address(sender.address) if sender else WATCHER

    async def now(self) -> SafeNow:
        return await safe_now(self.gateway, self.wallet)

    def head_line(self, block: BlockRef) -> str:
        return f"{self.chain.name} {block.number} ({age(self.clock.now_ns() // 10**9 - block.timestamp)})"

    async def tokens(self) -> dict[Address, tuple[str, int]]:
        """The settings' tokens on this chain, with the decimals their contracts tell."""
        return await known_tokens(self.settings, self.chain, self.gateway)

    async def rehearse(self, tx: SafeTx, now: SafeNow) -> Effects:
        """Raises Usage where there is no Anvil on this machine, Retry where state cannot be read."""
        rpcs = [Rpc(url, self.session) for url in call_endpoints(self.chain)]
        async with Simulator(self.chain.chain_id, self.gateway, rpcs) as simulator:
            return await effects_of(
                simulator,
                self.profile,
                self.wallet,
                tx,
                self.executor,
                await self.tokens(),
                now.state,
                now.block,
            )


async def known_tokens(settings: Settings, chain: Chain, gateway: Gateway) -> dict[Address, tuple[str, int]]:
    prefix = f"{chain_place(chain.chain_id)}/erc20:"
    listed = [
        (Address(asset.removeprefix(prefix)), symbol)
        for symbol, ids in settings.assets.items()
        for asset in ids
        if asset.startswith(prefix)
    ]
    if not listed:
        return {}
    _, answers = await gateway.multicall([Call(token, encode("erc20", "decimals")) for token, _ in listed])
    found: dict[Address, tuple[str, int]] = {}
    for (token, symbol), answer in zip(listed, answers, strict=True):
        decimals = int.from_bytes(answer.data[:32], "big") if answer.ok and len(answer.data) >= 32 else 99
        if decimals <= 36:
            found[token] = (symbol, decimals)
    return found


def inside(settings: Settings, chain: Chain, work: Callable[[Room], Awaitable[T]]) -> T:
    """Runs `work` over one chain. Ctrl-C ends it; nothing is left behind."""

    async def run() -> T:
        async with aiohttp.ClientSession() as session:
            return await work(await open_room(settings, chain, session))

    return asyncio.run(run())


async def open_room(settings: Settings, chain: Chain, session: aiohttp.ClientSession) -> Room:
    profile = profiles.load(chain.chain_id)
    rpcs = [Rpc(url, session) for url in call_endpoints(chain)]
    gateway = Gateway(chain.chain_id, rpcs, block_numbers_are_l1=profile.block_numbers_are_l1)
    return Room(settings, chain, profile, gateway, session, SystemClock())


async def try_to_rehearse(room: Room, tx: SafeTx, now: SafeNow) -> Effects | str:
    """The effects, or why they could not be found out: an owner without Anvil may still read the decoded calls and sign."""
    try:
        return await room.rehearse(tx, now)
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return error.message


Tokens = Mapping[Address, tuple[str, int]]
