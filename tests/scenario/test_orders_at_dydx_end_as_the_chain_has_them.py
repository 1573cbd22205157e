"""Seeded lives of orders at dYdX's dialect over a wire that loses, cuts and garbles: nothing twice, nothing lost, and all of it as the engine has it."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest
from dydx_rig import ADDRESS, MARKET, dydx_paper, dydx_session
from paper import Door

from agent.app.testvenue import dydx_wire
from agent.app.testvenue.dydx import DydxServer
from agent.domain.errors import FairleadError, Reconcile, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import OrderSnapshot
from agent.venues.dydx import Dydx

D = Decimal
FAULTS = ("reset_before", "reset_after", "partial", "error_before", "error_after", "twice", None, None)
ASKED = ("order.place", "order.query", "myTrades", "height")


def drawn(chance: random.Random, name: ClOrdId) -> VenueOrder:
    side, takes = chance.choice((Side.BUY, Side.SELL)), chance.random() < 0.5
    away = D(chance.randrange(1, 400)) / 10 * (1 if takes is (side is Side.BUY) else -1)
    tif = chance.choice((TimeInForce.GTC, TimeInForce.IOC))
    return VenueOrder(name, MARKET, side, OrdType.LIMIT, tif, D(chance.randrange(1, 400)) / 100, D(3_000) + away)  # fmt: skip


async def known(venue: Dydx, name: ClOrdId) -> OrderSnapshot | None:
    """What became of it, asked until somebody says: not before the last block that could take it is past."""
    for _ in range(400):
        try:
            return await venue.query(name, MARKET)
        except Retry:
            await asyncio.sleep(0.02)
    raise AssertionError("it is never told")


async def lived(venue: Dydx, door: Door, chance: random.Random, order: VenueOrder) -> bool:
    """Whether it may be there. Nothing but our errors comes out."""
    try:
        request = await venue.authorize(order)
    except FairleadError as error:
        assert isinstance(error, Retry | Reject), error
        return False
    for what in ASKED:
        if (kind := chance.choice(FAULTS)) is not None:
            await door.fault(what, kind, status=503)
    try:
        placed = await venue.submit(request)
        assert placed.cl_ord_id == order.cl_ord_id and placed.order_qty == order.order_qty
    except FairleadError as error:
        assert isinstance(error, Retry | Reject | Reconcile), error
    if chance.random() < 0.5:
        try:
            ended = await venue.cancel(order.cl_ord_id, MARKET)
            assert ended.cl_ord_id == order.cl_ord_id
        except FairleadError as error:
            assert isinstance(error, Retry | Reject | Reconcile), error
    await door.clear()
    return True


async def lives(seed: int, count: int) -> None:
    chance = random.Random(seed)
    async with dydx_paper() as door:
        venue, server = dydx_session(door.url), door.here
        assert isinstance(server, DydxServer)
        await venue.start()
        orders = [drawn(chance, ClOrdId(f"fl-{seed}-{n}")) for n in range(count)]
        sent = [order for order in orders if await lived(venue, door, chance, order)]
        engine, cash, held = server.engine, D(0), D(0)
        there = {dydx_wire.name_of(o).id: o for o in engine.orders.values() if o.account == ADDRESS}
        assert len(there) <= len(sent) > count // 2
        for order in sent:
            told = await known(venue, order.cl_ord_id)
            mine = [there.get(venue.reader.number(order.cl_ord_id, venue._market(MARKET), flags)) for flags in (0, 64)]  # fmt: skip
            real = next((one for one in mine if one is not None), None)
            assert mine.count(None) >= 1, "one order, of one kind"
            if told is None or real is None:
                assert real is None or not real.executed, "what the venue has is told"
                assert told is None or told.cum_qty == 0
                continue
            assert (told.cum_qty, told.order_qty, told.px) == (real.executed, real.qty, real.px)
            assert (told.status in TERMINAL) is (not real.is_open)
            qty = sum((f.qty_out if order.side is Side.BUY else f.qty_in for f in told.fills), D(0))
            assert qty == real.executed
            for fill in told.fills:
                cash += (fill.qty_out if order.side is Side.SELL else -fill.qty_in) - fill.fee_qty
            held += qty if order.side is Side.BUY else -qty
        positions = {one.symbol: one.qty for one in await venue.positions()}
        assert positions.get(MARKET, D(0)) == held == engine.position(ADDRESS, "ETHUSDC").qty
        (balance,) = await venue.balances()
        wallet = D(100_000) + cash + engine.position(ADDRESS, "ETHUSDC").cost
        assert abs(balance.free + balance.locked - wallet) < D("1e-5")
        assert len(await venue.fills(MARKET, 0)) == sum(f.account == ADDRESS for f in engine.fills)
        await venue.close()


async def test_twelve_lives_end_as_the_chain_has_them() -> None:
    await lives(1, 12)


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(10, 30))
async def test_so_do_six_hundred(seed: int) -> None:
    await lives(seed, 30)
