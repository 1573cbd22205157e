"""What is signed, and what is sent, for the exchanges: judged from its own text, recorded durably, then signed; never the other way.

An exchange's signature may be used as often as it takes it while it lives. Where the settings say `sends_to`, no order's signature
leaves this process therefore: `sign` judges and books the order and gives nothing back, `send` then signs it and sends it once, to that
host alone. A grant that was not sent when this process ended is void, so that no end of it lets anything be sent twice.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from chains.errors import Denied, Reconcile, Retry, Usage
from keys.secrets import is_reference, resolve
from keys.settings_exchange import ExchangeReference
from keys.signer import (
    binance_usdm,
    ccxt_desk,
    ccxt_words,
    coinbase,
    coinbase_desk,
    deribit,
    dydx,
    dydx_desk,
    exchange,
    exchange_orders,
    fix_logon,
    hyperliquid,
    hyperliquid_desk,
    kraken,
    kraken_desk,
)
from keys.signer.exchange_wire import Wire
from keys.signer.ledger import SpendLedger
from keys.signer.vault import Vault

DAY_S = 86_400
Granted = Callable[[str, str], bool]


def _wire(name: str, sends_to: str) -> Wire:
    """Raises Usage SENDS_TO_INVALID, and as a reference that cannot be resolved; never with the address in it, which may hold a key."""
    if not is_reference(sends_to):
        return Wire(name, sends_to)
    try:
        return Wire(name, resolve(sends_to).text().strip())
    except ValueError as error:
        raise Usage(
            "SENDS_TO_INVALID", f"what exchanges.{name}.sends_to refers to {error}", "put the address there"
        ) from None


def _logs_on(reference: ExchangeReference) -> bool:
    """Whether orders may go there that nobody signs."""
    granted = reference.dialect == deribit.DIALECT and deribit.grants_log_on(reference.allow)
    granted = granted or (reference.dialect == kraken.DIALECT and kraken.grants_token(reference.allow))
    return granted or reference.dialect == fix_logon.DIALECT


class ExchangeDesk:
    def __init__(
        self,
        references: Mapping[str, ExchangeReference],
        vault: Vault,
        ledger: SpendLedger,
        granted: Granted,
        *,
        live: bool,
    ) -> None:
        """`granted(request_id, digest)`: whether this very request was recorded before; it refuses the id for another content."""
        self._references, self._vault, self._ledger, self._granted = references, vault, ledger, granted
        self._live = live
        self._wires = {name: _wire(name, r.sends_to) for name, r in references.items() if r.sends_to}
        self._waiting: dict[str, tuple[str, int]] = {}
        self._library = ccxt_desk.Library()
        self._kraken = kraken_desk.KrakenDesk(ledger)
        self._coinbase = coinbase_desk.CoinbaseDesk(ledger)
        self._hosts = {name: coinbase_desk.host_of(wire.url) for name, wire in self._wires.items()}
        for reference in references.values():
            if ccxt_words.words_of(reference.dialect) is not None:
                ccxt_desk.loaded(reference.dialect)

    def facts(self) -> dict[str, dict[str, Any]]:
        """For `status`: what a day's orders can cost, how often each can be carried out, and who sends them; with `sessions` nothing here
        bounds them, for a session that is logged on needs no further signature."""
        return {
            name: {
                "per_day_usd": f"{exchange_orders.day_usd_up({**reference.limits, **reference.combos}):f}",
                "repeats": 1 if reference.sends_to else reference.repeats,
                "sends": bool(reference.sends_to),
                "symbols": sorted({*reference.limits, *reference.combos}),
                **(
                    {"combos": {n: dict(c.legs) for n, c in reference.combos.items()}}
                    if reference.combos
                    else {}
                ),
                **({"logs_on": True} if _logs_on(reference) else {}),
            }
            for name, reference in self._references.items()
        }

    def sign(
        self, request_id: str, venue: str, method: str, path: str, query: str, digest: str
    ) -> dict[str, Any]:
        """Raises Denied EXCHANGE_…, Usage. An order that is sent from here gets the signature ""."""
        reference, now_ms = self._reference(venue), time.time_ns() // 10**6
        if reference.dialect in (hyperliquid.DIALECT, dydx.DIALECT):
            asked = (request_id, venue, method, path, query)
            return self._sign_as_agent_wallet(reference, asked, digest, now_ms)
        if reference.dialect == coinbase.DIALECT:
            asked, host = (request_id, venue, method, path, query), self._hosts.get(venue, coinbase.HOST)
            return self._by_desk(self._coinbase.sign, reference, asked, digest, now_ms=now_ms, host=host)
        if reference.dialect == kraken.DIALECT:
            asked = (request_id, venue, method, path, query)
            return self._by_desk(self._kraken.sign, reference, asked, digest, now_ms=now_ms)
        if reference.dialect == fix_logon.DIALECT:
            return self._sign_logon(reference, (request_id, venue, method, path, query), digest, now_ms)
        if ccxt_words.words_of(reference.dialect) is not None:
            asked = (request_id, venue, method, path, query)
            return self._sign_by_library(reference, asked, digest, now_ms)
        if reference.dialect == deribit.DIALECT:
            asked = (request_id, venue, method, path, query)
            return self._sign_request(reference, asked, digest, now_ms)
        values = exchange.check(
            reference.dialect,
            reference.allow,
            method,
            path,
            query,
            now_ms=now_ms,
            symbols=frozenset(reference.symbols),
        )
        endpoint, order = f"{method} {path}", exchange_orders.is_order(values)
        kept = bool(reference.sends_to) and order
        if (order or endpoint.startswith(exchange.WRITES)) and not self._granted(request_id, digest):
            facts = {"venue": venue, "endpoint": endpoint}
            wall = now_ms // 1000
            if order:
                spent = self._ledger.ordered(venue, wall - DAY_S)
                words = binance_usdm.plain(values) if reference.dialect == binance_usdm.DIALECT else values
                counted = exchange_orders.judge(words, reference.limits, spent, now_ms)
                facts |= {"symbol": counted.symbol, "cost": f"{counted.cost:f}"}
            if kept and endpoint not in exchange.SENT[reference.dialect]:
                raise Denied(
                    "EXCHANGE_SENT_HERE",
                    f"{endpoint} with an order's words: signed, it would open the door to trade, and it is not sent from here",
                    f"{', '.join(sorted(exchange.SENT[reference.dialect]))} are, since `sends_to` is set for {venue}.",
                )
            self._ledger.record("exchange", request_id, digest, wall, facts)
            if kept:
                self._waiting[request_id] = (digest, now_ms)
        if kept:
            return {"signature": "", "api_key": self._vault.api_keys[venue].text()}
        signature = exchange.sign(self._vault.secrets[venue].reveal(), query)
        return {"signature": signature, "api_key": self._vault.api_keys[venue].text()}

    def _sign_as_agent_wallet(
        self, reference: ExchangeReference, asked: tuple[str, str, str, str, str], digest: str, now_ms: int
    ) -> dict[str, Any]:
        request_id, venue, *_ = asked
        try:
            secret = bytes.fromhex(self._vault.secrets[venue].text().strip().removeprefix("0x"))
        except ValueError:
            raise Usage(
                "BAD_PRIVATE_KEY",
                f"the secret of {venue} is no private key in hex",
                "Name the agent wallet's.",
            ) from None
        api_key = self._vault.api_keys[venue].text()

        def granted() -> bool:
            return self._granted(request_id, digest)

        if reference.dialect == dydx.DIALECT:
            signature = dydx_desk.sign(
                reference,
                secret,
                api_key,
                self._ledger,
                granted,
                asked,
                digest,
                now_ms=now_ms,
                live=self._live,
            )
        else:
            signature = hyperliquid_desk.sign(
                reference, secret, self._ledger, granted, asked, digest, now_ms=now_ms, live=self._live
            )
        return {"signature": signature, "api_key": api_key}

    def _sign_request(
        self, reference: ExchangeReference, asked: tuple[str, str, str, str, str], digest: str, now_ms: int
    ) -> dict[str, Any]:
        """Time, nonce and signature of one request at Deribit, as JSON."""
        request_id, venue, method, path, query = asked
        nonce, secret = digest[:16], self._vault.secrets[venue].reveal()
        if f"{method} {path}" == deribit.LOG_ON and deribit.grants_log_on(reference.allow) and not query:
            nonce = secrets.token_hex(8)
            facts = {"venue": venue, "endpoint": deribit.LOG_ON}
            self._ledger.record("exchange", f"{request_id}-{nonce}", digest, now_ms // 1000, facts)
            sig = deribit.sign_log_on(secret, query, at_ms=now_ms, nonce=nonce)
            signature = json.dumps({"ts": now_ms, "nonce": nonce, "sig": sig})
            return {"signature": signature, "api_key": self._vault.api_keys[venue].text()}
        symbols, combos = frozenset(reference.symbols), reference.combos
        judged = deribit.check(method, path, query, now_ms=now_ms, symbols=symbols, combos=combos)
        if judged.writes and not self._granted(request_id, digest):
            wall = now_ms // 1000
            facts = {"venue": venue, "endpoint": judged.endpoint}
            if judged.words is not None:
                spent = self._ledger.ordered(venue, wall - DAY_S)
                counted = deribit.judge(judged.words, reference.limits, combos, spent, now_ms, judged.linked)
                facts |= {"symbol": counted.symbol, "cost": f"{counted.cost:f}"}
            self._ledger.record("exchange", request_id, digest, wall, facts)
        sig = deribit.sign(secret, method, path, query, at_ms=now_ms, nonce=nonce)
        signature = json.dumps({"ts": now_ms, "nonce": nonce, "sig": sig})
        return {"signature": signature, "api_key": self._vault.api_keys[venue].text()}

    def _by_desk(
        self,
        sign: Callable[..., str],
        reference: ExchangeReference,
        asked: tuple[str, str, str, str, str],
        digest: str,
        **more: Any,
    ) -> dict[str, Any]:
        """What the desk of one exchange gives: its token, or nonce and signature as JSON; "" for an order that was granted."""
        request_id, venue, *_ = asked
        api_key, secret = self._vault.api_keys[venue].text().strip(), self._vault.secrets[venue].text()
        known = lambda: self._granted(request_id, digest)  # noqa: E731
        return {"signature": sign(reference, api_key, secret, known, asked, digest, **more), "api_key": api_key}  # fmt: skip

    def _sign_logon(
        self, reference: ExchangeReference, asked: tuple[str, str, str, str, str], digest: str, now_ms: int
    ) -> dict[str, Any]:
        request_id, venue, method, path, query = asked
        text = fix_logon.check(method, path, query, senders=reference.senders, now_ms=now_ms)
        key = fix_logon.key_of(self._vault.secrets[venue].reveal())
        if not self._granted(request_id, digest):
            facts = {"venue": venue, "endpoint": f"{method} {path}", "log_on": query}
            self._ledger.record("exchange", request_id, digest, now_ms // 1000, facts)
        return {"signature": fix_logon.sign(key, text), "api_key": self._vault.api_keys[venue].text().strip()}

    def _sign_by_library(
        self, reference: ExchangeReference, asked: tuple[str, str, str, str, str], digest: str, now_ms: int
    ) -> dict[str, Any]:
        request_id, venue, *_ = asked
        password = self._vault.passwords[venue].text().strip() if venue in self._vault.passwords else ""
        api_key = self._vault.api_keys[venue].text().strip()
        signature = ccxt_desk.sign(
            self._library,
            reference,
            (api_key, self._vault.secrets[venue].text().strip(), password),
            self._ledger,
            lambda: self._granted(request_id, digest),
            asked,
            digest,
            now_ms=now_ms,
        )
        return {"signature": signature, "api_key": api_key}

    async def send(
        self, request_id: str, venue: str, method: str, path: str, query: str, digest: str
    ) -> dict[str, Any]:
        """Sends what `sign` granted, once. Raises Denied EXCHANGE_NOT_GRANTED, Retry, Reconcile."""
        self._reference(venue)
        wire = self._wires.get(venue)
        if wire is None:
            raise Usage(
                "EXCHANGE_NOT_SENT_HERE",
                f"no sends_to is set for {venue}",
                "Set it in the signer's settings, or send the request with its signature.",
            )
        if self._references[venue].dialect == coinbase.DIALECT:
            told = await self._coinbase.send(
                wire,
                self._vault.api_keys[venue].text().strip(),
                self._vault.secrets[venue].text(),
                lambda: self._granted(request_id, digest),
                (request_id, venue, method, path, query),
                digest,
                self._hosts[venue],
            )
            return {"status": told.status, "headers": dict(told.headers), "body": told.body}
        self._forget()
        waiting, _ = self._waiting.get(request_id, ("", 0))
        if waiting != digest:
            if self._granted(request_id, digest):
                raise Reconcile(
                    "EXCHANGE_SENT_BEFORE",
                    f"{method} {path} under this request may have been sent before, and is sent once",
                    "ask by client order id",
                )
            raise Denied(
                "EXCHANGE_NOT_GRANTED", f"{method} {path} was not granted", "Ask `sign_exchange` first."
            )
        kept = self._waiting.pop(request_id)
        signature = exchange.sign(self._vault.secrets[venue].reveal(), query)
        api_key = self._vault.api_keys[venue].text()
        try:
            told = await asyncio.to_thread(wire.send, method, path, query, signature, api_key)
        except Retry:  # nothing was sent
            self._waiting[request_id] = kept
            raise
        return {"status": told.status, "headers": dict(told.headers), "body": told.body}

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()

    def _forget(self) -> None:
        """What is too old for any exchange to take is not kept."""
        oldest = time.time_ns() // 10**6 - 10 * exchange_orders.LIFE_MS
        self._waiting = {i: kept for i, kept in self._waiting.items() if kept[1] >= oldest}

    def _reference(self, venue: str) -> ExchangeReference:
        if venue not in self._vault.secrets:
            raise Usage(
                "VENUE_UNKNOWN", f"no secret is configured for {venue[:40]!r}", "Name it under exchanges."
            )
        return self._references[venue]
