"""A real Uniswap V3 position on the devnet, hedged hour by hour by the scheduled job: outside its band nowhere after a fire."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from lp_week import WALLET, LpWorld, SwapCarrier, desk_of, positions, reading_app, settings_of
from manual_clock import ManualClock

from agent.app.jobs.facts import confirmed_px, held
from agent.app.jobs.guard import Guard
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import DONE
from agent.app.scheduler import Scheduler
from agent.app.settings_jobs import HedgeJob
from agent.hedging.exposure import band
from agent.hedging.policy import State
from chains.devnet.service import Status
from chains.errors import Denied

pytestmark = pytest.mark.devnet
HOUR = 3600
STEP = Decimal("0.000001")
"""What orders are multiples of: out of its range a position has no gamma and its band no width."""


@pytest.mark.parametrize("hours", [8, pytest.param(168, marks=pytest.mark.full)])
def test_a_week_of_hours(devnet: Status, tmp_path: Path, hours: int) -> None:
    asyncio.run(week(devnet, tmp_path, hours))


async def week(devnet: Status, tmp_path: Path, hours: int) -> None:
    clock = ManualClock((int(time.time()) // HOUR + 2) * HOUR * 10**9)
    with closing(LpWorld(devnet, clock, seed=3)) as world:
        await hedged(world, clock, tmp_path, hours)


async def hedged(world: LpWorld, clock: ManualClock, tmp_path: Path, hours: int) -> None:
    token_id = world.mint(weth=100, usdc=300_000, width=1_000)
    settings = settings_of(world, tmp_path)
    async with reading_app(settings, clock) as app, desk_of(app) as (desk, recorder):

        async def exposure() -> tuple[Decimal, Decimal]:
            """WETH in the wallet and the position, and the position's gamma."""
            (one,) = await positions(app, token_id)
            return (await held(app, ["ETH"], "USDC"))["ETH"] + one.exposure("ETH"), one.gamma("ETH")

        target, _ = await exposure()
        assert 0 <= 500 - target < Decimal("1e-12"), (
            "the wallet's and the position's: no more than the rounding is missing"
        )
        given = {
            "base": "ETH", "quote": "USDC", "target": f"{target:f}", "risk_aversion": "0.01", "cost_bps": "5",
            "gas_usd": "20", "positions": str(token_id),
        }  # fmt: skip
        job = HedgeJob(name="lp", every="1h", hedge="uniswap_v3_lp", hedge_with=given)
        store = SqliteStore(tmp_path / "jobs.db")
        carrier = SwapCarrier(world, recorder)

        async def px(symbol: str) -> Decimal | None:
            return await confirmed_px(app, symbol)

        before: list[Decimal] = []
        after: list[Decimal] = []
        widths: list[Decimal] = []
        finished = asyncio.Event()

        async def hour() -> None:
            """Looks at what the last fire left, then lets the world move."""
            if before:
                drift, gamma = await exposure()
                after.append(drift - target)
                widths.append(band(given, State(0, {"ETH": world.px}, {}), gamma).outer)
            if len(after) == hours:
                finished.set()
                await asyncio.Event().wait()
            world.next_hour()
            before.append((await exposure())[0] - target)

        said: list[str] = []
        scheduler = Scheduler(
            app, desk, carrier, Decimal(10**7), said.append, hour, guard=Guard(store, "here", px)  # type: ignore[arg-type]
        )  # fmt: skip
        running = asyncio.ensure_future(scheduler.run(job))
        ending = asyncio.ensure_future(finished.wait())
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        running.cancel()
        ended = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError), ended

        fired = desk.book.fired["lp"]
        assert {f.outcome for f in fired} <= {"ORDER", "NOTHING"}, [f.told for f in fired]
        assert [int(f.key) for f in fired[:hours]] == [
            int(fired[0].key) + n * HOUR * 10**9 for n in range(hours)
        ]
        outside = [
            (n, d, w) for n, (d, w) in enumerate(zip(after, widths, strict=True)) if abs(d) > max(w, STEP)
        ]
        assert not outside, [(fired[n].told, d, w) for n, d, w in outside]
        hedged = [f for f in fired if f.outcome == "ORDER"]
        assert len(hedged) == len(carrier.done) >= 1 and len(hedged) < len(fired)
        assert max(map(abs, before)) > max(map(abs, after)), "left alone it would have strayed further"
        assert all(lease.state == DONE for lease in store.leases("lp", 500)[1:])

        with pytest.raises(Denied) as refused:
            await positions(app, 1)  # one that the demo market's maker minted
        assert refused.value.code == "NOT_OURS" and WALLET not in refused.value.message
