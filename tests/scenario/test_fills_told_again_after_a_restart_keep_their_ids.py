"""A restarted session tells the fills of before again, under the same ids: counting by id counts them once."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from paper import Door, paper, session

from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport


async def told_by_one_life(door: Door, order: VenueOrder, until_qty: int) -> list[ExecutionReport]:
    venue = session(door.url, audit_s=0.2)
    await venue.start()
    await venue.submit(await venue.authorize(order))
    got: list[ExecutionReport] = []
    complete = asyncio.Event()

    async def read() -> None:
        async for report in venue.stream():
            got.append(report)
            if sum(r.fill.qty_in for r in got if r.fill is not None) >= until_qty:
                complete.set()

    reader = asyncio.create_task(read())
    await asyncio.wait_for(complete.wait(), 10)
    await asyncio.sleep(0.5)  # long enough for two more audits to repeat themselves, if they did
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await venue.close()
    return got


def sale(name: str, qty: str) -> VenueOrder:
    return VenueOrder(
        ClOrdId(name), "ETHUSDC", Side.SELL, OrdType.MARKET, TimeInForce.IOC, Decimal(qty), None
    )


async def test_two_lives_one_position() -> None:
    async with paper() as door:
        first = await told_by_one_life(door, sale("one", "3"), 3)
        second = await told_by_one_life(door, sale("two", "2"), 5)
        truth = {f"ETHUSDC:{row['id']}": Decimal(row["qty"]) for row in (await door.truth())["trades"]}
        for life in (first, second):
            ids = [r.fill.exec_id for r in life if r.fill is not None]
            assert len(ids) == len(set(ids)), "one life told an execution twice"
        counted = {r.fill.exec_id: r.fill.qty_in for r in (*first, *second) if r.fill is not None}
        assert counted == truth and sum(counted.values()) == Decimal(5)
        assert {r.cl_ord_id for r in second if r.fill is not None} == {"one", "two"}


async def test_events_sent_twice_are_told_once() -> None:
    async with paper() as door:
        venue = session(door.url, audit_s=30)
        await venue.start()
        got: list[ExecutionReport] = []

        async def read() -> None:
            async for report in venue.stream():
                got.append(report)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.3)
        await door.fault("user", "duplicate", count=None)
        await venue.submit(await venue.authorize(sale("twice", "2")))
        await asyncio.sleep(0.4)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        trades = [r.fill for r in got if r.exec_type is ExecType.TRADE and r.fill is not None]
        assert sum(f.qty_in for f in trades) == Decimal(2)
        assert [r.exec_type for r in got].count(ExecType.NEW) == 1
        await venue.close()
