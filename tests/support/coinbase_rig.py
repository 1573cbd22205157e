"""A paper exchange in Coinbase's dialect, and a session at it whose requests are judged, counted, signed and sent by the signer's own desk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from ccxt_rig import BAND
from Crypto.PublicKey import ECC
from kraken_rig import kraken_venue
from own_ledger import own_ledger
from paper import DEPOSITS, Door, served

from agent.app.testvenue.coinbase import CoinbaseServer
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.venue import Account
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.coinbase import FEED, VENUE, Coinbase
from keys.settings import ExchangeReference
from keys.signer import coinbase
from keys.signer.coinbase_desk import CoinbaseDesk, host_of
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.exchange_wire import Wire
from keys.signer.ledger import SpendLedger

PRODUCT = "ETH-USDC"
KEY = "organizations/o/apiKeys/k"
PRIVATE = ECC.generate(curve="P-256")
PEM, PUBLIC = PRIVATE.export_key(format="PEM"), PRIVATE.public_key().export_key(format="PEM")
ALLOWED = (coinbase.SOCKET,)


@dataclass
class Signer:
    """The signer's desk over a ledger of its own. `asked`: what it was asked for; `sends_to`: where orders go, asked each time."""

    asked: list[str] = field(default_factory=list)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    limit: SymbolLimit = BAND
    allow: tuple[str, ...] = ()
    sends_to: Callable[[], str] = lambda: ""
    times: TimeOuts = field(default_factory=TimeOuts)
    secret: str = PEM
    host: str = ""
    kept: SpendLedger | None = None

    def __post_init__(self) -> None:
        self.ledger = self.kept or own_ledger(self)
        self.desk = CoinbaseDesk(self.ledger)

    def _named(self, method: str, path: str, payload: str) -> tuple[str, str, tuple[str, str, str, str, str]]:
        digest = hashlib.sha256(f"{method} {path} {payload}".encode()).hexdigest()
        name = f"paper-{digest[:32]}"
        return name, digest, (name, "paper", method, path, payload)

    async def sign(self, method: str, path: str, payload: str) -> str:
        self.asked.append(f"{method} {path}")
        name, digest, asked = self._named(method, path, payload)
        limits = {PRODUCT: self.limit}
        reference = ExchangeReference(
            coinbase.DIALECT, "env:K", "env:S", self.allow, (PRODUCT,), limits, 1, self.sends_to()
        )
        return self.desk.sign(
            reference,
            KEY,
            self.secret,
            lambda: self.ledger.known(name) == digest,
            asked,
            digest,
            now_ms=self.now_ms(),
            host=self.host or host_of(self.sends_to()),
        )

    async def send(self, method: str, path: str, payload: str) -> tuple[int, Mapping[str, str], bytes]:
        name, digest, asked = self._named(method, path, payload)
        wire = Wire("paper", self.sends_to(), self.times.write_s)
        try:
            told = await self.desk.send(
                wire,
                KEY,
                self.secret,
                lambda: self.ledger.known(name) == digest,
                asked,
                digest,
                self.host or host_of(self.sends_to()),
            )
        finally:
            wire.close()
        return told.status, told.headers, told.body.encode()


@asynccontextmanager
async def coinbase_paper(now_ms: Callable[[], int] | None = None) -> AsyncIterator[Door]:
    venue = kraken_venue(now_ms, Account(KEY, PUBLIC, DEPOSITS))
    async with served(CoinbaseServer(venue, Limits(10**7)), "/api/v3/brokerage/depth") as door:
        yield door


def coinbase_session(
    url: str,
    signer: Signer | None = None,
    clock: Clock | None = None,
    timeouts: TimeOuts | None = None,
    audit_s: float = 0.05,
) -> Coinbase:
    """Orders go where the session's own requests go."""
    facts = replace(VENUE, audit_s=audit_s, weight_per_minute=10**7)
    signs, times = signer or Signer(), timeouts or TimeOuts(1.0, 0.5)
    venue = Coinbase(facts, FEED, "paper", clock or SystemClock(), signs.sign, signs.send, url, None, times)
    signs.sends_to, signs.times = (lambda: venue.http.base_url), times
    return venue
