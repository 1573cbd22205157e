"""An exchange that ends its reports with a refusal costs an alarm: orders go on being followed, and what nobody asks after is heard later.

Number 27 of the failures this must survive: what looks after orders may fail, and trading goes on.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from desk import PAPER, Office, order
from fake_venue import OWNER, SYMBOL

from agent.app.testvenue.engine import NewOrder
from agent.execution.spine import work


async def test_an_order_is_carried_out_meanwhile_and_a_strangers_is_told_of_afterwards(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    office.venue.breaks = 3
    async with office.open() as desk:
        parent = order(office, "3")
        await work(parent, desk)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
        limit = NewOrder(OWNER, SYMBOL, "by-hand", "BUY", "LIMIT", "GTC", Decimal(2_000), Decimal(1), None)
        office.venue.venue.place(limit)
        await office.clock.sleep(60)
        told = [alarm.code for alarm in desk.book.alarms]
        assert told.count("REPORTS_STOPPED") == 3, "each silence is told"
        assert "FOREIGN_ORDER" in told, "nobody listened any more"
        desk.tracker.others_left_alone = frozenset({"paper"})  # foreign_orders = "leave"
        office.venue.venue.place(replace(limit, cl_ord_id="by-hand-too"))
        await office.clock.sleep(60)
        assert [alarm.code for alarm in desk.book.alarms] == told
