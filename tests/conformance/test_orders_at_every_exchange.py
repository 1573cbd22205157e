"""One suite over every exchange that orders go to: the life of an order, its ambiguities, its reports, its data. See tests/support/venue_rigs.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from venue_rigs import AT_PAPER, RIGS, Rig, name_of

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus
from agent.domain.reports import ExecutionReport, FillsNotTold, OrderSnapshot

D = Decimal


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with RIGS[request.param]() as found:
        yield found


async def sent(rig: Rig, number: int = 0, **how: object) -> OrderSnapshot:
    return await rig.venue.submit(await rig.venue.authorize(rig.bid(number, **how)))  # type: ignore[arg-type]


async def told(rig: Rig, enough: Callable[[list[ExecutionReport]], bool]) -> list[ExecutionReport]:
    got: list[ExecutionReport] = []

    async def read() -> None:
        async for report in rig.venue.stream():
            got.append(report)
            if enough(got):
                return

    await asyncio.wait_for(read(), 10)
    return got


async def test_its_markets_have_steps_and_its_book_does_not_cross(rig: Rig) -> None:
    named = {one.symbol: one for one in await rig.venue.instruments()}
    assert named[rig.symbol].tick > 0 and named[rig.symbol].lot > 0
    book = await rig.venue.book(rig.symbol)
    assert book.symbol == rig.symbol and book.bids[0][0] < book.asks[0][0] < rig.near
    assert [px for px, _ in book.bids] == sorted((px for px, _ in book.bids), reverse=True)


async def test_an_order_that_rests_is_new_and_open(rig: Rig) -> None:
    placed = await sent(rig)
    assert (placed.cl_ord_id, placed.status, placed.px) == (name_of(0), OrdStatus.NEW, rig.far)
    assert (placed.order_qty, placed.cum_qty, placed.fills) == (2, 0, ())
    assert [one.cl_ord_id for one in await rig.venue.open_orders()] == [name_of(0)]


async def test_a_cancel_ends_it_and_another_shows_how_it_ended(rig: Rig) -> None:
    await sent(rig)
    for _ in range(2):
        ended = await rig.venue.cancel(name_of(0), rig.symbol)
        assert (ended.cl_ord_id, ended.status, ended.cum_qty) == (name_of(0), OrdStatus.CANCELED, 0)
    assert await rig.venue.open_orders() == ()


async def test_what_was_never_there_is_none_and_cannot_be_cancelled(rig: Rig) -> None:
    assert await rig.venue.query(name_of(7), rig.symbol) is None
    with pytest.raises(Reject) as refused:
        await rig.venue.cancel(name_of(7), rig.symbol)
    assert refused.value.code == "NO_SUCH_ORDER"


async def test_what_takes_is_filled_at_the_book_and_told_alike_by_every_door(rig: Rig) -> None:
    best = (await rig.venue.book(rig.symbol)).asks[0]
    taken = await sent(rig, qty="0.5", ioc=True)
    assert (taken.status, taken.cum_qty) == (OrdStatus.FILLED, D("0.5"))
    (fill,) = taken.fills
    assert (fill.qty_out, fill.qty_in) == (D("0.5"), best[0] / 2) and fill.fee_qty >= 0
    assert fill.place == f"cex:{rig.venue.name}" and fill.asset_out.startswith(f"cex:{rig.venue.name}/")
    asked = await rig.venue.query(name_of(0), rig.symbol)
    assert asked is not None and asked.fills == taken.fills
    assert list(await rig.venue.fills(rig.symbol, 0)) == [(name_of(0), fill)]


async def test_what_wants_more_than_is_there_takes_it_and_ends(rig: Rig) -> None:
    asks = (await rig.venue.book(rig.symbol)).asks
    first = asks[0]
    qty = first[1] + 1
    taken = await sent(rig, qty=str(qty), px=first[0], ioc=True)
    assert taken.status in TERMINAL - {OrdStatus.FILLED} and taken.cum_qty == first[1]
    assert sum((fill.qty_out for fill in taken.fills), D(0)) == first[1]


async def test_filled_in_part_and_cancelled_it_keeps_what_was_filled(rig: Rig) -> None:
    await sent(rig)
    await rig.fill(name_of(0), D("0.5"))
    part = await rig.venue.query(name_of(0), rig.symbol)
    assert part is not None and part.cum_qty == D("0.5") and part.status not in TERMINAL
    ended = await rig.venue.cancel(name_of(0), rig.symbol)
    assert (ended.status, ended.cum_qty) == (OrdStatus.CANCELED, D("0.5"))
    assert sum((fill.qty_out for fill in ended.fills), D(0)) == D("0.5")


@pytest.mark.parametrize("rig", AT_PAPER, indirect=True)
async def test_it_is_cancelled_though_its_trades_are_not_listed_and_its_end_is_not_told_before_them(
    rig: Rig,
) -> None:
    """Whoever wants an order gone does not wait for what the venue says of its past."""
    assert rig.door is not None and rig.door.here is not None
    await sent(rig)
    await rig.fill(name_of(0), D(1))
    engine = rig.door.here.venue.engine
    (mine,) = [order for order in engine.orders.values() if order.qty == 2 and order.executed == 1]
    listed, engine.fills[:] = (
        list(engine.fills),
        [one for one in engine.fills if one.order_id != mine.order_id],
    )
    for _ in range(2):
        with pytest.raises((Retry, Reconcile)):
            await rig.venue.cancel(name_of(0), rig.symbol)
    assert not mine.is_open and not await rig.venue.open_orders()
    engine.fills[:] = listed
    found = await rig.venue.cancel(name_of(0), rig.symbol)
    assert found.status in TERMINAL and found.cum_qty == 1 and len(found.fills) >= 1


@pytest.mark.parametrize("rig", ["binance_spot", "binance_usdm", "ccxt"], indirect=True)
async def test_of_more_trades_than_a_page_holds_the_rest_is_not_forgotten(rig: Rig) -> None:
    """A page of them lists its newest alone: whoever took that for all would end the order without the others."""
    assert rig.door is not None and rig.door.here is not None
    placed = await sent(rig, qty="4")
    await rig.fill(name_of(0), D("0.5"))
    engine = rig.door.here.venue.engine
    (mine,) = [order for order in engine.orders.values() if order.qty == 4 and order.executed == D("0.5")]
    (whole,) = [fill for fill in engine.fills if fill.order_id == mine.order_id]
    engine.fills += [replace(whole, trade_id=whole.trade_id + n, qty=D("0.001")) for n in range(1, 1_001)]
    mine.executed += 1
    await rig.door.end_order(placed.venue_order_id)
    with pytest.raises(FillsNotTold) as late:
        await rig.venue.query(name_of(0), rig.symbol)
    assert late.value.told.cum_qty == D("1.5") and len(late.value.told.fills) >= 500


async def test_a_lost_answer_is_asked_for_and_its_bytes_do_nothing_twice(rig: Rig) -> None:
    """Numbers 1 and 3."""
    request = await rig.venue.authorize(rig.bid())
    await rig.lose_answer()
    with pytest.raises(Reconcile):
        await rig.venue.submit(request)
    found = await rig.venue.query(name_of(0), rig.symbol)
    assert found is not None and found.status is OrdStatus.NEW
    with pytest.raises(FairleadError) as again:
        await rig.venue.submit(request)
    assert again.value.verb in ("RECONCILE", "REJECT") and await rig.orders_there() == 1


async def test_its_stream_tells_a_life_in_order_and_each_execution_once(rig: Rig) -> None:
    async def life() -> None:
        await asyncio.sleep(0.15)
        await sent(rig)
        await rig.fill(name_of(0), D("0.5"))
        await rig.fill(name_of(0), D("0.25"))
        await rig.venue.cancel(name_of(0), rig.symbol)

    living = asyncio.create_task(life())
    got = await told(rig, lambda seen: seen[-1].exec_type is ExecType.CANCELED)
    await living
    kinds = [report.exec_type for report in got]
    fills = [report.fill for report in got if report.fill is not None]
    assert kinds.count(ExecType.TRADE) == len({fill.exec_id for fill in fills}) == 2
    assert sum((fill.qty_out for fill in fills), D(0)) == D("0.75")
    assert kinds.count(ExecType.NEW) <= 1 and kinds[-1] is ExecType.CANCELED
    assert {report.cl_ord_id for report in got} == {name_of(0)}


async def test_a_session_that_comes_later_is_told_what_happened_before(rig: Rig) -> None:
    """Numbers 5 and 6: what was filled while nobody listened is told, under its id."""
    await sent(rig)
    await rig.fill(name_of(0), D(2))
    got = await told(rig, lambda seen: any(r.exec_type is ExecType.TRADE for r in seen))
    assert {report.cl_ord_id for report in got} == {name_of(0)}
    assert sum((r.fill.qty_out for r in got if r.fill is not None), D(0)) == 2


async def test_what_it_would_refuse_never_leaves(rig: Rig) -> None:
    for wrong in (
        rig.bid(px=rig.off_grid),
        rig.bid(qty="0.0000001"),
        rig.bid(qty="-1"),
        rig.bid(qty="0.01", px=rig.far / rig.far),
    ):
        with pytest.raises(Usage):
            await rig.venue.authorize(wrong)
    assert await rig.orders_there() == 0


async def test_a_market_it_does_not_have_is_named(rig: Rig) -> None:
    for ask in (rig.venue.book("DOGEUSDC"), rig.venue.query(name_of(0), "DOGEUSDC")):
        with pytest.raises(Usage) as wrong:
            await ask
        assert wrong.value.code == "UNKNOWN_SYMBOL"


async def test_before_it_has_started_it_says_so_at_once(rig: Rig) -> None:
    idle = rig.idle
    for ask in (idle.instruments(), idle.book(rig.symbol), idle.balances(), idle.open_orders()):
        with pytest.raises(Retry) as early:
            await asyncio.wait_for(ask, 1)
        assert early.value.code == "MARKETS_NOT_LOADED"
