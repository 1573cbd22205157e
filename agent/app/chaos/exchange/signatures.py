"""What the signer gives for Kraken, Coinbase and dYdX, judged by its own policies, and for Coinbase sent by it; by the chaos' quick clock.

The exchange's clock may have been turned; the signer's bounds on that, its ledger and its counting over days are tested elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

from agent.app.chaos.exchange.dialects import (
    COINBASE_KEY,
    COINBASE_PRIVATE,
    DIALECTS,
    DYDX_ADDRESS,
    DYDX_KEY,
    KRAKEN_SECRET,
)
from agent.app.chaos.exchange.ground import QuickClock
from agent.market.reading import ns_of_text
from agent.transport.http import TimeOuts
from agent.venues import Sign
from agent.venues.coinbase import FEED, VENUE, Coinbase
from chains.dydx import account_of
from chains.errors import Denied
from keys.curve import SigningKey
from keys.signer import coinbase, dydx, dydx_desk, exchange_orders, kraken
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.exchange_wire import Wire

ENDLESS = Decimal(10**12)
WIDE_OPEN = SymbolLimit(ENDLESS, ENDLESS, Decimal(1), Decimal(10**6))
PAIR = "1@-9"


def by_nonce(clock: QuickClock) -> Sign:
    """Kraken's: an order is granted first and signed once when it is sent, under a nonce that only grows."""
    symbol, key, granted, last = DIALECTS["kraken"].symbol, kraken.key_of(KRAKEN_SECRET), set[str](), [0]

    async def sign(method: str, path: str, body: str) -> str:
        now_ms, until = clock.now_ns() // 10**6, parse_qs(body).get("deadline", [""])[0]
        at_ms = ns_of_text(until) // 10**6 - 1 if until else now_ms
        asked = kraken.check(
            method, path, body, now_ms=at_ms, symbols=frozenset({symbol}), allow=(kraken.TOKEN,)
        )
        if asked.words is not None:
            if body not in granted:
                exchange_orders.judge(asked.words, {symbol: WIDE_OPEN}, {}, at_ms)
                granted.add(body)
                return ""
            granted.remove(body)
        last[0] = nonce = max(clock.now_ns() // 1_000, last[0] + 1)
        return json.dumps({"nonce": nonce, "sig": kraken.sign(key, path, body, nonce)})

    return sign


def by_transaction(clock: QuickClock) -> Sign:
    """dYdX's: whole transactions, each with a sequence of its own that only grows."""
    owner, key, last = account_of(DYDX_ADDRESS), SigningKey(bytes.fromhex(DYDX_KEY)), [0]

    async def sign(method: str, path: str, payload: str) -> str:
        now_ms = clock.now_ns() // 10**6
        asked = dydx.check(method, path, payload, now_ms=now_ms, symbols=frozenset({PAIR}))
        dydx.judged(asked, {PAIR: WIDE_OPEN}, {}, now_ms)
        last[0] = max(now_ms - dydx_desk.BACK_MS, last[0] + 1)
        return json.dumps({"tx": dydx_desk.signed(asked, owner, key, last[0], live=False)})

    return sign


class CoinbaseOfChaos(Coinbase):
    """Tokens for what reads and cancels; orders are sent from the signer's side of the wire alone, each once."""

    def __init__(self, clock: QuickClock, url: str, timeouts: TimeOuts) -> None:
        facts = replace(VENUE, weight_per_minute=10**9)
        super().__init__(facts, FEED, "paper", clock, self.give, self.carry, url, None, timeouts)
        self._host, self._granted_here = urlsplit(url).netloc, set[str]()
        self._wire = Wire("paper", url, timeouts.write_s)

    async def give(self, method: str, path: str, payload: str) -> str:
        symbol, now_ms = DIALECTS["coinbase"].symbol, self._clock.now_ns() // 10**6
        asked = coinbase.check(method, path, payload, now_ms=now_ms, symbols=frozenset({symbol}), allow=(coinbase.SOCKET,))  # fmt: skip
        if asked.words is None:
            return self._bearer(method, path)
        exchange_orders.judge(asked.words, {symbol: WIDE_OPEN}, {}, now_ms)
        self._granted_here.add(payload)
        return ""

    async def carry(self, method: str, path: str, payload: str) -> tuple[int, Mapping[str, str], bytes]:
        if payload not in self._granted_here:
            raise Denied("EXCHANGE_NOT_GRANTED", f"{method} {path} was not granted", "ask to sign it first")
        headers = {"Authorization": f"Bearer {self._bearer(method, path)}", "Content-Type": "application/json"}  # fmt: skip
        told = await asyncio.to_thread(self._wire.request, method, path, payload, headers)
        return told.status, told.headers, told.body.encode()

    def _bearer(self, method: str, path: str) -> str:
        uri = "" if method == "WS" else f"{method} {self._host}{path}"
        at_s = self._clock.now_ns() // 10**9 + self._ahead_ms // 1_000
        return coinbase.token(COINBASE_PRIVATE, COINBASE_KEY, uri, at_s=at_s, nonce=secrets.token_hex(16))

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            self._wire.close()
