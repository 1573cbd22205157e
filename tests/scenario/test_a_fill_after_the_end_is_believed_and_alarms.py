"""An order that had ended was filled all the same: the fill is booked, an alarm says so, and the position is right."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from desk import PAPER, Grave, Office, order

from agent.domain.events import Alarmed, Authorized
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.reports import ExecutionReport, Fill
from agent.execution.desk import Desk
from agent.execution.spine import work


async def ended_unfilled(office: Office, desk: Desk, ending: ExecType) -> Authorized:
    """A part that the exchange is said to have ended without a fill."""
    assert office.venue is not None
    office.venue.next_submit = ["lost_before"]
    office.switch.clear()
    parent = order(office, "2", life_s=10)  # too short for another slice once it is known to be gone
    await work(parent, desk)
    (record,) = desk.book.parts.values()
    assert record.status is OrdStatus.EXPIRED and record.settled and record.authorized is not None
    assert desk.book.parents[parent.cl_ord_id].closed is not None
    if ending is not ExecType.EXPIRED:
        record.status = OrdStatus[ending.value]
    return record.authorized


@pytest.mark.parametrize("ending", [ExecType.EXPIRED, ExecType.REJECTED, ExecType.CANCELED])
async def test_a_fill_after_the_end(tmp_path: Path, ending: ExecType) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open() as desk:
        signed = await ended_unfilled(office, desk, ending)
        part = signed.part
        fill = Fill(
            "t-1", part.place, part.asset_in, part.asset_out, Decimal(2), Decimal(6000), part.asset_out,
            Decimal(6), office.clock.now_ns(),
        )  # fmt: skip
        report = ExecutionReport(part.cl_ord_id, part.place, ExecType.TRADE, office.clock.now_ns(), "1", fill)
        await desk.tracker.ingest(report)
        await desk.tracker.ingest(report)
        record = desk.book.parts[part.cl_ord_id]
        assert record.status is OrdStatus.FILLED
        assert desk.book.holdings == {part.asset_in: Decimal(-2), part.asset_out: Decimal(5994)}
        assert [alarm.code for alarm in desk.book.alarms] == ["FILL_AFTER_END"]
        assert part.cl_ord_id in desk.book.alarms[0].message
        taken_back = replace(report, exec_type=ExecType.TRADE_CANCEL, fill=None, exec_ref_id="t-1")
        await desk.tracker.ingest(taken_back)
        assert not any(desk.book.holdings.values())


async def test_a_real_late_fill_comes_by_the_stream(tmp_path: Path) -> None:
    """The request arrived after all, long after everybody had given it up."""
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    grave = Grave()
    async with office.open(grave) as desk:
        signed = await ended_unfilled(office, desk, ExecType.EXPIRED)
        assert signed.order is not None
        await office.venue.submit(await office.venue.authorize(signed.order))
        for _ in range(3):
            await desk.clock.sleep(1)
        record = desk.book.parts[signed.part.cl_ord_id]
        assert record.status is OrdStatus.FILLED and record.base_qty() == 2
        assert any(isinstance(event, Alarmed) and event.code == "FILL_AFTER_END" for event in grave.seen)
        eth, usdc = office.held()
        assert (desk.book.positions["ETH"].qty, desk.book.positions["USDC"].qty) == (eth - 50, usdc - 100_000)


async def test_an_impossible_report_alarms_and_the_stream_goes_on(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    async with office.open() as desk:
        first = order(office, "2")
        await work(first, desk)
        (name,) = desk.book.parts
        impossible = ExecutionReport(name, PAPER, ExecType.REJECTED, office.clock.now_ns(), "1")
        for queue in office.venue._queues:
            queue.put_nowait(impossible)
        await desk.clock.sleep(1)
        assert [alarm.code for alarm in desk.book.alarms] == ["FORBIDDEN_TRANSITION"]
        assert desk.book.parts[name].status is OrdStatus.FILLED
        office.venue.next_submit = ["lost_after"]
        second = order(office, "1", salt="again")
        await work(second, desk)
        assert desk.book.filled_base(second.cl_ord_id) == 1
