"""A devnet with builders for one run, its wallets, and what their desks share. Ends with what it started."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agent.app.chaos.submission.fates import WORDS
from agent.app.chaos.submission.lanes import OWNERS, Ground, Lane, sender_of
from agent.app.chaos.submission.pace import Pace
from agent.app.chaos.submission.scene import Scene
from agent.app.chaos.submission.weather import ETH, FEE_PIPS, MOVER
from chains.devnet import service
from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.market import v3_address
from chains.gateway import Gateway
from chains.rpc import Rpc
from chains.simulate import Simulator

Say = Callable[[str], None]


@dataclass
class Arena:
    admin_url: str
    admin: Rpc
    ground: Ground
    lanes: list[Lane]
    pace: Pace


@asynccontextmanager
async def arena(scene: Scene, seed: int, lanes: int, say: Say) -> AsyncIterator[Arena]:
    """Raises as `chains.devnet.service.up`."""
    with tempfile.TemporaryDirectory(prefix="fairlead-chaos-") as name:
        folder = Path(name)
        options = ["--finality-depth", "4", "--seed", str(seed)]
        if scene.is_rollup:
            options.append("--sequencer")
        else:
            options += [word for text in WORDS for word in ("--builder", text)]
        try:
            up: Any = await asyncio.to_thread(
                lambda: service.up(
                    runtime=folder / "devnet",
                    chains=(scene.chain_id,),
                    relayed_chain=scene.chain_id,
                    fast=True,
                    relay_options=options,
                    feeds=False,
                    progress=say,
                )
            )
            url, admin_url = up.urls[scene.chain_id], up.cheat_urls[scene.chain_id]
            safes = await asyncio.to_thread(_wallets, scene, admin_url, lanes)
            async with aiohttp.ClientSession() as session:
                public, admin = Rpc(url, session), Rpc(admin_url, session, timeout_s=60)
                await admin.call("relay_pause")
                gateway = Gateway.of(scene.profile, [public])
                async with Simulator(scene.chain_id, gateway, [public]) as simulator:
                    pool = v3_address(scene.at, *_sorted(scene), FEE_PIPS)
                    ground = Ground(scene, url, pool, session, gateway, simulator)
                    pace = Pace()
                    made = [Lane(n, safe, folder, ground, pace) for n, safe in enumerate(safes)]
                    yield Arena(admin_url, admin, ground, made, pace)
        finally:
            await asyncio.to_thread(lambda: service.down(runtime=folder / "devnet"))


def _sorted(scene: Scene) -> tuple[str, str]:
    at = scene.at
    first, second = sorted((at.weth, at.usdc), key=lambda a: int(a, 16))
    return first, second


def _wallets(scene: Scene, cheat_url: str, lanes: int) -> list[Any]:
    at, safes = scene.at, []
    for number in range(lanes):
        safe = create_safe(cheat_url, [o.address for o in OWNERS], 2, number)
        give_token(cheat_url, at.weth, safe, 10_000 * ETH)
        give_eth(cheat_url, sender_of(number).address, 1_000 * ETH)
        safes.append(safe)
    give_token(cheat_url, at.weth, MOVER, 10**6 * ETH)
    give_token(cheat_url, at.usdc, MOVER, 10**9 * 10**6)
    return safes
