"""The daemon's /health and /metrics on loopback, and the ping that stops when something is wrong."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from manual_clock import ManualClock

from agent.app.monitor import Monitor, Vitals, ping
from agent.domain.events import Alarmed, Fired, Scheduled
from agent.domain.instruments import Place
from agent.execution.locks import Lock, Locks
from agent.journal.book import Book
from agent.journal.chain import Head, Seq
from chains.errors import Usage
from chains.rpc import SecretUrl

SAMPLE = re.compile(r'[a-z_]+(\{[a-z_]+="(\\.|[^"\\\n])*"(,[a-z_]+="(\\.|[^"\\\n])*")*\})? -?\d+')


class Trouble:
    why = ""

    def __call__(self) -> str:
        return self.why


def vitals(trouble: Trouble, *locked: Lock) -> Vitals:
    book, locks = Book(), Locks()
    for lock in locked:
        locks.shut(lock)
    for event in (
        Fired("drip", "1", "ORDER", "p-1", 1),
        Fired("drip", "2", "SKIPPED", "stopped", 2),
        Fired('odd"\\\n', "3", "ORDER", "p-2", 3),
        Scheduled("drip", "every 4h", 7 * 10**9, 3),
        Alarmed("JOB_NOT_DONE", "why", 4),
    ):
        book.apply(event)
    head = Head(Seq(12), bytes(range(32)))
    return Vitals("devnet", book, lambda: head, trouble, ManualClock(), locks)


async def get(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


def test_metrics_are_prometheus_text_and_say_what_the_journal_says() -> None:
    async def told() -> tuple[int, str]:
        async with Monitor(vitals(Trouble()), 0) as monitor:
            assert monitor.url.startswith("http://127.0.0.1:")
            return await get(f"{monitor.url}/metrics")

    status, text = asyncio.run(told())
    lines = text.splitlines()
    assert status == 200 and text.endswith("\n")
    assert all(SAMPLE.fullmatch(line) for line in lines if not line.startswith("# ")), text
    assert 'fairlead_job_fires_total{job="drip",outcome="ORDER"} 1' in lines
    assert 'fairlead_job_fires_total{job="odd\\"\\\\\\n",outcome="ORDER"} 1' in lines
    assert 'fairlead_job_next_fire_seconds{job="drip"} 7' in lines
    assert {
        "fairlead_alarms_total 1",
        "fairlead_journal_seq 12",
        'fairlead_up{environment="devnet"} 1',
    } <= set(lines)
    for name in {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}:
        assert sum(line.startswith(f"# TYPE {name} ") for line in lines) == 1, name


def test_a_locked_place_is_named_with_its_remedy_and_the_others_trade_on() -> None:
    shut = Lock(Place("cex:paper"), "BALANCE_GONE", "1 ETH is gone", "look there")

    async def told() -> list[tuple[int, str]]:
        async with Monitor(vitals(Trouble(), shut), 0) as monitor:
            return [await get(f"{monitor.url}/health"), await get(f"{monitor.url}/metrics")]

    (status, health), (_, metrics) = asyncio.run(told())
    assert status == 200 and json.loads(health)["locked"] == [
        {"place": "cex:paper", "code": "BALANCE_GONE", "why": "1 ETH is gone", "remedy": "look there"}
    ]
    assert 'fairlead_place_locked{place="cex:paper",code="BALANCE_GONE"} 1' in metrics.splitlines()


def test_health_is_503_with_the_reason_while_nothing_may_be_begun() -> None:
    trouble = Trouble()

    async def told() -> list[tuple[int, str]]:
        async with Monitor(vitals(trouble), 0) as monitor:
            well = await get(f"{monitor.url}/health")
            trouble.why = "trading is halted: by hand"
            return [well, await get(f"{monitor.url}/health"), await get(f"{monitor.url}/metrics")]

    well, ill, metrics = asyncio.run(told())
    assert well[0] == 200 and '"seq": 12' in well[1]
    assert ill[0] == 503 and "by hand" in ill[1]
    assert 'fairlead_up{environment="devnet"} 0' in metrics[1]


def test_nobody_is_told_who_asks_by_another_name_or_for_more() -> None:
    async def told() -> list[int]:
        async with Monitor(vitals(Trouble()), 0) as monitor:
            asked = [
                await get(f"{monitor.url}/metrics", Host="evil.example"),
                await get(f"{monitor.url}/"),
                await get(monitor.url.replace("127.0.0.1", "localhost") + "/health", Host="localhost"),
            ]
            async with aiohttp.ClientSession() as session, session.post(f"{monitor.url}/health") as answer:
                return [*(status for status, _ in asked), answer.status]

    assert asyncio.run(told()) == [403, 404, 200, 405]


def test_a_port_that_is_taken_is_named() -> None:
    async def twice() -> None:
        async with Monitor(vitals(Trouble()), 0) as first:
            async with Monitor(vitals(Trouble()), int(first.url.rpartition(":")[2])):
                raise AssertionError("both had the port")

    with pytest.raises(Usage) as refused:
        asyncio.run(twice())
    assert refused.value.code == "PORT_IN_USE" and "daemon.port" in refused.value.message


def test_the_ping_stops_while_something_is_wrong_and_says_so_once() -> None:
    trouble, said, got = Trouble(), list[str](), list[Any]()

    class StepClock(ManualClock):
        """Time passes only when the test lets it."""

        def __init__(self) -> None:
            super().__init__()
            self.step, self.slept = asyncio.Event(), asyncio.Event()

        async def sleep(self, seconds: float) -> None:
            self.slept.set()
            await self.step.wait()
            self.step.clear()

    async def scene() -> None:
        async def take(request: web.Request) -> web.Response:
            got.append(request.path)
            return web.Response(status=500 if trouble.why == "" and len(got) == 3 else 200)

        app = web.Application()
        app.router.add_get("/ping/secret", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = SecretUrl(f"http://127.0.0.1:{runner.addresses[0][1]}/ping/secret")
        clock = StepClock()

        async def round_of(why: str) -> int:
            trouble.why = why
            clock.slept.clear()
            clock.step.set()
            await clock.slept.wait()
            return len(got)

        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(ping(url, 60, session, clock, trouble, said.append))
            await clock.slept.wait()
            counts = [len(got)] + [await round_of(why) for why in ("", "halted", "halted", "", "")]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()
        assert counts == [1, 2, 2, 2, 3, 4]

    asyncio.run(scene())
    assert len(said) == 3 and "halted" in said[0] and "answered 500" in said[1] and "again" in said[2]
    assert not any("secret" in line for line in said)
