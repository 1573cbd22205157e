"""The session a desk of the chaos works by: Binance's own, with orders by REST or by FIX, or the ccxt family's with requests judged and
signed as the signer does it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from decimal import Decimal

from agent.app.chaos.exchange.ground import KEY, SECRET, SYMBOL, QuickClock, key_of_sessions
from agent.transport.fix.message import stamp_ns
from agent.transport.http import TimeOuts
from agent.venues.binance_spot import FEED, VENUE, BinanceSpot
from agent.venues.binance_spot.by_fix import BinanceSpotByFix, Doors
from agent.venues.binance_spot.fix_door import Door
from agent.venues.ccxt import VENUE as FAMILY
from agent.venues.ccxt import Ccxt
from keys.signer import ccxt_desk, ccxt_policy, fix_logon
from keys.signer.exchange_orders import SymbolLimit

KINDS = ("binance_spot", "fix", "ccxt")
SENDERS, COPIERS = ("OE1", "OE2", "OE3"), ("DC1", "DC2", "DC3")
DIALECT, ENDLESS = "ccxt:binance", Decimal(10**12)
BAND = {SYMBOL: SymbolLimit(ENDLESS, ENDLESS, Decimal(1), Decimal(10**6))}


async def sign(method: str, path: str, payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


async def log_on(method: str, path: str, query: str) -> str:
    """The exchange's clock may have been turned; the signer's bound on that is tested elsewhere."""
    now_ms = stamp_ns(query.rpartition("=")[2]) // 10**6
    text = fix_logon.check(method, path, query, senders=(*SENDERS, *COPIERS), now_ms=now_ms)
    return fix_logon.sign(key_of_sessions(), text)


def session_of(
    kind: str, clock: QuickClock, url: str, timeouts: TimeOuts, fix_url: str = ""
) -> BinanceSpot | Ccxt:
    if kind == "binance_spot":
        facts = replace(VENUE, weight_per_minute=10**9)
        return BinanceSpot(facts, FEED, "paper", clock, KEY, sign, url, timeouts)
    if kind == "fix":
        facts = replace(VENUE, weight_per_minute=10**9)
        doors = Doors(Door(fix_url, SENDERS, KEY, log_on), Door(fix_url, COPIERS, KEY, log_on))
        return BinanceSpotByFix(facts, FEED, "paper", clock, KEY, sign, url, timeouts, doors=doors)
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
