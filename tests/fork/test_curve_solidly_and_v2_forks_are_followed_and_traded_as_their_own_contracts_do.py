"""Curve's 3pool (its recorded bytecode and state), Aerodrome's pools (its published Solidity, compiled) and a fork of Uniswap V2 with another
fee (PancakeSwap's published artifacts) on the devnet's chain: found, read, followed through swaps, fees, ramps and another branch, quoted
as they quote themselves, and traded to the wei through the RouteExecutor."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from mainnet_world import FOREVER, call_data
from other_exchanges import PANCAKE_PIPS, Others, build_others
from told_heads import ToldHeads

from agent.amm import Pool, Swapped, swap_exact_in
from agent.app.live_pools import PoolProof, fork_routers
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.batch import Routers, build
from agent.execution.route_batch import executor_calls, needs_executor
from agent.market.pools import parse_pool
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.demo import demo_pools
from chains.devnet.deploy.base import mint
from chains.devnet.funding import token_balance
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.devnet.service import Status
from chains.evm import checksum
from chains.gateway import Gateway
from chains.pool_factories import PoolFactory
from chains.pool_keeper import PoolKeeper
from chains.pools import PoolReader, PoolSnapshot, PoolSpec
from chains.profiles import load
from chains.rpc import Rpc
from chains.types import Address
from chains.warm import Warm
from contracts.route_executor import ADDRESS

pytestmark = pytest.mark.devnet
AT, HERE = CHAINS[1], Place("eip155:1")
CURVE_KINDS = ("curve_stableswap", "solidly_stable", "solidly_volatile", "uniswap_v2")
"""What stands here, by kind."""


def asset(token: str) -> AssetId:
    return AssetId(f"eip155:1/erc20:{token}")


def parsed(snapshot: PoolSnapshot) -> dict[str, Pool]:
    assets = {
        asset(t.address): Asset(asset(t.address), t.symbol, t.decimals) for t in snapshot.tokens.values()
    }
    return {entry["id"]: parse_pool(entry["id"], entry, assets) for entry in snapshot.pools}


@dataclass
class Stage:
    b: Builder
    others: Others
    gateway: Gateway
    heads: ToldHeads
    keeper: PoolKeeper

    def whole(self) -> PoolReader:
        """Somebody who never saw these pools before."""
        fees = {self.others.pancake: PANCAKE_PIPS}
        listed = [PoolSpec("curve_stableswap", self.others.curve)]
        return PoolReader(
            self.gateway, listed, v2_fees=fees, factories=self.others.factories, tokens=self.others.tokens
        )

    async def tell(self) -> None:
        newest, told = await self.gateway.block(), self.heads.newest
        for number in range(told.number + 1 if told else newest.number, newest.number):
            self.heads.say(await self.gateway.block(number))
        self.heads.say(newest)

    async def followed(self) -> PoolSnapshot:
        """The followed pools, which are what a whole reading finds."""
        await self.tell()
        ours, whole = await self.keeper.snapshot(), await self.whole().snapshot()
        assert ours.pools == whole.pools and not whole.skipped
        return ours

    def do(self, to: str, signature: str, *values: Any) -> dict[str, Any]:
        return self.b.send(to, bytes.fromhex(call_data(signature, *values)[2:]))


@asynccontextmanager
async def stage(status: Status) -> AsyncIterator[Stage]:
    named = {c.name: c.address for c in status.contracts if c.chain == 1}
    with Blocking(status.cheat_urls[1]) as rpc:
        b = Builder(rpc, AT)
        others = build_others(b, named["DAI"], named["USDT"])
        async with aiohttp.ClientSession() as session:
            gateway, heads = Gateway(1, [Rpc(status.urls[1], session)]), ToldHeads(1)
            one = Stage(b, others, gateway, heads, None)  # type: ignore[arg-type]
            one.keeper = PoolKeeper(one.whole(), Warm(gateway, heads, fresh_s=600))
            for token in others.tokens:
                mint(b, token, DEPLOYER, 10**24 if token != AT.usdc and token != others.usdt else 10**13)
            await one.tell()
            try:
                yield one
            finally:
                await one.keeper.close()
        rpc("anvil_autoImpersonateAccount", False)


async def test_they_are_found_and_quote_as_their_own_contracts_do(devnet: Status) -> None:
    async with stage(devnet) as one:
        snapshot = await one.whole().snapshot()
        assert not snapshot.skipped
        pools, others = parsed(snapshot), one.others
        assert {name.rpartition("/")[2] for name in pools} == {
            others.curve,
            others.stable,
            others.volatile,
            *others.pairs,
        }
        assert [pools[f"{HERE}/{pair}"].fee_pips for pair in others.pairs] == [PANCAKE_PIPS] * 2
        proof = PoolProof()
        assert await proof.failing(tuple(pools.values()), snapshot.block, one.gateway) == {}
        # A pool that is taken for another curve than its contract's is caught by its own quotes, and only by those.
        wrong = {
            **next(e for e in snapshot.pools if e["kind"] == "solidly_volatile"),
            "kind": "solidly_stable",
        }
        assets = {
            asset(t.address): Asset(asset(t.address), t.symbol, t.decimals) for t in snapshot.tokens.values()
        }
        caught = await PoolProof().failing((parse_pool("x", wrong, assets),), snapshot.block, one.gateway)
        assert list(caught) == [wrong["id"]] and "quotes" in caught[wrong["id"]]
        # Listed by hand they are judged by what they answer.
        listed = [
            PoolSpec("solidly_volatile", others.stable), PoolSpec("curve_stableswap", others.volatile),
            PoolSpec("uniswap_v2", others.pairs[0]), PoolSpec("solidly_volatile", others.volatile),
        ]  # fmt: skip
        read = await PoolReader(one.gateway, listed, v2_fees={}).snapshot()
        assert [entry["id"] for entry in read.pools] == [f"{HERE}/{others.volatile}"]
        told = dict(read.skipped)
        assert "is a solidly_stable pool" in told[others.stable] and others.pancake in told[others.pairs[0]]
        # A factory's address that is another contract's has no pools.
        nowhere = [PoolFactory("solidly", others.pancake), PoolFactory("uniswap_v2", others.dai, 1)]
        none = PoolReader(one.gateway, [], factories=nowhere, tokens=others.tokens)
        assert none.reads_any and (await none.snapshot()).pools == ()


async def test_uniswaps_own_pools_are_found_by_its_factories(devnet: Status) -> None:
    """Every V2 pair and V3 pool that the devnet's demo market names, at whatever fee, and none twice."""
    at = AT.uniswap
    async with stage(devnet) as one:
        own = [
            PoolFactory("uniswap_v3", Address(at.v3_factory)),
            PoolFactory("uniswap_v2", Address(at.v2_factory), 3_000),
        ]
        found = await PoolReader(
            one.gateway, [], v2_fees={Address(at.v2_factory): 3_000}, factories=own, tokens=one.others.tokens
        ).snapshot()
        ids = [entry["id"] for entry in found.pools]
        named = {
            f"{HERE}/{where}"
            for kind, where in demo_pools(devnet.contracts, AT)
            if kind in ("uniswap_v2", "uniswap_v3")
        }
        assert len(ids) == len(set(ids)) and named <= set(ids) and len(named) >= 3
        assert {entry["fee_pips"] for entry in found.pools if entry["kind"] == "uniswap_v3"} >= {500, 3000}


async def test_after_every_change_what_was_followed_is_what_a_whole_reading_finds(devnet: Status) -> None:
    async with stage(devnet) as one:
        others = one.others
        await one.followed()
        one.b.rpc("evm_mine")  # what is followed is known from the next block on
        first, whole = await one.followed(), one.keeper.whole
        one.do(others.usdt, "approve(address,uint256)", others.curve, 2**255)
        one.do(AT.usdc, "approve(address,uint256)", others.curve, 2**255)
        curve = parsed(first)[f"{HERE}/{others.curve}"]
        expected = swap_exact_in(curve, asset(AT.usdc), asset(others.usdt), 5_000_000 * 10**6)
        assert isinstance(expected, Swapped)
        one.do(others.curve, "exchange(int128,int128,uint256,uint256)", 1, 2, 5_000_000 * 10**6, 0)
        moved = await one.followed()
        assert parsed(moved)[curve.id] == expected.after, "the administrators' share included"
        was = {entry["id"]: entry for entry in first.pools}
        # Where a block of the price feeds came between, it was read whole, and rightly.
        untouched = [entry for entry in moved.pools if entry["kind"] != "curve_stableswap"]
        assert one.keeper.whole > whole or all(entry is was[entry["id"]] for entry in untouched)
        # Swaps in the others, by their own doors: what is paid in first, then the swap.
        for pool, amount in ((others.volatile, 10**18), (others.pairs[0], 2 * 10**18)):
            before = parsed(await one.followed())[f"{HERE}/{pool}"]
            swapped = swap_exact_in(before, asset(AT.weth), asset(AT.usdc), amount)
            assert isinstance(swapped, Swapped)
            mint(one.b, AT.weth, pool, amount)
            sides = (0, swapped.amount_out) if before.assets[0] == asset(AT.weth) else (swapped.amount_out, 0)
            one.do(pool, "swap(uint256,uint256,address,bytes)", *sides, DEPLOYER, b"")
            assert parsed(await one.followed())[before.id] == swapped.after
        # Fees: a pool's own, then all of a kind's, of which no event tells; Curve's by its owner's two steps.
        one.do(others.solidly, "setCustomFee(address,uint256)", others.volatile, 77)
        one.do(others.solidly, "setFee(bool,uint256)", True, 9)
        fees = {e["kind"]: e.get("fee_1e4") for e in (await one.followed()).pools}
        assert (fees["solidly_volatile"], fees["solidly_stable"]) == ("77", "9")
        one.do(others.curve, "commit_new_fee(uint256,uint256)", 4_000_000, 1_000_000_000)
        await one.followed()
        one.b.rpc("evm_increaseTime", 4 * 86_400)
        one.do(others.curve, "apply_new_fee()")
        assert (
            next(e for e in (await one.followed()).pools if e["kind"] == "curve_stableswap")["fee_1e10"]
            == "4000000"
        )
        # An amplification that ramps moves at every block, with one event at its start.
        now = int(one.b.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        one.do(others.curve, "ramp_A(uint256,uint256)", 3_000, now + 2 * 86_400)
        seen = []
        for _ in range(3):
            one.b.rpc("evm_increaseTime", 40_000)
            one.b.rpc("evm_mine")
            seen.append(next(e for e in (await one.followed()).pools if e["kind"] == "curve_stableswap")["a"])
        assert len(set(seen)) == 3 and one.keeper.steps >= 8 and one.keeper.whole <= whole + 2
        # Another branch of the chain.
        one.b.rpc("anvil_rollback", 1)
        one.b.rpc("evm_increaseTime", 7)
        one.b.rpc("anvil_mine", "0x2")
        await one.followed()
        assert one.keeper.whole > whole


async def test_routes_through_them_give_what_was_planned_to_the_wei(devnet: Status) -> None:
    """Two and three hops over a random choice of them, several of a kind, each pool as the leg before left it."""
    draw, carried, kinds = random.Random(11), 0, set[str]()
    async with stage(devnet) as one:
        pools = parsed(await one.whole().snapshot())
        weth, usdc, dai, usdt = map(asset, one.others.tokens)
        chances = [
            [(weth, usdc), (usdc, dai), (dai, usdt)], [(usdt, usdc), (usdc, weth)], [(weth, dai), (dai, usdc), (usdc, usdt)],
            [(dai, weth), (weth, usdc)], [(usdc, usdt), (usdt, dai), (dai, weth)],
        ]  # fmt: skip
        while carried < 15:
            legs: list[Leg] = []
            path, states = chances[carried % len(chances)], dict(pools)
            decimals = 6 if path[0][0] in (usdc, usdt) else 18
            amount = int(10 ** draw.uniform(-2, 3.5) * 10**decimals)
            held = spent = amount
            for a, b in path:
                name = draw.choice([n for n, pool in states.items() if {a, b} <= set(pool.assets)])
                swapped = swap_exact_in(states[name], a, b, held)
                assert isinstance(swapped, Swapped), (name, swapped)
                legs.append(Leg(name, HERE, a, b, held, swapped.amount_out, 0, 0, a, states[name].kind))
                states[name], held = swapped.after, swapped.amount_out
            part = Part(
                "p", ClOrdId("c"), HERE, 1, path[0][0], path[-1][1], spent, held, 1, tuple(range(len(legs)))
            )  # type: ignore[arg-type]
            assert needs_executor(part, legs, pools, 1)
            sold, bought = (Address(a.rpartition(":")[2]) for a in (part.asset_in, part.asset_out))
            had = token_balance(one.b.rpc, bought, DEPLOYER)
            for call in executor_calls(
                part, legs, pools, Address(ADDRESS), 1, load(1).wrapped_native, FOREVER, held
            ):
                one.b.send(call.to, call.data)
            assert token_balance(one.b.rpc, bought, DEPLOYER) - had == held, legs
            assert token_balance(one.b.rpc, sold, ADDRESS) == 0
            pools, carried = states, carried + 1
            kinds |= {leg.kind for leg in legs}
        assert parsed(await one.whole().snapshot()) == pools
        assert kinds == set(CURVE_KINDS)


async def test_a_forks_pair_is_traded_through_the_forks_own_router_where_no_executor_is_used(
    devnet: Status,
) -> None:
    """A second factory and router of Uniswap's own published code: to its first it is another's."""
    async with stage(devnet) as one:
        b, known = one.b, load(1)
        factory = checksum(b.deploy(artifact("UniswapV2Factory").creation(DEPLOYER)))
        router = checksum(b.deploy(artifact("UniswapV2Router02").creation(factory, AT.weth)))
        one.do(factory, "createPair(address,address)", AT.weth, AT.usdc)
        made = PoolFactory("uniswap_v2", factory, 3_000)
        reader = PoolReader(
            one.gateway, [], v2_fees={factory: 3_000}, factories=[made], tokens=one.others.tokens
        )
        (empty,) = parsed(await reader.snapshot()).values()
        pair = empty.id.rpartition("/")[2]
        for token, amount in ((AT.weth, 90 * 10**18), (AT.usdc, 280_000 * 10**6)):
            mint(b, token, pair, amount)
        one.do(pair, "mint(address)", DEPLOYER)
        pools = parsed(await reader.snapshot())
        forks = fork_routers({factory: router}, reader.v2_factories())
        assert forks == {empty.id: router} and fork_routers({}, reader.v2_factories()) == {}
        bare = Routers(
            1,
            known.contracts["permit2"],
            known.contracts["universal_router"],
            None,
            Address(known.wrapped_native),
        )
        routers = replace(bare, forks=forks)
        assert bare.never(pools.values()) == {empty.id} == routers.alone(pools.values())
        assert not routers.never(pools.values())
        weth, usdc, amount = asset(AT.weth), asset(AT.usdc), 3 * 10**18
        got = swap_exact_in(pools[empty.id], weth, usdc, amount)
        assert isinstance(got, Swapped)
        leg = Leg(empty.id, HERE, weth, usdc, amount, got.amount_out, 0, 0, weth, "uniswap_v2")
        part = Part("p", ClOrdId("c"), HERE, 1, weth, usdc, amount, got.amount_out, 1, (0,))  # type: ignore[arg-type]
        had = token_balance(b.rpc, AT.usdc, DEPLOYER)
        for call in build(part, [leg], pools, routers, checksum(DEPLOYER), FOREVER, {0: got.amount_out}):
            b.send(call.to, call.data)
        assert token_balance(b.rpc, AT.usdc, DEPLOYER) - had == got.amount_out
        assert parsed(await reader.snapshot())[empty.id] == got.after
