"""A paper exchange in Kraken's dialect, and a session at it whose requests are judged, counted and signed by the signer's own desk."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ccxt_rig import BAND
from own_ledger import own_ledger
from paper import DEPOSITS, KEY, SECRET, Door, served

from agent.app.testvenue.kraken import KrakenServer
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.quote_fees import QuoteFees
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.venue import Account, Venue
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.kraken import FEED, VENUE, Kraken
from keys.settings import ExchangeReference
from keys.signer import kraken
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.kraken_desk import KrakenDesk
from keys.signer.ledger import SpendLedger

PAIR = "ETH/USDC"
API_SECRET = base64.b64encode(SECRET.encode()).decode()
ALLOWED = ("POST /0/private/GetWebSocketsToken",)


@dataclass
class Signer:
    """The signer's desk over a ledger of its own. `asked`: what it was asked for."""

    asked: list[str] = field(default_factory=list)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    limit: SymbolLimit = BAND
    allow: tuple[str, ...] = ()
    kept: SpendLedger | None = None

    def __post_init__(self) -> None:
        self.ledger = self.kept or own_ledger(self)
        self.desk = KrakenDesk(self.ledger)

    @property
    def reference(self) -> ExchangeReference:
        return ExchangeReference(kraken.DIALECT, "env:K", "env:S", self.allow, (PAIR,), {PAIR: self.limit})

    async def sign(self, method: str, path: str, payload: str) -> str:
        self.asked.append(f"{method} {path}")
        digest = hashlib.sha256(f"{method} {path} {payload}".encode()).hexdigest()
        name = f"paper-{digest[:32]}"
        return self.desk.sign(
            self.reference,
            KEY,
            API_SECRET,
            lambda: self.ledger.known(name) == digest,
            (name, "paper", method, path, payload),
            digest,
            now_ms=self.now_ms(),
        )


def kraken_venue(now_ms: Callable[[], int] | None = None, owner: Account | None = None) -> Venue:
    spec = SymbolSpec("ETH", "USDC")
    maker = Maker(spec, seeded_levels(spec, 1), 1, breathing=False)
    engine = QuoteFees([spec], Decimal("0.001"), Decimal("0.001"))
    account = owner or Account(KEY, API_SECRET, DEPOSITS)
    return Venue(engine, [account], [maker], now_ms or (lambda: time.time_ns() // 1_000_000))


@asynccontextmanager
async def kraken_paper(now_ms: Callable[[], int] | None = None) -> AsyncIterator[Door]:
    async with served(KrakenServer(kraken_venue(now_ms), Limits(10**7)), "/0/depth") as door:
        yield door


def kraken_session(
    url: str,
    signer: Signer | None = None,
    clock: Clock | None = None,
    timeouts: TimeOuts | None = None,
    audit_s: float = 0.05,
) -> Kraken:
    facts = replace(VENUE, audit_s=audit_s, weight_per_minute=10**7)
    sign = (signer or Signer()).sign
    return Kraken(
        facts, FEED, "paper", clock or SystemClock(), KEY, sign, url, None, timeouts or TimeOuts(1.0, 0.5)
    )
