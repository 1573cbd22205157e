"""What is signed for the exchanges that the ccxt library speaks to: judged, recorded durably, then made and signed by the library here.

The library's own `sign` makes path, headers and body, so that the agent's process, which speaks to the exchange, needs no secret. It is
given no way to a network in this process, and its clock is the time that was judged.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from chains.errors import Denied, Reject, Usage
from keys.curve import SigningKey
from keys.settings import ExchangeReference
from keys.signer import ccxt_policy
from keys.signer.ccxt_words import PREFIX, words_of
from keys.signer.exchange_orders import LIFE_MS
from keys.signer.ledger import SpendLedger

DAY_S = 86_400
Keys = tuple[str, str, str]
"""API key, secret, passphrase (empty where the exchange has none)."""
_QUIET: Mapping[str, Any] = {"options": {"timeDifference": 0, "recvWindow": LIFE_MS - 1_000}}


class Library:
    """One exchange object a venue, made when first needed. Raises Usage CCXT_MISSING, EXCHANGE_DIALECT_UNKNOWN."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def of(self, venue: str, dialect: str, keys: Keys) -> Any:
        if venue not in self._made:
            self._made[venue] = _made(dialect, keys)
        return self._made[venue]


def loaded(dialect: str) -> Any:
    """The library; a second's work the first time, which is done when the signer starts. Raises Usage CCXT_MISSING."""
    try:
        return importlib.import_module("ccxt")
    except ImportError:
        raise Usage("CCXT_MISSING", f"the signer needs ccxt for the dialect {dialect}", "install fairlead[ccxt]") from None  # fmt: skip


def _made(dialect: str, keys: Keys) -> Any:
    api_key, secret, password = keys
    made = getattr(loaded(dialect), dialect.removeprefix(PREFIX))(
        {"apiKey": api_key, "secret": secret, "password": password, "enableRateLimit": False}
    )
    made.options |= _QUIET["options"]
    if (words := words_of(dialect)) is not None and words.token:
        made.options["authToken"] = secret
    if words is not None and words.session:
        made.walletAddress, made.privateKey = api_key, secret
        made.options["signer"] = _session_key(api_key, secret)
    made.session = None
    return made


def _session_key(wallet: str, secret: str) -> str:
    """Its address. Raises Usage for what is no key, Denied for the wallet's own, which may do anything there."""
    try:
        found = str(SigningKey(bytes.fromhex(secret.removeprefix("0x"))).address)
    except (ValueError, Usage):
        raise Usage("EXCHANGE_KEY_INVALID", "the secret is no private key", "64 hexadecimal digits of a session key") from None  # fmt: skip
    if found.lower() == wallet.lower():
        raise Denied("EXCHANGE_KEY_OWNER", "the secret is the wallet's own key, which may do anything there", "register a session key without protocol scopes and give that")  # fmt: skip
    return found


def sign(
    library: Library,
    reference: ExchangeReference,
    keys: Keys,
    ledger: SpendLedger,
    granted: Callable[[], bool],
    asked: tuple[str, str, str, str, str],
    digest: str,
    *,
    now_ms: int,
) -> str:
    """`asked`: (request id, venue, method, path, payload), as `ccxt_policy`. What is to be sent, as JSON: url, method, headers, body; of
    a subscription its parameters. Raises Denied EXCHANGE_…, Usage, Reject CCXT_REFUSED."""
    request_id, venue, method, path, payload = asked
    call = ccxt_policy.check(
        reference.dialect,
        reference.allow,
        method,
        path,
        payload,
        now_ms=now_ms,
        symbols=frozenset(reference.symbols),
    )
    if call.writes and not granted():
        wall = now_ms // 1000
        facts = {"venue": venue, "endpoint": f"{method} {path}"}
        counted = ccxt_policy.judged(call, reference.limits, ledger.ordered(venue, wall - DAY_S), now_ms)
        if counted is not None:
            facts |= {"symbol": counted.symbol, "cost": f"{counted.cost:f}"}
        ledger.record("exchange", request_id, digest, wall, facts)
    return made_and_signed(library.of(venue, reference.dialect, keys), call)


def made_and_signed(made: Any, call: ccxt_policy.Call) -> str:
    """What was judged, as the library sends it. Raises Reject CCXT_REFUSED."""
    at_ms = call.at_ms
    made.milliseconds = lambda: at_ms
    made.seconds = lambda: at_ms // 1000
    made.microseconds = lambda: at_ms * 1000
    if call.method == "WS":
        params = {"apiKey": made.apiKey, "timestamp": at_ms}
        text = made.rawencode(params)
        signature = made.hmac(made.encode(text), made.encode(made.secret), hashlib.sha256)
        return json.dumps({"params": {**params, "signature": signature}})
    try:
        signed = made.sign(call.path, list(call.sections), call.method, dict(call.params))
    except Exception as error:  # noqa: BLE001 - the library's own words for a request that it cannot make
        raise Reject("CCXT_REFUSED", f"{call.path}: {type(error).__name__}", "check key and secret") from None
    told = {name: signed[name] for name in ("url", "method", "headers", "body")}
    return json.dumps(told | ({"signer": made.options["signer"]} if "signer" in made.options else {}))
