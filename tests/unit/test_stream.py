"""A WebSocket that comes back: dead peers, closed sockets, and what the reader hears of it."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from paper import paper, session

from agent.app.testvenue.limits import Limits
from agent.domain.errors import Retry
from agent.transport.clock import SystemClock
from agent.transport.stream import Down, Quiet, Stream, StreamEvent, Text, Up


async def hear(handler: object, wanted: int, **options: float) -> list[StreamEvent]:
    app = web.Application()
    app.router.add_get("/ws", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    got: list[StreamEvent] = []
    async with aiohttp.ClientSession() as client:
        said = 0

        async def hello() -> str:
            nonlocal said
            said += 1
            return f"hello {said}"

        url = f"http://127.0.0.1:{runner.addresses[0][1]}/ws"
        stream = Stream(lambda: client, url, SystemClock(), hello, **options)  # type: ignore[arg-type]

        async def read() -> None:
            async for event in stream.events():
                got.append(event)
                if len(got) >= wanted:
                    return

        await asyncio.wait_for(read(), 10)
    await runner.cleanup()
    return got


async def test_a_closed_socket_comes_back_and_says_hello_again() -> None:
    async def echo_once(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(f"you said {await ws.receive_str()}")
        await ws.close()
        return ws

    got = await hear(echo_once, 6)
    assert got[:2] == [Up(1), Text("you said hello 1")] and isinstance(got[2], Down)
    assert got[3:5] == [Up(2), Text("you said hello 2")] and isinstance(got[5], Down)


async def test_a_peer_that_answers_no_ping_is_given_up() -> None:
    async def deaf(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        await asyncio.sleep(1.5)
        return ws

    got = await hear(deaf, 3, heartbeat_s=0.2)
    assert got[0] == Up(1) and isinstance(got[1], Down) and got[2] == Up(2)


async def test_a_peer_that_answers_pings_and_says_nothing_is_reported_quiet() -> None:
    async def mute(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for _ in ws:
            pass
        return ws

    got = await hear(mute, 3, heartbeat_s=0.2, quiet_s=0.3)
    assert got == [Up(1), Quiet(0.3), Quiet(0.3)]


async def test_a_session_that_meets_the_limit_waits_rather_than_be_banned() -> None:
    async with paper(Limits(weight_limit=90)) as door:
        venue = session(door.url)
        await venue.start()
        refused = 0
        for _ in range(40):
            try:
                await venue.balances()
            except Retry as error:
                assert error.code in ("RATE_LIMITED", "THROTTLED")
                refused += 1
        assert refused > 30
        async with aiohttp.ClientSession() as client, client.get(f"{door.url}/api/v3/ping") as answer:
            assert answer.status != 418, "the session went on asking until it was banned"
        await venue.close()
