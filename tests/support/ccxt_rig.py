"""A session of the ccxt family whose requests are judged and signed by the signer's own code, as its process does it."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

from paper import KEY, SECRET

from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.ccxt import VENUE, Ccxt
from keys.settings import ExchangeReference
from keys.signer import ccxt_desk, ccxt_policy
from keys.signer.exchange_orders import SymbolLimit

BAND = SymbolLimit(Decimal(10**6), Decimal(10**7), Decimal(100), Decimal(10_000))


class Signer:
    """Judges by the signer's policy and signs by its library; keeps no ledger. `asked`: (method, path) of everything."""

    def __init__(self, exchange: str, symbol: str, secret: str = SECRET, word: str = "") -> None:
        self.reference = ExchangeReference(
            f"ccxt:{exchange}", "env:K", "env:S", (), (symbol,), {symbol: BAND}
        )
        self.library, self.asked, self.secret = ccxt_desk.Library(), list[tuple[str, str]](), secret
        self.word = word

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms, reference = time.time_ns() // 10**6, self.reference
        self.asked.append((method, path))
        call = ccxt_policy.check(
            reference.dialect,
            reference.allow,
            method,
            path,
            payload,
            now_ms=now_ms,
            symbols=frozenset(reference.symbols),
        )
        ccxt_policy.judged(call, reference.limits, {}, now_ms)
        return ccxt_desk.made_and_signed(
            self.library.of("x", reference.dialect, (KEY, self.secret, self.word)), call
        )


def at_paper(
    url: str,
    audit_s: float = 0.1,
    exchange: str = "binance",
    signer: Signer | None = None,
    timeouts: TimeOuts | None = None,
) -> Ccxt:
    facts = replace(VENUE, audit_s=audit_s)
    sign = (signer or Signer(exchange, "ETHUSDC")).sign
    return Ccxt(
        facts, "paper", exchange, SystemClock(), sign, url, None, timeouts or TimeOuts(1.0, 0.5), False
    )
