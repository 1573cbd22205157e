"""What is signed for dYdX: an order judged from its own words, given a sequence that only grows, recorded durably, then written and signed
as a transaction. The account that trades is the one in the signer's own settings, whatever is asked for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from chains.dydx import Account, account_of
from keys import dydx as chain
from keys.curve import SigningKey
from keys.settings import ExchangeReference
from keys.signer import dydx
from keys.signer.ledger import SpendLedger

DAY_S = 86_400
BACK_MS = 20_000
"""The chain takes a sequence up to half a minute old: dated back by so much it lives ten seconds."""


def sign(
    reference: ExchangeReference,
    secret: bytes,
    account: str,
    ledger: SpendLedger,
    granted: Callable[[], bool],
    asked: tuple[str, str, str, str, str],
    digest: str,
    *,
    now_ms: int,
    live: bool,
) -> str:
    """`asked`: (request id, venue, method, path, payload). The whole transaction as JSON; the same request gets the same again.

    Raises Denied EXCHANGE_…, Usage. What is asked is judged by keys/signer/dydx.py.
    """
    request_id, venue, method, path, payload = asked
    judged = dydx.check(method, path, payload, now_ms=now_ms, symbols=frozenset(reference.symbols))
    key, owner = SigningKey(secret), account_of(account)
    if not granted():
        wall = now_ms // 1000
        cost = dydx.judged(judged, reference.limits, ledger.ordered(venue, wall - DAY_S), now_ms)
        nonce = max(now_ms - BACK_MS, ledger.exchange_nonce(key.address) + 1)
        facts: dict[str, Any] = {"venue": venue, "endpoint": f"{method} {path} {judged.kind}"}
        facts |= {"account": key.address, "nonce": str(nonce)}
        facts |= {"costs": [] if cost is None else [[cost.symbol, f"{cost.cost:f}"]]}
        ledger.record("exchange", request_id, digest, wall, facts)
    sequence = ledger.nonce_of(request_id)
    return json.dumps({"tx": signed(judged, owner, key, sequence, live=live), "public_key": key.public.hex()})


def signed(judged: dydx.Asked, owner: Account, key: SigningKey, sequence: int, *, live: bool) -> str:
    """The transaction in base64."""
    body = chain.body(*dydx.message(judged, owner), owner.authenticator)
    auth = chain.auth_info(key.public, sequence)
    network = chain.MAINNET if live else chain.TESTNET
    raw = key.sign(chain.digest(body, auth, network, judged.account_number))
    return base64.b64encode(chain.signed_tx(body, auth, raw[:64])).decode()
