"""A create request whose answer never comes: it stays unknown, is asked for by its own id, and is never sent as new."""

from __future__ import annotations

from decimal import Decimal

import pytest
from paper import paper, session

from agent.domain.errors import Reconcile, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder

ORDER = VenueOrder(
    ClOrdId("fl-lost"), "ETHUSDC", Side.SELL, OrdType.MARKET, TimeInForce.IOC, Decimal("1.5"), None
)


@pytest.mark.parametrize("kind", ["hang_after", "error_after", "reset_after"])
async def test_the_venue_had_accepted_it(kind: str) -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        await door.fault("order.place", kind)
        request = await venue.authorize(ORDER)
        with pytest.raises(Reconcile):
            await venue.submit(request)
        found = await venue.query(ORDER.cl_ord_id, "ETHUSDC")
        assert found is not None and found.status is OrdStatus.FILLED and found.cum_qty == Decimal("1.5")
        truth = await door.truth()
        assert [order["clientOrderId"] for order in truth["orders"]] == ["fl-lost"]
        assert sum(Decimal(row["qty"]) for row in truth["trades"]) == Decimal("1.5")
        await venue.close()


@pytest.mark.parametrize("kind", ["hang_before", "error_before"])
async def test_the_venue_had_never_seen_it(kind: str) -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        await door.fault("order.place", kind)
        with pytest.raises(Reconcile):
            await venue.submit(await venue.authorize(ORDER))
        assert await venue.query(ORDER.cl_ord_id, "ETHUSDC") is None
        await venue.close()


async def test_the_question_itself_may_fail_and_teaches_nothing() -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        await door.fault("order.place", "hang_after")
        await door.fault("order.query", "error_before", count=2)
        with pytest.raises(Reconcile):
            await venue.submit(await venue.authorize(ORDER))
        for _ in range(2):
            with pytest.raises(Retry):
                await venue.query(ORDER.cl_ord_id, "ETHUSDC")
        assert await venue.query(ORDER.cl_ord_id, "ETHUSDC") is not None
        await venue.close()


async def test_a_cancel_whose_answer_is_lost_can_be_asked_again() -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        resting = VenueOrder(
            ClOrdId("fl-rest"),
            "ETHUSDC",
            Side.BUY,
            OrdType.LIMIT,
            TimeInForce.GTC,
            Decimal(1),
            Decimal("2900.00"),
        )
        await venue.submit(await venue.authorize(resting))
        await door.fault("order.cancel", "error_after")
        with pytest.raises(Reconcile):
            await venue.cancel(resting.cl_ord_id, "ETHUSDC")
        assert (await venue.cancel(resting.cl_ord_id, "ETHUSDC")).status is OrdStatus.CANCELED
        await venue.close()


async def test_a_refused_connection_means_that_nothing_happened() -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        request = await venue.authorize(ORDER)
    with pytest.raises(Retry):
        await venue.submit(request)
    await venue.close()
