"""The session a desk of the chaos works by: Binance's own, or the ccxt family's with requests judged and signed as the signer does it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from decimal import Decimal

from agent.app.chaos.exchange.ground import KEY, SECRET, SYMBOL, QuickClock
from agent.transport.http import TimeOuts
from agent.venues.binance_spot import FEED, VENUE, BinanceSpot
from agent.venues.ccxt import VENUE as FAMILY
from agent.venues.ccxt import Ccxt
from keys.signer import ccxt_desk, ccxt_policy
from keys.signer.exchange_orders import SymbolLimit

KINDS = ("binance_spot", "ccxt")
DIALECT, ENDLESS = "ccxt:binance", Decimal(10**12)
BAND = {SYMBOL: SymbolLimit(ENDLESS, ENDLESS, Decimal(1), Decimal(10**6))}


async def sign(method: str, path: str, payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def session_of(kind: str, clock: QuickClock, url: str, timeouts: TimeOuts) -> BinanceSpot | Ccxt:
    if kind == "binance_spot":
        facts = replace(VENUE, weight_per_minute=10**9)
        return BinanceSpot(facts, FEED, "paper", clock, KEY, sign, url, timeouts)
    library = ccxt_desk.Library()

    async def judged(method: str, path: str, payload: str) -> str:
        # the exchange's clock may have been turned far from ours; the signer's own bound on that is tested elsewhere
        now_ms = clock.now_ns() // 10**6 + 10**9
        call = ccxt_policy.check(DIALECT, (), method, path, payload, now_ms=now_ms, symbols=frozenset(BAND))
        ccxt_policy.judged(call, BAND, {}, now_ms)
        return ccxt_desk.made_and_signed(library.of("paper", DIALECT, (KEY, SECRET, "")), call)

    return Ccxt(
        replace(FAMILY, weight_per_minute=10**9),
        "paper",
        "binance",
        clock,
        judged,
        url,
        None,
        timeouts,
        False,
    )
