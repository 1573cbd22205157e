"""Runs cases: every lane works one after another at an exchange of its own, the lanes side by side, and the referee judges at the end."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from agent.app.chaos.deaths import Doom
from agent.app.chaos.exchange.cases import PATIENCE_S, Told, fate_of, live
from agent.app.chaos.exchange.dialects import DIALECTS, chosen
from agent.app.chaos.exchange.fates import Fate
from agent.app.chaos.exchange.ground import Exchange, QuickClock, exchange
from agent.app.chaos.exchange.lanes import MISTAKES, Lane, started
from agent.app.chaos.exchange.sessions import warm
from agent.app.chaos.referee_process import RefereeProcess
from agent.app.chaos.report import Report
from agent.execution.reconcile import resume
from agent.ports import HoldsPositions
from chains.errors import Retry, Usage

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
    clock = QuickClock(time.time_ns())
    fates: dict[str, list[Fate]] = {}
    for case in cases:
        name = chosen(by, seed, case)
        fates.setdefault(name, []).append(fate_of(name, seed, case))
    for name in fates:
        await asyncio.to_thread(warm, name)
    referee = await asyncio.to_thread(RefereeProcess, "agent.app.chaos.exchange.referee", {})
    try:
        async with AsyncExitStack() as stack:
            lanes: list[tuple[Lane, Exchange]] = []
            for name in _spread(fates):
                number = len(lanes)
                found = await stack.enter_async_context(exchange(seed + number, clock, DIALECTS[name]))
                lanes.append((Lane(number, found.url, folder, clock, mistake, name, found.fix_url), found))
            told, read = await lead(lanes, fates)
            question = {"do": "judge", "lanes": [said_of(lane, told, read) for lane, _ in lanes]}
            verdict = await asyncio.to_thread(referee.ask, question)
            for _, found in lanes:
                struck = found.server.faults.struck
                report.counters["faults"] += sum(struck.values())
                report.counters.update({f"fault {name.split()[-1]}": n for name, n in struck.items()})
    finally:
        await asyncio.to_thread(referee.close)
    report.violations += verdict["violations"]
    report.violations += [
        {"case": one.fate.case, "rule": "locked_out", "story": text} for one in told for text in one.locked
    ]
    report.counters.update(verdict["counters"])
    report.counters["deaths"] += sum(one.deaths for one in told)
    report.counters["sigkills"] += sum(one.sigkills for one in told)


def _spread(fates: Mapping[str, Sequence[Fate]]) -> list[str]:
    """Which session each lane works by: eight lanes, shared out by turns, and none more than there are cases."""
    left = {name: len(some) for name, some in fates.items()}
    found: list[str] = []
    while any(left.values()) and (len(found) < LANES or len(set(found)) < len(left)):
        name = max(left, key=lambda one: (one not in found, left[one] / (1 + found.count(one))))
        if not left[name]:
            break
        left[name] -= 1
        found.append(name)
    return found


Read = dict[int, dict[str, Any]]
"""What each lane's session reads at the end of where its account stands."""


async def lead(
    lanes: Sequence[tuple[Lane, Exchange]], fates: Mapping[str, Sequence[Fate]]
) -> tuple[list[Told], Read]:
    waiting = {name: list(reversed(some)) for name, some in fates.items()}
    told, read = list[Told](), Read()

    async def work(lane: Lane, ground: Exchange) -> None:
        mine = waiting[lane.by]
        while mine:
            told.append(await live(lane, mine.pop(), ground))
        with suppress(TimeoutError, ExceptionGroup):  # what is not closed then the referee sees
            async with asyncio.timeout(PATIENCE_S), lane.open(Doom(), None) as desk:
                await resume(desk)
                await desk.clock.sleep(LAST_LOOK_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                read[lane.number] = await _standing(lane)

    async with asyncio.TaskGroup() as group:
        for lane, ground in lanes:
            group.create_task(work(lane, ground), name=lane.name)
    return told, read


async def _standing(lane: Lane) -> dict[str, Any]:
    """{"balances": {asset: [free, locked]}, "positions": {symbol: [contracts, price of entry]}} as a session of its own tells them, asked
    until it does."""
    venue = lane.session()
    try:
        await started(venue, lane.clock)
        while True:
            try:
                held = await venue.positions() if isinstance(venue, HoldsPositions) else ()
                balances = await venue.balances()
            except Retry:
                await lane.clock.sleep(0.5)
                continue
            return {
                "balances": {one.asset: [str(one.free), str(one.locked)] for one in balances},
                "positions": {one.symbol: [str(one.qty), str(one.entry_px)] for one in held},
            }
    finally:
        await venue.close()


def said_of(lane: Lane, told: Sequence[Told], read: Read) -> dict[str, Any]:
    """What the lane's journal says and what its session reads, and nothing else."""
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
        parents += [
            {
                "case": one.fate.case,
                "id": name,
                "qty": str(record.parent.qty),
                "status": record.closed.status if record.closed is not None else None,
                "why": one.stopped,
                "exits_of": one.parent,
            }
            for name, record in book.parents.items()
            if record.parent.intent.source == f"exits of {one.parent}"
        ]
    return {
        "lane": lane.number,
        "url": lane.url,
        "parents": parents,
        "parts": parts,
        "holdings": {asset: str(qty) for asset, qty in book.holdings.items()},
        "deposits": {asset: str(qty) for asset, qty in lane.dialect.deposits},
        "dialect": lane.dialect.name,
        "read": read.get(lane.number),
    }
