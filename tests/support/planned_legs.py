"""Legs of every kind as the router plans them, over pools that only name their kind: what batches are built from in tests."""

from __future__ import annotations

from typing import Any

import custody as c

from agent.amm import ConcentratedPool, ConcentratedV4Pool, ConstantProductPool, WeightedPool
from agent.amm.ticks import TickTable
from agent.domain.instruments import AssetId, Place
from agent.domain.routes import Leg
from agent.execution.batch import Routers
from chains.profiles import load
from chains.types import Address
from contracts.uniswap_pools import v2_pair

E18 = 10**18
HERE = Place("eip155:1")
WETH, USDC, USDT = (AssetId(f"eip155:1/erc20:{a}") for a in (c.WETH, c.USDC, c.USDT))
ROUTERS = Routers(1, Address(c.PERMIT2), Address(c.ROUTER), Address(c.VAULT), Address(c.WETH))
EMPTY = TickTable((), ())


def _pair(token: str) -> str:
    """The genuine factory's own of a token and wrapped ether."""
    return f"{HERE}/{v2_pair(load(1).contracts['uniswap_v2_factory'], token, c.WETH)}"


POOLS: dict[str, Any] = {
    "v2": ConstantProductPool(_pair(c.USDC), (USDC, WETH), (1, 1), 3000),
    "v2t": ConstantProductPool(_pair(c.USDT), (USDT, WETH), (1, 1), 3000),
    "v3": ConcentratedPool("v3", (USDC, WETH), 500, 10, 1, 0, 1, EMPTY),
    "v3t": ConcentratedPool("v3t", (USDC, USDT), 100, 1, 1, 0, 1, EMPTY),
    "v4": ConcentratedV4Pool("v4", (WETH, USDC), 500, (0, 0), 10, 1, 0, 1, EMPTY),
    "eip155:1/0x" + "ab" * 32: WeightedPool("w", (USDC, WETH), (1, 1), (1, 1), 1, (1, 1)),
}
BALANCER = "eip155:1/0x" + "ab" * 32


def leg(pool: str, a: AssetId, b: AssetId, spent: int, got: int) -> Leg:
    return Leg(pool, HERE, a, b, spent, got, 100_000, 0, a, "pool")


SELL = {
    "V2 and V3": [leg("v2", WETH, USDC, E18, 2_990), leg("v3", WETH, USDC, 2 * E18, 5_990)],
    "V4 through ether": [leg("v4", WETH, USDC, E18, 3_000), leg("v3", WETH, USDC, E18, 3_000)],
    "Balancer beside V3": [leg(BALANCER, WETH, USDC, E18, 3_000), leg("v3", WETH, USDC, E18, 3_000)],
    "a second hop": [leg("v2t", WETH, USDT, E18, 3_000), leg("v3t", USDT, USDC, 3_000, 2_999)],
    "hops beside a direct leg": [
        leg("v3", WETH, USDC, 2 * E18, 6_000),
        leg("v2t", WETH, USDT, E18, 3_000),
        leg("v3t", USDT, USDC, 3_000, 2_999),
    ],
}
BUY = {"V4 back to ether": [leg("v4", USDC, WETH, 3_000, E18)], "V3": [leg("v3", USDC, WETH, 3_000, E18)]}
