"""Orders that stand or fall together, and orders that change, in Binance's documented dialect: session and paper exchange, word for word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from paper import Door, paper, session

from agent.domain.errors import Reconcile, Reject, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import Exit, OrderList, unprotected
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.venues.binance_spot import BinanceSpot

D = Decimal


@pytest.fixture
async def rig() -> AsyncIterator[tuple[BinanceSpot, Door]]:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        yield venue, door
        await venue.close()


def limit(name: str, side: Side, px: str, qty: str) -> VenueOrder:
    return VenueOrder(ClOrdId(name), "ETHUSDC", side, OrdType.LIMIT, TimeInForce.GTC, D(qty), D(px))


def bracket(qty: str, entry: VenueOrder | None = None, name: str = "list-1", stop: str = "2950") -> OrderList:
    """Sells at 3050, or at 2940 and above once 2950 (or `stop`) was traded."""
    return OrderList(
        ClOrdId(name), "ETHUSDC", Side.SELL, D(qty),
        above=Exit(ClOrdId(f"{name}-up"), D("3050")),
        below=Exit(ClOrdId(f"{name}-down"), D(stop) - 10, D(stop)),
        entry=entry,
    )  # fmt: skip


async def status(venue: BinanceSpot, name: str) -> tuple[OrdStatus, Decimal]:
    found = await venue.query(ClOrdId(name), "ETHUSDC")
    assert found is not None
    return found.status, found.cum_qty


async def locked(venue: BinanceSpot) -> dict[str, Decimal]:
    return {b.asset.rpartition("/")[2]: b.locked for b in await venue.balances() if b.locked}


async def print_at(door: Door, px: str) -> None:
    """A trade at exactly this price: somebody's bid there, and somebody's sale into it."""
    await door.house("BUY", px, "0.01", "GTC")
    await door.house("SELL", px, "0.01")


async def test_of_a_pair_the_one_that_trades_ends_the_other(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    placed = await venue.lists.place(bracket("2"))
    assert placed.cl_ord_ids == ("list-1-up", "list-1-down") and not placed.done
    assert await locked(venue) == {"ETH": D(2)}, "a pair holds what one of it needs"
    await door.house("BUY", "3050", "90000")
    assert await status(venue, "list-1-up") == (OrdStatus.FILLED, D(2))
    assert await status(venue, "list-1-down") == (OrdStatus.EXPIRED, D(0))
    ended = await venue.lists.query(ClOrdId("list-1"))
    assert ended is not None and ended.done and await locked(venue) == {}


async def test_a_stop_waits_for_its_price_and_ends_the_other_when_it_goes(
    rig: tuple[BinanceSpot, Door],
) -> None:
    venue, door = rig
    await venue.lists.place(bracket("2", stop="2995"))
    await door.house("SELL", "2996", "90000")
    assert (await status(venue, "list-1-down"))[0] is OrdStatus.NEW
    await door.house("SELL", "2994", "90000")
    assert await status(venue, "list-1-down") == (OrdStatus.FILLED, D(2))
    assert await status(venue, "list-1-up") == (OrdStatus.EXPIRED, D(0))


async def test_a_bracket_protects_nothing_before_its_entry_is_filled_and_all_of_it_then(
    rig: tuple[BinanceSpot, Door],
) -> None:
    venue, door = rig
    await venue.lists.place(bracket("2", limit("entry", Side.BUY, "2990", "2.0025")))
    assert await status(venue, "list-1-up") == (OrdStatus.PENDING_NEW, D(0))
    assert await locked(venue) == {"USDC": D("2990") * D("2.0025")}
    await door.house("SELL", "2990", "90000")
    assert await status(venue, "entry") == (OrdStatus.FILLED, D("2.0025"))
    assert (await status(venue, "list-1-up"))[0] is OrdStatus.NEW
    assert await locked(venue) == {"ETH": D(2)}
    ended = await venue.lists.cancel(ClOrdId("list-1"), "ETHUSDC")
    assert ended.done and (await status(venue, "list-1-down"))[0] is OrdStatus.CANCELED
    assert (await venue.lists.cancel(ClOrdId("list-1"), "ETHUSDC")).done, (
        "cancelled again it is told as it ended"
    )
    with pytest.raises(Reject, match="no list"):
        await venue.lists.cancel(ClOrdId("list-9"), "ETHUSDC")


async def test_an_entry_that_is_cancelled_takes_its_exits_with_it(rig: tuple[BinanceSpot, Door]) -> None:
    venue, _ = rig
    one = OrderList(
        ClOrdId("oto"), "ETHUSDC", Side.SELL, D(1), None, Exit(ClOrdId("guard"), D(2890), D(2900)),
        entry=limit("entry", Side.BUY, "2950", "1.002"),
    )  # fmt: skip
    await venue.lists.place(one)
    await venue.cancel(ClOrdId("entry"), "ETHUSDC")
    assert await status(venue, "guard") == (OrdStatus.EXPIRED, D(0)) and await locked(venue) == {}


async def test_a_stop_partly_filled_and_cancelled_leaves_the_rest_exactly_protected(
    rig: tuple[BinanceSpot, Door],
) -> None:
    """Number 12 of the failures this must survive."""
    venue, door = rig
    held = D(3)
    await venue.lists.place(bracket("3", stop="2960"))
    book = await venue.book("ETHUSDC")
    for px, _ in book.bids:  # below the stop nothing is left but 1.25 at its limit
        if px > D("2949"):
            await door.level("BUY", str(px), "0")
    await door.level("BUY", "2950", "1.25")
    await print_at(door, "2960")
    assert await status(venue, "list-1-down") == (OrdStatus.PARTIALLY_FILLED, D("1.25"))
    await venue.cancel(ClOrdId("list-1-down"), "ETHUSDC")
    exits = [await venue.query(name, "ETHUSDC") for name in bracket("3").cl_ord_ids]
    left = unprotected(held, [one for one in exits if one is not None])
    assert left == D("1.75")
    await venue.lists.place(bracket(str(left), name="list-2", stop="2900"))
    exits += [await venue.query(name, "ETHUSDC") for name in bracket("1", name="list-2").cl_ord_ids]
    assert unprotected(held, [one for one in exits if one is not None]) == 0
    assert await locked(venue) == {"ETH": D("1.75")}


async def test_a_list_whose_answer_is_lost_is_asked_for_and_stands_once(
    rig: tuple[BinanceSpot, Door],
) -> None:
    venue, door = rig
    for number, fault in enumerate(("error_after", "reset_after", "error_before")):
        await door.fault("list.oco", fault)
        with pytest.raises(Reconcile):
            await venue.lists.place(bracket("1", name=f"lost-{number}"))
        found = await venue.lists.query(ClOrdId(f"lost-{number}"))
        assert (found is None) == (fault == "error_before")
    assert len((await door.truth())["orders"]) == 4


async def test_fewer_of_an_order_keeps_its_id_and_its_place(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    await venue.submit(await venue.authorize(limit("mine", Side.BUY, "3000", "2")))
    await door.house("BUY", "3000", "5", "GTC")
    changed = await venue.lists.reduce(ClOrdId("mine"), "ETHUSDC", D("1.5"))
    assert (changed.order_qty, changed.cl_ord_id) == (D("1.5"), "mine")
    assert await locked(venue) == {"USDC": D(4500)}
    await door.house("SELL", "3000", "1")
    assert await status(venue, "mine") == (OrdStatus.PARTIALLY_FILLED, D(1)), "it still stands first"
    for qty in ("1.6", "1", "0.5"):
        with pytest.raises(Reject, match="-2038"):
            await venue.lists.reduce(ClOrdId("mine"), "ETHUSDC", D(qty))
    with pytest.raises(Usage, match="multiple"):
        await venue.lists.reduce(ClOrdId("mine"), "ETHUSDC", D("1.20001"))


async def test_a_replacement_is_both_or_says_which_half(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    await venue.submit(await venue.authorize(limit("first", Side.BUY, "2900", "2")))
    placed = await venue.lists.replace(ClOrdId("first"), limit("second", Side.BUY, "2910", "2"))
    assert placed.cl_ord_id == "second" and (await status(venue, "first"))[0] is OrdStatus.CANCELED
    with pytest.raises(Reject) as ended:
        await venue.lists.replace(ClOrdId("first"), limit("third", Side.BUY, "2920", "2"))
    assert ended.value.code == "NOT_REPLACED" and await venue.query(ClOrdId("third"), "ETHUSDC") is None
    with pytest.raises(Reject) as half:
        await venue.lists.replace(ClOrdId("second"), limit("dear", Side.BUY, "2920", "2000"))
    assert half.value.code == "CANCELLED_ONLY"
    assert (await status(venue, "second"))[0] is OrdStatus.CANCELED
    await venue.submit(await venue.authorize(limit("fourth", Side.BUY, "2900", "1")))
    await door.fault("order.replace", "error_after")
    with pytest.raises(Reconcile):
        await venue.lists.replace(ClOrdId("fourth"), limit("fifth", Side.BUY, "2910", "1"))
    assert (await status(venue, "fifth"))[0] is OrdStatus.NEW


async def test_reports_tell_of_every_order_of_a_list_once(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    told: list[tuple[str, str]] = []

    async def read() -> None:
        async for report in venue.stream():
            told.append((report.cl_ord_id, report.exec_type.value))
            if report.exec_type.value == "EXPIRED":
                return

    reading = asyncio.create_task(read())
    await venue.lists.place(bracket("2"))
    await door.house("BUY", "3050", "90000")
    await asyncio.wait_for(reading, 5)
    up, down = "list-1-up", "list-1-down"
    assert set(told) == {(up, "NEW"), (down, "NEW"), (up, "TRADE"), (down, "EXPIRED")}
    assert told.count((up, "NEW")) == told.count((down, "NEW")) == 1 and told[-1] == (down, "EXPIRED")


async def test_what_is_no_list_is_refused_before_anything_is_sent(rig: tuple[BinanceSpot, Door]) -> None:
    venue, door = rig
    pair = bracket("2")
    wrong = {
        "LIST_INCOMPLETE": OrderList(pair.cl_list_id, "ETHUSDC", Side.SELL, D(2), pair.above, None),
        "MISSING_PRICE": OrderList(pair.cl_list_id, "ETHUSDC", Side.SELL, D(2), pair.above, Exit(ClOrdId("x"), None)),
        "BELOW_MIN_NOTIONAL": bracket("0.001"),
        "OFF_GRID": bracket("0.00001"),
    }  # fmt: skip
    for code, one in wrong.items():
        with pytest.raises(Usage) as refused:
            await venue.lists.place(one)
        assert refused.value.code == code
    with pytest.raises(Reject, match="-1165"):  # the exits on the wrong sides of each other
        await venue.lists.place(bracket("2", stop="3060"))
    assert (await door.truth())["orders"] == []
