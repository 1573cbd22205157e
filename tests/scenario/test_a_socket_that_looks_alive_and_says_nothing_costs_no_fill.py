"""The user-data socket answers pings and tells nothing: the audit finds every fill within its own period."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal

from paper import Door, paper, session, sign

from agent.domain.errors import Denied, FairleadError
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.venues.binance_spot import BinanceSpot

AUDIT_S = 0.4
ORDER = VenueOrder(
    ClOrdId("quiet"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal("3000.00")
)


async def first_trade(venue: BinanceSpot, door: Door) -> tuple[float, list[ExecutionReport]]:
    got: list[ExecutionReport] = []
    seen = asyncio.Event()

    async def read() -> None:
        async for report in venue.stream():
            got.append(report)
            if report.exec_type is ExecType.TRADE:
                seen.set()

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    await venue.submit(await venue.authorize(ORDER))
    await door.house("SELL", "3000.00", "1")
    start = time.monotonic()
    await asyncio.wait_for(seen.wait(), 5)
    took = time.monotonic() - start
    await asyncio.sleep(2 * AUDIT_S)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    return took, got


async def test_silence() -> None:
    async with paper() as door:
        venue = session(door.url, audit_s=AUDIT_S)
        await venue.start()
        await door.fault("user", "silence", count=None)
        took, got = await first_trade(venue, door)
        assert took < 2 * AUDIT_S + 0.5
        assert [r.exec_type for r in got if r.fill is not None] == [ExecType.TRADE]
        await venue.close()


async def test_a_broken_socket_is_followed_by_an_audit_at_once() -> None:
    async with paper() as door:
        venue = session(door.url, audit_s=60)
        await venue.start()
        await door.fault("user", "close", count=1)
        took, got = await first_trade(venue, door)
        assert took < 2
        assert sum(r.fill.qty_out for r in got if r.fill is not None) == Decimal(1)
        await venue.close()


async def test_orders_of_others_where_the_signer_signs_nothing_do_not_stop_the_reports() -> None:
    async def lists_others_alone(method: str, path: str, payload: str) -> str:
        if "symbol=ETHUSDC" in payload:
            raise Denied("EXCHANGE_SYMBOL", "ETHUSDC is not among this venue's symbols", "list it")
        return await sign(method, path, payload)

    async with paper() as door:
        venue, other = session(door.url), session(door.url, sign=lists_others_alone)
        await venue.start()
        await other.start()
        await venue.submit(await venue.authorize(replace(ORDER, px=Decimal(2_900))))
        told: asyncio.Queue[ExecutionReport | FairleadError] = asyncio.Queue()
        await other.reports.audit(told)
        await venue.cancel(ORDER.cl_ord_id, "ETHUSDC")
        await other.reports.audit(told)  # it was open, and is not any more
        assert told.qsize() == 1
        await venue.close()
        await other.close()
