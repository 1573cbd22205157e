"""A log-on to Binance's FIX sessions: what of it is signed, and what that opens. Pure.

    signed      A | SenderCompID | TargetCompID | MsgSeqNum | SendingTime, each followed by SOH but the last; Ed25519, in base64

A session that is logged on signs nothing more: whoever holds it places any order that the key may place, at any price, in any instrument,
until it ends, and no limit of this signer stands in between. So no log-on is signed but for an exchange of this dialect, which the owner
writes into the signer's settings on purpose, and then only

- for a SenderCompID listed there, to the target SPOT, with the number 1, so that it can begin one session and continue none;
- dated within five seconds of this machine's clock. The exchange decides how long it is good for: 60 seconds at most, by a field that the
  signature does not cover. Nor does it cover the endpoint or DropCopyFlag: one made for drop copy opens order entry too, unless the API
  key itself may only read (FIX_API_READ_ONLY). Give drop copy such a key.

No message of these sessions moves funds out. Source: the exchange's FIX API documentation, "How to sign Logon request".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chains.errors import Denied, Usage
from keys.signer.exchange import unlisted

if TYPE_CHECKING:
    from Crypto.PublicKey.ECC import EccKey

DIALECT = "binance-fix"
METHOD, PATH = "FIX", "LOGON"
TARGET, FIRST = "SPOT", "1"
FRESH_MS = 5_000
SENDER = re.compile(r"[A-Za-z0-9_-]{1,8}", re.ASCII)
_NAMES = ("MsgType", "SenderCompID", "TargetCompID", "MsgSeqNum", "SendingTime")
_STAMP = re.compile(r"[0-9]{8}-[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}", re.ASCII)


def check(method: str, path: str, query: str, *, senders: Collection[str], now_ms: int) -> bytes:
    """The text to be signed. `query` names the five fields in their order, as `MsgType=A&SenderCompID=…`.

    Raises Denied EXCHANGE_UNLISTED, EXCHANGE_WITHDRAWAL, EXCHANGE_FIX_LOGON, EXCHANGE_FIX_SENDER or EXCHANGE_FIX_TIME.
    """
    if (method, path) != (METHOD, PATH):
        raise unlisted(f"{method} {path}", path, DIALECT)
    parts = [part.partition("=") for part in query.split("&")]
    if tuple(name for name, _, _ in parts) != _NAMES:
        raise Denied(
            "EXCHANGE_FIX_LOGON",
            "not the five fields of a log-on, in their order",
            f"Send {', '.join(_NAMES)}.",
        )
    kind, sender, target, number, sent = (value for _, _, value in parts)
    if (kind, target, number) != ("A", TARGET, FIRST):
        raise Denied(
            "EXCHANGE_FIX_LOGON",
            f"MsgType {kind[:8]!r}, TargetCompID {target[:8]!r}, MsgSeqNum {number[:8]!r} is no log-on that begins a session",
            f"Only A to {TARGET} with number {FIRST} is signed.",
        )
    if sender not in senders:
        raise Denied(
            "EXCHANGE_FIX_SENDER",
            f"SenderCompID {sender[:8]!r} is not listed",
            "List it as `senders` of this exchange in the signer's settings.",
        )
    late_ms = now_ms - _sent_ms(sent)
    if abs(late_ms) > FRESH_MS:
        raise Denied(
            "EXCHANGE_FIX_TIME",
            f"SendingTime is {abs(late_ms) / 1000:.1f} s {'behind' if late_ms > 0 else 'ahead of'} this machine's clock",
            "Date it with the present time; set this machine's clock (NTP).",
        )
    return "\x01".join((kind, sender, target, number, sent)).encode("ascii")


def _sent_ms(text: str) -> int:
    try:
        if not _STAMP.fullmatch(text):
            raise ValueError("not as YYYYMMDD-HH:MM:SS.sss")
        return int(datetime.strptime(text, "%Y%m%d-%H:%M:%S.%f").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise Denied(
            "EXCHANGE_FIX_TIME",
            f"SendingTime {text[:40]!r} is no time to the millisecond",
            "Like 20240627-11:17:25.223.",
        ) from None


def key_of(pem: bytes) -> EccKey:
    """The Ed25519 key of an exchange, PKCS#8 in PEM. Raises Usage BAD_PRIVATE_KEY, never with anything of it."""
    from Crypto.PublicKey import ECC

    try:
        key = ECC.import_key(pem)
        sound = key.curve == "Ed25519" and key.has_private()
    except (ValueError, IndexError, TypeError):
        sound = False
    if not sound:
        raise Usage(
            "BAD_PRIVATE_KEY",
            "the secret of this exchange is no Ed25519 private key in PEM",
            "FIX sessions take only those.",
        )
    return key


def sign(key: EccKey, text: bytes) -> str:
    """Base64 of the signature (RFC 8032), as RawData (96) has it."""
    from Crypto.Signature import eddsa

    return base64.b64encode(eddsa.new(key, "rfc8032").sign(text)).decode("ascii")
