"""The trade's event is lost, the cancel's is not: the fill reaches us all the same, before or after the end."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from paper import paper, session

from agent.domain.errors import Reconcile
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport

ORDER = VenueOrder(
    ClOrdId("late"),
    "ETHUSDC",
    Side.BUY,
    OrdType.LIMIT,
    TimeInForce.GTC,
    Decimal(2),
    Decimal("3000.00"),
)


@pytest.mark.parametrize("audit_fails", [False, True])
async def test_filled_in_part_then_cancelled(audit_fails: bool) -> None:
    async with paper() as door:
        venue = session(door.url, audit_s=0.5)
        await venue.start()
        got: list[ExecutionReport] = []

        async def read() -> None:
            async for report in venue.stream():
                got.append(report)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await venue.submit(await venue.authorize(ORDER))
        await asyncio.sleep(0.2)
        if audit_fails:
            await door.fault("myTrades", "error_before", count=3)
        await door.fault("user", "drop", count=2)  # the trade, and the balances it changed
        await door.house("SELL", "3000.00", "0.5")
        if audit_fails:
            with pytest.raises(Reconcile):
                await venue.cancel(ORDER.cl_ord_id, "ETHUSDC")
        else:
            await venue.cancel(ORDER.cl_ord_id, "ETHUSDC")
        await asyncio.sleep(2.5 if audit_fails else 0.4)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        kinds = [report.exec_type for report in got]
        assert kinds.count(ExecType.TRADE) == 1 and kinds.count(ExecType.CANCELED) == 1
        if not audit_fails:
            assert kinds == [ExecType.NEW, ExecType.TRADE, ExecType.CANCELED]
        fill = next(report.fill for report in got if report.fill is not None)
        assert (fill.qty_out, fill.qty_in) == (Decimal("0.5"), Decimal(1500))
        await venue.close()
