"""The throttle's budget, and which verb each kind of broken answer becomes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from agent.domain.errors import Reconcile, Retry
from agent.transport.clock import SystemClock
from agent.transport.http import Http, TimeOuts
from agent.transport.throttle import Throttle


class StepClock:
    """Sleeping is what moves it."""

    def __init__(self) -> None:
        self.at_ns, self.slept = 0, 0.0

    def now_ns(self) -> int:
        return self.at_ns

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.at_ns += int(seconds * 1e9)


async def test_the_budget_waits_for_the_next_minute_where_that_is_near() -> None:
    clock = StepClock()
    clock.at_ns = 57 * 10**9
    throttle = Throttle(clock, 100)
    await throttle.spend(90, write=False)
    assert clock.slept == 0
    await throttle.spend(10, write=False)
    assert clock.slept == 3 and throttle.used == 10


async def test_a_tenth_of_the_budget_is_kept_for_writes() -> None:
    throttle = Throttle(StepClock(), 100)
    await throttle.spend(90, write=False)
    with pytest.raises(Retry) as full:
        await throttle.spend(1, write=False)
    assert full.value.code == "THROTTLED"
    await throttle.spend(10, write=True)
    with pytest.raises(Retry):
        await throttle.spend(1, write=True)


async def test_the_server_s_count_overrules_ours_and_its_silence_is_kept() -> None:
    clock = StepClock()
    throttle = Throttle(clock, 100)
    throttle.told(95)
    with pytest.raises(Retry):
        await throttle.spend(1, write=False)
    throttle.closed_for(3)
    await throttle.spend(1, write=True)
    assert clock.slept == 3
    throttle.closed_for(30)
    with pytest.raises(Retry):
        await throttle.spend(1, write=True)


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Http]:
    app = web.Application()
    app.router.add_route("*", "/x", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = Http("the venue", url, Throttle(SystemClock(), 6_000), "X-MBX-USED-WEIGHT-1M", TimeOuts(0.3, 0.3))
    try:
        yield http
    finally:
        await http.close()
        await runner.cleanup()


async def slow(request: web.Request) -> web.StreamResponse:
    import asyncio

    await asyncio.sleep(2)
    return web.Response()


async def broken(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def failing(request: web.Request) -> web.StreamResponse:
    return web.Response(status=502, text="bad gateway")


@pytest.mark.parametrize(
    ("handler", "code"), [(slow, "VENUE_TIMEOUT"), (broken, "VENUE_DISCONNECTED"), (failing, "VENUE_ERROR")]
)
async def test_a_read_may_be_repeated_and_a_write_must_be_asked_about(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], code: str
) -> None:
    async with answering(handler) as http:
        with pytest.raises(Retry) as read:
            await http.read("GET", "/x")
        with pytest.raises(Reconcile) as written:
            await http.write("POST", "/x", body=b"a=1")
        assert read.value.code == written.value.code == code


async def test_a_429_happened_to_nobody_and_closes_the_door_for_a_while() -> None:
    calls = 0

    async def turned_away(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return web.Response(status=429, headers={"Retry-After": "30"})

    async with answering(turned_away) as http:
        with pytest.raises(Retry) as first:
            await http.write("POST", "/x", body=b"a=1")
        assert first.value.code == "RATE_LIMITED"
        start = time.monotonic()
        with pytest.raises(Retry) as second:
            await http.write("POST", "/x", body=b"a=1")
        assert second.value.code == "THROTTLED" and calls == 1 and time.monotonic() - start < 0.2


async def test_what_is_sent_is_byte_for_byte_what_was_signed() -> None:
    seen: list[tuple[str, bytes]] = []

    async def echo(request: web.Request) -> web.StreamResponse:
        seen.append((request.url.raw_query_string, await request.read()))
        return web.Response(text="{}", headers={"X-MBX-USED-WEIGHT-1M": "41"})

    async with answering(echo) as http:
        await http.read("GET", "/x", "a=%2B+b&c=%7E%2f")
        assert http.throttle.used == 41
        await http.write("POST", "/x", body=b"a=%2B&b=~")
        assert seen == [("a=%2B+b&c=%7E%2f", b""), ("", b"a=%2B&b=~")]
