"""What an exchange left of an order can be less than the smallest order there is. It is then left undone and told: never bought or sold by
an order that is larger than the rest, and never tried for ever. An order that is too small from the start is refused."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from desk import PAPER, Grave, Office, order

from agent.app.cli import run
from agent.domain.events import Breach, ParentClosed, Sliced
from agent.domain.orders import ParentOrder, Side
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.book import Book

D = Decimal
REST = D("0.001")
"""Of ETH at 3,000: the paper exchange's smallest order is 5 USDC."""
BOTH = pytest.mark.parametrize("side", [Side.SELL, Side.BUY])


def resting(office: Office, side: Side) -> D:
    """Orders stand at the top of the book from now on; gives their price."""
    venue = office.venue
    assert venue is not None
    book = venue.venue.engine.books["ETHUSDC"]
    ask, bid = next(iter(book.asks.levels()))[0], next(iter(book.bids.levels()))[0]
    px = ask - D("0.01") if side is Side.SELL else bid + D("0.01")
    venue.rests = px
    return px


async def all_but_the_rest(office: Office, desk: Desk, side: Side, px: D) -> None:
    """Somebody trades all of our order but `REST` of what is to come; then the exchange ends it."""
    venue = office.venue
    assert venue is not None
    while not venue.venue.engine.open_orders("owner", "ETHUSDC"):
        await desk.clock.sleep(0.5)
    (there,) = venue.venue.engine.open_orders("owner", "ETHUSDC")
    venue.house(side.other.value, f"{px}", f"{there.remaining - REST}")
    await desk.clock.sleep(1)
    venue.rests = None
    venue.end_order(str(there.order_id))


def ended(book: Book, parent: ParentOrder) -> ParentClosed:
    closed = book.parents[parent.cl_ord_id].closed
    assert closed is not None
    return closed


def check(office: Office, book: Book, parent: ParentOrder, before: tuple[D, D]) -> None:
    """Nothing more was done than the first order did, the end says what is missing and why, and the books agree."""
    assert office.venue is not None
    closed, done = ended(book, parent), book.filled_base(parent.cl_ord_id)
    assert closed.status == "PARTLY_FILLED", closed
    left = D("0.5") - done
    assert left == REST if parent.side is Side.SELL else REST - D("0.0002") < left < REST  # less its fee
    assert closed.why.startswith(
        f"{done.normalize():f} of 0.5 ETH: no place takes an order as small as the rest"
    )
    assert (
        f"{left.normalize():f} ETH makes an order of " in closed.why
        and "the smallest at paper is 5 USDC" in closed.why
    )
    assert len(office.venue.sent) == 1, "the rest was ordered"
    assert abs(office.held()[0] - before[0]) == done


@BOTH
async def test_the_rest_of_an_order_at_once(tmp_path: Path, side: Side) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before, grave = office.held(), Grave()
    px = resting(office, side)
    parent = order(office, "0.5", side, slippage_bps=5)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await all_but_the_rest(office, desk, side, px)
        await doing
        check(office, desk.book, parent, before)
    assert [e.reasons[0].rule for e in grave.seen if isinstance(e, Breach)] == ["BELOW_MINIMUM"]


@BOTH
async def test_the_rest_of_a_limit_order_is_not_waited_for_until_its_end(tmp_path: Path, side: Side) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before = office.held()
    px = resting(office, side)
    limit = "2900" if side is Side.SELL else "3100"
    parent = order(office, "0.5", side, slippage_bps=5, algo="limit", limit=limit, life_s=86_400)
    async with office.open() as desk:
        doing, began = asyncio.create_task(work(parent, desk)), desk.clock.now_ns()
        await all_but_the_rest(office, desk, side, px)
        await doing
        check(office, desk.book, parent, before)
        assert desk.clock.now_ns() - began < 60 * 10**9


@BOTH
async def test_the_rest_of_an_exit(tmp_path: Path, side: Side) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before = office.held()
    px = resting(office, side)
    stop = "3100" if side is Side.SELL else "2900"  # reached from the start
    parent = order(
        office, "0.5", side, slippage_bps=5, algo="exit", params=(("stop-loss", stop),), life_s=86_400
    )
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await all_but_the_rest(office, desk, side, px)
        await doing
        check(office, desk.book, parent, before)


@BOTH
async def test_the_last_slice_of_a_schedule(tmp_path: Path, side: Side) -> None:
    office = Office(tmp_path, places=(PAPER,))
    px = resting(office, side)
    parent = order(
        office, "0.5", side, slippage_bps=5, algo="twap", params=(("over", "60s"), ("slices", "2"))
    )
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await all_but_the_rest(office, desk, side, px)  # of the first
        px = resting(office, side)
        await all_but_the_rest(office, desk, side, px)  # of the second, which takes what the first left
        await doing
        closed, done = ended(desk.book, parent), desk.book.filled_base(parent.cl_ord_id)
    # its slices are given, so that its time is over; nothing was ordered beyond it
    assert closed.status == "EXPIRED" and REST - D("0.0003") < D("0.5") - done <= REST


@BOTH
async def test_a_desk_that_died_before_the_end_says_the_same_at_the_next_start(
    tmp_path: Path, side: Side
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before = office.held()
    px = resting(office, side)
    parent = order(office, "0.5", side, slippage_bps=5)
    grave = Grave(strike=lambda moment, event: moment == "before" and isinstance(event, ParentClosed))
    with pytest.raises(BaseExceptionGroup):
        async with office.open(grave) as desk, asyncio.TaskGroup() as life:
            life.create_task(work(parent, desk))
            await all_but_the_rest(office, desk, side, px)
    assert grave.dead and len([event for event in grave.seen if isinstance(event, Breach)]) == 1
    async with office.open() as desk:
        assert desk.book.parents[parent.cl_ord_id].closed is None
        await resume(desk)
        check(office, desk.book, parent, before)


@BOTH
@pytest.mark.parametrize("algo", ["market", "twap"])
async def test_an_order_that_is_too_small_from_the_start_is_refused_and_told_why(
    tmp_path: Path, side: Side, algo: str
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    before, grave = office.held(), Grave()
    params = (("over", "10s"), ("slices", "1")) if algo == "twap" else ()
    parent = order(office, "0.001", side, slippage_bps=5, algo=algo, params=params)
    async with office.open(grave) as desk:
        await work(parent, desk)
        closed = ended(desk.book, parent)
    assert closed.status == ("FAILED" if algo == "market" else "EXPIRED") and office.held() == before
    (breach,) = [e for e in grave.seen if isinstance(e, Breach)]
    (reason,) = breach.reasons
    assert (reason.rule, reason.remedy) == ("BELOW_MINIMUM", "order more")
    assert reason.message.startswith("0.001 ETH makes an order of ")
    assert reason.message.endswith(", and the smallest at paper is 5 USDC")
    assert len([e for e in grave.seen if isinstance(e, Sliced)]) == 1, "it was tried again"


async def test_where_a_pool_takes_it_the_rest_is_done(tmp_path: Path) -> None:
    office = Office(tmp_path)
    before = office.held()
    parent = order(office, "0.001", slippage_bps=100)
    async with office.open() as desk:
        await work(parent, desk)
        assert ended(desk.book, parent).status == "FILLED"
    assert before[0] - office.held()[0] == D("0.001")


def test_a_purchase_at_hyperliquid_whose_desk_is_killed_buys_no_more_than_was_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its rest was bought by an order of 10 dollars once; the referee counts what was traded there."""
    status = run(["chaos", "exchange", "--seed", "1", "--case", "205", "--venue", "hyperliquid", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["violations"] == [] and status == 0
    assert found["counters"]["fills"] >= 1
