"""What is signed for Hyperliquid: an action judged from its own text, given a nonce that only grows, recorded durably, then signed by the
agent wallet. Its nonces are taken once by the exchange, so a signature that leaves is carried out once at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from keys import hyperliquid as agent_wallet
from keys.curve import SigningKey
from keys.settings import ExchangeReference
from keys.signer import hyperliquid
from keys.signer.ledger import SpendLedger

DAY_S = 86_400


def sign(
    reference: ExchangeReference,
    secret: bytes,
    ledger: SpendLedger,
    granted: Callable[[], bool],
    asked: tuple[str, str, str, str, str],
    digest: str,
    *,
    now_ms: int,
    live: bool,
) -> str:
    """`asked`: (request id, venue, method, path, payload). The signature and its nonce as JSON; the same request gets the same again.

    Raises Denied EXCHANGE_…, Usage. The action is judged by keys/signer/hyperliquid.py.
    """
    request_id, venue, method, path, payload = asked
    judged = hyperliquid.check(method, path, payload, now_ms=now_ms, symbols=frozenset(reference.symbols))
    key = SigningKey(secret)
    if not granted():
        wall = now_ms // 1000
        costs = hyperliquid.judged(judged, reference.limits, ledger.ordered(venue, wall - DAY_S), now_ms)
        nonce = max(now_ms, ledger.exchange_nonce(key.address) + 1)
        facts: dict[str, Any] = {"venue": venue, "endpoint": f"{method} {path} {judged.kind}"}
        facts |= {"account": key.address, "nonce": str(nonce)}
        facts |= {"costs": [[one.symbol, f"{one.cost:f}"] for one in costs]}
        ledger.record("exchange", request_id, digest, wall, facts)
    nonce = ledger.nonce_of(request_id)
    hashed = agent_wallet.action_hash(judged.action, nonce, None, judged.expires_ms)
    raw = key.sign(agent_wallet.agent_digest(hashed, mainnet=live))
    signed = {"nonce": nonce, "r": "0x" + raw[:32].hex(), "s": "0x" + raw[32:64].hex(), "v": raw[64]}
    return json.dumps(signed)
