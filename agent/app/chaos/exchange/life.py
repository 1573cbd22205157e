"""A desk's life in a process of its own, for deaths that are real: SIGKILL at the event its fate names.

python -m agent.app.chaos.exchange.life     says "ready", then reads one JSON object: {"seed", "case", "death", "lane", "url", "folder", "since_ns", "created_ns", "by", "fix_url"}

It works the case's order, or resumes what an earlier life left. It ends by its own SIGKILL, or well where the event never came.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from agent.app.chaos.deaths import Doom, first_of
from agent.app.chaos.exchange.cases import fate_of, one_life, order
from agent.app.chaos.exchange.ground import QuickClock
from agent.app.chaos.exchange.lanes import Lane
from agent.domain.errors import FairleadError


async def life(job: dict[str, Any]) -> None:
    fate = fate_of(job["by"], job["seed"], job["case"])
    lane = Lane(
        job["lane"],
        job["url"],
        Path(job["folder"]),
        QuickClock(job["since_ns"]),
        by=job["by"],
        fix_url=job["fix_url"],
    )
    async with lane.open(Doom(fate.deaths[job["death"]]), fate) as desk:
        try:
            await one_life(desk, order(fate, lane, job["created_ns"]), fate, lane)
        except* FairleadError as stopped:
            print(f"case {fate.case}: {first_of(stopped)}", file=sys.stderr)  # the next life resumes it


if __name__ == "__main__":
    print("ready", flush=True)
    asyncio.run(life(json.loads(sys.stdin.read())))
