"""The exchange acknowledged an order and later does not know it: its trades are asked for, and it stays open, with an alarm."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from desk import PAPER, Office, order

from agent.domain.errors import Reconcile
from agent.execution.reconcile import resume
from agent.execution.spine import work


async def test_it_is_not_assumed_cancelled_and_is_booked_once_it_is_found(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    before = office.held()
    office.venue.forgets = True
    async with office.open() as desk:
        parent = order(office, "3")
        began = desk.clock.now_ns()
        with pytest.raises(BaseExceptionGroup) as stopped:
            await work(parent, desk)
        assert stopped.group_contains(Reconcile, match="was signed")
        assert desk.clock.now_ns() - began >= 10 * 10**9, "no grace was given"
        (record,) = desk.book.parts.values()
        assert not record.ended and record.indeterminate, "assumed cancelled"
        assert desk.book.parents[parent.cl_ord_id].closed is None
        assert "QUARANTINED" in {alarm.code for alarm in desk.book.alarms}
        assert len(office.venue.sent) == 1, "something was sent in its place"
        held_back = list(desk.book.reservations())
        assert len(held_back) == 1, "its limits were given back"
    office.venue.forgets = False
    async with office.open() as desk:
        await resume(desk)
        (record,) = desk.book.parts.values()
        assert record.ended and record.base_qty() == Decimal(3)
        assert desk.book.parents[parent.cl_ord_id].closed is not None
    assert before[0] - office.held()[0] == 3
    assert len(office.venue.sent) == 1
