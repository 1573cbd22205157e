"""A market of the library's own form, written by hand, and its class asked offline: what it would send, and to where."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ccxt_rig import BAND

from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.ccxt.library import _DUMMY, Library
from keys.settings import ExchangeReference
from keys.signer import ccxt_desk, ccxt_policy
from keys.signer.exchange_orders import Counted

IDS = {
    "binance": "ETHUSDC",
    "binanceus": "ETHUSDC",
    "bitget": "ETHUSDC",
    "bybit": "ETHUSDC",
    "gate": "ETH_USDC",
    "hashkey": "ETHUSDC",
    "kraken": "XETHUSDC",
    "kucoin": "ETH-USDC",
    "mexc": "ETHUSDC",
    "okx": "ETH-USDC",
}


class Offline:
    """One exchange with one market and no network. `calls` are what its calls asked to be signed, judged by the signer's policy."""

    def __init__(self, exchange: str) -> None:
        self.symbol, self.now_ms = IDS[exchange], 1_700_000_000_000
        self.reference = ExchangeReference(f"ccxt:{exchange}", "env:K", "env:S", (), (self.symbol,), {self.symbol: BAND})  # fmt: skip
        self.signing, self.calls = ccxt_desk.Library(), list[tuple[ccxt_policy.Call, Counted | None]]()
        self.library = Library(
            "x", exchange, SystemClock(), self._sign, TimeOuts(), "http://127.0.0.1:9", None, False
        )
        self.library._now_ms = lambda: self.now_ms  # type: ignore[method-assign]
        self.library.raw.set_markets([self._market()])
        for name, value in _DUMMY.items():
            setattr(self.library.raw, name, value)

    def _market(self) -> Any:
        kind = {
            "type": "spot",
            "spot": True,
            "margin": False,
            "swap": False,
            "future": False,
            "option": False,
        }
        steps = {"precision": {"price": "0.01", "amount": "0.0001"}, "limits": {"amount": {"min": "0.0001"}, "price": {}, "cost": {"min": "5"}}}  # fmt: skip
        named = {
            "id": self.symbol,
            "symbol": "ETH/USDC",
            "base": "ETH",
            "quote": "USDC",
            "baseId": "ETH",
            "quoteId": "USDC",
        }
        return self.library.raw.safe_market_structure({**kind, **steps, **named, "contract": False, "active": True, "info": {"orderTypes": ["LIMIT", "MARKET"]}})  # fmt: skip

    async def _sign(self, method: str, path: str, payload: str) -> str:
        reference = self.reference
        call = ccxt_policy.check(reference.dialect, (), method, path, payload, now_ms=self.now_ms, symbols=frozenset(reference.symbols))  # fmt: skip
        counted = ccxt_policy.judged(call, reference.limits, {}, self.now_ms)
        self.calls.append((call, counted))
        return ccxt_desk.made_and_signed(self.signing.of("x", reference.dialect, ("key", "c2VjcmV0", "word")), call)  # fmt: skip

    def leave(self, request: Mapping[str, Any]) -> None:
        """As though what was captured had been sent and answered."""
        self.library._over(request["turn"])

    async def close(self) -> None:
        await self.library.close()


async def asked(exchange: str, method: str, *args: Any) -> tuple[ccxt_policy.Call, Counted | None, Any]:
    """What a call that changes something was judged as, and the request that would be sent."""
    offline = Offline(exchange)
    try:
        request = await offline.library.captured(method, *args)
        return (*offline.calls[-1], request)
    finally:
        await offline.close()
        await asyncio.sleep(0)
