"""The acceptance suite, its part on kinds of orders and what becomes of them: over every exchange that orders go to."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from venue_rigs import COMBOS, RIGS, Rig, name_of

from agent.domain.errors import Denied, FairleadError, Reject, Usage
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import OrderSnapshot
from agent.venues import VenueFacts

D = Decimal
KINDS = [(OrdType.LIMIT, tif) for tif in TimeInForce] + [(OrdType.MARKET, TimeInForce.IOC)]


async def sent(rig: Rig, order: VenueOrder) -> OrderSnapshot:
    return await rig.venue.submit(await rig.venue.authorize(order))


async def known(rig: Rig, order: VenueOrder) -> OrderSnapshot:
    """As `sent`, with what it takes at once, which some tell in reports that follow."""
    placed = await sent(rig, order)
    if not rig.acknowledges or order.time_in_force is not TimeInForce.GTC:
        return placed
    assert (placed.status, placed.cum_qty) == (OrdStatus.NEW, 0)
    found = await rig.venue.query(order.cl_ord_id, rig.symbol)
    assert found is not None
    return found


def ask(rig: Rig, number: int = 0, qty: str = "2", takes: bool = False) -> VenueOrder:
    """A sale: at `near` it rests above the book, at `far` it takes."""
    order = rig.bid(number, qty, rig.far if takes else rig.near, ioc=takes)
    return replace(order, side=Side.SELL)


@pytest.mark.parametrize(("kind", "tif"), KINDS, ids=lambda one: one.value.lower())
async def test_what_it_lists_it_takes_and_anything_else_never_leaves(
    rig: Rig, facts: VenueFacts, kind: OrdType, tif: TimeInForce
) -> None:
    px = None if kind is OrdType.MARKET else rig.near
    order = replace(rig.bid(qty="0.5", px=rig.near), ord_type=kind, time_in_force=tif, px=px)
    if kind is OrdType.MARKET and rig.bounded:
        with pytest.raises(Denied) as unpriced:
            await rig.venue.authorize(order)
        assert unpriced.value.code == "EXCHANGE_MARKET" and await rig.orders_there() == 0
        order = replace(order, side=Side.SELL)
    if kind.value in facts.order_types and tif.value in facts.times_in_force:
        taken = await known(rig, order)
        assert (taken.status, taken.cum_qty) == (OrdStatus.FILLED, D("0.5"))
        sold = order.side is Side.SELL
        assert sum((fill.qty_in if sold else fill.qty_out for fill in taken.fills), D(0)) == D("0.5")
    else:
        with pytest.raises(Usage):
            await rig.venue.authorize(order)
        assert await rig.orders_there() == 0


async def test_all_or_nothing_is_nothing_where_there_is_not_enough(rig: Rig, facts: VenueFacts) -> None:
    best = (await rig.venue.book(rig.symbol)).asks[0]
    order = replace(rig.bid(qty=str(best[1] + 1), px=best[0]), time_in_force=TimeInForce.FOK)
    if TimeInForce.FOK.value not in facts.times_in_force:
        with pytest.raises(Usage):
            await rig.venue.authorize(order)
        return
    ended = await sent(rig, order)
    assert ended.status in TERMINAL - {OrdStatus.FILLED} and (ended.cum_qty, ended.fills) == (0, ())
    assert (await rig.venue.book(rig.symbol)).asks[0] == best and not await rig.venue.open_orders()


async def test_a_sale_rests_above_and_a_sale_below_takes_the_best_bid(rig: Rig) -> None:
    best = (await rig.venue.book(rig.symbol)).bids[0]
    rests = await sent(rig, ask(rig, 0))
    assert (rests.side, rests.status, rests.px) == (Side.SELL, OrdStatus.NEW, rig.near)
    takes = await sent(rig, ask(rig, 1, "0.5", takes=True))
    (fill,) = takes.fills
    assert takes.status is OrdStatus.FILLED and (fill.qty_in, fill.qty_out) == (D("0.5"), best[0] / 2)
    assert [one.cl_ord_id for one in await rig.venue.open_orders()] == [name_of(0)]


async def test_an_order_that_crosses_takes_what_is_there_and_rests_with_the_remainder(rig: Rig) -> None:
    best = (await rig.venue.book(rig.symbol)).asks[0]
    placed = await known(rig, rig.bid(qty=str(best[1] + 1), px=best[0]))
    assert (placed.status, placed.cum_qty) == (OrdStatus.PARTIALLY_FILLED, best[1])
    (stands,) = await rig.venue.open_orders()
    assert (stands.cl_ord_id, stands.order_qty - stands.cum_qty) == (name_of(0), 1)


async def test_an_immediate_order_that_meets_nobody_ends_and_leaves_nothing(rig: Rig) -> None:
    request = await rig.venue.authorize(rig.bid(px=rig.far, ioc=True))
    try:
        ended = await rig.venue.submit(request)
    except Reject as refused:  # some refuse it, some take it and end it
        assert refused.code == "NOT_MATCHED"
    else:
        assert ended.status in TERMINAL - {OrdStatus.FILLED} and ended.cum_qty == 0
    assert await rig.venue.open_orders() == () and not await rig.venue.fills(rig.symbol, 0)


async def test_two_alike_are_two_and_one_ends_without_the_other(rig: Rig) -> None:
    for number in range(2):
        await sent(rig, rig.bid(number))
    await rig.venue.cancel(name_of(0), rig.symbol)
    assert [one.cl_ord_id for one in await rig.venue.open_orders()] == [name_of(1)]
    other = await rig.venue.query(name_of(1), rig.symbol)
    assert other is not None and other.status is OrdStatus.NEW


async def test_filled_by_others_in_two_it_has_two_fills_and_cannot_be_cancelled(rig: Rig) -> None:
    await sent(rig, rig.bid())
    await rig.fill(name_of(0), D("0.5"))
    await rig.fill(name_of(0), D("1.5"))
    whole = await rig.venue.query(name_of(0), rig.symbol)
    assert whole is not None and (whole.status, whole.cum_qty) == (OrdStatus.FILLED, 2)
    assert [fill.qty_out for fill in whole.fills] == [D("0.5"), D("1.5")]
    assert {fill.qty_in for fill in whole.fills} == {rig.far / 2, rig.far * 3 / 2}
    too_late = await rig.venue.cancel(name_of(0), rig.symbol)
    assert (too_late.status, too_late.fills) == (OrdStatus.FILLED, whole.fills)


async def test_a_name_that_stands_is_not_taken_twice(rig: Rig) -> None:
    await sent(rig, rig.bid())
    again = await rig.venue.authorize(rig.bid())
    with pytest.raises(FairleadError) as refused:
        await rig.venue.submit(again)
    by_whom = "SENT_BEFORE" if rig.sends_once else "DUPLICATE_CLIENT_ID"
    assert (refused.value.verb, refused.value.code) == ("RECONCILE", by_whom)
    assert await rig.orders_there() == 1 and len(await rig.venue.open_orders()) == 1


async def test_more_than_there_is_money_for_is_refused_and_nothing_is_left(rig: Rig) -> None:
    with pytest.raises(Reject):  # every account of the rigs has 100,000 to pay with
        await sent(rig, rig.bid(qty=str(120_000 * (rig.leverage or 1) // rig.far)))
    assert await rig.venue.query(name_of(0), rig.symbol) is None
    assert await rig.venue.open_orders() == () and await rig.orders_there() == 0


async def test_several_end_together_and_each_tells_its_own_end(rig: Rig) -> None:
    for number in range(4):
        await sent(rig, rig.bid(number))
    await rig.venue.cancel(name_of(0), rig.symbol)
    asked = [(name_of(number), rig.symbol) for number in (0, 1, 2, 9)]
    told = dict(await rig.venue.cancel_many(asked))
    assert set(told) == {name for name, _ in asked} and await rig.venue.cancel_many([]) == {}
    never = told.pop(name_of(9))
    assert isinstance(never, Reject) and never.code == "NO_SUCH_ORDER"
    assert {one.status for one in told.values() if isinstance(one, OrderSnapshot)} == {OrdStatus.CANCELED}
    assert len(told) == 3 and [o.cl_ord_id for o in await rig.venue.open_orders()] == [name_of(3)]


async def test_every_digit_of_a_price_and_a_quantity_comes_back(rig: Rig) -> None:
    (market,) = [one for one in await rig.venue.instruments() if one.symbol == rig.symbol]
    qty, px = D(1) + 7 * market.lot, rig.far + 3 * market.tick
    placed = await sent(rig, rig.bid(qty=str(qty), px=px))
    (stands,) = await rig.venue.open_orders()
    assert (placed.order_qty, placed.px) == (stands.order_qty, stands.px) == (qty, px)


@pytest.mark.parametrize("what", ["qty", "px"])
async def test_half_a_step_never_leaves(rig: Rig, what: str) -> None:
    (market,) = [one for one in await rig.venue.instruments() if one.symbol == rig.symbol]
    half = {"qty": str(D(2) + market.lot / 2)} if what == "qty" else {"px": rig.far + market.tick / 20}
    with pytest.raises(Usage) as wrong:
        await rig.venue.authorize(rig.bid(**half))  # type: ignore[arg-type]
    assert wrong.value.code == "OFF_GRID" and await rig.orders_there() == 0


async def test_a_limit_without_a_price_never_leaves(rig: Rig) -> None:
    with pytest.raises(Usage) as wrong:
        await rig.venue.authorize(replace(rig.bid(), px=None))
    assert wrong.value.code == "MISSING_PRICE" and await rig.orders_there() == 0


@pytest.mark.parametrize("exchange", COMBOS)
async def test_a_combo_is_bought_at_one_price_sold_into_cancelled_and_found_in_its_legs(
    exchange: str,
) -> None:
    combo, legs, near, far = COMBOS[exchange]
    async with RIGS[exchange]() as rig:
        buy = replace(rig.bid(0, "3", near, ioc=True), symbol=combo)
        rests = replace(rig.bid(1, "2", far), symbol=combo)
        bought, resting = await sent(rig, buy), await sent(rig, rests)
        assert (bought.status, bought.cum_qty) == (OrdStatus.FILLED, 3)
        assert (resting.status, resting.px, resting.fills) == (OrdStatus.NEW, far, ())
        assert {order.cl_ord_id for order in await rig.venue.open_orders()} == {rests.cl_ord_id}
        place = f"cex:{rig.venue.name}/"
        for symbol, ratio in legs.items():
            mine = [f for f in bought.fills if place + symbol in (f.asset_in, f.asset_out)]
            went = sum((f.qty_out if f.asset_out == place + symbol else -f.qty_in for f in mine), D(0))
            assert went == 3 * ratio
            told = [(name, f) for name, f in await rig.venue.fills(symbol, 0) if name == buy.cl_ord_id]
            assert [f for _, f in told] == mine, "by its own instrument as by the combo's"
        assert (await rig.venue.cancel(rests.cl_ord_id, combo)).status is OrdStatus.CANCELED
        again = await rig.venue.query(buy.cl_ord_id, combo)
        assert again is not None and again.fills == bought.fills
        assert (await rig.venue.query(rests.cl_ord_id, combo)).status in TERMINAL  # type: ignore[union-attr]
