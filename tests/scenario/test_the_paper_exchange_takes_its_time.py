"""With a latency, an order meets the market of when it arrives, and what is told is told as late and in its order."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import aiohttp
from paper import paper, session

from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.http import TimeOuts

D = Decimal
AWAY_S = 2.0


def bid(name: str, px: str, tif: TimeInForce) -> VenueOrder:
    return VenueOrder(ClOrdId(name), "ETHUSDC", Side.BUY, OrdType.LIMIT, tif, D(2), D(px))


async def test_an_order_on_its_way_meets_what_is_there_when_it_arrives() -> None:
    async with paper() as door:
        venue = session(door.url, TimeOuts(30.0, 30.0))
        await venue.start()
        try:
            near = await venue.submit(await venue.authorize(bid("fl-near-1", "3001", TimeInForce.IOC)))
            assert near.cum_qty == 2
            assert door.here is not None
            door.here.hub.latency_s = AWAY_S
            going = asyncio.create_task(
                venue.submit(await venue.authorize(bid("fl-near-2", "3001", TimeInForce.IOC)))
            )
            await asyncio.sleep(0.1)
            assert len((await door.truth())["orders"]) == 1, "it is on its way"
            await door.house("BUY", "3050", "100000")  # somebody nearer takes all there is
            late = await going
            assert late.cum_qty == 0, "it found nothing"
        finally:
            door.here.hub.latency_s = 0.0
            await venue.close()


async def test_news_leave_in_their_order_and_each_so_late() -> None:
    async with paper() as door, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{door.url}/ws/ethusdc@trade") as line:
            assert door.here is not None
            await line.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            assert (await line.receive_json())["result"] == ["ethusdc@trade"]
            door.here.hub.latency_s = AWAY_S
            began = time.monotonic()
            for number in range(3):
                await door.house("BUY", "3100", str(1 + number))
            told = [await line.receive_json() for _ in range(3)]
            assert time.monotonic() - began >= AWAY_S
            assert [trade["t"] for trade in told] == sorted(trade["t"] for trade in told)
            door.here.hub.latency_s = 0.0
