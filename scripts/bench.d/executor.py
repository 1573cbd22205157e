"""What doing without the RouteExecutor loses, in bps of the net proceeds.

    python scripts/bench.d/executor.py

The devnet's pools of chain 1 and a third token beside WETH and USDC, in pools of two protocols (tests/support/route_maze.py). The same
search plans each order twice: over what audited routers carry, and over what the executor carries too. The peer is the audited road.
Exit 1 where the wider plan nets less.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from pool_lists import V4, specs
from route_maze import HERE, THIRD, Maze, asset, build_maze, read_maze

from agent.app.clocked import timed_route
from agent.domain.instruments import Asset
from agent.execution.route_batch import UNCHAINABLE, UNTRADEABLE
from agent.market.view import GasState, MarketView
from chains.devnet import service, state
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import Builder
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.gateway import Gateway
from chains.pools import PoolReader
from chains.rpc import Rpc

GWEI = 10**9
SIZES = (1, 10, 50, 200)


def view_of(maze: Maze, gwei: int) -> MarketView:
    tokens = {maze.weth: ("WETH", 18, 1), maze.usdc: ("USDC", 6, 3_000), asset(THIRD): ("THIRD", 18, 300)}
    return MarketView(
        assets={a: Asset(a, symbol, decimals) for a, (symbol, decimals, _) in tokens.items()},
        pools={
            name: pool for name, pool in maze.pools.items() if set(pool.assets) <= set(tokens)
        },
        gas={HERE: GasState(1, gwei * GWEI, 0, maze.weth, 150_000, 20_000)},
        reference_px_native={a: 1 / Decimal(px) for a, (_, _, px) in tokens.items()},
    )  # fmt: skip


async def read(status: service.Status) -> Maze:
    with Blocking(status.cheat_urls[1]) as rpc:
        made = build_maze(Builder(rpc, CHAINS[1]))
    async with aiohttp.ClientSession() as session:
        reader = PoolReader(Gateway(1, [Rpc(status.urls[1], session)]), [*specs(status), *made], V4)
        return read_maze(await reader.snapshot(), CHAINS[1])


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    state.ensure()
    worse = 0
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-executor-") as folder:
        status = service.up(runtime=Path(folder), fast=True, relay=False)
        try:
            maze = asyncio.run(read(status))
        finally:
            service.down(runtime=Path(folder))
    third = asset(THIRD)
    print(f"machine {platform.machine()} · Python {platform.python_version()} · {len(maze.pools)} pools")
    print("sold                 for     gwei   audited, net    with it, net   lost without, bps")
    for sold, units, bought in (
        (maze.weth, 10**18, maze.usdc),
        (third, 300 * 10**18, maze.usdc),
        (maze.usdc, 3_000 * 10**6, third),
    ):
        for size in SIZES:
            for gwei in (1, 20):
                view = view_of(maze, gwei)
                audited = timed_route(view, sold, bought, size * units, never=UNTRADEABLE, alone=UNCHAINABLE, proved=False)  # fmt: skip
                wide = timed_route(view, sold, bought, size * units, proved=False)
                lost = Decimal(wide.net_out_raw - audited.net_out_raw) * 10_000 / wide.net_out_raw
                worse += wide.net_out_raw < audited.net_out_raw
                name, got = view.assets[sold].symbol, view.assets[bought]
                scale = 10**got.decimals
                print(
                    f"{size * units / 10 ** view.assets[sold].decimals:>12,.0f} {name:7} {got.symbol:7}{gwei:>5} {audited.net_out_raw / scale:>14,.2f}"
                    f" {wide.net_out_raw / scale:>15,.2f} {lost:>14.3f}"
                )
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
