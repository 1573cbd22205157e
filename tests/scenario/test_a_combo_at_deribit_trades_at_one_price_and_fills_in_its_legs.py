"""Orders in a combo at Deribit: at any sign of its price, filled leg by leg, each leg's trade once, whatever the wire does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from deribit_rig import COMBO, DATED, PERPETUAL, Signer, deribit_paper, deribit_session
from journal_moves import planned
from paper import KEY, Door
from venue_rigs import name_of

from agent.app.comparison import compare_venue
from agent.app.panic import emptied
from agent.app.testvenue.combos import ComboEngine
from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.events import Accepted, Authorized, Reported, Sliced
from agent.domain.ids import ClOrdId, IntentId
from agent.domain.instruments import AssetId, Place
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import (
    ChildOrder,
    Intent,
    OrderLeg,
    OrdType,
    ParentOrder,
    Part,
    Side,
    TimeInForce,
    VenueOrder,
)
from agent.domain.reports import ExecutionReport, Fill
from agent.journal.book import Book
from agent.journal.registry import event_codec
from agent.transport.http import TimeOuts
from agent.venues import Terms
from agent.venues.deribit import Deribit
from chains.types import Address, Hash32, Protection

D = Decimal
PATIENT = TimeOuts(10.0, 2.0)
"""A busy machine is no lost answer."""
THERE = "ETH-FS-27DEC30_PERPUSDC"
LEGS = {f"cex:paper/{DATED}": 1, f"cex:paper/{PERPETUAL}": -1}


def order(number: int, side: Side, qty: str, px: str, *, ioc: bool = False) -> VenueOrder:
    tif = TimeInForce.IOC if ioc else TimeInForce.GTC
    return VenueOrder(name_of(number), COMBO, side, OrdType.LIMIT, tif, D(qty), D(px))


@asynccontextmanager
async def account(signer: Signer | None = None) -> AsyncIterator[tuple[Door, Deribit]]:
    async with deribit_paper() as door:
        venue = deribit_session(door.url, signer, timeouts=PATIENT)
        await venue.start()
        try:
            yield door, venue
        finally:
            await venue.close()


async def send(venue: Deribit, one: VenueOrder):  # type: ignore[no-untyped-def]
    return await venue.submit(await venue.authorize(one))


async def level(door: Door, side: str, px: str, qty: str) -> None:
    await door._call(
        "POST", "house/level", {"symbol": THERE, "side": side, "price": px, "quantity": qty}
    )  # fmt: skip


def of_legs(fills: tuple[Fill, ...]) -> tuple[dict[str, Decimal], Decimal]:
    """(contracts by instrument, below zero where sold; what was paid for all of them)."""
    held, paid = dict.fromkeys(LEGS, D(0)), D(0)
    for fill in fills:
        bought = fill.asset_out in LEGS
        held[fill.asset_out if bought else fill.asset_in] += fill.qty_out if bought else -fill.qty_in
        paid += fill.qty_in if bought else -fill.qty_out
    return held, paid


async def test_what_is_bought_at_one_price_is_bought_and_sold_in_legs_that_add_up_to_it() -> None:
    async with account() as (door, venue):
        instrument, legs = await venue.combo(COMBO)
        assert legs == {DATED: 1, PERPETUAL: -1} and instrument.tick == D("0.01")
        assert await venue.combos() == {COMBO: legs}
        assert COMBO not in {i.symbol for i in await venue.instruments()}, "no plan is made over its book"
        best = (await venue.book(COMBO)).asks[0]
        assert best == (D("12.10"), 5)
        done = await send(venue, order(0, Side.BUY, "7", "12.20", ioc=True))
        assert (done.status, done.cum_qty, len(done.fills)) == (OrdStatus.FILLED, 7, 4)
        held, paid = of_legs(done.fills)
        assert [held[leg] for leg in LEGS] == [7, -7] and paid == 5 * D("12.10") + 2 * D("12.20")
        assert all(fill.fee_qty > 0 and fill.fee_asset == "cex:paper/USDC" for fill in done.fills)
        assert {p.symbol: p.qty for p in await venue.positions()} == {DATED: 7, PERPETUAL: -7}
        closed = await send(venue, order(1, Side.SELL, "7", "11.80", ioc=True))
        fees = sum((f.fee_qty for f in (*done.fills, *closed.fills)), D(0))
        assert await venue.positions() == ()
        (cash,) = [b for b in await venue.balances() if b.asset == "cex:paper/USDC"]
        assert cash.free == D(100_000) - paid - of_legs(closed.fills)[1] - fees
        totals = (await door.truth())["totals"]
        assert D(totals["USDC"]) == D(100_000), "nothing was made"


async def test_an_order_rests_below_zero_is_changed_is_filled_in_part_and_ends() -> None:
    async with account() as (door, venue):
        await level(door, "BUY", "-20", "3")
        assert (await venue.book(COMBO)).bids[-1] == (D(-20), 3)
        resting = await send(venue, order(0, Side.BUY, "2", "-30"))
        assert (resting.status, resting.px, resting.fills) == (OrdStatus.NEW, D(-30), ())
        moved = await venue.modify(order(0, Side.BUY, "3", "0"))
        assert (moved.px, moved.order_qty, moved.status) == (0, 3, OrdStatus.NEW)
        moved = await venue.modify(order(0, Side.BUY, "3", "-10"))
        await level(door, "SELL", "-10", "56")  # ten levels of five stand before it
        found = await venue.query(name_of(0), COMBO)
        assert found is not None and (found.status, found.cum_qty) == (OrdStatus.FILLED, 3)
        held, paid = of_legs(found.fills)
        assert [held[leg] for leg in LEGS] == [3, -3] and paid == -30, "it was paid for being bought"
        await send(venue, order(1, Side.SELL, "1", "90"))
        again = deribit_session(door.url)  # a panic on another machine, which never named a combo
        await again.start()
        assert {d.what.rpartition(" ")[2]: d.confirmed for d in await emptied(again)} == {name_of(1): True}
        await again.close()
        ended = await venue.cancel(name_of(1), COMBO)
        assert (ended.status, ended.fills) == (OrdStatus.CANCELED, ())


@pytest.mark.parametrize("logs_on", [False, True])
async def test_each_legs_trade_is_reported_once_by_whichever_instrument_it_is_asked_for(
    logs_on: bool,
) -> None:
    async with account(Signer(logs_on=logs_on)) as (door, venue):
        got: list[ExecutionReport] = []
        enough = asyncio.Event()

        async def listen() -> None:
            async for report in venue.stream():
                got.append(report)
                if len([r for r in got if r.fill is not None]) == 4:
                    enough.set()

        task = asyncio.create_task(listen())
        await send(venue, order(0, Side.BUY, "2", "12.20", ioc=True))
        resting = await send(venue, order(1, Side.SELL, "6", "12.05"))
        await level(door, "BUY", "12.05", "4")
        async with asyncio.timeout(10):
            await enough.wait()
        await asyncio.sleep(0)
        again: asyncio.Queue[ExecutionReport | FairleadError] = asyncio.Queue()
        await venue.reports.catch_up(again)
        assert again.empty(), "another audit finds nothing that was not told"
        task.cancel()
        trades = [r for r in got if r.exec_type is ExecType.TRADE and r.fill is not None]
        assert len(trades) == len({r.fill.exec_id for r in trades if r.fill}) == 4
        assert [r.cl_ord_id for r in trades] == [name_of(0)] * 2 + [name_of(1)] * 2
        assert {r.venue_order_id for r in trades[2:]} == {resting.venue_order_id}
        by_combo = await venue.fills(COMBO, 0)
        by_legs = [*await venue.fills(PERPETUAL, 0), *await venue.fills(DATED, 0)]
        assert sorted(by_combo, key=str) == sorted(by_legs, key=str) and len(by_combo) == 4
        assert {fill.exec_id for _, fill in by_combo} == {r.fill.exec_id for r in trades if r.fill}


async def test_an_answer_that_is_lost_is_asked_for_by_name_and_nothing_is_sent_again() -> None:
    async with account() as (door, venue):
        await door.fault("order.place", "reset_after")
        request = await venue.authorize(order(0, Side.BUY, "1", "12.20", ioc=True))
        with pytest.raises(Reconcile):
            await venue.submit(request)
        with pytest.raises(Reconcile):  # the session itself sends nothing twice
            await venue.submit(request)
        found = await venue.query(name_of(0), COMBO)
        assert found is not None and (found.status, len(found.fills)) == (OrdStatus.FILLED, 2)
        await door.fault("myTrades", "error_before")
        with pytest.raises(Reconcile, match="fills could not be read"):
            await send(venue, order(1, Side.BUY, "1", "12.20", ioc=True))
        assert len((await door.truth())["orders"]) == 2


async def test_a_combo_that_the_signers_owner_does_not_list_is_not_sent_and_its_legs_are_a_strangers() -> (
    None
):
    async with account() as (door, venue):
        await send(venue, order(0, Side.BUY, "2", "12.20", ioc=True))
        other = deribit_session(door.url, Signer(combos={}))
        await other.start()
        with pytest.raises(Denied, match="did not list"):
            await other.authorize(order(1, Side.BUY, "1", "12.20"))
        ((name, fill),) = await other.fills(PERPETUAL, 0)
        ((ours, same),) = await venue.fills(PERPETUAL, 0)
        assert name.startswith("deribit-") and ours == name_of(0) and fill == same
        await other.close()


async def test_what_the_exchange_would_refuse_is_not_asked_of_the_signer() -> None:
    signer = Signer()
    async with account(signer) as (_, venue):
        await venue.combo(COMBO)
        before = len(signer.asked)
        for wrong, code in (
            (order(0, Side.BUY, "1", "12.001"), "OFF_GRID"),
            (order(0, Side.BUY, "1", "-0.005"), "OFF_GRID"),
            (order(0, Side.BUY, "0.00001", "12"), "OFF_GRID"),
            (order(0, Side.BUY, "0.01", "12"), "BELOW_MIN_QTY"),
            (VenueOrder(name_of(0), COMBO, Side.BUY, OrdType.MARKET, TimeInForce.IOC, D(1), None), "MISSING_PRICE"),
        ):  # fmt: skip
            with pytest.raises(Usage) as refused:
                await venue.authorize(wrong)
            assert refused.value.code == code and refused.value.hint
        with pytest.raises(Usage) as refused:
            await venue.authorize_stop(order(0, Side.BUY, "1", "12"), D(13), Terms())
        assert refused.value.code == "UNSUPPORTED_TERMS"
        with pytest.raises(Usage) as refused:
            await venue.authorize(
                VenueOrder(name_of(0), "ETH_USDC-FS-28MAR31_PERP", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(1), D(1))
            )  # fmt: skip
        assert refused.value.code == "UNKNOWN_SYMBOL"
        assert len(signer.asked) == before


async def test_margin_is_asked_of_the_legs_and_not_of_a_price_near_zero() -> None:
    async with account() as (door, venue):
        assert door.here is not None
        engine = door.here.venue.engine
        assert isinstance(engine, ComboEngine)
        with pytest.raises(Reject) as refused:  # 400 of each leg at 20 times take 120,000
            await send(venue, order(0, Side.BUY, "400", "0"))
        assert refused.value.code == "INSUFFICIENT_MARGIN"
        await send(venue, order(1, Side.BUY, "300", "0"))
        assert D(9_000) < engine.available(KEY, "USDC") < D(10_000)


def authorized(one: VenueOrder) -> list[object]:
    """What a book hears until such an order may be sent: a slice of units of the combo, for USDC."""
    of = ChildOrder(ClOrdId("c-1"), ClOrdId("p-1"), 0, one.side, COMBO, "USDC", one.order_qty, one.px, 50, Protection.PUBLIC, 2**62)  # fmt: skip
    intent = Intent(IntentId("i-1"), "by hand", one.side, COMBO, "USDC", one.order_qty, one.px, "limit", (), 50, Protection.PUBLIC, 0, 2**62)  # fmt: skip
    part = Part(one.cl_ord_id, of.cl_ord_id, Place("cex:paper"), 1, AssetId("cex:paper/USDC"), AssetId(f"cex:paper/{COMBO}"), 0, 0, 0, ())  # fmt: skip
    return [
        Accepted(ParentOrder(ClOrdId("p-1"), intent), 1),
        Sliced(of, 2),
        planned(of, (part,), D(0), 3),
        Authorized(part, one, 0, Address(""), 0, 0, Hash32(""), b"", "digest", Protection.PUBLIC, 0, 0, 0, 4),
    ]


@pytest.mark.parametrize("side", list(Side))
async def test_the_books_positions_are_the_legs_whatever_is_told_twice_or_in_another_order(
    side: Side,
) -> None:
    async with account() as (_, venue):
        px = "12.20" if side is Side.BUY else "-12"
        legs = tuple(OrderLeg(AssetId(f"cex:paper/{n}"), n, r) for n, r in ((DATED, 1), (PERPETUAL, -1)))
        one = replace(order(0, side, "7", px, ioc=True), legs=legs)
        done = await send(venue, one)
        reports = [ExecutionReport(one.cl_ord_id, Place("cex:paper"), ExecType.TRADE, f.at_ns, done.venue_order_id, f) for f in done.fills]  # fmt: skip
        assert len(reports) == 4
        codec, told = event_codec(), [*authorized(one), *(Reported(r) for r in reports)]
        for events in (told, told + told[4:], told[:4] + told[:3:-1]):
            book = Book()
            for event in events:
                again = codec.decode(*codec.encode(event))
                assert again == event
                if not isinstance(event, Reported) or not book.is_duplicate(event.report):
                    book.admit(again)
                book.apply(again)
            record = book.parts[one.cl_ord_id]
            held, paid = of_legs(done.fills)
            sign = 1 if side is Side.BUY else -1
            assert (record.status, record.base_qty(), record.quote_qty()) == (
                OrdStatus.FILLED,
                7,
                sign * paid,
            )
            assert {leg.symbol: book.positions[leg.symbol].qty for leg in legs} == {
                DATED: sign * 7,
                PERPETUAL: sign * -7,
            }
            fees = sum((f.fee_qty for f in done.fills), D(0))
            assert book.holdings["cex:paper/USDC"] == book.positions["USDC"].qty == -paid - fees
            assert COMBO not in book.positions
            assert [book.holdings[leg] for leg in LEGS] == [held[leg] for leg in LEGS]
            for symbols in ((), (PERPETUAL,), (COMBO, PERPETUAL, DATED)):
                told_apart = await compare_venue(venue, book, symbols, venue._clock.now_ns())
                assert not [d for d in told_apart if "fill" in d.kind], "the books agree with the exchange"
        half = Book()
        for event in told[:-1]:
            half.apply(event)
        assert half.parts[one.cl_ord_id].status is OrdStatus.PARTIALLY_FILLED, "not while a leg of it lacks"


@pytest.mark.parametrize(
    "kind", ["reset_before", "reset_after", "hang_after", "error_before", "error_after", "partial", "late"]
)  # fmt: skip
async def test_whatever_the_wire_does_legs_are_filled_once_and_known_as_the_exchange_has_them(
    kind: str,
) -> None:
    async with account() as (door, venue):
        one = order(0, Side.SELL, "6", "11.80", ioc=True)
        request = await venue.authorize(one)
        await door.fault("order.place", kind, delay_ms=20)
        try:
            done = await venue.submit(request)
        except (Reconcile, Retry):
            found = await venue.query(one.cl_ord_id, COMBO)
            assert (found is None) == kind.endswith("_before")
            if found is None:
                assert (await door.truth())["orders"] == [] and await venue.positions() == ()
                return
            done = found
        assert (done.status, len(done.fills)) == (OrdStatus.FILLED, 4) and of_legs(done.fills)[0] == {
            leg: -6 * ratio for leg, ratio in LEGS.items()
        }
        assert {f"cex:paper/{p.symbol}": p.qty for p in await venue.positions()} == of_legs(done.fills)[0]
        assert len((await door.truth())["orders"]) == 1
        told = [fill.exec_id for _, fill in (*await venue.fills(COMBO, 0), *await venue.fills(DATED, 0))]
        assert set(told) == {fill.exec_id for fill in done.fills}
