"""A real loan on the devnet: while its health stands nothing fires; when the price falls the job buys what is to be repaid, once."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from lp_week import LpWorld, SwapCarrier, desk_of, reading_app, settings_of
from manual_clock import ManualClock
from memory_job_store import MemoryJobStore

from agent.app.jobs.facts import confirmed_px, held, loan
from agent.app.jobs.guard import Guard
from agent.app.scheduler import Scheduler
from agent.app.settings_jobs import HedgeJob
from agent.domain.events import Fired
from agent.hedging.collateral_target import repayment
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet
GIVEN = {"base": "USDC", "quote": "ETH", "floor": "1.6", "target": "1.8"}


def test_what_is_to_be_repaid_is_bought_once(devnet: Status, tmp_path: Path) -> None:
    asyncio.run(scene(devnet, tmp_path))


async def scene(devnet: Status, tmp_path: Path) -> None:
    clock = ManualClock((int(time.time()) // 3600 + 2) * 3600 * 10**9)
    with closing(LpWorld(devnet, clock, seed=1)) as world:
        world.borrow(weth=100, usdc=140_000)
        async with reading_app(settings_of(world, tmp_path), clock) as app, desk_of(app) as (desk, recorder):
            chain = app.settings.chains[0]
            before = await loan(app, chain)
            assert before is not None and before.collateral * before.threshold / before.debt > Decimal("1.65")
            job = HedgeJob(
                name="buffer",
                health="ethereum below 1.6",
                again="6h",
                hedge="collateral_target",
                hedge_with=GIVEN,
            )
            guard = Guard(MemoryJobStore(), "here", partial(confirmed_px, app))
            carrier = SwapCarrier(world, recorder)
            scheduler = Scheduler(app, desk, carrier, Decimal(10**6), list[str]().append, guard=guard)  # type: ignore[arg-type]
            fired = asyncio.Event()
            recorder.watchers.append(lambda event: fired.set() if isinstance(event, Fired) else None)

            async def looks(count: int) -> None:
                """Until the job has looked so often: it sleeps between two looks, and time jumps then."""
                until = clock.jumps + count
                while clock.jumps < until:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)

            running = asyncio.ensure_future(scheduler.run(job))
            await looks(4)
            assert not fired.is_set(), "the health is above"
            world.set_time()
            world.move_to(Decimal(2600))
            await asyncio.wait(
                {running, asyncio.ensure_future(fired.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
            await looks(4)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

            (one,) = desk.book.fired["buffer"]
            assert one.outcome == "ORDER", one.told
            (order,) = carrier.done
            now = await loan(app, chain)
            assert now is not None and now.collateral * now.threshold / now.debt < Decimal("1.6")
            wanted = repayment(now, Decimal("1.8"))
            assert abs(order.qty - wanted) < 1, (order.qty, wanted)
            assert (await held(app, ["ETH"], "USDC"))["USDC"] == order.qty
