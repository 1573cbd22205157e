"""The session a desk of the chaos works by: Binance's own, with orders by REST or by FIX, or the ccxt family's with requests judged and
signed as the signer does it, or Binance USD-M's, Deribit's and dYdX's of contracts, orders that only reduce among theirs; Kraken's and
Coinbase's of coins."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import secrets
from dataclasses import replace
from decimal import Decimal
from itertools import count
from urllib.parse import parse_qsl

from agent.app.chaos.exchange.dialects import ADDRESS, AGENT, DYDX_ADDRESS, KEY, SECRET
from agent.app.chaos.exchange.ground import SYMBOL, QuickClock, key_of_sessions
from agent.app.chaos.exchange.signatures import ENDLESS, CoinbaseOfChaos, by_nonce, by_transaction
from agent.domain.orders import TimeInForce, VenueOrder
from agent.ports import ExecutionVenue, SignedRequest
from agent.transport.fix.message import stamp_ns
from agent.transport.http import TimeOuts
from agent.venues import Sign, Terms
from agent.venues.binance_spot import FEED, VENUE, BinanceSpot
from agent.venues.binance_spot.by_fix import BinanceSpotByFix, Doors
from agent.venues.binance_spot.fix_door import Door
from agent.venues.binance_usdm import FEED as USDM_FEED
from agent.venues.binance_usdm import VENUE as USDM
from agent.venues.binance_usdm import BinanceUsdm
from agent.venues.ccxt import VENUE as FAMILY
from agent.venues.ccxt import Ccxt
from agent.venues.deribit import FEED as DERIBIT_FEED
from agent.venues.deribit import VENUE as DERIBIT
from agent.venues.deribit import Deribit
from agent.venues.dydx import FEED as DYDX_FEED
from agent.venues.dydx import VENUE as DYDX
from agent.venues.dydx import Dydx
from agent.venues.hyperliquid import FEED as HYPERLIQUID_FEED
from agent.venues.hyperliquid import VENUE as HYPERLIQUID
from agent.venues.hyperliquid import Hyperliquid
from agent.venues.kraken import FEED as KRAKEN_FEED
from agent.venues.kraken import VENUE as KRAKEN
from agent.venues.kraken import Kraken
from keys.curve import SigningKey
from keys.hyperliquid import action_hash, agent_digest
from keys.signer import ccxt_desk, ccxt_policy, fix_logon
from keys.signer import deribit as policy
from keys.signer import hyperliquid as actions
from keys.signer.exchange_orders import SymbolLimit

SENDERS, COPIERS = ("OE1", "OE2", "OE3"), ("DC1", "DC2", "DC3")
REDUCES = Terms(reduce_only=True)
DIALECT = "ccxt:binance"
BAND = {SYMBOL: SymbolLimit(ENDLESS, ENDLESS, Decimal(1), Decimal(10**6))}


async def sign(method: str, path: str, payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


async def log_on(method: str, path: str, query: str) -> str:
    """The exchange's clock may have been turned; the signer's bound on that is tested elsewhere."""
    now_ms = stamp_ns(query.rpartition("=")[2]) // 10**6
    text = fix_logon.check(method, path, query, senders=(*SENDERS, *COPIERS), now_ms=now_ms)
    return fix_logon.sign(key_of_sessions(), text)


class ReducingUsdm(BinanceUsdm):
    """Every order of it may only make a position smaller."""

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        return await self.authorize_with(order, REDUCES)


class ReducingDeribit(Deribit):
    """Every order of it may only make a position smaller."""

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        return await self.authorize_with(order, REDUCES)


class ReducingDydx(Dydx):
    """Every order of it that takes at once may only make a position smaller: what rests there may not be told to."""

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        takes = order.time_in_force is TimeInForce.IOC
        return await (self.authorize_with(order, REDUCES) if takes else super().authorize(order))


def by_itself(clock: QuickClock) -> Sign:
    """Deribit's signatures, each for one request that the signer's policy would take; and a log-on, as an owner may allow it."""
    used = count()

    async def sign_one(method: str, path: str, payload: str) -> str:
        now_ms, nonce = clock.now_ns() // 10**6, f"{next(used)}-{secrets.token_hex(6)}"
        if f"{method} {path}" == policy.LOG_ON:
            sig = policy.sign_log_on(SECRET.encode(), payload, at_ms=now_ms, nonce=nonce)
        else:
            # the exchange's clock may have been turned; the signer's own bound on that is tested elsewhere
            until_ms = int(dict(parse_qsl(payload)).get("valid_until", now_ms))
            policy.check(method, path, payload, now_ms=until_ms - 1)
            sig = policy.sign(SECRET.encode(), method, path, payload, at_ms=now_ms, nonce=nonce)
        return json.dumps({"ts": now_ms, "nonce": nonce, "sig": sig})

    return sign_one


def by_agent(clock: QuickClock) -> Sign:
    """Hyperliquid's signatures: actions that the signer's policy would take, each with a nonce of its own that only grows."""
    agent, last = SigningKey(bytes.fromhex(AGENT[2:])), [0]

    async def sign_action(method: str, path: str, payload: str) -> str:
        expires_ms = int(json.loads(payload)["expiresAfter"])
        asked = actions.check(method, path, payload, now_ms=expires_ms - 1)
        last[0] = nonce = max(clock.now_ns() // 10**6, last[0] + 1)
        raw = agent.sign(agent_digest(action_hash(asked.action, nonce, None, expires_ms), mainnet=False))
        return json.dumps({"nonce": nonce, "r": "0x" + raw[:32].hex(), "s": "0x" + raw[32:64].hex(), "v": raw[64]})  # fmt: skip

    return sign_action


def warm(kind: str) -> None:
    """Reads what a session of that kind needs once in a process and long: no part of an order's life."""
    if kind == "ccxt":
        for name in ("ccxt", "ccxt.async_support", "ccxt.pro"):
            importlib.import_module(name)


def session_of(
    kind: str, clock: QuickClock, url: str, timeouts: TimeOuts, fix_url: str = "", reduces: bool = False
) -> ExecutionVenue:
    """`reduces`: of contracts, where all its orders only reduce what is held."""
    if kind == "binance_spot":
        facts = replace(VENUE, weight_per_minute=10**9)
        return BinanceSpot(facts, FEED, "paper", clock, KEY, sign, url, timeouts)
    if kind == "fix":
        facts = replace(VENUE, weight_per_minute=10**9)
        doors = Doors(Door(fix_url, SENDERS, KEY, log_on), Door(fix_url, COPIERS, KEY, log_on))
        return BinanceSpotByFix(facts, FEED, "paper", clock, KEY, sign, url, timeouts, doors=doors)
    if kind == "binance_usdm":
        facts, of = replace(USDM, weight_per_minute=10**9), ReducingUsdm if reduces else BinanceUsdm
        return of(facts, USDM_FEED, "paper", clock, KEY, sign, url, timeouts)
    if kind == "deribit":
        facts, of_deribit = replace(DERIBIT, weight_per_minute=10**9), ReducingDeribit if reduces else Deribit
        return of_deribit(facts, DERIBIT_FEED, "paper", clock, KEY, by_itself(clock), url, None, timeouts)
    if kind == "hyperliquid":
        facts = replace(HYPERLIQUID, weight_per_minute=10**9)
        return Hyperliquid(facts, HYPERLIQUID_FEED, "paper", clock, ADDRESS, by_agent(clock), url, None, timeouts)  # fmt: skip
    if kind == "kraken":
        facts = replace(KRAKEN, weight_per_minute=10**9)
        return Kraken(facts, KRAKEN_FEED, "paper", clock, KEY, by_nonce(clock), url, None, timeouts)
    if kind == "coinbase":
        return CoinbaseOfChaos(clock, url, timeouts)
    if kind == "dydx":
        facts, of_dydx = replace(DYDX, weight_per_minute=10**9), ReducingDydx if reduces else Dydx
        return of_dydx(facts, DYDX_FEED, "paper", clock, DYDX_ADDRESS, by_transaction(clock), url, None, timeouts)  # fmt: skip
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
