"""What a key signs for dYdX's chain (v4): one message that places or ends an order, in a Cosmos transaction. Pure.

Sources: the published message definitions of the chain (clob, accountplus) and of the Cosmos SDK (SIGN_MODE_DIRECT), field by field:

    SignDoc     body_bytes = 1, auth_info_bytes = 2, chain_id = 3, account_number = 4       signed: SHA-256 of it, secp256k1, r ‖ s, low s
    TxRaw       body_bytes = 1, auth_info_bytes = 2, signatures = 3

An account may let other keys sign for it (its authenticators, "permissioned keys"): then the transaction names the one it goes by, and the
chain checks what that one allows. The sequence is the milliseconds of now, which the chain takes once, and only within thirty seconds of
its block's time; orders cost no gas.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from chains.dydx import SHORT_TERM, Account
from chains.protobuf import fixed32, number, packed, raw, text

MAINNET, TESTNET = "dydx-mainnet-1", "dydx-testnet-4"
PLACE, CANCEL = "/dydxprotocol.clob.MsgPlaceOrder", "/dydxprotocol.clob.MsgCancelOrder"
EXTENSION = "/dydxprotocol.accountplus.TxExtension"
PUBLIC_KEY = "/cosmos.crypto.secp256k1.PubKey"
GAS = 1_000_000


@dataclass(frozen=True, slots=True)
class OrderId:
    """`client_id`: 32 bits; `flags` SHORT_TERM or LONG_TERM; `pair`: the market's number in the chain's book."""

    account: Account
    client_id: int
    flags: int
    pair: int


def order_id(of: OrderId) -> bytes:
    subaccount = text(1, of.account.address) + number(2, of.account.subaccount)
    return raw(1, subaccount) + fixed32(2, of.client_id) + number(3, of.flags) + number(4, of.pair)


def place(
    of: OrderId, *, buy: bool, quantums: int, subticks: int, until: int, tif: int, reduce_only: bool
) -> bytes:
    """MsgPlaceOrder. `until`: a block's height for a short-term order, else seconds of Unix time."""
    order = raw(1, order_id(of)) + number(2, 1 if buy else 2) + number(3, quantums) + number(4, subticks)
    order += number(5, until) if of.flags == SHORT_TERM else fixed32(6, until)
    order += number(7, tif) + number(8, int(reduce_only))
    return raw(1, order)


def cancel(of: OrderId, until: int) -> bytes:
    """MsgCancelOrder; `until` as in `place`, not before the order's own."""
    return raw(1, order_id(of)) + (number(2, until) if of.flags == SHORT_TERM else fixed32(3, until))


def _any(kind: str, value: bytes) -> bytes:
    return text(1, kind) + raw(2, value)


def body(kind: str, message: bytes, authenticator: int | None) -> bytes:
    """TxBody of one message."""
    found = raw(1, _any(kind, message))
    if authenticator is not None:  # an option that no key of the account's own needs
        found += raw(2047, _any(EXTENSION, packed(1, [authenticator])))
    return found


def auth_info(public_key: bytes, sequence: int) -> bytes:
    """AuthInfo of one signer. `public_key`: 33 bytes."""
    direct = raw(1, number(1, 1))
    signer = raw(1, _any(PUBLIC_KEY, raw(1, public_key))) + raw(2, direct) + number(3, sequence)
    return raw(1, signer) + raw(2, number(2, GAS))


def digest(body_bytes: bytes, auth_bytes: bytes, chain_id: str, account_number: int) -> bytes:
    """What is signed: 32 bytes."""
    document = raw(1, body_bytes) + raw(2, auth_bytes) + text(3, chain_id) + number(4, account_number)
    return hashlib.sha256(document).digest()


def signed_tx(body_bytes: bytes, auth_bytes: bytes, signature: bytes) -> bytes:
    """TxRaw. `signature`: r ‖ s, 64 bytes."""
    return raw(1, body_bytes) + raw(2, auth_bytes) + raw(3, signature)
