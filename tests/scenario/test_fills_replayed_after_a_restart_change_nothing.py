"""After a restart the exchange tells every fill again, by stream and by audit. Positions do not move."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import PAPER, Grave, Office, order, statuses

from agent.domain.events import Alarmed, Authorized, Reported
from agent.execution.spine import work


@pytest.mark.parametrize("gone_level", [False, True])
async def test_fills_replayed_after_a_restart_change_nothing(tmp_path: Path, gone_level: bool) -> None:
    """`gone_level`: somebody is faster, so that the order ends partly filled, expired by the exchange."""
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    parent = order(office, "6", slippage_bps=1, life_s=1)

    class Faster(Grave):
        def check(self, moment: str, event: object) -> None:
            if gone_level and moment == "durable" and isinstance(event, Authorized):
                venue.house("SELL", "2998.00", "4")  # eats the bids that the plan counted on

    async with office.open(Faster()) as desk:
        await work(parent, desk)
        assert next(statuses(desk.book, parent)) == ("EXPIRED" if gone_level else "FILLED")
        record = next(iter(desk.book.parts.values()))
        live = desk.book.canonical()
    written = [event for event in office.events() if isinstance(event, Reported)]
    assert len(record.fills) > 1 or gone_level
    assert record.fills
    async with office.open() as desk:  # the fake's stream begins with its whole history
        for _ in range(5):
            await desk.clock.sleep(1)
        assert record.authorized is not None and record.authorized.order is not None
        snapshot = await office.venue.query(record.part.cl_ord_id, "ETHUSDC")
        assert snapshot is not None and snapshot.fills
        await desk.tracker.ingest_snapshot(snapshot, record.authorized)
        for event in reversed(written):  # and once more, in another order
            await desk.tracker.ingest(event.report)
        assert desk.book.canonical() == live
    assert [event for event in office.events() if isinstance(event, Reported)] == written
    assert not [event for event in office.events() if isinstance(event, Alarmed)]
