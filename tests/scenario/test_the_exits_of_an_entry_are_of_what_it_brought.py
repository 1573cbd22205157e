"""`trade buy … --then-stop-loss … --then-take-profit …`: one order for the exits, once, of exactly what the entry brought."""

from __future__ import annotations

import asyncio
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desk import DIRECTORY, PAPER, Office, order

from agent.app.brackets import exit_after, exit_id, parameters_of, waiting_entries
from agent.domain.errors import Usage
from agent.domain.events import Accepted, CancelRequested
from agent.domain.ids import ClOrdId
from agent.domain.orders import ParentOrder, Side
from agent.execution.spine import work

THEN = tuple(parameters_of(Side.BUY, "market", "5000", None, None).items())


def app_of(office: Office) -> Any:
    return SimpleNamespace(venues={"paper": office.venue}, directory=DIRECTORY)


async def test_what_was_bought_is_what_is_sold_and_a_restart_makes_it_no_second_time(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before = office.held()
    entry = order(office, "2", Side.BUY, params=THEN, slippage_bps=100)
    async with office.open() as desk:
        await work(entry, desk)
        bought = desk.book.filled_base(entry.cl_ord_id)
        assert 0 < bought and office.held()[0] - before[0] == bought
    async with (
        office.open() as desk
    ):  # it died before the exits were given: the record tells that they are due
        assert waiting_entries(desk.book) == [entry]
        exits = await exit_after(app_of(office), desk.book, entry)
        assert isinstance(exits, ParentOrder) and exits == await exit_after(app_of(office), desk.book, entry)
        assert (exits.side, exits.qty, exits.intent.algo) == (
            Side.SELL,
            bought.quantize(Decimal("0.0001"), ROUND_FLOOR),
            "exit",
        )
        assert dict(exits.intent.algo_params) == {"stop-loss": "5000"}
        assert exits.cl_ord_id == exit_id(entry)
        await desk.journal.record(Accepted(exits, office.clock.now_ns()))
        assert waiting_entries(desk.book) == [] and await exit_after(app_of(office), desk.book, entry) is None
        await work(exits, desk)
        closed = desk.book.parents[exits.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
    assert abs(office.held()[0] - before[0]) < Decimal("0.0001"), "the exchange's lot is all that may stay"


async def test_an_entry_that_brought_nothing_has_none(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    entry = order(office, "2", Side.BUY, params=THEN, algo="limit", limit="1000", life_s=60)
    plain = order(office, "1", salt="plain")
    async with office.open() as desk:
        await desk.journal.record(Accepted(entry, office.clock.now_ns()))
        await desk.journal.record(CancelRequested(ClOrdId(entry.cl_ord_id), "test", office.clock.now_ns()))
        await work(entry, desk)
        await work(plain, desk)
        assert waiting_entries(desk.book) == []
        assert await exit_after(app_of(office), desk.book, plain) is None


@pytest.mark.parametrize(
    ("side", "algo", "stop", "profit", "code"),
    [
        (Side.BUY, "market", "3300", "2800", "EXITS_CROSS"),
        (Side.SELL, "market", "2800", "3300", "EXITS_CROSS"),
        (Side.BUY, "exit", "2800", None, "THEN_AND_NOW"),
        (Side.BUY, "market", "soon", None, "BAD_AMOUNT"),
    ],
)
def test_exits_that_cannot_be_are_refused_with_the_entry(
    side: Side, algo: str, stop: str, profit: str | None, code: str
) -> None:
    with pytest.raises(Usage) as no:
        parameters_of(side, algo, stop, profit, None)
    assert no.value.code == code


# ---------------------------------------------------------------------- an entry that rests, at an exchange that holds no lists


async def until_it_rests(office: Office) -> str:
    """The name of the one open order at the exchange."""
    assert office.venue is not None
    while not (opened := await office.venue.open_orders()):
        await office.clock.sleep(1)
    (one,) = opened
    assert one.px == 2980
    return one.cl_ord_id


@pytest.mark.parametrize("share", ["all", "part", "none"])
async def test_an_entry_rests_there_and_its_exits_are_watched_here(tmp_path: Path, share: str) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    entry = order(office, "2", Side.BUY, params=THEN, algo="bracket", limit="2980", life_s=120)
    async with office.open() as desk:
        working = asyncio.create_task(work(entry, desk))
        name = await until_it_rests(office)
        held = desk.book.parts[ClOrdId(name)].authorized
        assert held is not None and held.order is not None and held.order.then is None
        assert waiting_entries(desk.book) == [], "while it rests nothing is known of what it brings"
        if share != "none":
            deep = sum(qty for px, qty in (await office.venue.book("ETHUSDC")).bids if px > 2980)
            there = sum(qty for px, qty in (await office.venue.book("ETHUSDC")).bids if px == 2980)
            office.venue.house("SELL", "2980", str(deep + there - (0 if share == "all" else 1)))
        await working
        closed = desk.book.parents[entry.cl_ord_id].closed
        assert closed is not None and closed.status == ("FILLED" if share == "all" else "EXPIRED")
        assert await office.venue.open_orders() == (), "its time is kept here: the exchange knows none"
        exits = await exit_after(app_of(office), desk.book, entry)
        if share == "none":
            assert exits is None
        else:
            assert exits is not None and exits.intent.algo == "exit"
            assert exits.qty == desk.book.filled_base(entry.cl_ord_id).quantize(
                Decimal("0.0001"), ROUND_FLOOR
            )


async def test_a_list_for_an_exchange_that_holds_none_does_not_leave(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    params = tuple(parameters_of(Side.BUY, "bracket", "2800", None, "paper").items())
    entry = order(office, "2", Side.BUY, params=params, algo="bracket", limit="2980")
    async with office.open() as desk:
        await work(entry, desk)
        (part,) = desk.book.parts_of(entry.cl_ord_id)
        assert part.failed == "NO_PAIRS_THERE" and part.authorized is None
    assert office.venue is not None and await office.venue.open_orders() == ()
