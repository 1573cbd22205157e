"""A paper exchange for tests: in this process on a free port, or as the separate process it is in life."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from agent.app.testvenue.engine import Engine
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.server import Server
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.venue import Account, Venue
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues import Sign
from agent.venues.binance_spot import FEED, VENUE, BinanceSpot

KEY, SECRET = "test-key", "test-secret"
ACCOUNT = f"key={KEY}:secret={SECRET}:ETH=50:USDC=100000"
SPOT_DEPTH = "/api/v3/depth"
DEPOSITS = (("ETH", Decimal(50)), ("USDC", Decimal(100_000)))


async def sign(method: str, path: str, payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def new_venue(seed: int = 1, now_ms: Any = None, kind: type[Engine] = Engine) -> Venue:
    spec = SymbolSpec("ETH", "USDC")
    maker = Maker(spec, seeded_levels(spec, seed), seed, breathing=False)
    engine = kind([spec], Decimal("0.001"), Decimal("0.001"))
    return Venue(
        engine, [Account(KEY, SECRET, DEPOSITS)], [maker], now_ms or (lambda: time.time_ns() // 1_000_000)
    )


def session(
    url: str, timeouts: TimeOuts | None = None, audit_s: float | None = None, sign: Sign = sign
) -> BinanceSpot:
    from dataclasses import replace

    # audits many times a second would use up the minute that real ones leave free
    facts = VENUE if audit_s is None else replace(VENUE, audit_s=audit_s, weight_per_minute=10**7)
    return BinanceSpot(facts, FEED, "paper", SystemClock(), KEY, sign, url, timeouts or TimeOuts(1.0, 0.5))


class Door:
    """The admin side of a running paper exchange; `here` is its server, where it runs in this process."""

    def __init__(
        self, url: str, client: aiohttp.ClientSession, depth: str = SPOT_DEPTH, here: Server | None = None
    ) -> None:
        self.url, self._client, self._depth, self.here = url, client, depth, here

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with self._client.request(method, f"{self.url}/admin/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def fault(self, on: str, kind: str, **more: Any) -> None:
        await self._call("POST", "faults", {"on": on, "kind": kind, **more})

    async def clear(self) -> None:
        await self._call("DELETE", "faults")

    async def truth(self) -> Any:
        return await self._call("GET", "truth")

    async def house(self, side: str, px: str, qty: str, tif: str = "IOC") -> Any:
        order = {
            "symbol": "ETHUSDC",
            "side": side,
            "type": "LIMIT",
            "timeInForce": tif,
            "price": px,
            "quantity": qty,
        }
        return await self._call("POST", "house/order", order)

    async def bids(self) -> list[tuple[str, str]]:
        """Price and quantity of every level."""
        ask = {"symbol": "ETHUSDC", "limit": "1000"}
        async with self._client.get(f"{self.url}{self._depth}", params=ask) as answer:
            return [(px, qty) for px, qty in (await answer.json())["bids"]]

    async def level(self, side: str, px: str, qty: str) -> None:
        await self._call(
            "POST", "house/level", {"symbol": "ETHUSDC", "side": side, "price": px, "quantity": qty}
        )

    async def end_order(self, venue_order_id: str) -> None:
        await self._call("POST", "cancel", {"orderId": venue_order_id})

    async def disconnect(self) -> None:
        await self._call("POST", "disconnect")


@asynccontextmanager
async def paper(
    limits: Limits | None = None, venue: Venue | None = None, made: Server | None = None
) -> AsyncIterator[Door]:
    """In this process, ended with the block; `venue` with a past of its own, `made` a server that has other doors too."""
    async with served(made or Server(venue or new_venue(), limits), SPOT_DEPTH) as door:
        yield door


@asynccontextmanager
async def served(server: Server, depth: str) -> AsyncIterator[Door]:
    """`depth`: where its dialect gives a book."""
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as client:
        try:
            yield Door(url, client, depth, server)
        finally:
            server.closing.set()
            await runner.cleanup()


class PaperProcess:
    """The exchange as a process of its own, which can be killed and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "agent.app.testvenue",
            "--port",
            str(self.port),
            "--port-file",
            str(port_file),
        ]
        self.process = subprocess.Popen(
            [*command, *(() if "--account" in self.options else ("--account", ACCOUNT)), *self.options],
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ},
        )
        for _ in range(600):
            if port_file.exists():
                self.port = int(port_file.read_text())
                return
            if self.process.poll() is not None:
                raise AssertionError(self.process.communicate()[1].decode())
            time.sleep(0.05)
        raise AssertionError("the paper exchange did not start")

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None
