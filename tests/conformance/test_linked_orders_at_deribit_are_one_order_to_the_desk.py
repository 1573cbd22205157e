"""A pair of exits and an entry with its exits as Deribit's linked orders: session, the signer's judge and the paper exchange, whatever is
lost between them, and by a session that never saw them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from ccxt_rig import BAND
from deribit_rig import PERPETUAL, Signer, deribit_paper, deribit_session
from paper import KEY, Door
from venue_rigs import fill_at_paper

from agent.app.exchange_pairs import chosen, holders
from agent.app.places import Directory
from agent.app.testvenue.deribit import DeribitServer
from agent.domain.errors import Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, cex_id
from agent.domain.order_lists import list_of
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus
from agent.domain.orders import Attached, Exits, OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.deribit import FEED, VENUE, Deribit, codec, linked
from chains.errors import Denied

D = Decimal
NAME, ENTRY = ClOrdId("fl-abcdefghij2345672345"), ClOrdId("fl-entryentry2345672345")
EXITS = Exits(D(2900), D(2880), D(3050))


@pytest.fixture
async def rig() -> AsyncIterator[tuple[Deribit, Door]]:
    async with deribit_paper(combos=False) as door:
        venue = deribit_session(door.url)
        await venue.start()
        yield venue, door
        await venue.close()


def pair(exits: Exits = EXITS) -> VenueOrder:
    return VenueOrder(
        NAME, PERPETUAL, Side.SELL, OrdType.LIMIT, TimeInForce.GTC, D(2), exits.profit_px, exits
    )


def entry(exits: Exits = EXITS, px: str = "2990") -> VenueOrder:
    behind = Attached(NAME, D(2), exits, 1, 1)
    return VenueOrder(ENTRY, PERPETUAL, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(2), D(px), then=behind)


async def bought(venue: Deribit) -> None:
    order = VenueOrder(ClOrdId("fl-held"), PERPETUAL, Side.BUY, OrdType.LIMIT, TimeInForce.IOC, D(2), D(3100))
    assert (await venue.submit(await venue.authorize(order))).status is OrdStatus.FILLED


async def placed(venue: Deribit, order: VenueOrder) -> None:
    told = await venue.submit(await venue.authorize(order))
    assert (told.cl_ord_id, told.status, told.order_qty) == (order.cl_ord_id, OrdStatus.NEW, D(2))


async def status(venue: Deribit, name: ClOrdId = NAME) -> tuple[OrdStatus, Decimal]:
    found = await venue.query(name, PERPETUAL)
    assert found is not None
    assert sum(((f.qty_in if f.asset_in.endswith("PERPETUAL") else f.qty_out) for f in found.fills), D(0)) == found.cum_qty  # fmt: skip
    return found.status, found.cum_qty


async def names(venue: Deribit) -> set[ClOrdId]:
    return {one.cl_ord_id for one in await venue.open_orders()}


async def until(so: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def test_a_pair_is_listed_once_and_cancelled_as_one_by_whoever_asks(rig: tuple[Deribit, Door]) -> None:
    venue, door = rig
    await bought(venue)
    await placed(venue, pair())
    assert [one.cl_ord_id for one in await venue.open_orders()] == [NAME]
    later = deribit_session(door.url)
    await later.start()
    try:
        assert await status(later) == (OrdStatus.NEW, D(0))
        assert (await later.cancel(NAME, PERPETUAL)).status is OrdStatus.CANCELED
        with pytest.raises(Reject, match="no order"):
            await later.cancel(ClOrdId("fl-zzzzzzzzzz2345672345"), PERPETUAL)
    finally:
        await later.close()
    assert await venue.open_orders() == ()
    assert (await venue.cancel(NAME, PERPETUAL)).status is OrdStatus.CANCELED, "told again as it ended"


@pytest.mark.parametrize(("side", "px"), [("BUY", "3050"), ("SELL", "2890")])
async def test_of_a_pair_one_trades_and_its_fills_are_told_of_the_pair(
    rig: tuple[Deribit, Door], side: str, px: str
) -> None:
    venue, door = rig
    await bought(venue)
    told: list[ExecutionReport] = []

    async def read() -> None:
        async with aclosing(venue.stream()) as reports:
            async for report in reports:
                if report.cl_ord_id == NAME:
                    told.append(report)

    reading = asyncio.create_task(read())
    await placed(venue, pair())
    await door.house(side, px, "90000", "GTC")
    if side == "SELL":  # the first trade there lets the stop go, the next finds it in the book at its limit
        await door.house("BUY", "2890", "0.01")
        await door.house("BUY", "2890", "2")
    try:
        await until(lambda: sum((r.fill.qty_in for r in told if r.fill is not None), D(0)) == 2)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert await status(venue) == (OrdStatus.FILLED, D(2)) and await names(venue) == set()
    assert {report.exec_type for report in told} == {ExecType.TRADE}
    assert len({r.fill.exec_id for r in told if r.fill is not None}) == len(told)
    assert [held.qty for held in await venue.positions()] == []


async def test_a_pair_of_which_a_trade_is_not_listed_is_cancelled_and_ended_with_that_trade(
    rig: tuple[Deribit, Door],
) -> None:
    venue, door = rig
    await bought(venue)
    await placed(venue, pair())
    assert door.here is not None
    engine = door.here.venue.engine
    before = sum((qty for px, qty in engine.books["ETHUSDC"].asks.levels() if px <= 3050), D(0)) - 2
    await door.house("BUY", "3050", f"{before + 1}")
    assert (await status(venue))[1] == 1
    later = deribit_session(door.url)
    await later.start()
    (mine,) = [order for order in engine.orders.values() if order.qty == 2 and order.executed == 1]
    listed, engine.fills[:] = list(engine.fills), [f for f in engine.fills if f.order_id != mine.order_id]
    with pytest.raises((Retry, Reconcile)):
        await later.cancel(NAME, PERPETUAL)
    await until(lambda: not mine.is_open)
    with pytest.raises((Retry, Reconcile)):
        await later.cancel(NAME, PERPETUAL)
    engine.fills[:] = listed
    ended = await later.cancel(NAME, PERPETUAL)
    await later.close()
    assert (ended.status, ended.cum_qty) == (OrdStatus.CANCELED, 1)
    assert sum((fill.qty_in for fill in ended.fills), D(0)) == 1


@pytest.mark.parametrize("exits", [EXITS, Exits(D(2900), D(2880), None), Exits(None, None, D(3050))])
async def test_an_entry_that_is_filled_leaves_its_exits_and_one_that_ends_takes_them_with_it(
    rig: tuple[Deribit, Door], exits: Exits
) -> None:
    venue, door = rig
    await placed(venue, entry(exits))
    assert await names(venue) == {ENTRY, NAME} and await status(venue) == (OrdStatus.NEW, D(0))
    await door.level("SELL", "2990", "90000")
    assert await status(venue, ENTRY) == (OrdStatus.FILLED, D(2))
    assert await names(venue) == {NAME} and await status(venue) == (OrdStatus.NEW, D(0))
    assert (await venue.cancel(NAME, PERPETUAL)).status is OrdStatus.CANCELED
    assert await names(venue) == set()


async def test_an_entry_that_is_cancelled_takes_its_exits_with_it(rig: tuple[Deribit, Door]) -> None:
    venue, _ = rig
    await placed(venue, entry())
    assert (await venue.cancel(ENTRY, PERPETUAL)).status is OrdStatus.CANCELED
    assert await status(venue) == (OrdStatus.CANCELED, D(0)) and await names(venue) == set()


async def test_exits_cancelled_while_they_wait_end_their_entry_also_by_a_session_that_never_saw_it(
    rig: tuple[Deribit, Door],
) -> None:
    venue, door = rig
    await placed(venue, entry())
    later = deribit_session(door.url)
    await later.start()
    try:
        assert (await later.cancel(NAME, PERPETUAL)).status is OrdStatus.CANCELED
        assert await status(later, ENTRY) == (OrdStatus.CANCELED, D(0)) and await names(later) == set()
    finally:
        await later.close()


class TellsNothingThatWaits(Deribit):
    """By label it is told of orders alone, and of nothing that waits behind one."""

    async def labelled(self, label: str, symbol: str) -> list[Any]:
        return [row for row in await super().labelled(label, symbol) if "OTO-" not in row["order_id"]]


async def test_exits_that_wait_are_known_also_where_no_question_by_label_tells_of_them(
    rig: tuple[Deribit, Door],
) -> None:
    facts = replace(VENUE, audit_s=0.05, weight_per_minute=10**7)
    venue = TellsNothingThatWaits(
        facts, FEED, "paper", SystemClock(), KEY, Signer().sign, rig[1].url, None, TimeOuts(1.0, 0.5)
    )
    await venue.start()
    try:
        await placed(venue, entry())
        assert await status(venue) == (OrdStatus.NEW, D(0)), "it stands, and is not given again"
        assert (await venue.cancel(NAME, PERPETUAL)).status in TERMINAL
        assert await names(venue) == set()
    finally:
        await venue.close()


@pytest.mark.parametrize("order", [pair(), entry()])
@pytest.mark.parametrize("fault", ["reset_after", "error_after", "error_before"])
async def test_a_lost_answer_is_asked_for_and_a_list_is_there_once_or_not_at_all(
    rig: tuple[Deribit, Door], order: VenueOrder, fault: str
) -> None:
    venue, door = rig
    await bought(venue)
    await door.fault("order.place", fault)
    signed = await venue.authorize(order)
    with pytest.raises(Reconcile):
        await venue.submit(signed)
    there = await venue.query(order.cl_ord_id, PERPETUAL)
    assert (there is None) == (fault == "error_before")
    with pytest.raises(Reconcile, match="sent before"):
        await venue.submit(signed)
    legs = [one for one in (await door.truth())["orders"] if order.cl_ord_id in one["clientOrderId"] or NAME in one["clientOrderId"]]  # fmt: skip
    assert len(legs) == (0 if fault == "error_before" else 2 if order.then is None else 3)


async def test_a_list_outlives_the_line_whose_orders_end_with_it(rig: tuple[Deribit, Door]) -> None:
    _, door = rig
    venue = deribit_session(door.url, Signer(logs_on=True))
    await venue.start()

    async def read() -> None:
        async with aclosing(venue.stream()) as reports:
            async for _ in reports:
                pass

    reading = asyncio.create_task(read())
    try:
        await until(lambda: venue.line.up)
        alone = VenueOrder(ClOrdId("fl-alone"), PERPETUAL, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(2), D(2980))  # fmt: skip
        await placed(venue, alone)
        await placed(venue, entry())
        await door.disconnect()
        for _ in range(200):
            if ClOrdId("fl-alone") not in await names(venue):
                break
        assert await names(venue) == {ENTRY, NAME}
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await venue.close()


async def test_the_signer_counts_all_three_and_refuses_what_they_cost_together(
    rig: tuple[Deribit, Door],
) -> None:
    _, door = rig
    venue = deribit_session(door.url, Signer(limit=BAND))
    await venue.start()
    try:
        alone = await venue.authorize(pair())
        assert alone.cl_ord_id == NAME
        with pytest.raises(Denied) as no:
            dear = Attached(NAME, BAND.per_order / BAND.px_to, EXITS, 1, 1)
            await venue.authorize(VenueOrder(ENTRY, PERPETUAL, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, dear.order_qty, D(2990), then=dear))  # fmt: skip
        assert no.value.code == "EXCHANGE_PER_ORDER"
    finally:
        await venue.close()


def test_lists_go_in_linear_futures_alone_and_elsewhere_exits_are_watched_here() -> None:
    coin = {"tick_size": "0.5", "contract_size": "1", "min_trade_amount": "1", "maker_commission": "0", "taker_commission": "0.0005"}  # fmt: skip
    rows = [
        {"kind": "future", "instrument_name": PERPETUAL, "instrument_type": "linear", "settlement_currency": "USDC"},
        {"kind": "future", "instrument_name": "ETH-PERPETUAL", "instrument_type": "reversed", "settlement_currency": "ETH"},
        {"kind": "option", "instrument_name": "ETH-27DEC30-3000-C", "settlement_currency": "ETH"},
        {"kind": "spot", "instrument_name": "ETH_USDC", "base_currency": "ETH", "quote_currency": "USDC"},
    ]  # fmt: skip
    markets = codec.markets(orjson.loads(orjson.dumps([{**coin, **row} for row in rows])), D(3), D(5))
    nobody: Any = None
    holds = linked.Pairs(nobody, markets).hold_in
    assert [name for name in markets if holds(name)] == [PERPETUAL] and not holds("SOL_USDC-PERPETUAL")
    for name in list(markets)[1:]:
        with pytest.raises(Usage, match="linear futures") as no:
            linked.list_params(list_of(replace(pair(), symbol=name)), markets[name], 1)
        assert no.value.code == "UNSUPPORTED_TERMS"


async def test_whether_exits_are_held_there_is_asked_of_the_instrument_that_is_traded(
    rig: tuple[Deribit, Door],
) -> None:
    venue, _ = rig
    perp, spot, usdc = (cex_id("paper", one) for one in (PERPETUAL, "ETH", "USDC"))
    ids = {"PERP": (perp,), "ETH": (spot, AssetId("cex:other/ETH")), "USDC": (usdc,)}
    known = Directory(ids, {})
    for base, holds in (("PERP", ("paper",)), ("PERP@cex:paper", ("paper",)), ("ETH", ()), ("USDC", ())):
        held = await holders({"paper": venue}, known, base, "USDC")
        assert held == holds
        at = f"{base.partition('@')[0]}@cex:paper"
        assert chosen(None, at, True, {"paper": venue}, held) == (held[0] if held else None)
    assert await holders({"paper": venue}, known, None, "USDC") == ()
    with pytest.raises(Usage, match="holds no pair of orders in what"):
        chosen("paper", "ETH", True, {"paper": venue}, ())


class NoOldTrades(Signer):
    """Of a version that knows no `historical`."""

    async def sign(self, method: str, path: str, payload: str) -> str:
        if "historical" in payload:
            raise Denied("EXCHANGE_PARAMETER", "historical is no parameter", "leave it out")
        return await super().sign(method, path, payload)


async def test_of_an_order_that_rests_for_days_the_trades_of_yesterday_are_asked_for_too(
    rig: tuple[Deribit, Door],
) -> None:
    venue, door = rig
    assert isinstance(door.here, DeribitServer)
    rests = VenueOrder(ClOrdId("fl-rests"), PERPETUAL, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(2), D(2990))  # fmt: skip
    await placed(venue, rests)
    await fill_at_paper(door, venue, rests.cl_ord_id, D("0.5"), PERPETUAL)
    for door.here.recent_ms in (86_400_000, 0):
        found = await venue.query(rests.cl_ord_id, PERPETUAL)
        assert found is not None and found.status is OrdStatus.PARTIALLY_FILLED
        assert sum((fill.qty_out for fill in found.fills), D(0)) == found.cum_qty == D("0.5")
    before = deribit_session(door.url, NoOldTrades())
    await before.start()
    with pytest.raises(Retry, match=r"tells 0 of 0\.5 done"):
        await before.query(rests.cl_ord_id, PERPETUAL)
    await before.close()
    ended = await venue.cancel(rests.cl_ord_id, PERPETUAL)
    assert (ended.status, ended.cum_qty, len(ended.fills)) == (OrdStatus.CANCELED, D("0.5"), 1)


async def test_what_is_no_list_is_refused_before_anything_is_sent(rig: tuple[Deribit, Door]) -> None:
    venue, door = rig
    for code, exits in {
        "LIST_INCOMPLETE": Exits(D(2900), D(2880), None),
        "OFF_GRID": Exits(D("2900.001"), D(2880), D(3050)),
    }.items():
        with pytest.raises(Usage) as refused:
            await venue.authorize(pair(exits))
        assert refused.value.code == code
    assert (await door.truth())["orders"] == []
