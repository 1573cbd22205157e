"""A paper exchange in Deribit's dialect, and a session at it whose requests are judged and signed by the signer's own code."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from ccxt_rig import BAND
from paper import KEY, SECRET, Door, new_venue, served

from agent.app.testvenue.deribit import DeribitServer
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.limits import Limits
from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.deribit import FEED, VENUE, Deribit
from chains.errors import Retry
from keys.signer import deribit, exchange_orders
from keys.signer.exchange_orders import SymbolLimit

PERPETUAL = "ETH_USDC-PERPETUAL"


@dataclass
class Signer:
    """Judges by the signer's policy and signs; keeps no ledger. `asked`: what it was asked for."""

    asked: list[str] = field(default_factory=list)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    logs_on: bool = False
    away: int = 0
    """So many log-ons find it away."""
    limit: SymbolLimit = BAND
    symbols: frozenset[str] = frozenset({PERPETUAL})

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms = self.now_ms()
        self.asked.append(f"{method} {path}")
        if self.logs_on and f"{method} {path}" == deribit.LOG_ON:
            if self.away:
                self.away -= 1
                raise Retry("SIGNER_UNREACHABLE", "the signer does not answer", "start it")
            sig = deribit.sign_log_on(SECRET.encode(), payload, at_ms=now_ms, nonce="n")
            return json.dumps({"ts": now_ms, "nonce": "n", "sig": sig})
        judged = deribit.check(method, path, payload, now_ms=now_ms, symbols=self.symbols)
        if judged.words is not None:
            exchange_orders.judge(judged.words, {PERPETUAL: self.limit}, {}, now_ms)
        nonce = hashlib.sha256(f"{payload}{len(self.asked)}".encode()).hexdigest()[:16]
        sig = deribit.sign(SECRET.encode(), method, path, payload, at_ms=now_ms, nonce=nonce)
        return json.dumps({"ts": now_ms, "nonce": nonce, "sig": sig})


@asynccontextmanager
async def deribit_paper(now_ms: Callable[[], int] | None = None) -> AsyncIterator[Door]:
    server = DeribitServer(new_venue(now_ms=now_ms, kind=FuturesEngine), Limits(10**7))
    async with served(server, "/api/v2/depth") as door:
        yield door


def deribit_session(
    url: str,
    signer: Signer | None = None,
    clock: Clock | None = None,
    timeouts: TimeOuts | None = None,
    feed: FeedFacts = FEED,
) -> Deribit:
    facts = replace(VENUE, audit_s=0.05, weight_per_minute=10**7)
    sign = (signer or Signer()).sign
    return Deribit(
        facts, feed, "paper", clock or SystemClock(), KEY, sign, url, None, timeouts or TimeOuts(1.0, 0.5)
    )
