"""Given Hyperliquid's dialect and answers that get lost, sockets that repeat or say nothing: one order, each fill once, nothing sent again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from venue_rigs import hyper_account

from agent.app.watching.margins import judged_now
from agent.domain.errors import Reconcile, Reject, Usage
from agent.domain.ids import ClOrdId, child_id, parent_id, part_id
from agent.domain.instruments import cex_id
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.venues.hyperliquid import Hyperliquid

D = Decimal
NAMES = [
    part_id(child_id(parent_id("i-x"), n), "cex:hl", 1)  # type: ignore[arg-type]
    for n in range(9)
]


def order(name: ClOrdId = NAMES[0], **changes: object) -> VenueOrder:
    plain = VenueOrder(name, "PURR/USDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(2), D("20.1"))
    return replace(plain, **changes)  # type: ignore[arg-type]


async def gathered(venue: Hyperliquid, count: int, more_s: float = 0.3) -> list[ExecutionReport]:
    """The first `count` reports, and whatever else comes in a moment."""
    found: list[ExecutionReport] = []

    async def read() -> None:
        async for report in venue.stream():
            found.append(report)

    task = asyncio.create_task(read())
    try:
        async with asyncio.timeout(5):
            while len(found) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(more_s)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found


async def test_an_order_lives_from_placing_to_its_end() -> None:
    async with hyper_account() as (server, venue):
        (instrument,) = await venue.instruments()
        assert (instrument.symbol, instrument.tick, instrument.lot) == ("PURR/USDC", D("0.001"), D("0.01"))
        book = await venue.book("PURR/USDC")
        assert book.symbol == "PURR/USDC" and book.bids[0] == (D("20.5"), D(5))
        placed = await venue.submit(await venue.authorize(order()))
        assert (placed.cl_ord_id, placed.status, placed.cum_qty) == (NAMES[0], OrdStatus.NEW, 0)
        assert [one.cl_ord_id for one in await venue.open_orders()] == [NAMES[0]]
        changed = await venue.modify(order(order_qty=D(3)))
        assert changed.order_qty == 3 and changed.status is OrdStatus.NEW
        cloid = server.actions[0]["orders"][0]["c"]
        await server.fill(cloid, D(1), D("20.1"))
        ended = await venue.cancel(NAMES[0], "PURR/USDC")
        assert (ended.status, ended.cum_qty, len(ended.fills)) == (OrdStatus.CANCELED, 1, 1)
        again = await venue.cancel(NAMES[0], "PURR/USDC")
        assert again.status is OrdStatus.CANCELED
        balance, dollars = await venue.balances()
        assert (balance.asset, balance.free, balance.locked) == (cex_id("hl", "PURR"), D("27.5"), D("2.5"))
        assert [(held.symbol, held.qty) for held in await venue.positions()] == [("ETH-PERP", D("-0.5"))]
        assert (dollars.asset, dollars.free, dollars.locked) == (
            cex_id("hl", "USDC-PERPS"),
            D("17.6"),
            D("82.4"),
        )
        (judged,) = await judged_now(venue)
        assert judged.health is not None and judged.health.collateral_value_raw == D("92.65") * 10**8
        assert judged.health.maintenance_raw == D("45.025") * 10**8, "two tiers of its own table"
        server.mode, server.now_ms = "unifiedAccount", server.now_ms + 60_000
        with pytest.raises(Usage) as mixed:
            await venue.margin()
        assert mixed.value.code == "UNIFIED_MARGIN" and "unifiedAccount" in mixed.value.message
        await venue.schedule_cancel(60)
        assert server.scheduled == server.now_ms + 60_000
        await venue.schedule_cancel(None)
        assert server.scheduled is None
        assert server.nonces == sorted(set(server.nonces))


async def test_what_is_taken_at_once_comes_back_with_its_fills_and_fees() -> None:
    async with hyper_account() as (_, venue):
        taken = await venue.submit(
            await venue.authorize(order(px=D(22), order_qty=D(7), time_in_force=TimeInForce.IOC))
        )
        assert (taken.status, taken.cum_qty) == (OrdStatus.CANCELED, 5)
        (fill,) = taken.fills
        assert (fill.asset_out, fill.qty_out, fill.qty_in, fill.fee_qty) == (
            cex_id("hl", "PURR"), D(5), D(105), D("0.01")
        )  # fmt: skip
        with pytest.raises(Reject) as refused:
            await venue.submit(await venue.authorize(order(NAMES[1], time_in_force=TimeInForce.IOC)))
        assert refused.value.code == "NOT_MATCHED"
        assert await venue.query(NAMES[1], "PURR/USDC") is None


async def test_a_lost_answer_is_asked_after_by_its_id_and_its_bytes_do_nothing_twice() -> None:
    """Numbers 1 and 3: the venue took it, we never heard."""
    async with hyper_account() as (server, venue):
        request = await venue.authorize(order())
        server.lose = 1
        with pytest.raises(Reconcile):
            await venue.submit(request)
        found = await venue.query(NAMES[0], "PURR/USDC")
        assert found is not None and found.status is OrdStatus.NEW
        with pytest.raises(Reconcile) as twice:
            await venue.submit(request)
        assert twice.value.code == "DUPLICATE_CLIENT_ID" and len(server.orders) == 1
        server.lose = 1
        with pytest.raises(Reconcile):
            await venue.cancel(NAMES[0], "PURR/USDC")
        ended = await venue.query(NAMES[0], "PURR/USDC")
        assert ended is not None and ended.status is OrdStatus.CANCELED


async def test_fills_told_twice_by_the_socket_and_again_by_the_audit_count_once() -> None:
    """Number 7."""
    async with hyper_account() as (server, venue):
        server.twice = True
        reading = asyncio.create_task(gathered(venue, 3))
        while not server._sockets:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await venue.submit(await venue.authorize(order()))
        await server.fill(server.actions[0]["orders"][0]["c"], D(1), D("20.1"))
        await venue.cancel(NAMES[0], "PURR/USDC")
        told = await reading
        assert [one.exec_type for one in told if one.exec_type is not ExecType.NEW] == [
            ExecType.TRADE, ExecType.CANCELED
        ]  # fmt: skip
        assert all(one.cl_ord_id == NAMES[0] for one in told) and len(told) <= 3


async def test_a_socket_that_says_nothing_costs_no_fill() -> None:
    """Number 9: the audit finds it."""
    async with hyper_account() as (server, venue):
        server.mute = True
        await venue.submit(await venue.authorize(order()))
        await server.fill(server.actions[0]["orders"][0]["c"], D(2), D("20.1"))
        told = await gathered(venue, 1)
        assert [(one.cl_ord_id, one.exec_type) for one in told] == [(NAMES[0], ExecType.TRADE)]


async def test_a_fill_after_the_cancel_is_told_too_and_in_another_process() -> None:
    """Number 8, and 5: the id is read out of the cloid by a session that never saw the order."""
    async with hyper_account() as (server, venue):
        await venue.submit(await venue.authorize(order()))
        await venue.cancel(NAMES[0], "PURR/USDC")
        cloid = server.actions[0]["orders"][0]["c"]
        venue.reader.names.clear()
        await server.fill(cloid, D(1), D("20.1"))
        server.orders[cloid]["status"] = "canceled"
        told = await gathered(venue, 2)
        assert {one.exec_type for one in told} == {ExecType.TRADE, ExecType.CANCELED}
        assert {one.cl_ord_id for one in told} == {NAMES[0]}
        ((name, fill),) = await venue.fills("PURR/USDC", 0)
        assert name == NAMES[0] and fill.qty_out == 1


@pytest.mark.parametrize(("changes", "code"), [
    ({"order_qty": D("1.005")}, "OFF_GRID"), ({"px": D("20.1234")}, "OFF_GRID"), ({"px": D("0.00001")}, "BELOW_MIN_NOTIONAL"),
    ({"px": None, "ord_type": OrdType.MARKET}, "MISSING_PRICE"), ({"time_in_force": TimeInForce.FOK}, "UNSUPPORTED_TIF"),
    ({"symbol": "BTC"}, "UNKNOWN_SYMBOL"),
])  # fmt: skip
async def test_what_the_venue_would_refuse_is_not_sent(changes: dict[str, object], code: str) -> None:
    async with hyper_account() as (server, venue):
        with pytest.raises(Usage) as refused:
            await venue.authorize(order(**changes))
        assert refused.value.code == code and not server.actions
