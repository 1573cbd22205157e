"""Transactions of dYdX's chain, taken apart and proved: who signed, by which of the account's keys, and the one message of the book.

Every field is read as the chain's definitions number it; what is not known there is refused. Signatures are over SHA-256 of the sign doc,
64 bytes, low s, and the sequence is the milliseconds of now, taken once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from coincurve import PublicKey

from agent.app.testvenue.spec import VenueError
from chains.errors import Denied
from chains.protobuf import Value, count, numbers, one, raw, read, text
from chains.protobuf import number as numbered
from keys.curve import ORDER, address_of, complete

CHAIN = "dydx-testnet-4"
PLACE, CANCEL = "/dydxprotocol.clob.MsgPlaceOrder", "/dydxprotocol.clob.MsgCancelOrder"
WITHDRAW = "/dydxprotocol.sending.MsgWithdrawFromSubaccount"
WINDOW_MS = 30_000
TIMESTAMPS = 1 << 40


@dataclass(frozen=True, slots=True)
class Message:
    """A placed order (`place`) or the end of one, in the chain's units."""

    place: bool
    owner: str
    subaccount: int
    client_id: int
    flags: int
    pair: int
    until: int
    buy: bool = False
    quantums: int = 0
    subticks: int = 0
    tif: int = 0
    reduce_only: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    message: Message
    kind: str
    public_key: bytes
    sequence: int
    authenticator: int | None


def refused(code: int, log: str, space: str = "sdk") -> VenueError:
    """In the chain's own words: `space` in front of the log."""
    return VenueError(code, f"{space}: {log}")


def opened(tx: bytes, account_number: int) -> Signed:
    """Raises VenueError 2 (cannot be decoded), 4 (the signature is another's)."""
    try:
        fields = read(tx)
        body, auth = one(fields, 1), one(fields, 2)
        kind, message, authenticator = _body(body)
        key, sequence = _auth(auth)
        document = raw(1, body) + raw(2, auth) + text(3, CHAIN) + numbered(4, account_number)
        _prove(key, hashlib.sha256(document).digest(), one(fields, 3))
        return Signed(_message(kind, message), kind, key, sequence, authenticator)
    except (ValueError, UnicodeDecodeError) as error:
        raise refused(2, f"tx parse error: {error}") from None


def owner_of(tx: bytes) -> str:
    """Whose account it says to be about, unproved; empty where it is about none. Raises VenueError 2."""
    try:
        kind, message, _ = _body(one(read(tx), 1))
        return _message(kind, message).owner
    except (ValueError, UnicodeDecodeError) as error:
        raise refused(2, f"tx parse error: {error}") from None


def _only(fields: Mapping[int, list[Value]], known: set[int]) -> None:
    if strange := set(fields) - known:
        raise ValueError(f"unknown field {min(strange)}")


def _body(body: bytes) -> tuple[str, bytes, int | None]:
    fields = read(body)
    _only(fields, {1, 2, 3, 2047})
    message = read(one(fields, 1))
    if 2047 not in fields:
        return one(message, 1).decode(), one(message, 2), None
    option = read(one(fields, 2047))
    if one(option, 1) != b"/dydxprotocol.accountplus.TxExtension":
        raise ValueError("unknown extension")
    (selected,) = numbers(one(read(one(option, 2)), 1))
    return one(message, 1).decode(), one(message, 2), selected


def _auth(auth: bytes) -> tuple[bytes, int]:
    fields = read(auth)
    signer = read(one(fields, 1))
    key, mode = read(one(signer, 1)), read(one(signer, 2))
    if one(key, 1) != b"/cosmos.crypto.secp256k1.PubKey" or count(read(one(mode, 1)), 1) != 1:
        raise ValueError("not a single key in SIGN_MODE_DIRECT")
    if not count(read(one(fields, 2)), 2):
        raise ValueError("no gas")
    return one(read(one(key, 2)), 1), count(signer, 3)


def _prove(key: bytes, digest: bytes, signature: bytes) -> None:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        if len(signature) != 64 or len(key) != 33 or s > ORDER // 2:
            raise ValueError
        complete(digest, r, s, address_of(PublicKey(key)))
    except (Denied, ValueError):
        raise refused(4, "signature verification failed; please verify account number, sequence and chain-id") from None  # fmt: skip


def _message(kind: str, data: bytes) -> Message:
    if kind == CANCEL:
        fields = read(data)
        _only(fields, {1, 2, 3})
        return Message(False, *_order_id(one(fields, 1)), until=count(fields, 2) or count(fields, 3))
    if kind == WITHDRAW:
        sender = read(one(read(data), 2))
        return Message(False, one(sender, 1).decode(), count(sender, 2), 0, 0, 0, 0)
    if kind != PLACE:
        return Message(False, "", 0, 0, 0, 0, 0)
    outer = read(data)
    _only(outer, {1})
    order = read(one(outer, 1))
    _only(order, {1, 2, 3, 4, 5, 6, 7, 8, 9})
    return Message(
        True,
        *_order_id(one(order, 1)),
        until=count(order, 5) or count(order, 6),
        buy={1: True, 2: False}[count(order, 2)] if count(order, 2) in (1, 2) else _no_side(),
        quantums=count(order, 3),
        subticks=count(order, 4),
        tif=count(order, 7),
        reduce_only=bool(count(order, 8)),
    )


def _no_side() -> bool:
    raise ValueError("no side")


def _order_id(data: bytes) -> tuple[str, int, int, int, int]:
    fields = read(data)
    _only(fields, {1, 2, 3, 4})
    whose = read(one(fields, 1))
    return one(whose, 1).decode(), count(whose, 2), count(fields, 2), count(fields, 3), count(fields, 4)


def allowed(kind: str, config: bytes, signed: Signed) -> bool:
    """Whether an authenticator of the account lets this be signed by this key."""
    if kind in ("AllOf", "AnyOf"):
        parts = [allowed(row["type"], base64.b64decode(row["config"]), signed) for row in json.loads(config)]
        return all(parts) if kind == "AllOf" else any(parts)
    if kind == "SignatureVerification":
        return config == signed.public_key
    words = config.decode().split(",")
    of = {
        "MessageFilter": signed.kind,
        "SubaccountFilter": str(signed.message.subaccount),
        "ClobPairIdFilter": str(signed.message.pair),
    }
    return of[kind] in words
