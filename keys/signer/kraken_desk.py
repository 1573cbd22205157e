"""What is signed for Kraken: judged from its own text, recorded durably, then signed under a nonce that only grows; an order once.

An order's first asking is granted and counted, and gives nothing; the second gives it its nonce and signature, at the moment when it is
sent; there is no third. A grant that was not used when this process ended is void. Nonces are microseconds; what may have been given out is
reserved in the ledger before, a minute at a time, so that they grow over restarts and clocks that are set back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

from chains.errors import Reconcile
from keys.settings_exchange import ExchangeReference
from keys.signer import exchange_orders, kraken
from keys.signer.ledger import SpendLedger

DAY_S, RESERVED_US, KEPT = 86_400, 60 * 10**6, 10_000


class KrakenDesk:
    """Of all keys at Kraken that one signer's process holds."""

    def __init__(self, ledger: SpendLedger) -> None:
        self._ledger = ledger
        self._given: dict[str, int] = {}
        self._waiting: dict[str, tuple[str, int]] = {}
        self._named: dict[str, dict[str, str]] = {}

    def sign(
        self,
        reference: ExchangeReference,
        api_key: str,
        secret: str,
        granted: Callable[[], bool],
        asked: tuple[str, str, str, str, str],
        digest: str,
        *,
        now_ms: int,
    ) -> str:
        """`asked`: (request id, venue, method, path, body without its nonce). Nonce and signature as JSON, "" for an order that was just
        granted. Raises Denied EXCHANGE_…, Reconcile EXCHANGE_SENT_BEFORE, Usage."""
        request_id, venue, method, path, body = asked
        judged = kraken.check(
            method,
            path,
            body,
            now_ms=now_ms,
            symbols=frozenset(reference.symbols or reference.limits),
            allow=reference.allow,
            known=self._named.get(venue),
        )
        wall, facts = now_ms // 1000, {"venue": venue, "endpoint": judged.endpoint}
        if judged.words is not None:
            if not granted():
                spent = self._ledger.ordered(venue, wall - DAY_S)
                counted = exchange_orders.judge(judged.words, _by_symbol(reference), spent, now_ms)
                facts |= {"symbol": counted.symbol, "cost": f"{counted.cost:f}"}
                self._ledger.record("exchange", request_id, digest, wall, facts)
                self._wait(request_id, digest, now_ms)
                self._name(venue, judged.named, counted.symbol)
                return ""
            if self._waiting.pop(request_id, ("", 0))[0] != digest:
                raise Reconcile("EXCHANGE_SENT_BEFORE", f"{judged.endpoint} under this request was signed before, and is signed once", "ask by client order id")  # fmt: skip
        elif judged.writes and not granted():
            self._ledger.record("exchange", request_id, digest, wall, facts)
        nonce = self._nonce(api_key, now_ms)
        return json.dumps({"nonce": nonce, "sig": kraken.sign(kraken.key_of(secret), path, body, nonce)})

    def _nonce(self, api_key: str, now_ms: int) -> int:
        """Above every other of this key, whichever venue of the settings it is given for."""
        account = "kraken:" + hashlib.sha256(api_key.encode()).hexdigest()[:16]
        reserved = self._ledger.exchange_nonce(account)
        nonce = max(now_ms * 1_000, self._given.get(account, reserved) + 1)
        if nonce > reserved:
            until = nonce + RESERVED_US
            facts = {"account": account, "nonce": str(until), "endpoint": "nonces"}
            self._ledger.record("exchange", f"{account}-{until}", account, now_ms // 1000, facts)
        self._given[account] = nonce
        return nonce

    def _wait(self, request_id: str, digest: str, now_ms: int) -> None:
        oldest = now_ms - 10 * exchange_orders.LIFE_MS
        self._waiting = {i: kept for i, kept in self._waiting.items() if kept[1] >= oldest}
        self._waiting[request_id] = digest, now_ms

    def _name(self, venue: str, named: str, symbol: str) -> None:
        kept = self._named.setdefault(venue, {})
        kept[named] = symbol
        if len(kept) > KEPT:
            del kept[next(iter(kept))]


def _by_symbol(reference: ExchangeReference) -> Mapping[str, exchange_orders.SymbolLimit]:
    """Limits under the names that a request's pair is read to."""
    names = {kraken.pair_of(symbol): symbol for symbol in reference.symbols or reference.limits}
    return {names.get(kraken.pair_of(symbol), symbol): limit for symbol, limit in reference.limits.items()}
