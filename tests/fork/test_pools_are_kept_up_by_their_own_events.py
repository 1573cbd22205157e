"""Pools followed by their own events on the devnet's genuine contracts: after every change they are what a whole reading finds, and what
cannot be followed is read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from mainnet_world import FOREVER, call_data
from pool_lists import AT, V4, specs
from told_heads import ToldHeads

from agent.app.live_market import parse_pool
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.batch import Routers, build
from chains import profiles
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.devnet.service import Status
from chains.evm import from_hex
from chains.gateway import Gateway
from chains.pool_keeper import PoolKeeper
from chains.pools import PoolReader, PoolSnapshot
from chains.rpc import Rpc
from chains.types import Address
from chains.warm import Warm

pytestmark = pytest.mark.devnet
TRADER = Address("0x00000000000000000000000000000000000a11ce")
HERE, ETHER = Place("eip155:1"), AssetId("eip155:1/slip44:60")


@dataclass
class Followed:
    rpc: Blocking
    gateway: Gateway
    heads: ToldHeads
    warm: Warm
    keeper: PoolKeeper
    whole: PoolReader

    async def tell(self) -> None:
        """The chain's new heads, as its subscription tells them: the devnet's price feeds make blocks of their own, too."""
        newest, told = await self.gateway.block(), self.heads.newest
        for number in range(told.number + 1 if told else newest.number, newest.number):
            self.heads.say(await self.gateway.block(number))
        self.heads.say(newest)

    async def both(self) -> tuple[PoolSnapshot, PoolSnapshot]:
        """What was followed, and a reading of everything by somebody who never saw these pools before."""
        return await self.keeper.snapshot(), await self.whole.snapshot()

    def send(self, to: str, data: str) -> dict[str, Any]:
        receipt: dict[str, Any] = self.rpc.transact(
            {"from": TRADER, "to": to, "data": data, "gas": hex(5_000_000)}
        )
        assert receipt["status"] == "0x1"
        return receipt


@asynccontextmanager
async def followed(status: Status, **more: int) -> AsyncIterator[Followed]:
    listed = specs(status)
    async with aiohttp.ClientSession() as session:
        gateway = Gateway(1, [Rpc(status.urls[1], session)])
        heads = ToldHeads(1)
        warm = Warm(gateway, heads, fresh_s=600)
        with Blocking(status.cheat_urls[1]) as rpc:
            rpc("anvil_impersonateAccount", TRADER)
            keeper = PoolKeeper(PoolReader(gateway, listed, V4), warm, **more)
            one = Followed(rpc, gateway, heads, warm, keeper, PoolReader(gateway, listed, V4))
            await one.tell()
            try:
                yield one
            finally:
                await keeper.close()


def sale(snapshot: PoolSnapshot, wallet: Address, each: int) -> list[tuple[str, str]]:
    """Calls that sell WETH for USDC in every pool that trades the two, each its share."""
    tokens = {
        t.symbol: AssetId(f"eip155:1/erc20:{t.address}")
        for t in snapshot.tokens.values()
        if t.symbol != "ETH"
    }
    weth, usdc = tokens["WETH"], tokens["USDC"]
    assets = {AssetId(f"eip155:1/erc20:{t.address}"): Asset(AssetId(f"eip155:1/erc20:{t.address}"), t.symbol, t.decimals) for t in snapshot.tokens.values()}  # fmt: skip
    pools, native = {}, set()
    for entry in snapshot.pools:
        held = [weth if a == ETHER else a for a in entry["assets"]]
        if weth in held and usdc in held:
            pools[entry["id"]] = parse_pool(entry["id"], {**entry, "assets": held}, assets)
            native |= {entry["id"]} if ETHER in entry["assets"] else set()
    legs = [Leg(name, HERE, weth, usdc, each, 1, 0, 0, weth, pool.kind) for name, pool in pools.items()]
    assert {leg.kind for leg in legs} >= {"uniswap_v2", "uniswap_v3", "uniswap_v4", "balancer_v2_weighted"}
    part = Part("p", "c", HERE, 1, weth, usdc, each * len(legs), len(legs), 1, tuple(range(len(legs))))  # type: ignore[arg-type]
    contracts = profiles.load(1).contracts
    routers = Routers(1, contracts["permit2"], contracts["universal_router"], contracts["balancer_vault"], profiles.load(1).wrapped_native)  # fmt: skip
    calls = build(
        part, legs, pools, routers, wallet, FOREVER % 2**48, dict.fromkeys(range(len(legs)), 1), native
    )
    return [(call.to, "0x" + call.data.hex()) for call in calls]


async def test_after_every_change_what_was_followed_is_what_a_whole_reading_finds(devnet: Status) -> None:
    """Swaps in pools of every kind, several blocks caught up with in one request; liquidity that comes, shrinks and goes."""
    async with followed(devnet) as one:
        first, fresh = await one.both()
        assert first.pools == fresh.pools and one.keeper.whole == 1
        weth = next(t.address for t in first.tokens.values() if t.symbol == "WETH")
        give_eth(devnet.cheat_urls[1], TRADER, 10**22)
        give_token(devnet.cheat_urls[1], weth, TRADER, 10**21)
        await one.tell()
        settled = await one.keeper.snapshot()
        whole = one.keeper.whole

        asked = one.warm.requests
        for to, data in sale(first, TRADER, 4 * 10**18):
            one.send(to, data)
            await one.tell()
        moved, fresh = await one.both()
        assert moved.pools == fresh.pools
        followed_it = (
            one.keeper.whole == whole
        )  # else a block of the feeds came between: then it was read whole, and rightly
        assert one.warm.requests <= asked + 1 or not followed_it
        was = {entry["id"]: entry for entry in settled.pools}
        changed = {e["kind"] for e in moved.pools if e != was[e["id"]]}
        assert changed >= {"uniswap_v2", "uniswap_v3", "uniswap_v4", "balancer_v2_weighted"}
        assert not followed_it or any(e is was[e["id"]] for e in moved.pools), (
            "what nobody touched is the very same object"
        )

        five = next(p for p in moved.pools if p["kind"] == "uniswap_v3" and p["fee_pips"] == 500)
        spacing, weth_second = five["tick_spacing"], five["assets"][1].endswith(weth)
        at = five["tick"] // spacing * spacing
        low, high = (
            (at - 33 * spacing, at - 22 * spacing) if weth_second else (at + 22 * spacing, at + 33 * spacing)
        )
        one.send(weth, call_data("approve(address,uint256)", AT.v3_npm, 2**255))
        await one.tell()
        tokens = tuple(asset.rpartition(":")[2] for asset in five["assets"])
        amounts = (0, 10**18) if weth_second else (10**18, 0)
        kinds = "address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256"
        position = (*tokens, 500, low, high, *amounts, 0, 0, TRADER, FOREVER)
        receipt = one.send(AT.v3_npm, call_data(f"mint(({kinds}))", position))
        await one.tell()
        grown, fresh = await one.both()
        assert grown.pools == fresh.pools
        assert {low, high} <= {
            tick for tick, _ in next(p for p in grown.pools if p["id"] == five["id"])["ticks"]
        }

        increase = next(log for log in receipt["logs"] if log["address"].lower() == AT.v3_npm.lower() and len(log["data"]) == 2 + 3 * 64)  # fmt: skip
        number, liquidity = (
            int(increase["topics"][1], 16),
            int.from_bytes(from_hex(increase["data"])[:32], "big"),
        )
        less = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
        for part in (liquidity // 3, liquidity - liquidity // 3):
            one.send(AT.v3_npm, call_data(less, (number, part, 0, 0, FOREVER)))
            await one.tell()
            shrunk, fresh = await one.both()
            assert shrunk.pools == fresh.pools
        assert {tick for tick, _ in next(p for p in shrunk.pools if p["id"] == five["id"])["ticks"]} == {t for t, _ in five["ticks"]}  # fmt: skip
        assert one.keeper.steps >= 2, "most of it was followed"


async def test_another_branch_of_the_chain_and_a_silent_feed_are_read_whole(devnet: Status) -> None:
    async with followed(devnet) as one:
        await one.both()
        one.rpc("evm_mine")
        await one.tell()
        before = (await one.keeper.snapshot()).block.hash
        one.rpc("anvil_rollback", 1)
        one.rpc("evm_increaseTime", 7)
        one.rpc("anvil_mine", "0x2")
        await one.tell()
        branched, fresh = await one.both()
        assert one.keeper.whole >= 2 and await one.warm.news(before) is None
        assert branched.pools == fresh.pools
        # Nobody tells the next block: what was followed is older than what this process has seen since.
        one.rpc("evm_mine")
        newest = await one.gateway.block()
        silent = await one.keeper.snapshot()
        assert one.keeper.whole >= 3 and silent.block.number >= newest.number
        # A feed that tells an old head again is not believed to tell the newest.
        one.heads.say(branched.block)
        assert (await one.warm.block()).number >= newest.number
        assert (await one.keeper.snapshot()).block.number >= newest.number


async def test_a_check_that_finds_a_difference_is_told_and_heeded(devnet: Status) -> None:
    """State that changes with no event, as no genuine pool does: only the whole reading can see it."""
    told: list[str] = []
    async with followed(devnet, check_every=2) as one:
        one.keeper.differed = told.append
        first, _ = await one.both()
        pair = next(p for p in first.pools if p["kind"] == "uniswap_v2")
        address, slot = pair["id"].rpartition("/")[2], hex(8)
        packed = int(one.rpc("eth_getStorageAt", address, slot, "latest"), 16)
        wrong = "0x" + (8).to_bytes(32, "big").hex()
        for more in range(1, 40):  # the check runs beside the road: it is heeded by one of the next readings
            one.rpc("anvil_setStorageAt", address, wrong, "0x" + (packed + more).to_bytes(32, "big").hex())
            one.rpc("evm_mine")
            await one.tell()
            await one.keeper.snapshot()
            if told:
                break
        assert told and pair["id"] in told[0] and one.keeper.checks
        corrected, fresh = await one.both()
        assert corrected.pools == fresh.pools and corrected.pools != first.pools
