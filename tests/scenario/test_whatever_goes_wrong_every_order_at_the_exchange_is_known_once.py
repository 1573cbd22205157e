"""Orders under random faults: lost answers, errors, resets, dropped and doubled events, a socket that breaks.

At the end the exchange's own books are opened: no order twice, none lost, every fill told once, balances as the fills say.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random

import pytest
from paper import Door, paper, session

from agent.app.testvenue.limits import Limits
from agent.domain.errors import Reconcile, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport, OrderSnapshot
from agent.venues.binance_spot import BinanceSpot

HTTP = ("error_after", "reset_after", "error_before", "hang_after", "hang_before")


def an_order(rng: Random, name: str) -> VenueOrder:
    side = rng.choice((Side.BUY, Side.SELL))
    qty = Decimal(rng.randint(20, 4_000)) / 10_000
    if rng.random() < 0.3:
        return VenueOrder(ClOrdId(name), "ETHUSDC", side, OrdType.MARKET, TimeInForce.IOC, qty, None)
    px = Decimal(300_000 + rng.randint(-150, 150)) / 100
    return VenueOrder(ClOrdId(name), "ETHUSDC", side, OrdType.LIMIT, rng.choice(tuple(TimeInForce)), qty, px)


async def ask(venue: BinanceSpot, name: ClOrdId) -> OrderSnapshot | None:
    while True:
        try:
            return await venue.query(name, "ETHUSDC")
        except Retry:
            await asyncio.sleep(0.02)


async def live(venue: BinanceSpot, door: Door, rng: Random, order: VenueOrder) -> OrderSnapshot | None:
    """Sends an order as its caller must, through whatever befalls it, to a definite answer."""
    if rng.random() < 0.5:
        await door.fault("order.place", rng.choice(HTTP))
    if rng.random() < 0.2:
        await door.fault("order.query", "error_before")
    if rng.random() < 0.4:
        await door.fault("user", rng.choice(("drop", "duplicate", "close")), count=rng.randint(1, 3))
    request = await venue.authorize(order)
    try:
        await venue.submit(request)
    except Reject:
        assert await ask(venue, order.cl_ord_id) is None
        return None
    except Reconcile:
        if await ask(venue, order.cl_ord_id) is None:
            return None
    if rng.random() < 0.3:
        await door.house(rng.choice(("BUY", "SELL")), f"{3000 + rng.randint(-2, 2)}.00", "3")
    if rng.random() < 0.4:
        await door.fault("order.cancel", rng.choice(("error_after", "error_before", "reset_after")))
    for _ in range(4):
        try:
            return await venue.cancel(order.cl_ord_id, "ETHUSDC")
        except (Reconcile, Retry):
            await asyncio.sleep(0.02)
    return await ask(venue, order.cl_ord_id)


async def run(seed: int, count: int) -> None:
    rng = Random(seed)
    async with paper(Limits(weight_limit=10**7, order_limit=10**4)) as door:
        venue = session(door.url, audit_s=0.3)
        await venue.start()
        told: list[ExecutionReport] = []

        async def read() -> None:
            async for report in venue.stream():
                told.append(report)

        reader = asyncio.create_task(read())
        known: dict[str, OrderSnapshot | None] = {}
        for number in range(count):
            order = an_order(rng, f"s{seed}-{number}")
            known[order.cl_ord_id] = await live(venue, door, rng, order)
        await door.clear()
        await asyncio.sleep(1.0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        truth = await door.truth()
        balances = {b.asset: b.free + b.locked for b in await venue.balances()}
        await venue.close()
    there = [order["clientOrderId"] for order in truth["orders"]]
    assert len(there) == len(set(there)), "an order stands twice"
    assert set(there) == {name for name, last in known.items() if last is not None}, (
        "an order is lost or invented"
    )
    fills = {f"ETHUSDC:{row['id']}": row for row in truth["trades"]}
    trades = [report.fill for report in told if report.fill is not None]
    assert sorted(f.exec_id for f in trades) == sorted(fills), "a fill was not told, or told twice"
    eth, usdc = Decimal(50), Decimal(100_000)
    for fill in trades:
        sign = 1 if fill.asset_out.endswith("/ETH") else -1
        eth += sign * (fill.qty_out if sign > 0 else fill.qty_in)
        usdc -= sign * (fill.qty_in if sign > 0 else fill.qty_out)
        if fill.fee_asset.endswith("/ETH"):
            eth -= fill.fee_qty
        else:
            usdc -= fill.fee_qty
    assert balances == {"cex:paper/ETH": eth, "cex:paper/USDC": usdc}
    for name, last in known.items():
        if last is not None:
            assert last.status in TERMINAL
            mine = [r for r in told if r.cl_ord_id == name]
            assert len({(r.exec_type, r.fill.exec_id if r.fill else "") for r in mine}) == len(mine)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_few_orders(seed: int) -> None:
    await run(seed, 12)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10, 30))
async def test_many_orders(seed: int) -> None:
    await run(seed, 60)
