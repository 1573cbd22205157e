"""An entry with both exits in one request, by a desk that dies at any event of the list's life: it is there once, what was bought is never
sold twice, and a referee who has the exchange's own books finds nothing missing."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.algos.bracket import PROFIT, STOP
from agent.app.chaos.deaths import MOMENTS, Death
from agent.app.chaos.exchange.cases import fate_of
from agent.app.chaos.exchange.dialects import DIALECTS
from agent.app.chaos.exchange.fates import Fate
from agent.app.chaos.exchange.ground import QuickClock, exchange
from agent.app.chaos.exchange.lanes import Lane
from agent.app.chaos.exchange.referee import Judge, truth_of
from agent.app.chaos.exchange.run import lead, said_of

BY = "binance_spot"
LAST = 22
"""Entry and exits together write about as many events."""


def fate(case: int, at: int, moment: str, kind: str = "OTOCO", lost: bool = False) -> Fate:
    """Of a purchase that rests until the house comes; `lost`: it takes effect and no answer arrives."""
    exits = {"OTOCO": (STOP, PROFIT), "stop": (STOP,), "profit": (PROFIT,)}[kind]
    door = "list.otoco" if kind == "OTOCO" else "list.oto"
    faults: tuple[dict[str, Any], ...] = ({"on": door, "kind": "error_after", "count": 1},) if lost else ()
    return Fate(
        0, case, case % 2 == 0, Decimal("0.25"), 50, True, 1, Decimal(1), "", 0.5, faults, (Death(at, moment),),
        listed=tuple((name, Decimal(40)) for name in exits),
    )  # fmt: skip


async def judged(fates: list[Fate], folder: Path) -> tuple[list[Any], dict[str, int], list[str | None]]:
    """(violations, counters, how each list's exits ended)."""
    import asyncio

    clock = QuickClock(time.time_ns())
    async with exchange(1, clock, DIALECTS[BY]) as there:
        lane = Lane(0, there.url, folder, clock)
        told, read = await lead([(lane, there)], {BY: fates})
        said, judge = said_of(lane, told, read), Judge()
        judge.lane(said, await asyncio.to_thread(truth_of, there.url))
    assert sum(one.deaths for one in told) >= len(fates) // 2
    return judge.violations, judge.counters, [p["status"] for p in said["parents"] if "exits_of" in p]


async def test_a_death_at_each_event_that_decides_about_it(tmp_path: Path) -> None:
    """Authorized, Submitted, the fills and ends of both: before each is written, and after."""
    where = [(5, "before"), (5, "after"), (6, "after"), (8, "before"), (10, "after"), (13, "after")]
    fates = [fate(case, at, moment, lost=case == 2) for case, (at, moment) in enumerate(where)]
    violations, counters, ends = await judged(fates, tmp_path)
    assert violations == [] and counters["lists"] >= 5
    assert "FILLED" in ends and None not in ends


@pytest.mark.full
@pytest.mark.parametrize("kind", ["OTOCO", "stop", "profit"])
async def test_a_death_at_any_event(tmp_path: Path, kind: str) -> None:
    where = [(at, moment) for at in range(LAST) for moment in MOMENTS]
    fates = [fate(case, at, moment, kind, case % 3 == 0) for case, (at, moment) in enumerate(where)]
    violations, counters, ends = await judged(fates, tmp_path)
    assert violations == [] and counters["lists"] >= len(fates) // 2 and None not in ends


def test_the_chaos_draws_lists_of_every_kind() -> None:
    drawn = [fate_of(BY, 3, case) for case in range(400)]
    kinds = {tuple(name for name, _ in one.listed) for one in drawn}
    assert kinds == {(), (STOP,), (PROFIT,), (STOP, PROFIT)}
    assert {one.buys for one in drawn if one.listed} == {True, False}
    struck = {fault["on"] for one in drawn if one.listed for fault in one.faults}
    assert {"list.oto", "list.otoco", "order.cancel"} <= struck
    assert not any(fate_of("kraken", 3, case).listed for case in range(400))
