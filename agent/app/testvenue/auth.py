"""API keys: what a request must show. Order of the checks and texts as documented."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.venue import Account
from agent.app.testvenue.wire import required

KEY_FORMAT = re.compile(r"[A-Za-z0-9_-]{4,128}")
MAX_RECV_WINDOW_MS = 60_000
AHEAD_MS = 1_000


def account_of(accounts: Mapping[str, Account], key: str) -> Account:
    """Raises VenueError -2014 (no such form), -2015 (no such key)."""
    if not KEY_FORMAT.fullmatch(key):
        raise VenueError(-2014, "API-key format invalid.", 401)
    if key not in accounts:
        raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    return accounts[key]


def split_signature(query: str, body: str) -> tuple[dict[str, str], str, str]:
    """(parameters, signed payload, signature). The payload is query + body without the signature parameter.

    Raises VenueError -1101 for a parameter sent twice.
    """
    pairs = parse_qsl(query, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True)
    params = dict(pairs)
    if len(params) != len(pairs):
        raise VenueError(-1101, "Duplicate values for a parameter detected.")
    kept = [
        "&".join(p for p in part.split("&") if p and not p.startswith("signature=")) for part in (query, body)
    ]
    return params, "".join(kept), params.pop("signature", "")


def check_signed(
    account: Account, params: Mapping[str, str], payload: str, signature: str, now_ms: int
) -> None:
    """Raises VenueError -1102 (missing), -1021 (too old or ahead), -1022 (wrong signature), -1131 (recvWindow)."""
    required({"signature": signature}, "signature")
    stamp = required(params, "timestamp")
    window = params.get("recvWindow", "5000")
    if not stamp.isdecimal() or len(stamp) > 18:
        raise VenueError(
            -1100, "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'."
        )
    if not window.isdecimal() or len(window) > 9:
        raise VenueError(
            -1100, "Illegal characters found in parameter 'recvWindow'; legal range is '^[0-9]{1,20}$'."
        )
    if int(window) > MAX_RECV_WINDOW_MS:
        raise VenueError(-1131, "'recvWindow' must be less than 60000.")
    wanted = hmac.new(account.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, signature.lower()):
        raise VenueError(-1022, "Signature for this request is not valid.")
    if int(stamp) > now_ms + AHEAD_MS:
        raise VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - int(stamp) > int(window):
        raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")
