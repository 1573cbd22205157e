"""A small maze on devnet chain 1: a third token beside WETH and USDC, pools of four protocols between them, and random routes through it.

Plans come from our own arithmetic, pool by pool, each pool as the leg before left it; what the chain then does is the test's business.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import isqrt
from typing import Any

from agent.amm import Pool, Swapped, swap_exact_in
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.market.pools import parse_pool
from chains.devnet.addresses import Chain
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.deploy.base import mint
from chains.pools import PoolSnapshot, PoolSpec
from chains.types import Address
from contracts.hashing import checksum

HERE, ETHER = Place("eip155:1"), AssetId("eip155:1/slip44:60")
FOREVER = 2**40
THIRD = Address(checksum(bytes.fromhex("7ea5e7" * 6 + "7ea5")))
_MAX = 2**256 - 1


def asset(token: str) -> AssetId:
    return AssetId(f"eip155:1/erc20:{token}")


def build_maze(b: Builder) -> tuple[PoolSpec, ...]:
    """THIRD, at 10 USDC and 300 to the ether, in V2 and V3 pools with both."""
    at, chain, token = b.chain.uniswap, b.chain, artifact("MockERC20")
    b.etch(token.creation("Third", "THIRD", 18), THIRD)
    made = []
    for other, decimals, each in ((chain.weth, 18, 400), (chain.usdc, 6, 1_200_000)):
        ours, theirs = each * (300 if other == chain.weth else 1) * 10**18 // (1 if other == chain.weth else 10), each * 10**decimals  # fmt: skip
        for spender in (at.v2_router, at.v3_npm):
            for one, amount in ((THIRD, ours), (other, theirs)):
                if one == THIRD:
                    b.do(token, one, "mint", DEPLOYER, 4 * amount)
                else:
                    mint(b, one, DEPLOYER, 4 * amount)
                b.do(token, one, "approve", spender, _MAX)
        b.do(artifact("UniswapV2Router02"), at.v2_router, "addLiquidity", THIRD, other, ours, theirs, 0, 0, DEPLOYER, FOREVER)  # fmt: skip
        made.append(PoolSpec("uniswap_v2", b.read(artifact("UniswapV2Factory"), at.v2_factory, "getPair", THIRD, other)))  # fmt: skip
        made += [_v3(b, other, ours, theirs, fee, spacing) for fee, spacing in ((500, 10), (3000, 60))]
    return tuple(made)


def _v3(b: Builder, other: str, ours: int, theirs: int, fee: int, spacing: int) -> PoolSpec:
    at, npm = b.chain.uniswap, artifact("NonfungiblePositionManager")
    tokens = sorted((THIRD, other), key=lambda a: int(a, 16))
    amounts = (ours, theirs) if tokens[0] == THIRD else (theirs, ours)
    price = isqrt((amounts[1] << 192) // amounts[0])
    b.do(npm, at.v3_npm, "createAndInitializePoolIfNecessary", *tokens, fee, price)
    pool = b.read(artifact("UniswapV3Factory"), at.v3_factory, "getPool", *tokens, fee)
    tick = b.read(artifact("UniswapV3Pool"), pool, "slot0")[1]
    for width in (200, 4_000):
        lower, upper = (tick - width) // spacing * spacing, -(-(tick + width) // spacing) * spacing
        b.do(npm, at.v3_npm, "mint", (*tokens, fee, lower, upper, *(a // 4 for a in amounts), 0, 0, DEPLOYER, FOREVER))  # fmt: skip
    return PoolSpec("uniswap_v3", pool)


@dataclass
class Maze:
    """The pools as they stand, by id; `native` are V4 pools of ether, shown as pools of WETH."""

    pools: dict[str, Pool]
    native: set[str]
    weth: AssetId
    usdc: AssetId

    @property
    def tokens(self) -> tuple[AssetId, ...]:
        return self.weth, self.usdc, asset(THIRD)

    def between(self, a: AssetId, b: AssetId) -> list[str]:
        return sorted(name for name, pool in self.pools.items() if {a, b} <= set(pool.assets))


def read_maze(snapshot: PoolSnapshot, chain: Chain) -> Maze:
    weth, usdc = asset(chain.weth), asset(chain.usdc)
    assets = {asset(t.address): Asset(asset(t.address), t.symbol, t.decimals) for t in snapshot.tokens.values()}  # fmt: skip
    maze = Maze({}, set(), weth, usdc)
    for entry in snapshot.pools:
        held = [weth if a == ETHER else a for a in entry["assets"]]
        if len(set(held) & set(maze.tokens)) < 2:
            continue
        pool = parse_pool(entry["id"], {**entry, "assets": held}, assets)
        maze.pools[entry["id"]] = pool
        maze.native |= {entry["id"]} if ETHER in entry["assets"] else set()
    return maze


@dataclass(frozen=True)
class Planned:
    part: Part
    legs: tuple[Leg, ...]
    after: dict[str, Pool]


def random_plan(maze: Maze, draw: random.Random, number: int) -> Planned | None:
    """Legs from one token to another, straight and through the third, split at both ends; None where nothing came together."""
    sold, bought, between = draw.sample(maze.tokens, 3)
    unit = {maze.weth: 10**18, maze.usdc: 3_000 * 10**6}.get(sold, 300 * 10**18)
    amount = unit * draw.choice((1, 100, 1_000, 4_000)) // 1_000 + draw.randrange(1_000)
    after: dict[str, Pool] = {}
    legs: list[Leg] = []
    firsts = draw.sample(maze.between(sold, between), draw.choice((0, 1, 2, 2, 3)))
    straight = maze.between(sold, bought)
    directs = draw.sample(straight, min(len(straight), draw.choice((0, 1, 2))))
    heads = [(name, between) for name in firsts] + [(name, bought) for name in directs]
    if not heads:
        return None
    draw.shuffle(heads)
    got = 0
    for (name, to), part in zip(heads, _split(draw, amount, len(heads)), strict=True):
        leg = _leg(maze, after, name, sold, to, part)
        if leg is None:
            return None
        legs.append(leg)
        got += leg.out_raw if to == between else 0
    if got:
        # The same pool may be used again: sharing is part of what a route may do.
        choices = maze.between(between, bought)
        tails = [draw.choice(choices) for _ in range(draw.choice((1, 2, 2, 3)))]
        for name, part in zip(tails, _split(draw, got, len(tails)), strict=True):
            leg = _leg(maze, after, name, between, bought, part)
            if leg is None:
                return None
            legs.append(leg)
    out = sum(leg.out_raw for leg in legs if leg.asset_out == bought)
    part_of = Part(ClOrdId(f"p{number}"), ClOrdId("c"), HERE, 1, sold, bought, amount, out, 1, tuple(range(len(legs))))  # fmt: skip
    return Planned(part_of, tuple(legs), after)


def _split(draw: random.Random, amount: int, n: int) -> list[int]:
    cuts = sorted(draw.randrange(1, amount) for _ in range(n - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, amount], strict=True)]


def _leg(maze: Maze, after: dict[str, Pool], name: str, a: AssetId, b: AssetId, amount: int) -> Leg | None:
    pool = after.get(name, maze.pools[name])
    done: Any = swap_exact_in(pool, a, b, amount) if amount else None
    if not isinstance(done, Swapped) or not done.complete or done.amount_out == 0:
        return None
    after[name] = done.after
    return Leg(name, HERE, a, b, amount, done.amount_out, 0, 0, a, pool.kind)
