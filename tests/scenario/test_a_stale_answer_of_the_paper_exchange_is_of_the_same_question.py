"""A cache on the way gives what it gave to the same question before, and never one order for another; wherever an exchange's questions name
what is asked for: in the path, the query or the body."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest
from coinbase_rig import PRODUCT, coinbase_paper, coinbase_session
from dydx_rig import MARKET, dydx_paper, dydx_session
from kraken_rig import PAIR, kraken_paper, kraken_session
from paper import Door

from agent.domain.ids import ClOrdId, part_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder

PAPERS: dict[str, tuple[Any, Any, str]] = {
    "kraken": (kraken_paper, kraken_session, PAIR),
    "coinbase": (coinbase_paper, coinbase_session, PRODUCT),
    "dydx": (dydx_paper, dydx_session, MARKET),
}


@pytest.mark.parametrize("which", PAPERS)
async def test_it_is_the_same_orders_and_an_older_one(which: str) -> None:
    paper, session, symbol = PAPERS[which]
    opened: AbstractAsyncContextManager[Door] = paper()
    async with opened as door:
        venue = session(door.url)
        try:
            await venue.start()
            await asked(venue, door, symbol)
        finally:
            await venue.close()


async def asked(venue: Any, door: Door, symbol: str) -> None:
    first, second = (part_id(ClOrdId("c-stale"), "cex:paper", n) for n in (1, 2))
    for name, qty in ((first, "1"), (second, "2")):
        order = VenueOrder(
            name, symbol, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(qty), Decimal(2_900)
        )
        await venue.submit(await venue.authorize(order))
        assert (await venue.query(name, symbol)).status is OrdStatus.NEW
    await venue.cancel(first, symbol)
    await venue.query(second, symbol)
    for name, qty in ((first, 1), (second, 2)):
        await door.fault("order.query", "stale")
        told = await venue.query(name, symbol)
        assert (told.cl_ord_id, told.order_qty) == (name, qty), "it was told another order"
