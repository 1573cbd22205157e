"""An order is filled over more time than its exchange lists trades of. What an earlier run booked and what is listed now are what was done:
a restart ends it without an alarm. What was neither booked nor is listed is told, exactly, and never made up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desk import PAPER, Office, order
from fake_venue import FakeVenue

from agent.app.comparison import compare_venue
from agent.domain.errors import FairleadError
from agent.domain.events import CancelRequested, Reported
from agent.domain.ids import ClOrdId
from agent.domain.instruments import cex_id
from agent.domain.order_lists import leg_ids
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import Fill, FillsNotTold, OrderSnapshot
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.records import PartRecord
from agent.ports import Clock
from agent.venues import need_all_fills
from agent.venues.binance_spot.pairs import Pairs
from agent.venues.deribit.linked import Pairs as Linked

D = Decimal


class LooksBack(FakeVenue):
    """Lists trades for an hour, and tells nothing of itself."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, audit_s=1e9)
        asks = tuple(self.venue.engine.books["ETHUSDC"].asks.levels())
        self.silent, self.rests = True, asks[0][0] - D("0.01")  # first in the book

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        found = await super().query(cl_ord_id, symbol)
        if found is not None:
            since = self._clock.now_ns() - 3_600 * 10**9
            need_all_fills(self.name, found, [fill for fill in found.fills if fill.at_ns >= since])
        return found

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        await super().cancel(cl_ord_id, symbol)
        found = await self.query(cl_ord_id, symbol)
        assert found is not None
        return found

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        raise AssertionError("nobody asks for that here")


def only(desk: Desk) -> PartRecord:
    (record,) = desk.book.parts.values()
    return record


async def given_up(doing: asyncio.Task[object]) -> None:
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)


async def first_life(office: Office, venue: LooksBack) -> ClOrdId:
    """Sells 6 at the best price; 2 are done and booked, and the process ends. The part's name."""
    async with office.open() as desk:
        doing = asyncio.create_task(work(order(office, "6", life_s=30 * 86_400), desk))
        while not desk.book.parts or only(desk).status is not OrdStatus.NEW:
            await office.clock.sleep(1)
        venue.house("BUY", str(venue.rests), "2")
        await office.clock.sleep(5)
        assert only(desk).base_qty() == 2
        await given_up(doing)
        return only(desk).part.cl_ord_id


@pytest.fixture
def venue(tmp_path: Path) -> tuple[Office, LooksBack]:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = there = LooksBack(office.clock)
    return office, there


def trades(office: Office) -> list[Fill]:
    told = [event.report for event in office.events() if isinstance(event, Reported)]
    return [report.fill for report in told if report.exec_type is ExecType.TRADE and report.fill is not None]


async def test_what_was_booked_and_what_is_listed_is_all_that_was_done(
    venue: tuple[Office, LooksBack],
) -> None:
    office, there = venue
    name = await first_life(office, there)
    await office.clock.sleep(2 * 3_600)
    there.house("BUY", str(there.rests), "4")
    with pytest.raises(FillsNotTold) as late:
        async with office.open():
            await there.query(name, "ETHUSDC")
    assert late.value.told.cum_qty == 6 and sum(fill.qty_in for fill in late.value.told.fills) == 4
    async with office.open() as desk:
        await resume(desk)
        assert only(desk).status is OrdStatus.FILLED and only(desk).ended and only(desk).base_qty() == 6
        assert desk.book.alarms == []
    assert len(trades(office)) == 2 and len(there.sent) == 1


async def test_an_end_is_taken_in_as_well(venue: tuple[Office, LooksBack]) -> None:
    office, there = venue
    await first_life(office, there)
    await office.clock.sleep(2 * 3_600)
    there.house("BUY", str(there.rests), "1")
    async with office.open() as desk:
        doing = asyncio.create_task(resume(desk))
        await office.clock.sleep(120)
        assert only(desk).base_qty() == 3 and not only(desk).ended and desk.book.alarms == []
        (parent,) = desk.book.parents
        await desk.journal.record_durably(CancelRequested(parent, "test", desk.clock.now_ns()))
        await office.clock.sleep(10)
        assert only(desk).status is OrdStatus.CANCELED and only(desk).base_qty() == 3
        assert desk.book.alarms == []
        await given_up(doing)


async def test_what_nobody_booked_is_told_exactly(venue: tuple[Office, LooksBack]) -> None:
    """1 was done while nobody ran, and is listed no more: the order is not over, whatever else is done of it."""
    office, there = venue
    name = await first_life(office, there)
    there.house("BUY", str(there.rests), "1")
    await office.clock.sleep(2 * 3_600)
    there.house("BUY", str(there.rests), "3")
    async with office.open() as desk:
        doing = asyncio.create_task(resume(desk))
        await office.clock.sleep(50)
        assert only(desk).base_qty() == 5 and desk.book.alarms == []
        await office.clock.sleep(300)
        (alarm,) = desk.book.alarms
        assert (alarm.code, alarm.message) == (
            "FILLS_NOT_TOLD",
            f"{name} is not over: paper has told 5 of 6 done",
        )
        assert not only(desk).ended
        await given_up(doing)


async def test_the_comparison_at_a_start_goes_on(venue: tuple[Office, LooksBack]) -> None:
    """It asks for the order as well; a place that could not be compared would stay locked."""
    office, there = venue
    name = await first_life(office, there)
    await office.clock.sleep(2 * 3_600)
    there.house("BUY", str(there.rests), "4")
    async with office.open() as desk:
        found = await compare_venue(there, desk.book, ("ETHUSDC",), desk.clock.now_ns())
        assert [d.kind for d in found if name in d.what and d.kind == "open order"] == ["open order"]
        await desk.tracker.look_at_venue(only(desk).authorized)  # type: ignore[arg-type]
        assert only(desk).status is OrdStatus.FILLED and desk.book.alarms == []


def leg(name: ClOrdId, done: str, listed: str, status: OrdStatus) -> OrderSnapshot:
    """Of a sale of 6."""
    eth, usdc = cex_id("paper", "ETH"), cex_id("paper", "USDC")
    fill = Fill(f"{name} 1", PAPER, eth, usdc, D(listed), D(listed) * 3000, usdc, D(0), 5)
    fills = (fill,) if D(listed) else ()
    return OrderSnapshot(name, "7", "ETHUSDC", Side.SELL, status, D(6), D(3_000), D(done), fills, 9)


@pytest.mark.parametrize("by", ["binance_spot", "deribit"])
async def test_of_a_pair_of_exits_the_whole_is_told_and_never_one_leg(by: str) -> None:
    """One leg ended with nothing done, of the other one trade is listed no more: taken for the pair, the first would end it."""
    name = ClOrdId("fl-22222222222222222222")
    first, second = leg_ids(name)
    told = {
        first: leg(first, "6", "4", OrdStatus.FILLED),
        second: leg(second, "0", "0", OrdStatus.CANCELED),
    }

    async def whole(order: OrderSnapshot) -> OrderSnapshot:
        need_all_fills("paper", order, order.fills)
        return order

    async def asked(one: ClOrdId, symbol: str) -> OrderSnapshot | None:
        return await whole(told[one])

    async def labelled(one: ClOrdId, symbol: str) -> object:
        return [{"label": one, "instrument_name": symbol, "order_id": "7", "order_state": "filled"}]

    reader = SimpleNamespace(order=lambda row: told[row["label"]])
    venue: Any = SimpleNamespace(
        name="paper", order=asked, with_fills=whole, labelled=labelled, reader=reader
    )
    pairs = Pairs(venue) if by == "binance_spot" else Linked(venue, {})
    with pytest.raises(FillsNotTold) as late:
        await pairs.query(name, "ETHUSDC")
    found = late.value.told
    assert (found.cl_ord_id, found.status, found.cum_qty) == (name, OrdStatus.FILLED, 6)
    assert [fill.qty_in for fill in found.fills] == [4]
    told[first] = leg(first, "6", "6", OrdStatus.FILLED)
    pair = await pairs.query(name, "ETHUSDC")
    assert pair is not None and pair.cum_qty == 6
