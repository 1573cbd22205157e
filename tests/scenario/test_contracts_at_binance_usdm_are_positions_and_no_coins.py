"""Orders in contracts: what they make is a position with a cost, their terms hold, and no fault of the wire doubles or loses one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from paper import KEY, Door
from usdm_rig import Jumped, Signer, usdm_paper, usdm_session
from venue_rigs import name_of

from agent.app.comparison import compare_venue
from agent.app.panic import emptied
from agent.app.testvenue.usdm import UsdmServer
from agent.domain.errors import Denied, Reconcile, Reject, Usage
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.journal.book import Book
from agent.transport.http import TimeOuts
from agent.venues import Terms
from agent.venues.binance_usdm import BinanceUsdm

D = Decimal
PATIENT = TimeOuts(10.0, 2.0)
"""A busy machine is no lost answer."""


def order(
    number: int, side: Side, qty: str, px: str | None, tif: TimeInForce = TimeInForce.GTC
) -> VenueOrder:
    kind = OrdType.MARKET if px is None else OrdType.LIMIT
    return VenueOrder(name_of(number), "ETHUSDC", side, kind, tif, D(qty), None if px is None else D(px))


@asynccontextmanager
async def account() -> AsyncIterator[tuple[Door, BinanceUsdm, Jumped, Signer]]:
    clock = Jumped()
    signer = Signer(now_ms=clock.now_ms)
    async with usdm_paper(clock.now_ms) as door:
        venue = usdm_session(door.url, signer, clock, PATIENT)
        await venue.start()
        try:
            yield door, venue, clock, signer
        finally:
            await venue.close()


async def send(venue: BinanceUsdm, one: VenueOrder, terms: Terms = Terms()):  # type: ignore[no-untyped-def] # noqa: B008
    return await venue.submit(await venue.authorize_with(one, terms))


async def told(venue: BinanceUsdm, enough: Callable[[list[ExecutionReport]], bool]) -> list[ExecutionReport]:
    got: list[ExecutionReport] = []
    async with asyncio.timeout(10):
        async for report in venue.stream():
            got.append(report)
            if enough(got):
                break
    return got


async def test_a_short_is_a_position_with_a_cost_and_what_closes_it_realises() -> None:
    async with account() as (door, venue, _, _):
        sold = await send(venue, order(0, Side.SELL, "2", "2990", TimeInForce.IOC))
        assert sold.status is OrdStatus.FILLED and {f.asset_in for f in sold.fills} == {"cex:paper/ETHUSDC"}
        got, fees = sum((f.qty_out for f in sold.fills), D(0)), sum((f.fee_qty for f in sold.fills), D(0))
        (held,) = await venue.positions()
        assert (held.symbol, held.qty, held.cost, held.leverage) == ("ETHUSDC", D(-2), -got, D(20))
        assert held.entry_px == (got / 2).quantize(D("1e-8")) and held.settle == "cex:paper/USDC"
        (cash,) = [b for b in await venue.balances() if b.asset == "cex:paper/USDC"]
        assert cash.free + cash.locked == D(100_000) - fees and cash.locked > 0
        bought = await send(venue, order(1, Side.BUY, "2", "3100", TimeInForce.IOC), Terms(reduce_only=True))
        paid = sum((f.qty_in for f in bought.fills), D(0))
        fees += sum((f.fee_qty for f in bought.fills), D(0))
        assert await venue.positions() == ()
        (cash,) = [b for b in await venue.balances() if b.asset == "cex:paper/USDC"]
        assert (cash.free, cash.locked) == (D(100_000) + got - paid - fees, 0)
        totals = (await door.truth())["totals"]
        assert D(totals["USDC"]) == D(100_000) and D(totals["ETH"]) == D(
            50
        )  # nothing was made and no coin moved


async def test_terms_hold_and_what_they_exclude_never_leaves() -> None:
    async with account() as (_, venue, clock, signer):
        with pytest.raises(Reject) as refused:
            await send(venue, order(0, Side.SELL, "1", "3100"), Terms(reduce_only=True))
        assert refused.value.code == "REDUCE_ONLY_REJECTED"
        with pytest.raises(Reject) as refused:
            await send(venue, order(1, Side.BUY, "1", "3100"), Terms(post_only=True))
        assert refused.value.code == "POST_ONLY_REJECTED" and await venue.query(name_of(1), "ETHUSDC") is None
        assert (
            await send(venue, order(2, Side.BUY, "1", "2990"), Terms(post_only=True))
        ).status is OrdStatus.NEW
        for number in (30, 31):
            await send(venue, order(number, Side.BUY, "300", "2990"))
        with pytest.raises(Reject) as refused:
            await send(venue, order(3, Side.BUY, "300", "2990"))
        assert refused.value.code == "INSUFFICIENT_MARGIN"
        # a reduce-only order closes what is there and no more
        await send(venue, order(4, Side.BUY, "1", "3100", TimeInForce.IOC))
        closed = await send(venue, order(5, Side.SELL, "5", "2900", TimeInForce.IOC), Terms(reduce_only=True))
        assert (closed.status, closed.cum_qty, await venue.positions()) == (OrdStatus.EXPIRED, 1, ())
        until = clock.now_ns() + 900 * 10**9
        await send(venue, order(6, Side.BUY, "1", "2980"), Terms(good_till_ns=until))
        clock.ahead_s += 901
        gone = await venue.query(name_of(6), "ETHUSDC")
        assert gone is not None and gone.status is OrdStatus.EXPIRED
        before = len(signer.asked)
        for one, terms in (
            (order(7, Side.BUY, "1", "2990", TimeInForce.IOC), Terms(post_only=True)),
            (order(7, Side.BUY, "1", "2990"), Terms(good_till_ns=clock.now_ns() + 10**9)),
            (order(7, Side.BUY, "1", "2990"), Terms(post_only=True, good_till_ns=until * 2)),
        ):
            with pytest.raises(Usage) as wrong:
                await venue.authorize_with(one, terms)
            assert wrong.value.code == "UNSUPPORTED_TERMS"
        assert len(signer.asked) == before
        # what only reduces may be as small as it likes
        await send(venue, order(8, Side.BUY, "0.002", "3100", TimeInForce.IOC))
        small = order(9, Side.SELL, "0.001", "2900", TimeInForce.IOC)
        assert "reduceOnly=true" in (await venue.authorize_with(small, Terms(reduce_only=True))).payload


async def test_a_stop_waits_under_its_name_and_is_an_order_of_that_name_once_reached() -> None:
    async with account() as (door, venue, _, _):
        await send(venue, order(0, Side.BUY, "1", "3100", TimeInForce.IOC))
        stop = await venue.stops.place(order(1, Side.SELL, "1", "2900"), D(2950), Terms(reduce_only=True))
        assert stop.waits and (stop.trigger_px, stop.px) == (2950, 2900)
        assert [one.cl_ord_id for one in await venue.stops.opened()] == [name_of(1)]
        assert await venue.open_orders() == ()  # a condition is no order
        await door.level("BUY", "2949", "5")
        below = sum((D(qty) for px, qty in await door.bids() if D(px) > D(2949)), D(0))
        await door.house("SELL", "2949", str(below + 1))
        found = await venue.stops.query(name_of(1))
        assert found is not None and not found.waits
        done = await venue.query(name_of(1), "ETHUSDC")
        assert done is not None and done.status is OrdStatus.FILLED and await venue.positions() == ()
        gains = await venue.stops.place(order(2, Side.SELL, "1", "3300"), D(3290), Terms(), gains=True)
        assert gains.waits and (await venue.stops.cancel(name_of(2))).state == "CANCELED"
        with pytest.raises(Reject) as missing:
            await venue.stops.cancel(name_of(3))
        assert missing.value.code == "NO_SUCH_ORDER" and await venue.stops.query(name_of(3)) is None


async def test_what_waits_for_its_price_is_told_by_a_reconciliation_and_ended_by_a_panic() -> None:
    async with account() as (door, venue, _, signer):
        await send(venue, order(0, Side.BUY, "1", "2990"))
        for number, px in ((1, "2900"), (2, "2800")):
            await venue.stops.place(order(number, Side.SELL, "1", px), D(px) + 10, Terms())
        found = await compare_venue(venue, Book(), ("ETHUSDC",), venue.account.now_ms() * 10**6)
        assert {d.what for d in found if d.kind == "foreign order"} == {
            f"buy 1.00000000 ETHUSDC is open at paper as {name_of(0)}",
            f"sell 1 ETHUSDC once 2910 is reached waits at paper as {name_of(1)}",
            f"sell 1 ETHUSDC once 2810 is reached waits at paper as {name_of(2)}",
        }
        assert not any(d.explained for d in found)
        left = await compare_venue(venue, Book(), ("ETHUSDC",), venue.account.now_ms() * 10**6, leave=True)
        # Whatever the settings say of others' orders: these say that they are Fairlead's.
        assert {d.locks for d in left if d.kind == "foreign order"} == {"ORDERS_OPEN"}
        signer.unread = "/openAlgoOrders"  # open orders are cancelled whatever cannot be asked
        done = await emptied(venue)
        assert [(d.what, d.confirmed) for d in done] == [
            (f"buy 1.00000000 ETHUSDC {name_of(0)}", True),
            ("conditional orders", False),
        ]
        signer.once = True  # what is seen when it is too late to be ended first is ended all the same
        await venue.stops.place(order(3, Side.SELL, "1", "2700"), D(2710), Terms())
        await venue.stops.cancel(name_of(1))
        await venue.stops.cancel(name_of(2))
        done = await emptied(venue)
        assert [(d.what.rpartition(" ")[2], d.confirmed, d.told) for d in done] == [
            (name_of(3), True, "CANCELED")
        ]
        assert not signer.unread and await venue.conditions() == ()
        for number, px in ((4, "2900"), (5, "2800")):
            await venue.stops.place(order(number, Side.SELL, "1", px), D(px) + 10, Terms())
        triggered, waits = await venue.conditions()
        await door.level("BUY", "2909", "0.1")
        below = sum((D(qty) for px, qty in await door.bids() if D(px) > D(2909)), D(0))
        await door.house("SELL", "2909", str(below + D("0.1")))
        assert await venue.end_condition(triggered) == "TRIGGERED"  # too late: it is an open order
        assert [o.cl_ord_id for o in await venue.open_orders()] == [triggered.cl_ord_id]
        done = await emptied(venue)
        assert {(d.what.rpartition(" ")[2], d.confirmed, d.told) for d in done} == {
            (waits.cl_ord_id, True, "CANCELED"),
            (triggered.cl_ord_id, True, "CANCELED"),
        }
        assert await venue.conditions() == () == await venue.open_orders()
        assert [(d.what, d.told) for d in await emptied(venue)] == [("open orders", "none")]


async def test_the_countdown_ends_what_nobody_speaks_for_and_is_taken_back() -> None:
    async with account() as (_, venue, clock, _):
        await send(venue, order(0, Side.BUY, "1", "2990"))
        await venue.schedule_cancel(60)
        await venue.schedule_cancel(None)
        clock.ahead_s += 61
        assert len(await venue.open_orders()) == 1
        await venue.schedule_cancel(60)
        clock.ahead_s += 61
        assert await venue.open_orders() == ()
        ended = await venue.query(name_of(0), "ETHUSDC")
        assert ended is not None and ended.status is OrdStatus.CANCELED


async def test_an_amendment_keeps_the_name_and_a_lost_answer_is_asked_for() -> None:
    async with account() as (door, venue, _, _):
        await send(venue, order(0, Side.BUY, "1", "2990"))
        changed = await venue.modify(order(0, Side.BUY, "2", "2991"))
        assert (changed.cl_ord_id, changed.order_qty, changed.px) == (name_of(0), 2, 2991)
        await door.fault("order.amend", "reset_after")
        with pytest.raises(Reconcile):
            await venue.modify(order(0, Side.BUY, "1", "2992"))
        there = await venue.query(name_of(0), "ETHUSDC")
        assert there is not None and (there.order_qty, there.px) == (1, 2992)
        taken = await venue.modify(order(0, Side.BUY, "1", "3100"))
        assert taken.status is OrdStatus.FILLED and taken.cum_qty == 1
        with pytest.raises(Reject):
            await venue.modify(order(0, Side.BUY, "1", "2992"))


@pytest.mark.parametrize("fault", ["drop", "duplicate", "partial", "close", "silence"])
async def test_what_the_socket_loses_or_repeats_the_audit_tells_once(fault: str) -> None:
    """Numbers 6, 7 and 9: each fill by its trade id."""
    async with account() as (door, venue, _, _):
        await send(venue, order(0, Side.SELL, "2", "3010"))
        await door.fault("user", fault, count=3)

        async def life() -> None:
            await asyncio.sleep(0.05)
            above = sum(
                (level[1] for level in (await venue.book("ETHUSDC")).asks if level[0] < D(3010)), D(0)
            )
            for part in ("0.5", "0.75"):
                await door.house("BUY", "3010", str(above + D(part)))
                above = D(0)
            await venue.cancel(name_of(0), "ETHUSDC")

        living = asyncio.create_task(life())
        got = await told(venue, lambda seen: seen[-1].exec_type is ExecType.CANCELED)
        await living
        fills = [report.fill for report in got if report.fill is not None]
        assert len({fill.exec_id for fill in fills}) == len(fills)
        (held,) = await venue.positions()
        assert sum((fill.qty_in for fill in fills), D(0)) == -held.qty > 0
        mine = [t for t in (await door.truth())["trades"] if t["account"] == KEY]
        assert sum((D(t["qty"]) for t in mine), D(0)) == -held.qty


async def test_what_others_hold_where_the_signer_signs_nothing_does_not_stop_the_reports() -> None:
    async with account() as (door, venue, _, _):
        await send(venue, order(0, Side.BUY, "1", "3100", TimeInForce.IOC))
        assert venue.http.orders is not None and venue.http.orders.used == 1, "as the exchange counts"
        other = usdm_session(door.url, Signer(symbols=frozenset({"BTCUSDC"})))
        await other.start()
        try:
            assert [held.symbol for held in await other.positions()] == ["ETHUSDC"]
            assert await other.fills_since(0) == []
        finally:
            await other.close()


async def test_what_the_signer_refuses_after_a_report_is_told_in_its_words() -> None:
    async with account() as (door, venue, _, _):
        signer = Signer()
        listens = usdm_session(door.url, signer, audit_s=60)
        await listens.start()

        async def listen() -> None:
            async with asyncio.timeout(10):
                async for report in listens.stream():
                    if report.exec_type is ExecType.NEW:
                        signer.locked = True
                        await venue.cancel(report.cl_ord_id, "ETHUSDC")

        try:
            listening = asyncio.create_task(listen())
            while listens.reports.audits < 2:  # noqa: ASYNC110  # the second is what the socket wakes as it comes up
                await asyncio.sleep(0.01)
            await send(venue, order(0, Side.BUY, "1", "2900"))
            with pytest.raises(Denied) as refused:
                await listening
        finally:
            await listens.close()
        assert (refused.value.code, refused.value.hint) == ("LOCKED", "unlock it")


async def test_an_account_in_hedge_mode_is_refused_before_anything_is_signed() -> None:
    class Hedged(UsdmServer):
        def account_config(self, params, account):  # type: ignore[no-untyped-def]
            return super().account_config(params, account) | {"dualSidePosition": True}

    async with usdm_paper(kind=Hedged) as door:
        signer = Signer()
        venue = usdm_session(door.url, signer)
        await venue.start()
        with pytest.raises(Usage) as refused:
            await venue.authorize(order(0, Side.BUY, "1", "2990"))
        assert refused.value.code == "HEDGE_MODE" and refused.value.hint
        assert signer.asked == ["GET /fapi/v1/accountConfig"]
        with pytest.raises(Usage) as refused:
            await venue.margin()
        assert refused.value.code == "HEDGE_MODE", "two positions of one contract are none of the model's"
        assert (await venue.commission_bps("ETHUSDC")) == (10, 10)
        await venue.close()


async def test_the_margin_of_an_account_whose_assets_stand_in_for_each_other_is_not_told_otherwise_than_it_is() -> (
    None
):
    class Mixed(UsdmServer):
        def account_config(self, params, account):  # type: ignore[no-untyped-def]
            return super().account_config(params, account) | {"multiAssetsMargin": True}

    async with usdm_paper(kind=Mixed) as door:
        venue = usdm_session(door.url, Signer())
        await venue.start()
        with pytest.raises(Usage) as refused:
            await venue.margin()
        assert refused.value.code == "MULTI_ASSET_MARGIN" and refused.value.hint
        await venue.close()
