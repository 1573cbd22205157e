"""The paper exchange does to a client what each fault says, and nothing more: its own books tell what took effect."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from paper import Door, paper, session

from agent.domain.errors import FairleadError, Reconcile, Retry
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder


def bid(name: str) -> VenueOrder:
    return VenueOrder(
        ClOrdId(name), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal("2900.00")
    )


async def names(door: Door) -> list[str]:
    return [order["clientOrderId"] for order in (await door.truth())["orders"]]


@pytest.mark.parametrize(
    ("kind", "more", "error", "there"),
    [
        ("late", {"delay_ms": 700}, Reconcile, True),
        ("partial", {}, Reconcile, True),
        ("reset_after", {}, Reconcile, True),
        ("reset_before", {}, Reconcile, False),
        ("maintenance", {}, Reconcile, False),
        ("limited", {"delay_ms": 1_000}, Retry, False),
        ("banned", {"delay_ms": 1_000}, Retry, False),
    ],
)
async def test_what_befalls_a_new_order(
    kind: str, more: dict[str, int], error: type[FairleadError], there: bool
) -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        await door.fault("order.place", kind, **more)
        with pytest.raises(error):
            await venue.submit(await venue.authorize(bid("a")))
        if kind == "late":
            assert await names(door) == [], "it is still on its way"
            await asyncio.sleep(0.4)
        assert await names(door) == (["a"] if there else [])
        await venue.close()


async def test_a_cancel_delivered_twice_answers_no_and_was_done() -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        await venue.submit(await venue.authorize(bid("a")))
        await door.fault("order.cancel", "twice")
        ended = await venue.cancel(ClOrdId("a"), "ETHUSDC")
        assert ended.status.value == "CANCELED"
        await venue.close()


async def test_a_stale_answer_is_the_last_one_to_the_same_question() -> None:
    async with paper() as door:
        venue = session(door.url)
        await venue.start()
        await venue.submit(await venue.authorize(bid("a")))
        await venue.submit(await venue.authorize(bid("b")))
        for name in ("a", "b"):
            await venue.query(ClOrdId(name), "ETHUSDC")
        await venue.cancel(ClOrdId("a"), "ETHUSDC")
        await door.fault("order.query", "stale")
        old = await venue.query(ClOrdId("a"), "ETHUSDC")
        new = await venue.query(ClOrdId("a"), "ETHUSDC")
        assert old is not None and new is not None
        assert (old.cl_ord_id, old.status.value, new.status.value) == ("a", "NEW", "CANCELED")
        await venue.close()


async def test_the_exchanges_clock_jumps() -> None:
    async with paper() as door, aiohttp.ClientSession() as client:
        await door.fault("clock", "jump", delay_ms=-90_000)
        async with client.get(f"{door.url}/api/v3/time") as answer:
            told = (await answer.json())["serverTime"]
        assert 80_000 < time.time_ns() // 10**6 - told < 100_000


async def test_what_befalls_a_stream() -> None:
    async with paper() as door, aiohttp.ClientSession() as client:
        url = f"ws{door.url.removeprefix('http')}/ws/ethusdc@bookTicker"
        async with client.ws_connect(url) as ws:

            async def touch(px: str, fault: str = "") -> None:
                if fault:
                    await door.fault("bookTicker", fault)
                await door.level("BUY", px, "1")

            async def heard() -> list[Any]:
                got = []
                while True:
                    try:
                        message = await ws.receive(timeout=0.15)
                    except TimeoutError:
                        return got
                    got.append(message.data)

            await touch("2900.01", "reorder")
            assert await heard() == []
            await touch("2900.02")
            first, second = (json.loads(text)["u"] for text in await heard())
            assert first > second, "the later one came first"
            await touch("2900.03", "partial")
            (half,) = await heard()
            with pytest.raises(ValueError):
                json.loads(half)
            await touch("2900.04", "half_open")
            await touch("2900.05")
            assert await heard() == [] and not ws.closed
