"""The acceptance suite, its part on ambiguity: each fault of a network at each kind of request, at every exchange that orders go to.

Whether a request may have taken effect decides the error it ends in; what became of it is asked, and nothing is there twice. Numbers 1, 3
and 9 of the failures this must survive.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from venue_rigs import Rig, name_of
from wire import TURNED_AWAY, Fault, Wire

from agent.domain.errors import FairleadError, Reconcile, Retry
from agent.domain.order_state import OrdStatus
from agent.domain.reports import OrderSnapshot

Both = tuple[Rig, Wire]
UNCLEAR = [fault for fault in Fault if fault not in (*TURNED_AWAY, Fault.SILENT_AFTER)]
ARRIVES = {fault for fault in UNCLEAR if fault.value.endswith("after")}
READS = ("query", "open_orders", "fills", "balances")


def named(fault: Fault) -> str:
    return fault.name.lower()


async def read(rig: Rig, what: str) -> Any:
    match what:
        case "query":
            return await rig.venue.query(name_of(0), rig.symbol)
        case "fills":
            return await rig.venue.fills(rig.symbol, 0)
        case "open_orders":
            return await rig.venue.open_orders()
    return await rig.venue.balances()


@pytest.mark.parametrize("fault", UNCLEAR, ids=named)
async def test_a_new_order_is_unclear_then_known_and_there_once(on_a_wire: Both, fault: Fault) -> None:
    rig, wire = on_a_wire
    request = await rig.venue.authorize(rig.bid())
    wire.arm(fault, write=True)
    with pytest.raises(Reconcile) as unclear:
        await rig.venue.submit(request)
    assert not wire.armed and unclear.value.hint and wire.writes == 1
    stands = name_of(0)
    found = await rig.venue.query(name_of(0), rig.symbol)
    assert (found is not None) is (fault in ARRIVES) and await rig.orders_there() == (found is not None)
    if found is not None:
        assert (found.status, found.order_qty, found.px) == (OrdStatus.NEW, 2, rig.far)
        with pytest.raises(FairleadError) as again:
            await rig.venue.submit(request)
        assert again.value.verb in ("RECONCILE", "REJECT")
    elif not rig.sends_once:
        placed = await rig.venue.submit(request)  # the same bytes, which it never saw
        assert placed.status is OrdStatus.NEW
    else:
        with pytest.raises(Reconcile) as never:
            await rig.venue.submit(request)
        assert never.value.code == "SENT_BEFORE" and await rig.orders_there() == 0
        stands = name_of(1)
        assert (await rig.venue.submit(await rig.venue.authorize(rig.bid(1)))).status is OrdStatus.NEW
    assert await rig.orders_there() == 1
    assert [one.cl_ord_id for one in await rig.venue.open_orders()] == [stands]


async def decided(rig: Rig) -> OrderSnapshot | None:
    """Asked again where a venue says that its chain may yet carry the order out."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await rig.venue.query(name_of(0), rig.symbol)
            except Retry as early:
                assert early.code == "NOT_DECIDED_YET"
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("fault", UNCLEAR, ids=named)
async def test_what_takes_is_filled_once_whatever_became_of_the_answer(on_a_wire: Both, fault: Fault) -> None:
    """An order that trades at once: the fills are the venue's, and none is made up or counted twice."""
    rig, wire = on_a_wire
    request = await rig.venue.authorize(rig.bid(qty="0.5", ioc=True))
    wire.arm(fault, write=True)
    with pytest.raises(Reconcile):
        await rig.venue.submit(request)
    found = await decided(rig)
    told = await rig.venue.fills(rig.symbol, 0)
    if fault in ARRIVES:
        assert found is not None and (found.status, found.cum_qty) == (OrdStatus.FILLED, Decimal("0.5"))
        assert [(name_of(0), fill) for fill in found.fills] == list(told)
    else:
        assert found is None and not told


@pytest.mark.parametrize("fault", UNCLEAR, ids=named)
async def test_a_cancel_is_unclear_then_known_and_may_be_asked_again(on_a_wire: Both, fault: Fault) -> None:
    rig, wire = on_a_wire
    await rig.venue.submit(await rig.venue.authorize(rig.bid()))
    wire.arm(fault, write=True)
    with pytest.raises(Reconcile):
        await rig.venue.cancel(name_of(0), rig.symbol)
    assert not wire.armed and wire.writes == 2
    found = await rig.venue.query(name_of(0), rig.symbol)
    assert found is not None
    assert found.status is (OrdStatus.CANCELED if fault in ARRIVES else OrdStatus.NEW)
    again = await rig.venue.cancel(name_of(0), rig.symbol)
    assert (again.status, again.cum_qty) == (OrdStatus.CANCELED, 0)
    assert await rig.venue.open_orders() == () and await rig.orders_there() == 1


@pytest.mark.parametrize("fault", TURNED_AWAY, ids=named)
async def test_what_is_turned_away_did_not_happen_and_may_be_sent_when_it_says(
    on_a_wire: Both, fault: Fault
) -> None:
    rig, wire = on_a_wire
    request = await rig.venue.authorize(rig.bid())
    wire.arm(fault, write=True)
    with pytest.raises(Retry) as away:
        await rig.venue.submit(request)
    assert away.value.code == "RATE_LIMITED" and await rig.orders_there() == 0
    assert (await rig.venue.submit(request)).status is OrdStatus.NEW
    wire.arm(fault, write=True)
    with pytest.raises(Retry):
        await rig.venue.cancel(name_of(0), rig.symbol)
    still = await rig.venue.query(name_of(0), rig.symbol)
    assert still is not None and still.status is OrdStatus.NEW and await rig.orders_there() == 1


@pytest.mark.parametrize("fault", TURNED_AWAY, ids=named)
async def test_told_to_wait_a_minute_it_asks_nothing_more_whoever_wants_to(
    on_a_wire: Both, fault: Fault
) -> None:
    """A ban grows with every request made against it: reads and writes of every lane keep silent alike. Where orders go by a session of
    their own, which has limits of its own, they still go."""
    rig, wire = on_a_wire
    request = await rig.venue.authorize(rig.bid())
    wire.retry_after = "60"
    wire.arm(fault, write=False)
    with pytest.raises(Retry):
        await rig.venue.balances()
    asked, waiting = len(wire.asked), [rig.venue.query(name_of(0), rig.symbol), rig.venue.open_orders()]
    if rig.orders_wire is None:
        waiting.append(rig.venue.submit(request))
    else:
        assert (await rig.venue.submit(request)).status is OrdStatus.NEW
    for each in waiting:
        with pytest.raises(Retry) as waits:
            await each
        assert waits.value.code == "THROTTLED"
    assert len(wire.asked) == asked and await rig.orders_there() == (rig.orders_wire is not None)


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.SILENT_AFTER], ids=named)
async def test_a_question_that_fails_teaches_nothing_and_is_asked_again(
    on_a_wire: Both, fault: Fault
) -> None:
    """Never an empty list, never "no such order": unknown is its own answer."""
    rig, wire = on_a_wire
    await rig.venue.submit(await rig.venue.authorize(rig.bid(qty="0.5", ioc=True)))
    await rig.venue.submit(await rig.venue.authorize(rig.bid(1)))
    for what in READS:
        before = await read(rig, what)
        for _ in range(2):  # the library below asks a plain question again by itself where the line broke
            wire.arm(fault, write=False)
        while wire.armed:
            with pytest.raises(Retry):
                await read(rig, what)
        assert await read(rig, what) == before and before


async def test_an_exchange_that_takes_the_order_and_then_says_nothing_is_not_waited_for(
    on_a_wire: Both,
) -> None:
    """A half-open line: the order is there, no byte comes back, and the connection stands."""
    rig, wire = on_a_wire
    request = await rig.venue.authorize(rig.bid())
    wire.arm(Fault.SILENT_AFTER, write=True)
    rig.hurried()
    with pytest.raises(Reconcile) as unclear:
        await rig.venue.submit(request)
    assert unclear.value.code == "VENUE_TIMEOUT"
    found = await rig.venue.query(name_of(0), rig.symbol)
    assert found is not None and found.status is OrdStatus.NEW and await rig.orders_there() == 1
