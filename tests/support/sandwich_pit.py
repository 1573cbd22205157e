"""A devnet's chain 1 with a leaky builder and an honest one, the sandwich bot as a process of its own, and one trader."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from anvil_support import ROOT, User
from devnet_fixture import _built
from eth_account import Account

from agent.amm import Pool, swap_exact_in
from agent.app.clocked import timed_route
from agent.app.mev import MevReceipt, examine
from agent.domain.instruments import Asset, erc20_id, native_id
from agent.domain.routes import Leg
from agent.domain.units import less_bps_down
from agent.execution.batch import Routers, router_swap
from agent.market.pools import parse_pool
from agent.market.view import GasState, MarketView
from chains.devnet import service
from chains.devnet.addresses import CHAINS
from chains.devnet.demo import demo_pools
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Admin
from chains.devnet.service import Status
from chains.gateway import Gateway
from chains.pools import PoolReader, PoolSpec, V4Contracts
from chains.profiles import load
from chains.relay import sendable
from chains.relay_auth import local_header
from chains.relays.public import PublicRelay
from chains.relays.titan import TitanRelay
from chains.rpc import Rpc
from chains.simulate import Simulator
from chains.types import Address, Hash32, Protection, SignedTx
from contracts.codec import encode
from contracts.universal_router import execute

CHAIN = load("ethereum")
WETH, USDC = erc20_id(1, CHAIN.wrapped_native), erc20_id(1, CHAIN.usdc)
ROUTERS = Routers(
    1, CHAIN.contracts["permit2"], CHAIN.contracts["universal_router"], None, CHAIN.wrapped_native
)
LEAKY, HONEST = "titan", "quasar"
AUTH = local_header(bytes([1] * 31 + [96]))
TRADER = User(Account.from_key(bytes([0xD4] * 32)))
LATE = 1 << 40


def bot_pools(status: Status) -> list[str]:
    return [
        word
        for kind, address in demo_pools(status.contracts, CHAINS[1])
        if kind.startswith("uniswap")
        for word in ("--pool", f"{kind}:{address}")
    ]


@dataclass
class Pit:
    """Blocks only by `mine`. `undone` gives every way of sending the same chain."""

    status: Status
    admin: Admin
    public: Admin
    gateway: Gateway
    reader: PoolReader
    simulator: Simulator
    session: aiohttp.ClientSession
    bot_url: str
    signed: int = 0

    async def pools(self) -> dict[str, Pool]:
        snapshot = await self.reader.snapshot()
        assets = {
            erc20_id(1, t.address): Asset(erc20_id(1, t.address), t.symbol, t.decimals)
            for t in snapshot.tokens.values()
        }
        assets.setdefault(WETH, Asset(WETH, "WETH", 18))
        return {
            e["id"]: parse_pool(
                e["id"], {**e, "assets": [WETH if a == native_id(1) else a for a in e["assets"]]}, assets
            )
            for e in snapshot.pools
        }

    async def route(self, amount: int) -> Sequence[Leg]:
        """Fairlead's own route for selling WETH."""
        pools = await self.pools()
        head = await self.gateway.block()
        assets = {a: Asset(a, s, d) for a, s, d in ((WETH, "WETH", 18), (USDC, "USDC", 6))}
        gas = {"eip155:1": GasState(head.number, head.base_fee_wei, 10**9, WETH)}
        view = MarketView(assets=assets, pools=pools, gas=gas)  # type: ignore[arg-type]
        return timed_route(view, WETH, USDC, amount, max_hops=1).legs

    async def alone(self, amount: int) -> Sequence[Leg]:
        """All of it through the pool that gives most: what somebody does who looks at one pool."""
        legs = await self.route(10**18)
        pools = await self.pools()
        told = {p.id: swap_exact_in(p, WETH, USDC, amount) for p in pools.values()}
        best = max(told, key=lambda name: getattr(told[name], "amount_out", 0))
        return [replace(legs[0], id=best, in_raw=amount, out_raw=told[best].amount_out)]  # type: ignore[union-attr]

    async def sign(self, legs: Sequence[Leg], tolerance_bps: int) -> SignedTx:
        pools = await self.pools()
        native = {e for e, p in pools.items() if p.kind == "uniswap_v4"}
        commands = [
            c
            for leg in legs
            for c in router_swap(
                leg, pools[leg.id], ROUTERS, leg.in_raw, less_bps_down(leg.out_raw, tolerance_bps), True, True, leg.id in native
            )
        ]  # fmt: skip
        nonce = await self.gateway.nonce(Address(TRADER.address))
        data = "0x" + execute(commands, LATE).hex()
        self.signed += 1  # the gas limit tells one sending from another in the bot's record
        return TRADER.sign(
            ROUTERS.universal_router, data=data, nonce=nonce, gas=1_500_000 + self.signed, tip_gwei=2
        )

    async def send(self, tx: SignedTx, builders: Sequence[str] = ()) -> None:
        """Openly, or to these builders alone, for the next block."""
        if not builders:
            relay = PublicRelay(Rpc(self.status.urls[1], self.session))
            await relay.send(sendable(tx, Protection.PUBLIC, relay.profile))
        for name in builders:
            road = TitanRelay(f"{self.status.urls[1]}/builder/{name}", self.session, AUTH)
            await road.send(
                sendable(tx, Protection.PRIVATE, road.profile), block=(await self.gateway.block()).number + 1
            )

    async def judged(self, tx: SignedTx) -> dict[str, Any]:
        """What the bot decided about it at this head."""
        head = int(self.public("eth_blockNumber"), 16)
        for _ in range(500):
            for one in (await self.ask())["judged"]:
                if one["victim"] == tx.hash and one["head"] == head:
                    found: dict[str, Any] = one
                    return found
            await asyncio.sleep(0.02)
        raise AssertionError("the bot never saw it")

    async def saw_nothing_of(self, tx: SignedTx) -> bool:
        await asyncio.sleep(0.2)
        return all(one["victim"] != tx.hash for one in (await self.ask())["judged"])

    async def ask(self) -> dict[str, Any]:
        async with self.session.get(self.bot_url) as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async def mine(self) -> None:
        """One block, which the bot has seen."""
        self.admin("relay_mine", 1)
        await self.bot_is_at(int(self.public("eth_blockNumber"), 16))

    async def bot_is_at(self, block: int) -> None:
        for _ in range(500):
            if (await self.ask())["head"] == block:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"the bot never came to block {block}")

    def holds(self, token: str, of: str) -> int:
        data = encode("erc20", "balanceOf", (of,))
        return int(self.public("eth_call", {"to": token, "data": "0x" + data.hex()}, "latest"), 16)

    async def look(self, tx: SignedTx) -> MevReceipt:
        return await examine(
            self.gateway, self.simulator, Hash32(tx.hash), Address(TRADER.address), CHAIN.usdc
        )

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        snapshot = self.admin("evm_snapshot")
        yield
        self.admin("relay_builder", {"name": LEAKY, "leaks": "sell"})  # which forgets what it sold so far
        self.admin("evm_revert", snapshot)
        await self.bot_is_at(int(self.public("eth_blockNumber"), 16))


@asynccontextmanager
async def bot(status: Status, *builders: str) -> AsyncIterator[str]:
    """The bot's process; its url."""
    argv = ["--port", "0", "--rpc", status.urls[1], "--cheat", status.cheat_urls[1], *bot_pools(status)]
    argv += [w for name in builders for w in ("--builder", f"{name}={status.urls[1]}/builder/{name}")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.app.adversary", *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        assert line[:2] == ["sandwich", "ready"], line
        yield line[2]
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)


def _stocked(status: Status) -> None:
    """The trader's money, and his allowances long before he trades."""
    url, permit2 = status.cheat_urls[1], CHAIN.contracts["permit2"]
    give_eth(url, TRADER.address, 10 * 10**18)
    give_token(url, CHAIN.wrapped_native, TRADER.address, 2_000 * 10**18)
    with Admin(url) as admin:
        approve = encode(
            "permit2", "approve", (CHAIN.wrapped_native, ROUTERS.universal_router, 2**160 - 1, 2**48 - 1)
        )
        for to, data in (
            (CHAIN.wrapped_native, encode("erc20", "approve", (permit2, 2**256 - 1))),
            (permit2, approve),
        ):
            tx = TRADER.sign(to, data="0x" + data.hex())
            admin("eth_sendRawTransaction", "0x" + tx.raw.hex())


@asynccontextmanager
async def pit(folder: Path) -> AsyncIterator[Pit]:
    _built()
    options = ["--builder", f"{LEAKY}:50:leaks=sell", "--builder", f"{HONEST}:50", "--seed", "5"]
    status = service.up(
        runtime=folder, chains=[1], fast=True, relay_options=options, feeds=False, progress=lambda _: None
    )
    try:
        TRADER.nonce = 0
        admin, public = Admin(status.cheat_urls[1]), Admin(status.urls[1])
        admin("relay_pause")
        _stocked(status)
        specs = [
            PoolSpec(kind, at)
            for kind, at in demo_pools(status.contracts, CHAINS[1])
            if kind.startswith("uniswap")
        ]
        c = CHAIN.contracts
        v4 = V4Contracts(
            c["uniswap_v4_pool_manager"], c["uniswap_v4_state_view"], c["uniswap_v4_position_manager"]
        )
        async with aiohttp.ClientSession() as session, bot(status, LEAKY) as url:
            rpcs = [Rpc(status.urls[1], session)]
            gateway = Gateway(1, rpcs, max_lag=1_000)
            async with Simulator(1, gateway, rpcs) as simulator:
                yield Pit(
                    status, admin, public, gateway, PoolReader(gateway, specs, v4), simulator, session, url
                )
        admin.close()
        public.close()
    finally:
        service.down(runtime=folder)
