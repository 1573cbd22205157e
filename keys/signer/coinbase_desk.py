"""What is signed, and what is sent, for Coinbase: judged from its own text, recorded durably, then a token for reading, or the order sent.

No order's token leaves this process. A grant that is older than six seconds, or was not used when this process ended, is void.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chains.errors import Denied, Reconcile, Retry
from keys.settings import ExchangeReference
from keys.signer import coinbase, exchange_orders
from keys.signer.exchange_wire import Answer, Wire
from keys.signer.ledger import SpendLedger

if TYPE_CHECKING:
    from Crypto.PublicKey.ECC import EccKey

DAY_S, KEPT = 86_400, 10_000
TURNED_AWAY = (418, 429)
"""Read and not carried out: it may be sent when the exchange listens again, while its grant lives."""
Request = tuple[str, str, str, str, str]
"""(request id, venue, method, path, body)."""


class CoinbaseDesk:
    """Of all keys at Coinbase that one signer's process holds."""

    def __init__(self, ledger: SpendLedger) -> None:
        self._ledger = ledger
        self._waiting: dict[str, tuple[str, int]] = {}
        self._products: dict[str, dict[str, str]] = {}
        self._read: dict[bytes, EccKey] = {}

    def sign(
        self,
        reference: ExchangeReference,
        api_key: str,
        secret: str,
        granted: Callable[[], bool],
        asked: Request,
        digest: str,
        *,
        now_ms: int,
        host: str,
    ) -> str:
        """The request's token, "" for an order, which `send` sends. `host`: what Coinbase is called in it. Raises Denied EXCHANGE_…, Usage."""
        request_id, venue, method, path, body = asked
        judged = coinbase.check(
            method,
            path,
            body,
            now_ms=now_ms,
            symbols=frozenset(reference.symbols),
            allow=reference.allow,
            known=self._products.get(venue),
        )
        wall, facts = now_ms // 1000, {"venue": venue, "endpoint": judged.endpoint}
        if judged.words is not None and not reference.sends_to:
            raise Denied("EXCHANGE_SENT_HERE", f"{judged.endpoint}: with its token any order could be sent", f"Set `sends_to` for {venue} in the signer's settings.")  # fmt: skip
        fresh, waits = not granted(), request_id in self._waiting
        # an order is one by its own id; a change back to what was asked before is another change, and counted again
        again = judged.endpoint == coinbase.CHANGE and not waits
        if judged.writes and (fresh or again):
            if judged.words is not None:
                spent = self._ledger.ordered(venue, wall - DAY_S)
                counted = exchange_orders.judge(judged.words, reference.limits, spent, now_ms)
                facts |= {"symbol": counted.symbol, "cost": f"{counted.cost:f}"}
            named = request_id if fresh else f"{request_id}-{secrets.token_hex(8)}"
            self._ledger.record("exchange", named, digest, wall, facts)
            if judged.words is not None:
                self._wait(request_id, digest, now_ms)
        return "" if judged.words is not None else self._token(api_key, secret, method, path, host, now_ms)

    async def send(
        self, wire: Wire, api_key: str, secret: str, granted: Callable[[], bool], asked: Request, digest: str, host: str
    ) -> Answer:  # fmt: skip
        """Sends what `sign` granted, once. Raises Denied EXCHANGE_NOT_GRANTED, EXCHANGE_WINDOW, Retry, Reconcile."""
        request_id, venue, method, path, body = asked
        waiting, since_ms = self._waiting.get(request_id, ("", 0))
        now_ms = time.time_ns() // 10**6
        if waiting != digest:
            if granted():
                raise Reconcile("EXCHANGE_SENT_BEFORE", f"{method} {path} under this request may have been sent before, and is sent once", "ask by client order id")  # fmt: skip
            raise Denied("EXCHANGE_NOT_GRANTED", f"{method} {path} was not granted", "Ask `sign_exchange` first.")  # fmt: skip
        kept = self._waiting.pop(request_id)
        if not 0 <= now_ms - since_ms <= exchange_orders.LIFE_MS:
            raise Denied("EXCHANGE_WINDOW", f"{method} {path} was granted more than {exchange_orders.LIFE_MS} ms ago", "Authorize it again.")  # fmt: skip
        bearer = self._token(api_key, secret, method, path, host, now_ms)
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        try:
            told = await asyncio.to_thread(wire.request, method, path, body, headers)
        except Retry:  # nothing was sent
            self._waiting[request_id] = kept
            raise
        if told.status in TURNED_AWAY:
            self._waiting[request_id] = kept
        if (named := coinbase.number_of(told.body)) is not None:
            products = self._products.setdefault(venue, {})
            products[named[0]] = named[1]
            if len(products) > KEPT:
                del products[next(iter(products))]
        return told

    def _token(self, api_key: str, secret: str, method: str, path: str, host: str, now_ms: int) -> str:
        uri, digest = (
            "" if method == "WS" else f"{method} {host}{path}",
            hashlib.sha256(secret.encode()).digest(),
        )
        if digest not in self._read:  # reading a key takes longer than signing with it
            self._read[digest] = coinbase.key_of(secret)
        nonce = secrets.token_hex(16)
        return coinbase.token(self._read[digest], api_key, uri, at_s=now_ms // 1000, nonce=nonce)

    def _wait(self, request_id: str, digest: str, now_ms: int) -> None:
        oldest = now_ms - 10 * exchange_orders.LIFE_MS
        self._waiting = {i: kept for i, kept in self._waiting.items() if kept[1] >= oldest}
        self._waiting[request_id] = digest, now_ms


def host_of(sends_to: str) -> str:
    """What the exchange is called in a token."""
    return (urlsplit(sends_to).netloc or coinbase.HOST) if sends_to else coinbase.HOST
