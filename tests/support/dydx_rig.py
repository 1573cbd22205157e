"""A paper exchange in dYdX's dialect, and a session at it whose transactions are judged, written and signed by the signer's own code."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ccxt_rig import BAND
from paper import DEPOSITS, Door, served

from agent.app.testvenue.dydx import Authenticator, DydxServer
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.venue import Account, Venue
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.dydx import FEED, VENUE, Dydx
from chains.dydx import account_of
from keys.curve import SigningKey
from keys.signer import dydx
from keys.signer.dydx_desk import BACK_MS, signed

ADDRESS = "dydx1n56z5fhmemtffzkt2eqyf9kuc7ycjfs86mvqy7"
OWNER, TRADER = (SigningKey(bytes([n]) * 32) for n in (3, 5))
OWNERS_SECRET = "03" * 32
AUTHENTICATOR = 12
ACCOUNT = f"{ADDRESS}/0/{AUTHENTICATOR}"
MARKET, PAIR = "ETH-USD", "1@-9"
BLOCK_MS = 120
"""An immediate order lives eight blocks: a second here, which a busy machine's request does not take."""


def sub(kind: str, config: bytes) -> dict[str, str]:
    return {"type": kind, "config": base64.b64encode(config).decode()}


def all_of(*parts: dict[str, str]) -> Authenticator:
    return Authenticator("AllOf", json.dumps(list(parts)).encode())


TRADES_ONLY = all_of(
    sub("SignatureVerification", TRADER.public),
    sub("MessageFilter", b"/dydxprotocol.clob.MsgPlaceOrder,/dydxprotocol.clob.MsgCancelOrder"),
    sub("SubaccountFilter", b"0"),
)


@dataclass
class Signer:
    """Judges by the signer's policy and signs; keeps no ledger. `asked`: what it was asked for."""

    key: SigningKey = TRADER
    account: str = ACCOUNT
    asked: list[str] = field(default_factory=list)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    symbols: frozenset[str] = frozenset({PAIR})
    last: int = 0

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms = self.now_ms()
        self.asked.append(payload)
        asked = dydx.check(method, path, payload, now_ms=now_ms, symbols=self.symbols)
        dydx.judged(asked, {PAIR: BAND}, {}, now_ms)
        self.last = max(now_ms - BACK_MS, self.last + 1)
        return json.dumps({"tx": signed(asked, account_of(self.account), self.key, self.last, live=False)})


@asynccontextmanager
async def dydx_paper(now_ms: Callable[[], int] | None = None, leverage: int = 5) -> AsyncIterator[Door]:
    spec = SymbolSpec("ETH", "USDC", min_notional=Decimal(0))
    maker = Maker(spec, seeded_levels(spec, 1), 1, breathing=False)
    engine = FuturesEngine([spec], Decimal("0.001"), Decimal("0.001"))
    engine.leverage[ADDRESS, spec.symbol] = leverage
    accounts = [Account(ADDRESS, OWNERS_SECRET, DEPOSITS)]
    venue = Venue(engine, accounts, [maker], now_ms or (lambda: time.time_ns() // 1_000_000))
    server = DydxServer(venue, Limits(10**7), BLOCK_MS, venue.now_ms() - 1_000 * BLOCK_MS)
    server.authenticators[ADDRESS, AUTHENTICATOR] = TRADES_ONLY
    async with served(server, "/v4/depth") as door:
        yield door


def dydx_session(
    url: str, signer: Signer | None = None, clock: Clock | None = None, timeouts: TimeOuts | None = None
) -> Dydx:
    facts = replace(VENUE, audit_s=0.1, weight_per_minute=10**7)
    by = signer or Signer()
    return Dydx(
        facts, FEED, "paper", clock or SystemClock(), by.account, by.sign, url, None, timeouts or TimeOuts(1.0, 0.5)
    )  # fmt: skip
