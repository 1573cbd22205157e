"""A paper exchange of contracts, and a session at it whose requests are judged and signed by the signer's own code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from ccxt_rig import BAND
from paper import KEY, SECRET, Door, new_venue, served

from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.usdm import UsdmServer
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.binance_usdm import FEED, VENUE, BinanceUsdm
from chains.errors import Denied
from keys.signer import binance_usdm, exchange, exchange_orders
from keys.signer.exchange_orders import SymbolLimit


@dataclass
class Signer:
    """Judges by the signer's policy and signs; keeps no ledger. `asked`: what it was asked for."""

    asked: list[str] = field(default_factory=list)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    limit: SymbolLimit = BAND
    symbols: frozenset[str] = frozenset({"ETHUSDC"})
    locked: bool = False
    """No question about trades is signed."""
    unread: str = ""
    """Nor any whose address ends so."""
    once: bool = False
    """Of those one alone."""

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms = self.now_ms()
        self.asked.append(f"{method} {path}")
        if (self.locked and path.endswith("/userTrades")) or (self.unread and path.endswith(self.unread)):
            self.unread = "" if self.once else self.unread
            raise Denied("LOCKED", "the signer is locked", "unlock it")
        values = exchange.check(
            binance_usdm.DIALECT, (), method, path, payload, now_ms=now_ms, symbols=self.symbols
        )
        if exchange_orders.is_order(values):
            exchange_orders.judge(binance_usdm.plain(values), {"ETHUSDC": self.limit}, {}, now_ms)
        return exchange.sign(SECRET.encode(), payload)


class Jumped:
    """A clock that goes with the wall's and can be set ahead; sleeping by it takes as long as ever."""

    ahead_s = 0

    def now_ns(self) -> int:
        return time.time_ns() + self.ahead_s * 10**9

    def now_ms(self) -> int:
        return self.now_ns() // 10**6

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@asynccontextmanager
async def usdm_paper(
    now_ms: Callable[[], int] | None = None, kind: type[UsdmServer] = UsdmServer
) -> AsyncIterator[Door]:
    server = kind(new_venue(now_ms=now_ms, kind=FuturesEngine), Limits(10**7))
    async with served(server, "/fapi/v1/depth") as door:
        yield door


def usdm_session(
    url: str,
    signer: Signer | None = None,
    clock: Clock | None = None,
    timeouts: TimeOuts | None = None,
    audit_s: float = 0.1,
) -> BinanceUsdm:
    facts = replace(VENUE, audit_s=audit_s, weight_per_minute=10**7)
    sign = (signer or Signer()).sign
    return BinanceUsdm(
        facts, FEED, "paper", clock or SystemClock(), KEY, sign, url, timeouts or TimeOuts(1.0, 0.5)
    )
