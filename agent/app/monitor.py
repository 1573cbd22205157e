"""How the daemon is watched: /metrics for Prometheus and /health for whoever asks, on 127.0.0.1 alone, and a ping while all is well.

/health answers 200 while orders may be begun, 503 with the reason where trading is halted or nothing can be recorded; places that are locked
since the start stand under `locked`, and the others trade on. The ping stops with a 503
too: a dead man's switch elsewhere tells its owner, also where this whole machine is gone. Neither tells a balance or a key; whoever can
ask 127.0.0.1 learns of orders, jobs and alarms by number.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from agent.algos.twap import seconds_of
from agent.app.feeds import stop_tasks
from agent.domain.errors import Usage
from agent.execution.locks import Locks
from agent.journal.book import Book
from agent.journal.chain import Head
from agent.ports import Clock
from chains.rpc import SecretUrl

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.execution.desk import Desk

LOOPBACK = "127.0.0.1"
NAMES = frozenset({LOOPBACK, "localhost"})
PING_S = 10.0
CONTENT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Vitals:
    """What is told: `trouble` gives why nothing may be begun, or ''."""

    environment: str
    book: Book
    head: Callable[[], Head]
    trouble: Callable[[], str]
    clock: Clock
    locks: Locks = field(default_factory=Locks)

    def health(self) -> dict[str, Any]:
        head, trouble = self.head(), self.trouble()
        return {
            "ok": not trouble,
            "trouble": trouble,
            "environment": self.environment,
            "head": {"seq": head.seq, "hash": head.hash.hex()},
            "orders_open": self._orders(),
            "locked": [
                {"place": lock.place, "code": lock.code, "why": lock.why, "remedy": lock.remedy}
                for lock in self.locks
            ],
            "pid": os.getpid(),
        }

    def metrics(self) -> str:
        """Prometheus' text format, version 0.0.4."""
        return "\n".join(self._lines()) + "\n"

    def _orders(self) -> int:
        return sum(record.closed is None for record in self.book.parents.values())

    def _lines(self) -> Iterator[str]:
        book = self.book
        env = {"environment": self.environment}
        closed = Counter(r.closed.status for r in book.parents.values() if r.closed is not None)
        fires = Counter((job, f.outcome) for job, found in book.fired.items() for f in found)
        waits = [(s.job, s.fire_ns) for s in book.scheduled.values()]
        yield from family("up", "gauge", "Whether orders may be begun.", [(env, int(not self.trouble()))])
        yield from family(
            "place_locked", "gauge", "Places that get no order, by what locks them.",
            [({"place": lock.place, "code": lock.code}, 1) for lock in self.locks],
        )  # fmt: skip
        yield from family("journal_seq", "gauge", "The newest entry of the journal.", [({}, self.head().seq)])
        yield from family("orders_open", "gauge", "Orders that are not over.", [({}, self._orders())])
        yield from family(
            "parts_open", "gauge", "What was sent and is not over.", [({}, sum(1 for _ in book.open_parts()))]
        )
        yield from family(
            "orders_closed_total",
            "counter",
            "Orders that are over.",
            [({"status": s}, n) for s, n in sorted(closed.items())],
        )
        yield from family("alarms_total", "counter", "Alarms in the journal.", [({}, len(book.alarms))])
        yield from family(
            "job_fires_total", "counter", "Fires of jobs, by what became of them.",
            [({"job": job, "outcome": outcome}, n) for (job, outcome), n in sorted(fires.items())],
        )  # fmt: skip
        yield from family(
            "job_next_fire_seconds", "gauge", "When a job fires next, in Unix time.",
            [({"job": job}, at // 10**9) for job, at in sorted(waits)],
        )  # fmt: skip
        yield from family(
            "gas_wei_total",
            "counter",
            "Gas paid, in wei.",
            [({"place": p}, wei) for p, wei in sorted(book.gas_wei.items())],
        )
        yield from family(
            "time_seconds", "gauge", "This process's own clock.", [({}, self.clock.now_ns() // 10**9)]
        )


def family(name: str, kind: str, about: str, samples: list[tuple[Mapping[str, str], int]]) -> Iterator[str]:
    """The lines of one metric; without a sample none."""
    if not samples:
        return
    yield f"# HELP fairlead_{name} {about}"
    yield f"# TYPE fairlead_{name} {kind}"
    for labels, value in samples:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"fairlead_{name}{{{told}}} {value}" if told else f"fairlead_{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def vitals_of(app: App, desk: Desk) -> Vitals:
    """Of a daemon: trouble is a halt, or a journal that cannot be written."""
    journal = app.journal
    assert journal is not None

    def trouble() -> str:
        failure = journal.failure
        if failure is not None:
            return f"{failure.code}: {failure.message}"
        why = app.switch.why() or (desk.book.halted.why if desk.book.halted is not None else "")
        return f"trading is halted: {why}" if why else ""

    return Vitals(app.settings.environment.value, desk.book, journal.head, trouble, app.clock, app.locks)


@asynccontextmanager
async def monitored(app: App, desk: Desk, say: Callable[[str], None]) -> AsyncIterator[None]:
    """What the settings' [daemon] asks for, for as long as it is entered. Raises Usage PORT_IN_USE, and as `resolve_endpoint`."""
    from agent.app.endpoints import resolve_endpoint

    table, vitals = app.settings.daemon, vitals_of(app, desk)
    async with AsyncExitStack() as stack:
        if table.port is not None:
            served = await stack.enter_async_context(Monitor(vitals, table.port))
            say(f"watched at {served.url}/health and {served.url}/metrics")
        if table.ping is not None:
            url, every_s = resolve_endpoint(table.ping), seconds_of(table.ping_every, "daemon.ping_every")
            asking = asyncio.create_task(
                ping(url, every_s, app.session, app.clock, vitals.trouble, say), name="ping"
            )
            stack.push_async_callback(stop_tasks, [asking])
        yield


class Monitor:
    """`async with` it: answers until left. `port` 0 takes any free one; `url` tells where."""

    def __init__(self, vitals: Vitals, port: int) -> None:
        self._vitals, self._port = vitals, port
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Monitor:
        """Raises Usage PORT_IN_USE."""
        app = web.Application(middlewares=[_loopback_names])
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, LOOPBACK, self._port).start()
        except OSError as wrong:
            await self._runner.cleanup()
            if wrong.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise Usage(
                "PORT_IN_USE",
                f"daemon.port {self._port} of 127.0.0.1 cannot be had: {wrong.strerror}",
                "name another one, or 0",
            ) from None
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._vitals.metrics().encode(), headers={"Content-Type": CONTENT})

    async def _health(self, request: web.Request) -> web.Response:
        told = self._vitals.health()
        return web.json_response(told, status=200 if told["ok"] else 503)


@web.middleware
async def _loopback_names(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """A page in a browser that had its own name point at 127.0.0.1 is told nothing."""
    if (request.url.host or "") not in NAMES:
        return web.Response(status=403, text="ask by 127.0.0.1\n")
    answer: web.StreamResponse = await handler(request)
    return answer


async def ping(
    url: SecretUrl,
    every_s: int,
    session: aiohttp.ClientSession,
    clock: Clock,
    trouble: Callable[[], str],
    say: Callable[[str], None],
) -> None:
    """Asks `url` again and again while there is no trouble, until cancelled; what it answers to is said when it changes."""
    timeout, said = aiohttp.ClientTimeout(total=PING_S), ""
    while True:
        why = trouble()
        if not why:
            try:
                async with session.get(url.reveal(), timeout=timeout, allow_redirects=False) as answer:
                    why = "" if answer.status < 300 else f"{url.origin} answered {answer.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
                why = f"{url.origin} did not answer ({type(wrong).__name__})"
        if why != said:
            say(f"ping: {why}: whoever waits for it will be told" if why else "ping: it is answered again")
        said = why
        await clock.sleep(every_s)
