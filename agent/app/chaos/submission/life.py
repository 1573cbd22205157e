"""A desk's life in a process of its own, for deaths that are real: SIGKILL at the event its fate names.

python -m agent.app.chaos.submission.life JSON     {"seed", "case", "death", "lane", "safe", "folder", "chain", "url", "pool"}

It works the case's order, or resumes what an earlier life left. It ends by its own SIGKILL, or well where the event never came.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from agent.app.chaos.deaths import Doom
from agent.app.chaos.submission.cases import one_life, order
from agent.app.chaos.submission.fates import draw
from agent.app.chaos.submission.lanes import Ground, Lane
from agent.app.chaos.submission.scene import Scene
from agent.transport.clock import SystemClock
from chains.gateway import Gateway
from chains.rpc import Rpc
from chains.simulate import Simulator
from chains.types import Address


async def life(job: dict[str, Any]) -> None:
    scene = Scene(job["chain"])
    fate = draw(job["seed"], job["case"], rollup=scene.is_rollup)
    async with aiohttp.ClientSession() as session:
        public = Rpc(job["url"], session)
        gateway = Gateway.of(scene.profile, [public])
        async with Simulator(scene.chain_id, gateway, [public]) as simulator:
            ground = Ground(scene, job["url"], job["pool"], session, gateway, simulator)
            lane = Lane(job["lane"], Address(job["safe"]), Path(job["folder"]), ground, None, fate.builders)
            async with lane.open(Doom(fate.deaths[job["death"]])) as desk:
                await one_life(desk, order(lane, fate, SystemClock().now_ns()), fate)
            lane.close()  # what was written last is on the disk once the journal is closed


if __name__ == "__main__":
    asyncio.run(life(json.loads(sys.argv[1])))
