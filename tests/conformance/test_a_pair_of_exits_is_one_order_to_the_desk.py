"""A stop and a take-profit given to the exchange as one list, alone or behind their entry: one id to ask for, to cancel and to be told of,
also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from fix_exchange import fix_exchange
from paper import Door, paper, session, sign

from agent.domain.errors import Denied, Reconcile, Reject
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import exit_ids, leg_ids, pair_of
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Attached, Exits, OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.ports import HoldsPairs
from agent.venues.binance_spot import BinanceSpot

D = Decimal
NAME = ClOrdId("fl-abcdefghij2345672345")


@pytest.fixture
async def rig() -> AsyncIterator[tuple[BinanceSpot, Door]]:
    async with paper() as door:
        venue = session(door.url, audit_s=0.2)
        await venue.start()
        yield venue, door
        await venue.close()


def pair(stop: str = "2900", side: Side = Side.SELL) -> VenueOrder:
    exits = Exits(D(stop), D(stop) - 20, D("3050"))
    if side is Side.BUY:
        exits = Exits(D("3100"), D("3120"), D("2950"))
    return VenueOrder(NAME, "ETHUSDC", side, OrdType.LIMIT, TimeInForce.GTC, D(2), exits.profit_px, exits)


async def placed(venue: BinanceSpot, order: VenueOrder) -> None:
    assert isinstance(venue, HoldsPairs)
    snapshot = await venue.submit(await venue.authorize(order))
    assert (snapshot.cl_ord_id, snapshot.status, snapshot.order_qty) == (NAME, OrdStatus.NEW, D(2))


async def status(venue: BinanceSpot) -> tuple[OrdStatus, Decimal]:
    found = await venue.query(NAME, "ETHUSDC")
    assert found is not None
    return found.status, found.cum_qty


def test_the_ids_of_its_orders_are_the_pairs_own() -> None:
    assert [pair_of(leg) for leg in leg_ids(NAME)] == [NAME, NAME]
    assert pair_of(NAME) is None and pair_of(ClOrdId("house-1-a")) is None


@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
async def test_it_is_listed_once_and_cancelled_as_one(rig: tuple[BinanceSpot, Door], side: Side) -> None:
    venue, _ = rig
    await placed(venue, pair(side=side))
    assert [order.cl_ord_id for order in await venue.open_orders()] == [NAME]
    ended = await venue.cancel(NAME, "ETHUSDC")
    assert (ended.status, ended.cum_qty) == (OrdStatus.CANCELED, D(0))
    assert await venue.open_orders() == ()
    assert (await venue.cancel(NAME, "ETHUSDC")).status is OrdStatus.CANCELED, "told again as it ended"


async def test_a_session_that_never_saw_it_knows_it_by_its_id(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    await placed(venue, pair())
    later = session(door.url)
    await later.start()
    try:
        assert await status(later) == (OrdStatus.NEW, D(0))
        with pytest.raises(Reject, match="no order"):
            await later.cancel(ClOrdId("fl-zzzzzzzzzz2345672345"), "ETHUSDC")
    finally:
        await later.close()
    third = session(door.url)
    await third.start()
    try:
        ended = await third.cancel_many([(NAME, "ETHUSDC")])
        told = ended[NAME]
        assert not isinstance(told, Exception) and told.status is OrdStatus.CANCELED
    finally:
        await third.close()


async def test_a_lost_answer_is_asked_for_and_never_sent_again(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    await door.fault("list.oco", "reset_after")
    with pytest.raises(Reconcile):
        await venue.submit(await venue.authorize(pair()))
    assert await status(venue) == (OrdStatus.NEW, D(0))
    assert [order.cl_ord_id for order in await venue.open_orders()] == [NAME]


async def test_a_cancel_that_is_refused_is_told_while_the_pair_stands(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    await placed(venue, pair())

    async def another_secret_for_cancels(method: str, path: str, payload: str) -> str:
        return "00" * 32 if method == "DELETE" else await sign(method, path, payload)

    other = session(door.url, sign=another_secret_for_cancels)
    await other.start()
    try:
        with pytest.raises(Reject) as refused:
            await other.cancel(NAME, "ETHUSDC")
    finally:
        await other.close()
    assert refused.value.code == "INVALID_SIGNATURE" and await status(venue) == (OrdStatus.NEW, D(0))


async def test_what_was_taken_is_not_refused_because_nobody_signs_the_question_after_it(
    rig: tuple[BinanceSpot, Door],
) -> None:
    venue, door = rig

    async def signs_orders_alone(method: str, path: str, payload: str) -> str:
        if method == "GET" and path.endswith("/order"):
            raise Denied("LOCKED", "the signer is locked", "unlock it")
        return await sign(method, path, payload)

    later = session(door.url, sign=signs_orders_alone)
    await later.start()
    try:
        with pytest.raises(Reconcile) as unread:
            await later.submit(await later.authorize(pair()))
    finally:
        await later.close()
    assert unread.value.code == "PAIR_UNREAD" and await status(venue) == (OrdStatus.NEW, D(0))


@pytest.mark.parametrize("met", [True, False])
async def test_a_session_that_orders_by_fix_ends_a_pair_that_was_given_by_rest(met: bool) -> None:
    async with fix_exchange() as there:
        by_rest, by_fix = session(there.door.url), there.session(copy=False)
        await by_rest.start()
        await by_fix.start()
        try:
            await placed(by_rest, pair())
            await by_fix.entry.line.ready(2)
            if met:
                assert [order.cl_ord_id for order in await by_fix.open_orders()] == [NAME]
            assert (await by_fix.cancel(NAME, "ETHUSDC")).status is OrdStatus.CANCELED
            assert await by_rest.open_orders() == ()
        finally:
            await by_fix.close()
            await by_rest.close()


@pytest.mark.parametrize("trades", ["take-profit", "stop"])
async def test_a_fill_of_either_is_told_once_and_as_the_pairs(
    rig: tuple[BinanceSpot, Door], trades: str
) -> None:
    venue, door = rig
    told: list[ExecutionReport] = []
    news = asyncio.Event()

    async def listen() -> None:
        async with aclosing(venue.stream()) as stream:  # type: ignore[type-var]
            async for report in stream:
                told.append(report)
                news.set()

    listening = asyncio.create_task(listen())
    await placed(venue, pair(stop="2995"))
    if trades == "take-profit":
        await door.house("BUY", "3050", "90000")
    else:
        await door.house("SELL", "2990", "90000")
    async with asyncio.timeout(10):
        while sum((r.fill.qty_in for r in told if r.fill is not None), D(0)) < 2:
            news.clear()
            await news.wait()
    again: asyncio.Queue[Any] = asyncio.Queue()
    await venue.reports.audit(again)
    assert [r for r in drained(again) if r.fill is not None] == [], "an audit tells no fill again"
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert {report.cl_ord_id for report in told} == {NAME}
    assert {report.exec_type for report in told} <= {ExecType.NEW, ExecType.TRADE}, (
        "the other's end is no news"
    )
    found = await venue.query(NAME, "ETHUSDC")
    assert found is not None
    ids = [report.fill.exec_id for report in told if report.fill is not None]
    assert sorted(ids) == sorted(fill.exec_id for fill in found.fills) and len(ids) == len(set(ids))
    assert (found.status, found.cum_qty) == (OrdStatus.FILLED, D(2))
    assert {name for name, _ in await venue.fills("ETHUSDC", 0)} == {NAME}


def drained(queue: asyncio.Queue[Any]) -> list[Any]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


# ---------------------------------------------------------------------- behind their entry

ENTRY = ClOrdId("fl-bcdefghijk2345672345")
BOTH = Exits(D("2900"), D("2880"), D("3050"))
KINDS = {
    "OTOCO": BOTH,
    "OTO-stop": replace(BOTH, profit_px=None),
    "OTO-profit": Exits(None, None, BOTH.profit_px),
}


def entry(exits: Exits = BOTH, px: str = "2990") -> VenueOrder:
    then = Attached(NAME, D(2), exits, 0, 0)
    return VenueOrder(
        ENTRY, "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D("2.0025"), D(px), then=then
    )


async def of_entry(venue: BinanceSpot) -> OrdStatus:
    found = await venue.query(ENTRY, "ETHUSDC")
    assert found is not None
    return found.status


@pytest.mark.parametrize("kind", KINDS)
async def test_an_entry_and_its_exits_go_as_one_request_and_are_told_as_two_orders(
    rig: tuple[BinanceSpot, Door], kind: str
) -> None:
    venue, door = rig
    exits = KINDS[kind]
    taken = await venue.submit(await venue.authorize(entry(exits)))
    assert (taken.cl_ord_id, taken.status, taken.order_qty) == (ENTRY, OrdStatus.NEW, D("2.0025"))
    assert await status(venue) == (OrdStatus.NEW, D(0)), "acknowledged, and waiting for the entry"
    assert {one.cl_ord_id for one in await venue.open_orders()} == {ENTRY, NAME}
    later = session(door.url)
    await later.start()
    try:
        await door.house("SELL", "2990", "90000")
        assert await of_entry(later) is OrdStatus.FILLED and await status(later) == (OrdStatus.NEW, D(0))
        assert [one.cl_ord_id for one in await later.open_orders()] == [NAME]
        locked = {b.asset.rpartition("/")[2]: b.locked for b in await later.balances() if b.locked}
        assert locked == {"ETH": D(2)}, "they stand there, for what was bought"
        ended = await later.cancel(NAME, "ETHUSDC")
        assert (ended.status, ended.cum_qty) == (OrdStatus.CANCELED, D(0)) and await later.open_orders() == ()
    finally:
        await later.close()
    names = {order["clientOrderId"] for order in (await door.truth())["orders"]}
    assert names == {ENTRY, *exit_ids(NAME, exits)}


@pytest.mark.parametrize("ended", ["entry", "exits", "both"])
async def test_before_the_entry_is_filled_the_end_of_either_is_the_end_of_both(
    rig: tuple[BinanceSpot, Door], ended: str
) -> None:
    venue, door = rig
    await venue.submit(await venue.authorize(entry()))
    if ended == "both":  # as panic asks, of a session that never saw it
        venue = session(door.url)
        await venue.start()
        opened = [(one.cl_ord_id, "ETHUSDC") for one in await venue.open_orders()]
        found = await venue.cancel_many(opened)
        assert {ENTRY, NAME} == found.keys() and not [e for e in found.values() if isinstance(e, Exception)]
    else:
        await venue.cancel(ENTRY if ended == "entry" else NAME, "ETHUSDC")
    assert await venue.open_orders() == () and await of_entry(venue) in (
        OrdStatus.CANCELED,
        OrdStatus.EXPIRED,
    )
    assert (await status(venue))[0] in (OrdStatus.CANCELED, OrdStatus.EXPIRED)
    if ended == "both":
        await venue.close()


async def test_a_part_of_the_entry_brings_no_exits_and_its_cancel_ends_them(
    rig: tuple[BinanceSpot, Door],
) -> None:
    venue, door = rig
    for px, _ in (await venue.book("ETHUSDC")).bids:
        if px >= D("2990"):
            await door.level("BUY", str(px), "0")
    await venue.submit(await venue.authorize(entry()))
    await door.house("SELL", "2990", "0.5")
    assert await of_entry(venue) is OrdStatus.PARTIALLY_FILLED
    assert await status(venue) == (OrdStatus.NEW, D(0))
    ended = await venue.cancel(ENTRY, "ETHUSDC")
    assert (ended.status, ended.cum_qty) == (OrdStatus.CANCELED, D("0.5"))
    assert await status(venue) == (OrdStatus.EXPIRED, D(0)) and await venue.open_orders() == ()


async def test_a_list_whose_answer_is_lost_is_there_whole_or_not_at_all(
    rig: tuple[BinanceSpot, Door],
) -> None:
    venue, door = rig
    for fault, there in (("error_before", False), ("reset_after", True)):
        await door.fault("list.otoco", fault)
        with pytest.raises(Reconcile):
            await venue.submit(await venue.authorize(entry()))
        for name in (ENTRY, NAME):
            assert (await venue.query(name, "ETHUSDC") is not None) is there
    assert len((await door.truth())["orders"]) == 3
