"""At start the exchange says "no such order" of an order that was signed. It is asked again until the request can no longer
arrive; only then has it ended, and only then is the quantity traded anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from desk import PAPER, Grave, Killed, Office, order

from agent.domain.events import Authorized, Reported
from agent.domain.order_state import ExecType, OrdStatus
from agent.execution.desk import Desk
from agent.execution.reconcile import look, resume
from agent.execution.spine import work


async def die_signed(office: Office, qty: str) -> Authorized:
    """The process dies when the signed request is on the disk and nothing has left."""
    grave = Grave(strike=lambda moment, event: moment == "durable" and isinstance(event, Authorized))
    with pytest.raises(BaseExceptionGroup) as death:
        async with office.open(grave) as desk:
            await work(order(office, qty), desk)
    assert death.group_contains(Killed, depth=2) or death.group_contains(Killed)
    return next(event for event in grave.seen if isinstance(event, Authorized))


async def status_after(desk: Desk, name: str, seconds: int) -> OrdStatus | None:
    await desk.clock.sleep(seconds)
    return desk.book.parts[name].status


async def test_not_found_is_asked_again_and_the_quantity_is_traded_once(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before = office.held()
    signed = await die_signed(office, "3")
    name = signed.part.cl_ord_id
    async with office.open() as desk:
        assert look(desk).asked == ((name, PAPER),)
        doing = asyncio.create_task(resume(desk))
        assert await status_after(desk, name, 10) is OrdStatus.PENDING_NEW, "assumed dead too early"
        assert len(desk.book.parts) == 1, "traded again while the first may still arrive"
        await doing
        ended = [
            event.report
            for event in office_events(desk)
            if isinstance(event, Reported) and event.report.exec_type is ExecType.EXPIRED
        ]
        assert [report.cl_ord_id for report in ended] == [name]
        assert ended[0].at_ns - signed.at_ns > 15 * 10**9
    assert before[0] - office.held()[0] == 3


async def test_it_arrives_during_the_grace_and_is_adopted(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    before = office.held()
    signed = await die_signed(office, "3")
    async with office.open() as desk:
        doing = asyncio.create_task(resume(desk))
        await desk.clock.sleep(4)
        assert signed.order is not None  # what the dead process had sent was only slow
        await office.venue.submit(await office.venue.authorize(signed.order))
        await doing
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.FILLED and record.base_qty() == 3
    assert before[0] - office.held()[0] == 3
    assert len(office.venue.sent) == 1


async def test_an_exchange_that_cannot_be_reached_decides_nothing(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    signed = await die_signed(office, "3")
    async with office.open() as desk:
        assert office.venue is not None
        await office.venue.close()  # every question is now answered by Retry
        doing = asyncio.create_task(desk.tracker.follow(signed))
        assert await status_after(desk, signed.part.cl_ord_id, 600) is OrdStatus.PENDING_NEW
        assert not doing.done()
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


def office_events(desk: Desk) -> list[object]:
    return list(desk.journal.store._grave.seen)  # type: ignore[attr-defined]
