"""Found by `chaos exchange`: what was cancelled before it was acknowledged is not quarantined, and half an answer is none."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from desk import PAPER, Office, order
from paper import paper, session

from agent.domain.errors import Reconcile, Retry
from agent.domain.events import CancelRequested
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.execution.spine import work


@pytest.mark.parametrize(("befalls", "ends"), [("lost_before", "EXPIRED"), ("lost_after", "FILLED")])
async def test_a_cancel_before_any_answer_leaves_the_order_to_what_the_venue_says(
    tmp_path: Path, befalls: str, ends: str
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    office.venue.next_submit, office.venue.next_cancel = [befalls], ["lost_before", "lost_after"]
    async with office.open() as desk:
        parent = order(office, "3")
        signed = asyncio.Event()
        desk.journal.watchers.append(
            lambda event: signed.set() if type(event).__name__ == "Authorized" else None
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(work(parent, desk))
            await signed.wait()
            now = desk.clock.now_ns()
            await desk.journal.record_durably(CancelRequested(parent.cl_ord_id, "test", now))
        (record,) = desk.book.parts.values()
        assert record.settled and record.status is OrdStatus(ends)
        assert "QUARANTINED" not in {alarm.code for alarm in desk.book.alarms}
        assert len(office.venue.sent) == 1
        if befalls == "lost_before":
            assert office.venue.next_cancel == [], "a cancel whose answer was lost was not sent again"


async def test_a_cancel_that_is_refused_is_sent_again_while_the_order_stands(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    office.venue.rests, office.venue.next_cancel = Decimal(3_500), ["refused", "lost_before"]
    async with office.open() as desk:
        parent = order(office, "3")
        stands = asyncio.Event()
        desk.journal.watchers.append(
            lambda event: stands.set() if type(event).__name__ == "Reported" else None
        )
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(work(parent, desk))
            await stands.wait()
            now = desk.clock.now_ns()
            await desk.journal.record_durably(CancelRequested(parent.cl_ord_id, "test", now))
        (record,) = desk.book.parts.values()
        assert record.settled and record.status is OrdStatus.CANCELED and record.base_qty() == 0
        assert office.venue.next_cancel == [] and len(office.venue.sent) == 1


async def test_half_an_answer_is_asked_for_again_and_half_an_event_costs_an_audit() -> None:
    async with paper() as door:
        venue = session(door.url, audit_s=30)
        await venue.start()
        for on, ask in (("account", venue.balances), ("openOrders", venue.open_orders)):
            await door.fault(on, "partial")
            with pytest.raises(Retry) as garbled:
                await ask()
            assert garbled.value.code == "GARBLED"
            await ask()
        await door.fault("order.query", "partial")
        with pytest.raises(Retry):  # half of a "no such order" is no answer
            await venue.query(ClOrdId("never"), "ETHUSDC")
        assert await venue.query(ClOrdId("never"), "ETHUSDC") is None
        dear = VenueOrder(
            ClOrdId("dear"),
            "ETHUSDC",
            Side.BUY,
            OrdType.LIMIT,
            TimeInForce.GTC,
            Decimal(2_000),
            Decimal(2_900),
        )
        await door.fault("order.place", "partial")
        with pytest.raises(Reconcile):  # and half of a refusal no refusal
            await venue.submit(await venue.authorize(dear))
        told: list[str] = []

        async def read() -> None:
            async for report in venue.stream():
                told.append(f"{report.cl_ord_id} {report.exec_type.value}")
                if len(told) == 2:
                    return

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await door.fault("user", "partial", count=1)
        limit = VenueOrder(
            ClOrdId("a"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(2900)
        )
        await venue.submit(await venue.authorize(limit))
        await asyncio.sleep(0.3)
        await venue.cancel(ClOrdId("a"), "ETHUSDC")
        await asyncio.wait_for(reading, 5)
        assert told == ["a NEW", "a CANCELED"], "the half event was not made good by an audit"
        await venue.close()
