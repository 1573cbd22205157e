"""Random routes through a Safe on genuine contracts: split, merged, shared, over four protocols. What was planned arrives to the wei
where nothing moved in between, and never less than the minimum where something did."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from pool_lists import V4, specs
from route_maze import FOREVER, Maze, Planned, build_maze, random_plan, read_maze

from agent.execution.batch import Routers, build, floors
from agent.execution.settlement import token_of
from chains import profiles
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import Builder
from chains.devnet.funding import create_safe, give_eth, give_token, token_balance
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.devnet.service import Status
from chains.gateway import Gateway
from chains.pools import PoolReader, PoolSpec
from chains.rpc import Rpc
from chains.types import Address
from contracts import multisend, route_executor
from contracts.codec import encode
from keys.safe import DELEGATECALL, SafeTx, exec_transaction

pytestmark = pytest.mark.devnet
OWNER = Address("0x00000000000000000000000000000000000A11cE")
EXECUTOR = Address(route_executor.ADDRESS)
PLANS = 200


@dataclass
class Stage:
    rpc: Blocking
    url: str
    safe: Address
    maze: Maze
    reader: PoolReader
    routers: Routers
    nonce: int = 0

    def carry_out(self, planned: Planned, slippage_bps: int) -> tuple[int, int, bool]:
        """(what the Safe gave, what it got, whether it was done)."""
        part, legs = planned.part, planned.legs
        minimum = floors(part, legs, part.out_raw, slippage_bps)
        calls = build(
            part, legs, self.maze.pools, self.routers, self.safe, FOREVER, minimum, self.maze.native
        )
        parts = [multisend.Part(call.to, call.value, call.data) for call in calls]
        to = profiles.load(1).contracts["safe_multi_send_call_only"]
        tx = SafeTx(to, 0, multisend.calldata(parts), DELEGATECALL, self.nonce)
        signed = exec_transaction(tx, bytes(12) + bytes.fromhex(OWNER[2:]) + bytes(32) + b"\1")
        sold, bought = token_of(part.asset_in), token_of(part.asset_out)
        had = [token_balance(self.rpc, token, self.safe) for token in (sold, bought)]
        receipt: dict[str, Any] = self.rpc.transact({"from": OWNER, "to": self.safe, "data": "0x" + signed.hex(), "gas": hex(8_000_000)})  # fmt: skip
        has = [token_balance(self.rpc, token, self.safe) for token in (sold, bought)]
        done = receipt["status"] == "0x1"
        self.nonce += done
        return had[0] - has[0], has[1] - had[1], done

    def nothing_stays(self) -> None:
        for asset in self.maze.tokens:
            token = token_of(asset)
            assert token_balance(self.rpc, token, EXECUTOR) == 0
            data = encode("erc20", "allowance", (self.safe, EXECUTOR))
            assert int(self.rpc("eth_call", {"to": token, "data": "0x" + data.hex()}, "latest"), 16) == 0


@pytest.fixture
async def stage(devnet: Status) -> Any:
    url = devnet.cheat_urls[1]
    with Blocking(url) as rpc:
        made: tuple[PoolSpec, ...] = build_maze(Builder(rpc, CHAINS[1]))
        rpc("anvil_autoImpersonateAccount", True)
        safe = Address(create_safe(url, [OWNER], 1))
        give_eth(url, OWNER, 10**21)
        async with aiohttp.ClientSession() as session:
            gateway = Gateway(1, [Rpc(devnet.urls[1], session)])
            reader = PoolReader(gateway, [*specs(devnet), *made], V4)
            maze = read_maze(await reader.snapshot(), CHAINS[1])
            wealth = 20_000 * 10**18, 60_000_000 * 10**6, 6_000_000 * 10**18
            for asset, amount in zip(maze.tokens, wealth, strict=True):
                give_token(url, token_of(asset), safe, amount)
            yield Stage(rpc, url, safe, maze, reader, routers())
        rpc("anvil_autoImpersonateAccount", False)


def routers() -> Routers:
    contracts = profiles.load(1).contracts
    return Routers(1, contracts["permit2"], contracts["universal_router"], contracts["balancer_vault"], profiles.load(1).wrapped_native, EXECUTOR)  # fmt: skip


def plans(maze: Maze, seed: int, count: int) -> Iterator[Planned]:
    """Each over the pools as they stand when it is asked for."""
    draw, made = random.Random(seed), 0
    while made < count:
        planned = random_plan(maze, draw, made)
        if planned is not None:
            made += 1
            yield planned


async def test_what_was_planned_arrives_to_the_wei(stage: Stage) -> None:
    seen: Counter[str] = Counter()
    kinds: set[str] = set()
    for planned in plans(stage.maze, 7, PLANS):
        gave, got, done = stage.carry_out(planned, 0)
        assert done and (gave, got) == (planned.part.in_raw, planned.part.out_raw), planned
        stage.maze.pools.update(planned.after)
        ins, outs = (
            Counter(leg.asset_in for leg in planned.legs),
            Counter(leg.asset_out for leg in planned.legs),
        )
        middle = {leg.asset_out for leg in planned.legs} - {planned.part.asset_out}
        seen["several hops"] += bool(middle)
        seen["merging"] += any(outs[a] > 1 for a in middle)
        seen["splitting again"] += any(ins[a] > 1 for a in middle)
        seen["sharing a pool"] += len({leg.id for leg in planned.legs}) < len(planned.legs)
        seen["three protocols"] += len({leg.kind for leg in planned.legs}) >= 3
        kinds |= {leg.kind for leg in planned.legs}
    stage.nothing_stays()
    assert kinds >= {"uniswap_v2", "uniswap_v3", "uniswap_v4", "balancer_v2_weighted"}
    assert all(
        seen[what] >= 20
        for what in ("several hops", "merging", "splitting again", "sharing a pool", "three protocols")
    ), seen


async def test_never_less_than_the_minimum_when_the_market_moved(stage: Stage) -> None:
    """Somebody trades in between. What was done gave the minimum at least; what could not was not done at all."""
    outcomes: Counter[bool] = Counter()
    draw = random.Random(9)
    for planned in plans(stage.maze, 8, PLANS):
        assert stage.carry_out(next(plans(stage.maze, outcomes.total(), 1)), 0)[2]
        slippage = draw.choice((0, 1, 10, 100))
        least = sum(floors(planned.part, planned.legs, planned.part.out_raw, slippage).values())
        gave, got, done = stage.carry_out(planned, slippage)
        outcomes[done] += 1
        assert got >= least and gave <= planned.part.in_raw if done else (gave, got) == (0, 0)
        stage.maze.pools = read_maze(await stage.reader.snapshot(), CHAINS[1]).pools
    stage.nothing_stays()
    assert outcomes[True] >= 5 and outcomes[False] >= 5, outcomes
