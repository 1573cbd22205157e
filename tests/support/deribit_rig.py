"""A paper exchange in Deribit's dialect, and a session at it whose requests are judged and signed by the signer's own code."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ccxt_rig import BAND
from paper import DEPOSITS, KEY, SECRET, Door, served

from agent.app.testvenue.combos import ComboEngine, combo_levels, combo_spec
from agent.app.testvenue.deribit import DeribitServer
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.venue import Account, Venue
from agent.market.feeds import FeedFacts
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.deribit import FEED, VENUE, Deribit
from chains.errors import Retry
from keys.signer import deribit
from keys.signer.deribit_combos import ComboLimit
from keys.signer.exchange_orders import SymbolLimit

D = Decimal
PERPETUAL, DATED, COMBO = "ETH_USDC-PERPETUAL", "ETH_USDC-27DEC30", "ETH_USDC-FS-27DEC30_PERP"
COMBO_LIMIT = ComboLimit(
    {DATED: 1, PERPETUAL: -1}, D(10**6), D(10**7), px_from=D(-100), px_to=D(100), fees=D(10)
)


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
    combos: Mapping[str, ComboLimit] = field(default_factory=lambda: {COMBO: COMBO_LIMIT})

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms = self.now_ms()
        self.asked.append(f"{method} {path}")
        if self.logs_on and f"{method} {path}" == deribit.LOG_ON:
            if self.away:
                self.away -= 1
                raise Retry("SIGNER_UNREACHABLE", "the signer does not answer", "start it")
            sig = deribit.sign_log_on(SECRET.encode(), payload, at_ms=now_ms, nonce="n")
            return json.dumps({"ts": now_ms, "nonce": "n", "sig": sig})
        judged = deribit.check(method, path, payload, now_ms=now_ms, symbols=self.symbols, combos=self.combos)
        if judged.words is not None:
            deribit.judge(
                judged.words, dict.fromkeys(self.symbols, self.limit), self.combos, {}, now_ms, judged.linked
            )
        nonce = hashlib.sha256(f"{payload}{len(self.asked)}".encode()).hexdigest()[:16]
        sig = deribit.sign(SECRET.encode(), method, path, payload, at_ms=now_ms, nonce=nonce)
        return json.dumps({"ts": now_ms, "nonce": nonce, "sig": sig})


def deribit_venue(now_ms: Callable[[], int] | None = None, combos: bool = True) -> Venue:
    """A perpetual; with `combos` also a future a little above it, and the spread of the two around what they stand apart."""
    perpetual, dated = SymbolSpec("ETH", "USDC"), SymbolSpec("ETH-27DEC30", "USDC", mid=D(3012))
    combo = combo_spec("ETH-FS-27DEC30_PERP", {dated.symbol: 1, perpetual.symbol: -1}, [perpetual, dated])
    makers = [Maker(spec, seeded_levels(spec, 1), 1, breathing=False) for spec in (perpetual, dated)]
    makers.append(Maker(combo, combo_levels(combo), 1, breathing=False))
    engine = ComboEngine([perpetual, dated, combo] if combos else [perpetual], D("0.001"), D("0.001"))
    wall = now_ms or (lambda: time.time_ns() // 1_000_000)
    return Venue(engine, [Account(KEY, SECRET, DEPOSITS)], makers if combos else makers[:1], wall)


@asynccontextmanager
async def deribit_paper(now_ms: Callable[[], int] | None = None, combos: bool = True) -> AsyncIterator[Door]:
    server = DeribitServer(deribit_venue(now_ms, combos), Limits(10**7))
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


INVERSE, INVERSE_SYMBOL = "BTC-PERPETUAL", "BTCUSD"
INVERSE_LIMIT = SymbolLimit(D(10**6), D(10**7), D(30_000), D(90_000), inverse=True)


@asynccontextmanager
async def inverse_paper(coins: str) -> AsyncIterator[Door]:
    """A perpetual of dollars' worth of bitcoin about 60,000, and an account of so many of them."""
    spec = SymbolSpec("BTC", "USD", D("0.5"), D(10), D(10), max_qty=D(9_000_000), mid=D(60_000), inverse=True)
    engine = ComboEngine([spec], D("0.0005"), D("0.0005"))
    maker = Maker(spec, seeded_levels(spec, 1), 1, breathing=False)
    account = Account(KEY, SECRET, (("BTC", D(coins)),))
    venue = Venue(engine, [account], [maker], lambda: time.time_ns() // 1_000_000)
    async with served(DeribitServer(venue, Limits(10**7)), "/api/v2/depth") as door:
        yield door


def inverse_signer() -> Signer:
    return Signer(limit=INVERSE_LIMIT, symbols=frozenset({INVERSE}))
