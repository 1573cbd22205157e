"""Numbers 2 and 5 of the failures this must survive: the network goes while orders are live; a new process finds its orders among thousands."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from paper import KEY, Door, new_venue, paper, session

from agent.app.testvenue.engine import NewOrder
from agent.app.testvenue.limits import Limits
from agent.domain.errors import Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.venues.binance_spot import BinanceSpot

D = Decimal


def bid(name: str, px: str) -> VenueOrder:
    return VenueOrder(ClOrdId(name), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D("0.5"), D(px))


async def reading(venue: BinanceSpot, told: list[ExecutionReport]) -> None:
    async for report in venue.stream():
        told.append(report)


async def until(told: list[ExecutionReport], kind: ExecType, names: set[str]) -> None:
    async with asyncio.timeout(8):
        while not names <= {r.cl_ord_id for r in told if r.exec_type is kind}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def outage(door: Door) -> None:
    await door.fault("any", "reset_before", count=None)
    await door.disconnect()


async def test_six_live_orders_are_tracked_through_an_outage_and_the_position_is_right() -> None:
    async with paper(Limits(10**7, 10**4)) as door:
        venue = session(door.url, audit_s=0.2)
        await venue.start()
        told: list[ExecutionReport] = []
        listening = asyncio.create_task(reading(venue, told))
        names = [f"live-{n}" for n in range(6)]
        for n, name in enumerate(names):
            await venue.submit(await venue.authorize(bid(name, f"{2998 - n}.00")))
        await until(told, ExecType.NEW, set(names))
        await outage(door)
        try:
            await venue.open_orders()
            raise AssertionError("the outage is none")
        except Retry:
            pass
        await door.house("SELL", "2996.00", "90000")  # meanwhile three of them are filled
        await door.clear()
        await until(told, ExecType.TRADE, set(names[:3]))
        bought = sum((r.fill.qty_out for r in told if r.fill is not None), D(0))
        held = {b.asset.rpartition("/")[2]: b.free + b.locked for b in await venue.balances()}
        fees = sum((r.fill.fee_qty for r in told if r.fill is not None), D(0))
        assert bought == D("1.5") and held["ETH"] == 50 + bought - fees
        assert {o.cl_ord_id for o in await venue.open_orders()} == set(names[3:])
        assert len({r.fill.exec_id for r in told if r.fill is not None}) == 3
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await venue.close()


async def test_a_new_process_finds_its_fourteen_orders_among_three_thousand() -> None:
    past = new_venue()
    names = {f"mine-{n}" for n in range(14)}
    for number in range(3_159):
        ended = NewOrder(KEY, "ETHUSDC", f"old-{number}", "BUY", "LIMIT", "GTC", D(2_000), D("0.01"), None)
        placed = past.engine.place(ended, 1).order
        assert placed is not None
        past.engine.cancel(placed, 2)
    for number, name in enumerate(sorted(names)):
        request = NewOrder(KEY, "ETHUSDC", name, "BUY", "LIMIT", "GTC", D(2_900 - number), D("0.5"), None)
        past.engine.place(request, 3)
    async with paper(Limits(10**7, 10**4), past) as door:
        after = session(door.url, audit_s=30)
        await after.start()
        told: list[ExecutionReport] = []
        listening = asyncio.create_task(reading(after, told))
        await until(told, ExecType.NEW, names)
        assert [r.exec_type for r in told] == [ExecType.NEW] * 14
        assert {one.cl_ord_id for one in await after.open_orders()} == names
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await after.close()
