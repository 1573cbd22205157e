"""A fire that waits out its jitter is nothing yet: whoever removes the job in that time has removed it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from manual_clock import ManualClock
from memory_job_store import MemoryJobStore
from settings_values import parsed_with_jobs

from agent.app.jobs.guard import Guard
from agent.app.jobs.known import stored
from agent.app.jobs.supervisor import Supervisor
from agent.app.jobs.triggers import jitter_ns
from agent.app.scheduler import Scheduler
from agent.app.settings_tree import Job
from agent.journal.book import Book

MINUTE = 60 * 10**9
DUE = 30_000_000 * MINUTE
DRIP = Job.model_validate({"name": "drip", "every": "10m", "jitter": "2m", "side": "sell", "qty": "1", "base": "WETH", "quote": "USDC"})  # fmt: skip


async def no_price(symbol: str) -> None:
    return None


@pytest.mark.parametrize("removed", [True, False])
async def test_a_job_taken_away_while_its_fire_waits_gives_no_order(removed: bool) -> None:
    clock, store, book = ManualClock(DUE - 3 * 10**9), MemoryJobStore(), Book()
    wait_ns = jitter_ns(DRIP, str(DUE))
    assert wait_ns > 10 * 10**9, "else nobody could take it away meanwhile"

    async def record(event: object) -> None:
        book.apply(event)

    desk: Any = SimpleNamespace(
        clock=clock, book=book, journal=SimpleNamespace(record=record, record_durably=record)
    )
    app: Any = SimpleNamespace(switch=SimpleNamespace(why=lambda: "this test gives no orders"))
    said: list[str] = []
    guard = Guard(store, "here", no_price)
    scheduler = Scheduler(app, desk, None, Decimal(1), said.append, guard=guard)  # type: ignore[arg-type]
    store.add(stored(DRIP, 1))
    supervisor = Supervisor(parsed_with_jobs(), store, scheduler, clock, said.append)
    running = asyncio.ensure_future(supervisor.run())
    await clock.sleep(5)
    if removed:
        store.remove("drip")
    await clock.sleep(wait_ns / 1e9 + 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [fire.outcome for fire in book.fired.get("drip", [])] == ([] if removed else ["SKIPPED"])
    assert not removed or (store.leases("drip") == () and "job drip is gone" in said)
