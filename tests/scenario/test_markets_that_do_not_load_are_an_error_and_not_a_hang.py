"""A venue whose market list does not come says so within its time-outs, and so does every call that needs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web
from paper import paper, session

from agent.domain.errors import Halt, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.venues.binance_spot import BinanceSpot

CALLS: dict[str, Callable[[BinanceSpot], Coroutine[Any, Any, Any]]] = {
    "instruments": lambda v: v.instruments(),
    "book": lambda v: v.book("ETHUSDC"),
    "query": lambda v: v.query(ClOrdId("x"), "ETHUSDC"),
    "open_orders": lambda v: v.open_orders(),
    "balances": lambda v: v.balances(),
}


@pytest.mark.parametrize("on", ["exchangeInfo", "time"])
async def test_an_answer_that_never_comes(on: str) -> None:
    async with paper() as door:
        venue = session(door.url)
        await door.fault(on, "hang_before", count=None)
        start = time.monotonic()
        with pytest.raises(Retry) as late:
            await venue.start()
        assert late.value.code == "VENUE_TIMEOUT" and time.monotonic() - start < 3
        for name, call in CALLS.items():
            with pytest.raises(Retry) as refused:
                await asyncio.wait_for(call(venue), 1)
            assert refused.value.code == "MARKETS_NOT_LOADED", name
        await venue.close()


async def test_nobody_there() -> None:
    venue = session("http://127.0.0.1:9")
    with pytest.raises(Retry) as gone:
        await venue.start()
    assert gone.value.code == "VENUE_UNREACHABLE" and "127.0.0.1:9" in gone.value.message
    await venue.close()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"symbols": []}', Retry),
        ('{"unexpected": true}', Halt),
        ("<html>maintenance</html>", Retry),
        ('{"code": -1002, "msg": "You are not authorized to execute this request."}', Reject),
    ],
)
async def test_an_answer_that_is_no_market_list(body: str, error: type[Exception]) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/time"):
            return web.json_response({"serverTime": time.time_ns() // 1_000_000})
        return web.Response(text=body, status=401 if "-1002" in body else 200)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue = session(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises(error):
        await venue.start()
    with pytest.raises(Retry):
        await venue.instruments()
    await venue.close()
    await runner.cleanup()
