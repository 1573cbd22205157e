"""The throttle's budget, and which verb each kind of broken answer becomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from agent.domain.errors import Reconcile, Retry
from agent.transport.clock import SystemClock
from agent.transport.http import Http, TimeOuts
from agent.transport.limits import LimitHeaders
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


async def test_what_was_taken_before_it_was_signed_is_not_waited_for_again() -> None:
    """A read signed in its turn would come too old, were it to wait for writes that took more meanwhile."""
    clock = StepClock()
    clock.at_ns = 57 * 10**9
    throttle = Throttle(clock, 100)
    await throttle.spend(1, write=False)
    throttle.told(100)
    await throttle.spend(0, write=False)
    assert clock.slept == 0 and throttle.used == 100
    throttle.closed_for(4)  # but where the venue said so
    await throttle.spend(0, write=False)
    assert clock.slept >= 3


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
async def answering(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    told: str | LimitHeaders = "X-MBX-USED-WEIGHT-1M",
    orders: Throttle | None = None,
    now_ms: int = 0,
) -> AsyncIterator[Http]:
    app = web.Application()
    app.router.add_route("*", "/x", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    timeouts = TimeOuts(0.3, 0.3)
    http = Http("the venue", url, Throttle(SystemClock(), 6_000), told, timeouts, orders, lambda: now_ms)
    try:
        yield http
    finally:
        await http.close()
        await runner.cleanup()


async def slow(request: web.Request) -> web.StreamResponse:
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


async def test_orders_have_a_window_of_their_own_that_every_lane_spends_of() -> None:
    """The exchange's own count is of the account: what another program sent is in it, and no lane here adds to what it would refuse."""
    clock, counted, sent = StepClock(), iter((1, 2, 49)), []

    async def take(request: web.Request) -> web.StreamResponse:
        sent.append(request.method)
        return web.Response(text="{}", headers={"x-mbx-order-count-10s": str(next(counted))})

    orders = Throttle(clock, 50, 10 * 10**9)
    async with answering(take, LimitHeaders(orders="X-MBX-ORDER-COUNT-10S"), orders) as http:
        await asyncio.gather(http.write("POST", "/x", orders=1), http.write("POST", "/x", orders=1))
        assert orders.used == 2
        await http.write("DELETE", "/x")  # a cancel is no new order, and tells the count all the same
        assert orders.used == 49 and clock.slept == 0
        await orders.spend(1, write=True)
        with pytest.raises(Retry) as full:
            await http.write("POST", "/x", orders=1)
        assert full.value.code == "THROTTLED" and len(sent) == 3
        clock.at_ns = 7 * 10**9
        await orders.spend(1, write=True)
        assert clock.slept == 3 and orders.used == 1


BYBIT = LimitHeaders(left="X-Bapi-Limit-Status", reset="X-Bapi-Limit-Reset-Timestamp")
KUCOIN = LimitHeaders(left="gw-ratelimit-remaining", reset="gw-ratelimit-reset", from_now=True)


@pytest.mark.parametrize(("told", "reset"), [(BYBIT, "1700000030000"), (KUCOIN, "30000")])
async def test_one_that_tells_what_is_left_is_not_asked_when_nothing_is(
    told: LimitHeaders, reset: str
) -> None:
    left = ["1", "0"]

    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(text="{}", headers={told.left.lower(): left.pop(0), told.reset: reset})

    async with answering(take, told, now_ms=1_700_000_000_000) as http:
        for _ in range(2):
            await http.read("GET", "/x")
        for each in (http.read("GET", "/x"), http.write("POST", "/x")):
            with pytest.raises(Retry) as waits:
                await each
            assert (waits.value.code, waits.value.hint[:7]) == ("THROTTLED", "wait 30")


async def test_one_whose_retry_after_is_no_number_of_seconds_is_believed_by_its_reset() -> None:
    told = LimitHeaders(left="RateLimit-Remaining", reset="RateLimit-Reset", resets=True)
    says = [{"RateLimit-Remaining": "0", "RateLimit-Reset": "1700000007500", "Retry-After": "7500"}, {"Retry-After": "30"}]  # fmt: skip

    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, text="{}", headers=says.pop(0))

    for hint in ("wait 7.5 s", "wait 30 s"):
        async with answering(take, told, now_ms=1_700_000_000_000) as http:
            with pytest.raises(Retry) as away:
                await http.read("GET", "/x")
            assert (away.value.code, away.value.hint) == ("RATE_LIMITED", hint)


async def test_a_count_in_units_of_the_servers_is_taken_over_in_ours() -> None:
    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(text="{}", headers={"X-Used": "601"})

    async with answering(take, LimitHeaders(used="X-Used", of=1_200)) as http:
        await http.read("GET", "/x")
        assert http.throttle.used == 3_005


@pytest.mark.parametrize("text", ["", "-1", "many", "1e3", "9" * 30, "٣"])
async def test_a_header_that_is_no_count_changes_nothing(text: str) -> None:
    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(text="{}", headers={"X-Used": text, "X-Left": text, "X-Reset": text})

    async with answering(take, LimitHeaders(used="X-Used", left="X-Left", reset="X-Reset")) as http:
        await http.read("GET", "/x")
        await http.read("GET", "/x")
        assert http.throttle.used == 2
