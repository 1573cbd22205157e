"""An order that its exchange forgot stays open and keeps its limits until its owner ends it. What is held there proves that it did no more than
is booked, or its owner says why; who and why are written down, and only then are its limits free."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desk import DIRECTORY, PAPER, Office, order
from fake_venue import FakeVenue

from agent.app.cli.reconcile_end import end
from agent.app.forgotten import ENDED_BY_HAND, check, events_of, look
from agent.app.runs_as import runs_as
from agent.domain.errors import Reconcile, Reject, Retry, Usage
from agent.domain.events import Adopted, Reported
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import OrderSnapshot
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.records import PartRecord
from agent.venues import need_all_fills

D = Decimal


def app(office: Office) -> Any:
    """What the command reads of a process."""

    async def prices() -> Any:
        return await office.oracle()

    async def line() -> str:
        return "block 1"

    return SimpleNamespace(
        venues={"paper": office.venue},
        directory=DIRECTORY,
        clock=office.clock,
        settings=SimpleNamespace(
            watch_only=False,
            journal=SimpleNamespace(path=office.journal_path, emergency_path=office.folder / "emergency.db"),
            environment=SimpleNamespace(value="devnet"),
            wallet=SimpleNamespace(address="0x" + "ab" * 20),
        ),
        oracles=SimpleNamespace(prices=prices),
        head_line=line,
    )


def only(desk: Desk) -> PartRecord:
    (record,) = desk.book.parts.values()
    return record


def front(venue: FakeVenue) -> Decimal:
    return tuple(venue.venue.engine.books["ETHUSDC"].asks.levels())[0][0] - D("0.01")


def ends(venue: FakeVenue) -> None:
    """Of its own accord, without a word."""
    (standing,) = venue.venue.engine.open_orders("owner")
    venue.end_order(str(standing.order_id))


async def adopt(desk: Desk, office: Office) -> None:
    assert office.venue is not None
    now, symbols = office.clock.now_ns(), DIRECTORY.symbols
    balances = [b for b in await office.venue.balances() if b.asset in symbols]
    named = tuple((AssetId(b.asset), symbols[b.asset]) for b in balances)
    await desk.journal.record(Adopted(PAPER, tuple(balances), named, await office.oracle(), now))


async def quarantined(office: Office, qty: str = "3", side: Side = Side.SELL) -> ClOrdId:
    """Sold at the exchange, where it rests if `rests` says so; forgotten by it. The part."""
    assert office.venue is not None
    office.venue.forgets = True
    async with office.open() as desk:
        await adopt(desk, office)
        with pytest.raises(BaseExceptionGroup):
            await work(order(office, qty, side, life_s=30 * 86_400), desk)
        assert "QUARANTINED" in {alarm.code for alarm in desk.book.alarms}
        name = only(desk).part.cl_ord_id
    await office.clock.sleep(120)
    return name


async def ended(desk: Desk, office: Office, name: ClOrdId, why: str = "", cancel: bool = False) -> None:
    found = await look(app(office), desk.book, name)
    for event in await events_of(app(office), desk.book, found, "owner", why, cancel):
        await desk.journal.record_durably(event)


@pytest.mark.parametrize("cancel", [True, False])
async def test_what_is_held_proves_that_it_did_nothing(tmp_path: Path, cancel: bool) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    before, venue.rests = office.held(), front(venue)
    name = await quarantined(office)
    ends(venue)
    async with office.open() as desk:
        found = await look(app(office), desk.book, name)
        assert found.proved and found.clear and found.rest == 3 and found.others == ()
        assert len(list(desk.book.reservations())) == 1
        await ended(desk, office, name, cancel=cancel)
        record = desk.book.parts[name]
        assert record.ended and record.status is OrdStatus.CANCELED and list(desk.book.reservations()) == []
        (alarm,) = [one for one in desk.book.alarms if one.code == ENDED_BY_HAND]
        assert "by owner" in alarm.message and "holds what the books say" in alarm.message
        with pytest.raises(Reject, match="is over"):
            await look(app(office), desk.book, name)
    venue.forgets, venue.rests = False, None
    async with office.open() as desk:
        await resume(desk)
        (parent,) = desk.book.parents.values()
        assert parent.closed is not None and parent.closed.status == ("CANCELED" if cancel else "FILLED")
        assert desk.book.parts[name].base_qty() == 0
    assert before[0] - office.held()[0] == (0 if cancel else 3)
    reports = [e.report for e in office.events() if isinstance(e, Reported) and e.report.cl_ord_id == name]
    (end,) = [report for report in reports if report.exec_type is ExecType.CANCELED]
    assert end.text.startswith("ended in the books by owner: ")


async def test_what_it_did_unseen_takes_a_word_and_is_taken_over(tmp_path: Path) -> None:
    """It sold, and the exchange told nothing of it: no fill is made up, and what is held there is the books' afterwards."""
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    name = await quarantined(office)
    async with office.open() as desk:
        found = await look(app(office), desk.book, name)
        assert not found.proved and found.clear
        assert {one.symbol: one.there - one.booked for one in found.differing}["ETH"] == -3
        with pytest.raises(Reconcile, match="is not proved") as unproved:
            await ended(desk, office, name)
        assert unproved.value.code == "NOT_PROVED" and not desk.book.parts[name].ended
        with pytest.raises(Reconcile):
            check(found, "   ")
        await ended(desk, office, name, "its page shows it filled", cancel=True)
        record = desk.book.parts[name]
        assert record.ended and record.fills == {}
        there = {b.asset: b.free + b.locked for b in await office.venue.balances()}
        assert {a: desk.book.holdings[a] for a in there if a in DIRECTORY.symbols} == {
            a: qty for a, qty in there.items() if a in DIRECTORY.symbols
        }
        assert any(
            "its page shows it filled" in a.message for a in desk.book.alarms if a.code == ENDED_BY_HAND
        )


async def test_what_somebody_else_ends_is_left_to_them(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    venue.rests = front(venue)
    name = await quarantined(office)
    async with office.open() as desk:
        with pytest.raises(
            Reconcile, match="is open at paper"
        ) as known:  # among its open orders all the same
            await look(app(office), desk.book, name)
        assert known.value.code == "STILL_KNOWN"
        venue.house("BUY", str(venue.rests), "1")
        ends(venue)
        venue.forgets = False
        with pytest.raises(Reconcile, match="lists a trade"):
            await look(app(office), desk.book, name)
        assert desk.book.parts[name].fills == {}, "looking writes nothing"
        with pytest.raises(Usage, match="no part that was signed"):
            await look(app(office), desk.book, next(iter(desk.book.parents)))


async def test_another_order_that_may_be_the_difference_ends_first(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = FakeVenue(office.clock, audit_s=1e9)
    office.venue.silent = True
    name = await quarantined(office)
    office.venue.forgets, office.venue.rests = False, front(office.venue)
    async with office.open() as desk:
        doing = asyncio.create_task(work(order(office, "1", salt="another"), desk))
        await office.clock.sleep(5)
        (other,) = [
            record.part.cl_ord_id for record in desk.book.open_parts() if record.part.cl_ord_id != name
        ]
        office.venue.forgets = True
        found = await look(app(office), desk.book, name)
        assert found.others == (other,)
        with pytest.raises(Reconcile) as beside:
            check(found, "its page shows it filled")
        assert beside.value.code == "PARTS_OPEN"
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


class Hides(FakeVenue):
    """An order of ours that stands is told of nowhere."""

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        return ()


@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
async def test_what_is_locked_there_may_be_the_order(tmp_path: Path, side: Side) -> None:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = venue = Hides(office.clock)
    venue.rests = front(venue) if side is Side.SELL else D(2_000)
    name = await quarantined(office, side=side)
    async with office.open() as desk:
        found = await look(app(office), desk.book, name)
        assert found.differing == () and not found.clear and " locked, which no open order" in found.told
        with pytest.raises(Reconcile, match="is not proved"):
            check(found, "")
        ends(venue)
        assert (await look(app(office), desk.book, name)).proved


class Unlisted(FakeVenue):
    """Says of an order that ended how much was done, and lists `listed` of its trades."""

    listed = 0

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        found = await super().query(cl_ord_id, symbol)
        if found is not None:
            need_all_fills(self.name, found, found.fills[: self.listed])
        return found

    async def fills(self, symbol: str, since_ns: int) -> Any:
        return ()


async def test_trades_that_are_never_listed_take_a_word(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = venue = Unlisted(office.clock, audit_s=1e9)
    venue.silent, venue.next_submit = True, ["lost_after"]
    async with office.open() as desk:
        await adopt(desk, office)
        doing = asyncio.create_task(work(order(office, "3"), desk))
        await office.clock.sleep(150)
        name = only(desk).part.cl_ord_id
        assert {alarm.code for alarm in desk.book.alarms} == {"FILLS_NOT_TOLD"}
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        found = await look(app(office), desk.book, name)
        assert not found.clear and found.told == "says FILLED, 3 done; trades of 0 are listed or booked"
        await ended(desk, office, name, "sold, by its page", cancel=True)
        assert desk.book.parts[name].ended and desk.book.parts[name].fills == {}


async def test_a_trade_that_is_listed_is_booked_before_anybody_gives_his_word(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    office.venue = venue = Unlisted(office.clock, audit_s=1e9)
    venue.silent, venue.next_submit = True, ["lost_after"]
    async with office.open() as desk:
        await adopt(desk, office)
        doing = asyncio.create_task(work(order(office, "20"), desk))
        await office.clock.sleep(150)
        name = only(desk).part.cl_ord_id
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        venue.listed = 1  # with the order itself, and not among all trades
        with pytest.raises(Reconcile, match="lists a trade") as known:
            await look(app(office), desk.book, name)
        assert known.value.code == "STILL_KNOWN"


def test_who_has_no_name_is_written_down_by_his_number() -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4242")

    assert runs_as() and runs_as(nameless).startswith("user ")


async def test_the_command_tells_before_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    name = await quarantined(office)
    (parent,) = office.read_book().parents
    at, journal = app(office), len(office.events())
    async with office.open():
        pass  # the exchange is there
    assert await end(at, parent, "", False, False, True) == 5
    told = json.loads(capsys.readouterr().out)
    assert (told["part"], told["ended"], told["proved"]) == (name, False, False)
    assert told["missing"]["code"] == "NOT_PROVED" and "--why" in told["command"]
    assert await end(at, name, "", True, False, False) == 5
    words = capsys.readouterr().out
    assert "is not proved" in words and "the rest, 3, is not ordered again" in words and "-3" in words
    assert len(office.events()) == journal, "telling writes nothing"
    async with office.open():
        with pytest.raises(Retry, match="is writing the journal") as held:
            await end(at, name, "it was sold", True, True, True)
        assert held.value.code == "JOURNAL_LOCKED"
    assert await end(at, name, "it was sold", True, True, True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ended"] and told["by"] and told["cancelled"]
    book = office.read_book()
    assert book.parts[name].ended and book.parents[parent].cancel_requested
    with pytest.raises(Reject):
        await end(at, name, "it was sold", True, True, True)
