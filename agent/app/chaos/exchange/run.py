"""Runs cases: every lane works one after another at an exchange of its own, the lanes side by side, and the referee judges at the end."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from agent.app.chaos.deaths import Doom
from agent.app.chaos.exchange.cases import PATIENCE_S, Told, live
from agent.app.chaos.exchange.fates import Fate, draw
from agent.app.chaos.exchange.ground import DEPOSITS, Exchange, QuickClock, exchange
from agent.app.chaos.exchange.lanes import MISTAKES, Lane
from agent.app.chaos.referee_process import RefereeProcess
from agent.app.chaos.report import Report
from agent.execution.reconcile import resume
from chains.errors import Usage

Say = Callable[[str], None]
LANES, AT_ONCE = 8, 400
LAST_LOOK_S = 12.0
"""By the exchange's clock: two audits after everything is over."""


def run(
    seed: int,
    cases: Sequence[int],
    *,
    mistake: str = "",
    by: str = "binance_spot",
    say: Say = lambda text: None,
) -> Report:
    """Those cases of that seed. `mistake`: what desks do wrong, for a control. Raises what the ground and the referee raise."""
    if mistake and mistake not in MISTAKES:
        raise Usage(
            "MISTAKE_UNKNOWN", f"no control is called {mistake!r}", f"there are {', '.join(MISTAKES)}"
        )
    began, report = time.monotonic(), Report("exchange", seed, len(cases))
    for start in range(0, len(cases), AT_ONCE):
        some = cases[start : start + AT_ONCE]
        with tempfile.TemporaryDirectory(prefix="fairlead-chaos-") as folder:
            asyncio.run(_world(seed, some, report, mistake, by, Path(folder)))
        say(f"{start + len(some)} of {len(cases)} orders, {len(report.violations)} violations")
    report.took_s = time.monotonic() - began
    return report


async def _world(
    seed: int, cases: Sequence[int], report: Report, mistake: str, by: str, folder: Path
) -> None:
    fates = [draw(seed, case) for case in cases]
    clock = QuickClock(time.time_ns())
    referee = await asyncio.to_thread(RefereeProcess, "agent.app.chaos.exchange.referee", {})
    try:
        async with AsyncExitStack() as stack:
            grounds = [
                (await stack.enter_async_context(exchange(seed + number, clock)), number)
                for number in range(min(LANES, len(fates)))
            ]
            lanes = [
                (Lane(number, found.url, folder, clock, mistake, by, found.fix_url), found)
                for found, number in grounds
            ]
            told = await _all(lanes, fates)
            question = {"do": "judge", "lanes": [_lane(lane, told) for lane, _ in lanes]}
            verdict = await asyncio.to_thread(referee.ask, question)
            for found, _ in grounds:
                struck = found.server.faults.struck
                report.counters["faults"] += sum(struck.values())
                report.counters.update({f"fault {name.split()[-1]}": n for name, n in struck.items()})
    finally:
        await asyncio.to_thread(referee.close)
    report.violations += verdict["violations"]
    report.counters.update(verdict["counters"])
    report.counters["deaths"] += sum(one.deaths for one in told)
    report.counters["sigkills"] += sum(one.sigkills for one in told)


async def _all(lanes: Sequence[tuple[Lane, Exchange]], fates: Sequence[Fate]) -> list[Told]:
    waiting, told = list(reversed(fates)), list[Told]()

    async def work(lane: Lane, ground: Exchange) -> None:
        while waiting:
            told.append(await live(lane, waiting.pop(), ground))
        with suppress(TimeoutError, ExceptionGroup):  # what is not closed then the referee sees
            async with asyncio.timeout(PATIENCE_S), lane.open(Doom(), None) as desk:
                await resume(desk)
                await desk.clock.sleep(LAST_LOOK_S)

    async with asyncio.TaskGroup() as group:
        for lane, ground in lanes:
            group.create_task(work(lane, ground), name=lane.name)
    return told


def _lane(lane: Lane, told: Sequence[Told]) -> dict[str, Any]:
    """What the lane's journal says, and nothing else."""
    book = lane.read_book()
    mine = [one for one in told if one.lane is lane]
    parts = []
    for name, record in book.parts.items():
        child = book.children.get(record.part.child)
        parts.append(
            {
                "id": name,
                "parent": child.child.parent if child is not None else "",
                "status": record.status.value if record.status is not None else None,
                "sent": record.authorized is not None,
                "fills": [
                    [f.exec_id, str(f.qty_in), str(f.qty_out), str(f.fee_qty)] for f in record.fills.values()
                ],
            }
        )
    if lane.mistake == "forgets":
        for part in parts[::7]:
            part["fills"] = []
    parents = []
    for one in mine:
        known = book.parents.get(one.parent)  # type: ignore[call-overload]
        closed = known.closed.status if known is not None and known.closed is not None else None
        parents.append(
            {
                "case": one.fate.case,
                "id": one.parent,
                "qty": str(one.fate.qty),
                "status": "NEVER" if known is None else closed,
                "why": one.stopped,
            }
        )
    return {
        "lane": lane.number,
        "url": lane.url,
        "parents": parents,
        "parts": parts,
        "holdings": {asset: str(qty) for asset, qty in book.holdings.items()},
        "deposits": {asset: str(qty) for asset, qty in DEPOSITS},
    }
