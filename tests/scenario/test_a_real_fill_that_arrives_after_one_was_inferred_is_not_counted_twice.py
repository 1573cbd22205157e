"""Number 7 of the failures this must survive. An order's answer is lost; that it was filled is found by asking, and then the exchange tells
of itself what was done, or the other way round, or again to the next process. And an exchange says an order is done before it lists the
trades: no fill is made up from its sums meanwhile, and none is ordered again.

A real desk over the real session at a paper exchange: position, cash and fees are the exchange's own at the end, as its referee has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from desk import PAPER, Office
from desk import order as by_office
from fake_venue import FakeVenue

from agent.app.chaos.deaths import Doom
from agent.app.chaos.exchange.cases import Told, order
from agent.app.chaos.exchange.dialects import DIALECTS
from agent.app.chaos.exchange.fates import Fate, by_fix
from agent.app.chaos.exchange.ground import Exchange, QuickClock, exchange
from agent.app.chaos.exchange.lanes import Lane
from agent.app.chaos.exchange.referee import Judge
from agent.app.chaos.exchange.run import _standing, said_of
from agent.domain.events import Alarmed, CancelRequested, Reported
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType
from agent.domain.orders import ParentOrder
from agent.domain.reports import OrderSnapshot
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.records import PartRecord
from agent.journal.registry import event_codec
from agent.journal.store import Journal
from agent.ports import Clock
from agent.venues import need_all_fills

D = Decimal
VENUES = (
    "binance_spot",
    "fix",
    "binance_usdm",
    "deribit",
    "hyperliquid",
    "kraken",
    "coinbase",
    "dydx",
    "ccxt",
)
LATE_MS = 2_000
"""Of the wall's: how late the exchange tells of itself what the desk has found by then."""


def fate(buys: bool, *, rests: bool = False) -> Fate:
    """A purchase or sale of 6 ETH, which takes several levels, or of one that waits at the best price."""
    return Fate(7, 0, buys, D(1 if rests else 6), 50, rests, 0, D(1), "", 0.0)


@asynccontextmanager
async def ground(by: str, folder: Path) -> AsyncIterator[tuple[Lane, Exchange]]:
    clock = QuickClock(time.time_ns())
    async with exchange(1, clock, DIALECTS[by]) as there:
        yield Lane(0, there.url, folder, clock, by=by, fix_url=there.fix_url), there


def befalls(lane: Lane, there: Exchange, **fault: object) -> None:
    on = DIALECTS[lane.by].on or {}
    named = {**fault, "on": on.get(str(fault["on"]), fault["on"])}
    there.server.faults.add(by_fix(named) if lane.by == "fix" else named)


async def until(so: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def only(desk: Desk) -> PartRecord:
    (record,) = desk.book.parts.values()
    return record


def events(lane: Lane) -> list[object]:
    journal = Journal.open(lane.journal_path, clock=lane.clock, environment="devnet", codec=event_codec())
    try:
        return list(journal.events())
    finally:
        journal.close()


async def check(lane: Lane, there: Exchange, what: Fate, parent: ParentOrder) -> None:
    """As the referee of the chaos judges it; each execution is in the journal once, at its own price and fee, and nothing alarmed."""
    async with aiohttp.ClientSession() as client, client.get(f"{lane.url}/admin/truth") as answer:
        truth = await answer.json(content_type=None)
    told = Told(what, lane, parent.cl_ord_id)
    judge = Judge()
    judge.lane(said_of(lane, [told], {0: await _standing(lane)}), truth)
    assert judge.violations == []
    written = events(lane)
    fills = [
        e.report.fill for e in written if isinstance(e, Reported) and e.report.exec_type is ExecType.TRADE
    ]
    assert len({fill.exec_id for fill in fills if fill is not None}) == len(fills) == len(truth["trades"]) > 1
    assert [e for e in written if isinstance(e, Alarmed)] == []


@pytest.mark.parametrize("by", VENUES)
@pytest.mark.parametrize("buys", [True, False], ids=["a purchase", "a sale"])
async def test_found_by_asking_and_told_later_of_itself(tmp_path: Path, by: str, buys: bool) -> None:
    async with ground(by, tmp_path) as (lane, there):
        what = fate(buys)
        async with lane.open(Doom(), what) as desk:
            befalls(lane, there, on="user", kind="delay", count=None, delay_ms=LATE_MS)
            befalls(lane, there, on="order.place", kind="error_after")
            parent = order(what, lane, lane.clock.now_ns())
            began = time.monotonic()
            await work(parent, desk)
            asked_s = time.monotonic() - began
            there.server.faults.clear()
            record, state = only(desk), desk.book.canonical()
            assert len(record.fills) > 1 and len({f.qty_out / f.qty_in for f in record.fills.values()}) > 1
            if by not in ("fix", "ccxt"):  # whose delayed messages are told again, and none
                assert asked_s < LATE_MS / 1_000, "it was heard, and not found"
            await asyncio.sleep(max(LATE_MS / 1_000 - asked_s, 0) + 0.7)  # now it is told
            assert desk.book.canonical() == state
        await check(lane, there, what, parent)


@pytest.mark.parametrize("by", VENUES)
async def test_told_of_itself_and_found_by_asking_after_that(tmp_path: Path, by: str) -> None:
    async with ground(by, tmp_path) as (lane, there):
        what = fate(True)
        async with lane.open(Doom(), what) as desk:
            befalls(lane, there, on="order.place", kind="hang_after")
            parent = order(what, lane, lane.clock.now_ns())
            await work(parent, desk)
            record, state = only(desk), desk.book.canonical()
            assert record.authorized is not None
            for _ in range(3):
                await desk.tracker.look_at_venue(record.authorized)
            there_now = await lane.venue.query(record.part.cl_ord_id, record.authorized.order.symbol)  # type: ignore[union-attr]
            assert there_now is not None  # some say the moment more finely by one door than by the other
            assert {f.exec_id: replace(f, at_ns=0) for f in there_now.fills} == {
                name: replace(f, at_ns=0) for name, f in record.fills.items()
            }
            assert desk.book.canonical() == state
        await check(lane, there, what, parent)


@pytest.mark.parametrize("by", VENUES)
async def test_found_by_one_process_and_told_to_the_next(tmp_path: Path, by: str) -> None:
    """The first process ends while the order is open; the second hears it all again, and what was done meanwhile."""
    async with ground(by, tmp_path) as (lane, there):
        what = fate(True, rests=True)
        parent = order(what, lane, lane.clock.now_ns())
        async with lane.open(Doom(), what) as desk:
            befalls(lane, there, on="user", kind="drop", count=None)
            befalls(lane, there, on="order.place", kind="error_after")
            doing = asyncio.create_task(work(parent, desk))
            await until(there.resting)
            there.trade_with(there.resting()[0], D("0.3"))
            await until(lambda: desk.book.parts and only(desk).fills)
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            assert len(only(desk).fills) == 1 and desk.book.parents[parent.cl_ord_id].closed is None
        there.server.faults.clear()
        there.trade_with(there.resting()[0], D("0.5"))
        async with lane.open(Doom(), what) as desk:
            assert len(only(desk).fills) == 1, "that is what the journal knows"
            doing = asyncio.create_task(resume(desk))  # type: ignore[arg-type]
            await until(lambda: len(only(desk).fills) == 2)
            there.trade_with(there.resting()[0], D(1))
            await doing
            assert len(only(desk).fills) == 3
            await desk.clock.sleep(6)
        async with lane.open(Doom(), None) as desk:  # and to a third, which has nothing to do
            state = desk.book.canonical()
            await desk.clock.sleep(12)
            assert desk.book.canonical() == state
        await check(lane, there, what, parent)


@pytest.mark.parametrize("heard", ["silence", "drop"])
@pytest.mark.parametrize(
    "by", ["binance_spot", "binance_usdm", "deribit", "hyperliquid", "kraken", "coinbase", "ccxt"]
)
async def test_an_order_that_ended_is_not_over_before_its_trades_are_listed(
    tmp_path: Path, by: str, heard: str
) -> None:
    """The exchange has cancelled an order and says how much was done of it; its list of trades is behind, and what it told of itself was
    lost, all of it (`silence`) or the trade alone. What was done must not be ordered again."""
    async with ground(by, tmp_path) as (lane, there):
        what = fate(True, rests=True)
        parent = order(what, lane, lane.clock.now_ns())
        async with lane.open(Doom(), what) as desk:
            doing = asyncio.create_task(work(parent, desk))
            await until(there.resting)
            (first,) = there.resting()
            there.trade_with(first, D("0.25"))
            await until(lambda: only(desk).fills)
            await desk.clock.sleep(8)  # its trades were asked for since
            befalls(lane, there, on="myTrades", kind="stale", count=12)
            befalls(
                lane, there, on="user", kind=heard, **({"count": 1} if heard == "drop" else {"count": None})
            )
            there.trade_with(first, D("0.8"))
            there.end(first)
            await until(lambda: len(there.resting()) == 1)  # the rest, by a second order
            (second,) = there.resting()
            there.server.faults.clear()
            done = next(record for record in desk.book.parts.values() if record.fills)
            assert done.base_qty() == first.executed and len(done.fills) == 2
            assert second.qty <= (what.qty - done.base_kept()) * D("1.0011") + D("0.0002")
            await desk.journal.record_durably(CancelRequested(parent.cl_ord_id, "test", desk.clock.now_ns()))
            await doing
        await check(lane, there, what, parent)


class Behind(FakeVenue):
    """Says of an order, while `behind`, that more is done than its trades tell; tells nothing of itself."""

    behind = False

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        found = await super().query(cl_ord_id, symbol)
        if found is not None and self.behind:
            need_all_fills(self.name, found, found.fills[:-1])
        return found


async def test_trades_that_are_not_listed_for_a_minute_are_an_alarm_and_the_order_stays_open(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = venue = Behind(office.clock, audit_s=1e9)
    venue.silent = venue.behind = True
    venue.next_submit = ["lost_after"]
    parent = by_office(office, "6")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await office.clock.sleep(50)
        assert desk.book.alarms == [] and not only(desk).ended
        listed = only(desk).base_qty()
        assert 0 < listed < 6, "what is listed is booked"
        await office.clock.sleep(300)
        (alarm,) = desk.book.alarms
        assert alarm.code == "FILLS_NOT_TOLD" and not only(desk).ended and not doing.done()
        told = f"{only(desk).part.cl_ord_id} is not over: paper has told {listed.normalize():f} of 6 done"
        assert alarm.message == told
        venue.behind = False
        await doing
        assert only(desk).base_qty() == 6 and desk.book.filled_base(parent.cl_ord_id) == 6
    assert len(venue.sent) == 1 and len(desk.book.alarms) == 1


class Ends(Behind):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, audit_s=1e9)
        self.ended: list[ClOrdId] = []

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        self.ended.append(cl_ord_id)
        return await super().cancel(cl_ord_id, symbol)


async def test_an_order_is_cancelled_also_while_its_trades_are_not_listed(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = venue = Ends(office.clock)
    venue.silent = venue.behind = True
    venue.next_submit = ["lost_after"]
    parent = by_office(office, "6")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await office.clock.sleep(10)
        assert venue.ended == []
        await desk.journal.record_durably(CancelRequested(parent.cl_ord_id, "test", desk.clock.now_ns()))
        await office.clock.sleep(10)
        assert venue.ended[:1] == [only(desk).part.cl_ord_id]
        venue.behind = False
        await doing
        assert only(desk).base_qty() == 6
