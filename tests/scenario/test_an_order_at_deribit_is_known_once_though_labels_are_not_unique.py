"""Deribit takes a label as often as it is sent: what was sent is not sent again, two alike are told, and what is late is not carried out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from deribit_rig import COMBO, DATED, PERPETUAL, Signer, deribit_paper, deribit_session
from paper import ACCOUNT, Door, served
from usdm_rig import Jumped
from venue_rigs import name_of

from agent.app.testvenue.__main__ import arguments, build
from agent.domain.errors import Denied, Reconcile, Reject, Usage
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.market.feeds import FeedFacts
from agent.venues import Terms
from agent.venues.deribit import FEED, Deribit

D = Decimal


def order(
    number: int, side: Side, qty: str, px: str, tif: TimeInForce = TimeInForce.GTC, symbol: str = PERPETUAL
) -> VenueOrder:
    return VenueOrder(name_of(number), symbol, side, OrdType.LIMIT, tif, D(qty), D(px))


@asynccontextmanager
async def account() -> AsyncIterator[tuple[Door, Deribit, Jumped, Signer]]:
    clock = Jumped()
    signer = Signer(now_ms=clock.now_ms)
    async with deribit_paper(clock.now_ms) as door:
        venue = deribit_session(door.url, signer, clock)
        await venue.start()
        try:
            yield door, venue, clock, signer
        finally:
            await venue.close()


async def test_what_was_sent_is_asked_for_and_never_sent_again() -> None:
    """Numbers 1 and 2, where the venue itself would take an order twice."""
    async with account() as (door, venue, _, signer):
        request = await venue.authorize(order(0, Side.BUY, "1", "2990"))
        await door.fault("order.place", "reset_after")
        with pytest.raises(Reconcile):
            await venue.submit(request)
        with pytest.raises(Reconcile) as again:
            await venue.submit(request)
        assert again.value.code == "SENT_BEFORE" and len(await venue.open_orders()) == 1
        # another session, which does not remember: the venue takes it, and both are told
        # and one whose signer signs nothing about this instrument asks nothing about it, and goes on
        strange = deribit_session(door.url, Signer(symbols=frozenset({"BTC_USDC-PERPETUAL"})))
        await strange.start()
        assert await strange.fills_since(0) == [] and len(await strange.open_orders()) == 1
        await strange.close()
        other = deribit_session(door.url, signer)
        await other.start()
        await other.submit(request)
        await other.close()
        with pytest.raises(Reconcile) as two:
            await venue.query(name_of(0), PERPETUAL)
        assert two.value.code == "MORE_THAN_ONE_LIKE_IT"


async def test_what_comes_too_late_is_not_carried_out() -> None:
    async with account() as (_, venue, clock, _):
        request = await venue.authorize(order(0, Side.BUY, "1", "2990"))
        clock.ahead_s += 6
        with pytest.raises(Reconcile) as late:
            await venue.submit(request)
        assert late.value.code == "UNKNOWN_OUTCOME" and await venue.query(name_of(0), PERPETUAL) is None
        clock.ahead_s += 61
        early = deribit_session(venue.http.base_url, Signer())  # its signatures are of a minute ago
        await early.start()
        with pytest.raises(Reject) as refused:
            await early.balances()
        assert refused.value.code == "INVALID_SIGNATURE" and refused.value.hint
        await early.close()


async def test_terms_positions_and_changes() -> None:
    async with account() as (_, venue, _, _):
        with pytest.raises(Reject) as refused:
            await venue.submit(
                await venue.authorize_with(order(0, Side.BUY, "1", "3100"), Terms(post_only=True))
            )
        assert refused.value.code == "POST_ONLY_REJECTED"
        sold = await venue.submit(await venue.authorize(order(1, Side.SELL, "2", "2990", TimeInForce.IOC)))
        got = sum((fill.qty_out for fill in sold.fills), D(0))
        assert sold.status is OrdStatus.FILLED and {f.asset_in for f in sold.fills} == {
            f"cex:paper/{PERPETUAL}"
        }
        (held,) = await venue.positions()
        assert (held.symbol, held.qty, held.leverage) == (PERPETUAL, -2, 20)
        assert held.cost.quantize(D("0.01")) == -got.quantize(D("0.01"))
        closes = order(2, Side.BUY, "5", "3100", TimeInForce.IOC)
        closed = await venue.submit(await venue.authorize_with(closes, Terms(reduce_only=True)))
        assert (closed.cum_qty, await venue.positions()) == (2, ())
        await venue.submit(await venue.authorize(order(3, Side.BUY, "1", "2990")))
        changed = await venue.modify(order(3, Side.BUY, "2", "2991"))
        assert (changed.cl_ord_id, changed.order_qty, changed.px) == (name_of(3), 2, 2991)
        taken = await venue.modify(order(3, Side.BUY, "2", "3100"))
        assert taken.status is OrdStatus.FILLED and sum((f.qty_out for f in taken.fills), D(0)) == 2
        with pytest.raises(Reject):
            await venue.modify(order(3, Side.BUY, "1", "2990"))
        with pytest.raises(Usage):
            await venue.authorize_with(order(4, Side.BUY, "1", "2990"), Terms(good_till_ns=1))


async def test_a_stop_waits_at_the_exchange_and_is_one_order_before_and_after_it_was_triggered() -> None:
    """Number 12 as far as the exchange holds it: what is left of it is asked for under the one label that it always had."""
    async with account() as (door, venue, _, signer):
        await venue.submit(await venue.authorize(order(0, Side.BUY, "2", "3100", TimeInForce.IOC)))
        stop = order(1, Side.SELL, "2", "2970")
        placed = await venue.submit(await venue.authorize_stop(stop, D("2985"), Terms(reduce_only=True)))
        gains = order(2, Side.SELL, "1", "3200")
        await venue.submit(await venue.authorize_stop(gains, D("3150"), gains=True))
        assert (placed.status, placed.px, placed.cum_qty) == (OrdStatus.NEW, D("2970"), 0)
        assert {one.cl_ord_id for one in await venue.open_orders()} == {name_of(1), name_of(2)}
        waits = await venue.query(name_of(1), PERPETUAL)
        assert waits is not None and waits.venue_order_id.startswith("SLTS-")

        ended = await venue.cancel(name_of(2), PERPETUAL)
        assert ended.status is OrdStatus.CANCELED and not ended.cum_qty
        assert [one.cl_ord_id for one in await venue.open_orders()] == [name_of(1)]

        total = sum(D(size) for px, size in await door.bids() if D(px) >= D("2980"))
        await door.house("SELL", "2980", str(total))  # somebody sells down to there: it is triggered
        done = await venue.query(name_of(1), PERPETUAL)
        assert done is not None and (done.status, done.cum_qty) == (OrdStatus.FILLED, 2)
        assert sum(fill.qty_in for fill in done.fills) == 2 and done.venue_order_id != waits.venue_order_id
        assert not await venue.positions() and not await venue.open_orders()
        for wrong in (Terms(post_only=True), Terms(good_till_ns=1)):
            with pytest.raises(Usage):
                await venue.authorize_stop(order(3, Side.SELL, "1", "2900"), D("2950"), wrong)
        with pytest.raises(Usage) as off:
            await venue.authorize_stop(order(3, Side.SELL, "1", "2900"), D("2950.001"))
        assert off.value.code == "OFF_GRID"
        market = VenueOrder(name_of(4), PERPETUAL, Side.BUY, OrdType.MARKET, TimeInForce.IOC, D(1), None)
        with pytest.raises(Denied) as unbounded:  # at any price, some day
            await venue.authorize_stop(market, D("3100"))
        assert unbounded.value.code == "EXCHANGE_MARKET"


async def until(so: Callable[[], bool]) -> None:
    for _ in range(500):
        if so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


@asynccontextmanager
async def logged_on(
    feed: FeedFacts = FEED,
) -> AsyncIterator[tuple[Door, Deribit, list[ExecutionReport], asyncio.Task[None]]]:
    """Where the owner's signer grants a log-on: the line is up, and all that is told is kept."""
    async with deribit_paper() as door:
        venue = deribit_session(door.url, Signer(logs_on=True, away=1), feed=feed)
        await venue.start()
        got: list[ExecutionReport] = []

        async def listen() -> None:
            async for report in venue.stream():
                got.append(report)

        listening = asyncio.create_task(listen())
        await until(lambda: venue.line.up)
        try:
            yield door, venue, got, listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await venue.close()


async def test_a_granted_line_carries_orders_and_what_it_carried_ends_with_it() -> None:
    async with logged_on() as (door, venue, got, _):
        await venue.submit(await venue.authorize(order(0, Side.BUY, "1", "2990")))
        taken = await venue.submit(await venue.authorize(order(1, Side.BUY, "1", "3100", TimeInForce.IOC)))
        assert taken.status is OrdStatus.FILLED
        with pytest.raises(Reject) as refused:
            dear = order(2, Side.BUY, "1", "3100")
            await venue.submit(await venue.authorize_with(dear, Terms(post_only=True)))
        assert refused.value.code == "POST_ONLY_REJECTED"
        await door.disconnect()  # as the venue does now and then; nobody logged out
        await until(lambda: any(report.exec_type is ExecType.CANCELED for report in got))
        ended = await venue.query(name_of(0), PERPETUAL)
        assert ended is not None and ended.status is OrdStatus.CANCELED
        fills = [report.fill for report in got if report.fill is not None]
        assert fills == list(taken.fills)  # by the line and by the audit, told once
        await until(lambda: venue.line.up)  # it comes back by itself


async def test_an_answer_that_the_line_lost_is_asked_for_and_an_end_in_order_leaves_orders() -> None:
    """Number 3: over the line or by HTTP, one order under one label."""
    async with logged_on() as (door, venue, _, listening):
        await door.fault("order.place", "reset_after")
        request = await venue.authorize(order(0, Side.BUY, "1", "2990"))
        with pytest.raises(Reconcile):
            await venue.submit(request)
        found = await venue.query(name_of(0), PERPETUAL)
        assert found is not None  # and the venue ended it with its line, or is about to
        with pytest.raises(Reconcile) as again:
            await venue.submit(request)
        assert again.value.code == "SENT_BEFORE"
        await until(lambda: venue.line.up)
        await venue.submit(await venue.authorize(order(1, Side.BUY, "1", "2991")))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert [one.cl_ord_id for one in await venue.open_orders()] == [name_of(1)]
        after = await venue.submit(await venue.authorize(order(2, Side.BUY, "1", "2992")))  # by HTTP again
        assert after.status is OrdStatus.NEW and len(await venue.open_orders()) == 2


async def test_a_line_that_stays_open_and_says_nothing_is_taken_up_again() -> None:
    """Number 9: a socket that looks alive; what was sent over it ended with it, and is told."""
    async with logged_on(replace(FEED, line_quiet_s=0.3)) as (door, venue, got, _):
        await venue.submit(await venue.authorize(order(0, Side.BUY, "1", "2990")))
        assert venue.line.up
        await until(lambda: any(report.exec_type is ExecType.CANCELED for report in got))
        await until(lambda: venue.line.up)


SPREAD = ["--symbol", "ETH/USDC", "--symbol", "ETH-27DEC30/USDC=3012", "--combo", "ETH-FS-27DEC30_PERP=ETH-27DEC30/USDC:1,ETH/USDC:-1"]  # fmt: skip


async def stands(venue: Deribit):  # type: ignore[no-untyped-def]
    return await venue.positions(), await venue.query(name_of(0), PERPETUAL), await venue.fills(COMBO, 0)


async def test_a_paper_exchange_of_contracts_rebuilds_orders_labels_and_positions_from_its_journal(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        options = arguments().parse_args(
            [
                "--dialect",
                "deribit",
                "--journal",
                str(tmp_path / "j"),
                "--account",
                ACCOUNT,
                "--still",
                *SPREAD,
            ]  # fmt: skip
        )
        server = build(options)
        async with served(server, "/api/v2/depth") as door:
            venue = deribit_session(door.url)
            await venue.start()
            if not await venue.open_orders():
                await venue.submit(await venue.authorize(order(0, Side.BUY, "1", "2990")))
                await venue.modify(order(0, Side.BUY, "2", "2991"))
                await venue.submit(await venue.authorize(order(1, Side.SELL, "1", "2900", TimeInForce.IOC)))
                spread = order(2, Side.BUY, "3", "20", TimeInForce.IOC)
                await venue.submit(await venue.authorize(replace(spread, symbol=COMBO)))
                before = await stands(venue)
            after = await stands(venue)
            await venue.close()
        assert server.venue.log is not None
        server.venue.log.close()
        assert after == before and after[1] is not None and after[1].px == 2991
        assert {held.symbol: held.qty for held in after[0]} == {DATED: 3, PERPETUAL: -4} and len(
            after[2]
        ) == 2
