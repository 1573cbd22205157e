"""Fires that come late, over an order that works, while trading is halted, stopped, unknown or another daemon's: told, and no order."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lp_week import LpWorld, SwapCarrier, desk_of, reading_app, settings_of
from manual_clock import ManualClock
from memory_job_store import MemoryJobStore

from agent.app.jobs.budgets import Budgets
from agent.app.jobs.facts import confirmed_px
from agent.app.jobs.guard import Guard, source_of
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import BEGUN, DONE, JobStore, Reserved
from agent.app.proposals import propose
from agent.app.scheduler import Scheduler, request_of_job
from agent.app.settings_jobs import HedgeJob
from agent.app.settings_tree import Job
from agent.domain.events import Accepted, Fired, Scheduled
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet
HOUR_NS = 3600 * 10**9
TRADE: dict[str, Any] = {"side": "sell", "qty": "1", "base": "ETH", "quote": "USDC", "every": "1h"}
WEIGHTS = {"weights": "ETH 50", "quote": "USDC"}


def test_no_order_comes_of_them(devnet: Status, tmp_path: Path) -> None:
    asyncio.run(scenes(devnet, tmp_path))


async def scenes(devnet: Status, tmp_path: Path) -> None:
    clock = ManualClock((int(time.time()) // 3600 + 2) * HOUR_NS)
    with closing(LpWorld(devnet, clock, seed=1)) as world:
        async with reading_app(settings_of(world, tmp_path), clock) as app, desk_of(app) as (desk, recorder):
            carrier = SwapCarrier(world, recorder)
            store: JobStore = MemoryJobStore()

            async def fresh() -> None:
                """Chains and feeds are of now."""
                world.set_time()
                world.move_to(world.px)

            async def first_fire(job: Job | HedgeJob, most: str = "100000") -> Fired:
                said: list[str] = []
                guard = Guard(store, "here", partial(confirmed_px, app))
                scheduler = Scheduler(app, desk, carrier, Decimal(most), said.append, fresh, guard=guard)  # type: ignore[arg-type]
                running = asyncio.ensure_future(scheduler.run(job))
                recorded: asyncio.Future[Fired] = asyncio.get_running_loop().create_future()

                def saw(event: object) -> None:
                    if isinstance(event, Fired) and event.job == job.name and not recorded.done():
                        recorded.set_result(event)

                recorder.watchers.append(saw)
                try:
                    await asyncio.wait({running, recorded}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    recorder.watchers.remove(saw)
                    running.cancel()
                    ended = await asyncio.gather(running, return_exceptions=True)
                assert isinstance(ended[0], asyncio.CancelledError), ended
                return recorded.result()

            def job(name: str, **more: Any) -> Job:
                return Job.model_validate({"name": name, **TRADE, **more})

            # in time and unhindered: what all others are measured by
            well = await first_fire(job("well"))
            assert well.outcome == "ORDER" and carrier.done[-1].cl_ord_id == well.told
            orders = len(carrier.done)

            due_ns = int(well.key)
            await clock.sleep(1800)
            for name in ("late", "newest"):
                await recorder.record(Scheduled(name, "every 1h", due_ns, due_ns))
            came_late = await first_fire(job("late", missed="skip"))
            assert (came_late.outcome, came_late.key) == (
                "MISSED",
                str(due_ns),
            ) and "1800 s" in came_late.told
            assert len(carrier.done) == orders
            done_late = await first_fire(job("newest"))
            assert (done_late.outcome, done_late.key) == ("ORDER", str(due_ns)), "unless it is wished late"
            orders += 1

            working = job("working", overlap="skip")
            found = await propose(
                app,
                request_of_job(app, working),
                salt="x",
                source=source_of(working),
                created_ns=1,
                note=lambda text: None,
            )
            await recorder.record(Accepted(found.parent, clock.now_ns()))
            over = await first_fire(working)
            assert over.outcome == "SKIPPED" and str(found.parent.cl_ord_id) in over.told
            hedge = HedgeJob(name="hedging", every="1h", hedge="weights", hedge_with=WEIGHTS)
            mine = replace(
                found.parent,
                intent=replace(found.parent.intent, source=source_of(hedge)),
                cl_ord_id="p-other",
            )  # type: ignore[arg-type]
            await recorder.record(Accepted(mine, clock.now_ns()))
            assert (await first_fire(hedge)).outcome == "SKIPPED", "a hedge does so by itself"

            store.stop("stopped", "by hand")
            stopped = await first_fire(job("stopped"))
            assert (stopped.outcome, stopped.told) == ("SKIPPED", "stopped: by hand")

            dear = await first_fire(job("dear"), most="0.01")
            assert dear.outcome == "FAILED" and "MAX_LOSS" in dear.told
            unpriced = await first_fire(job("unpriced", budget_usd="2000"))
            assert unpriced.outcome == "SKIPPED" and "over its budget" in unpriced.told

            # a budget that another daemon has an order of its own in: what is left of it is everybody's, and settled once an order is over
            elsewhere = Reserved("job:shared", "other", "theirs", clock.now_ns(), Decimal(1_500))
            assert store.reserve(elsewhere, Decimal(10_000), 0)
            full = await first_fire(job("shared", budget_usd="4000"))
            assert full.outcome == "SKIPPED" and "1,500.00 by other" in full.told
            assert store.settle("job:shared", "other", "theirs", Decimal("0.01"))
            await clock.sleep(3600)
            told = await first_fire(job("shared", budget_usd="4000"))
            assert told.outcome == "ORDER"
            orders += 1
            mine = next(row for row in store.reserved("job:shared") if row.name == told.told)
            assert mine.owner == "here" and mine.open and 2_000 < mine.usd < 4_000
            Budgets(store, "here").settle(desk.book)
            left = [row.name for row in store.reserved("job:shared")]
            assert left == ["theirs"], "by the journal it is over, and nothing was filled of it"

            app.switch.set("night")
            halted = await first_fire(job("halted"))
            assert (halted.outcome, halted.told) == ("SKIPPED", "trading is halted: night")
            app.switch.clear()
            assert store.leases("well")[0].state == DONE

            # a store that is broken: every fire is told and none gives an order, and the job goes on asking
            broken = tmp_path / "broken.db"
            broken.write_text("no database" * 200)
            store = SqliteStore(broken)
            for name, more in (("blind", {}), ("blinder", {"every": None, "price": "ETH above 1"})):
                unknown = asyncio.ensure_future(first_fire(job(name, **more)))
                if not more:
                    failed = await unknown
                    assert failed.outcome == "FAILED" and "JOBS_STORE" in failed.told
                    continue
                until = clock.jumps + 3
                while clock.jumps < until:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                assert not unknown.done() and name not in desk.book.fired, (
                    "what may have been done is not done again"
                )
                unknown.cancel()
                await asyncio.gather(unknown, return_exceptions=True)
            assert len(carrier.done) == orders

            # another daemon takes each lease just before its order would be recorded
            thief = Elsewhere()
            store, seen = thief, len(desk.book.parents)
            running = asyncio.ensure_future(first_fire(job("lost")))
            await thief.taken_twice.wait()
            assert (
                len(desk.book.parents) == seen
                and len(carrier.done) == orders
                and "lost" not in desk.book.fired
            )
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class Elsewhere(MemoryJobStore):
    def __init__(self) -> None:
        super().__init__()
        self.taken_twice, self._taken = asyncio.Event(), 0

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        self._fires[job, key] = replace(self._fires[job, key], owner="other", state=BEGUN)
        self._taken += 1
        if self._taken == 2:
            self.taken_twice.set()
        return super().begin(job, key, owner, now_ns)
