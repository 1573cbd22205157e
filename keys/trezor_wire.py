"""What is said to a Trezor: its protobuf messages, as far as an Ethereum signer needs them. Pure.

    frame     type (2) ‖ length (4) ‖ protobuf, in hex (the Bridge's HTTP API)
    protobuf  (field << 3 | wire type) as a varint, then a varint (type 0) or length ‖ bytes (type 2): the two these messages use

Written from the published definitions (trezor-common: messages.proto, messages-common.proto, messages-ethereum.proto,
messages-ethereum-eip712.proto); the vendor's own library is LGPL and not used. Amounts in wei, gas in units, big endian without leading zeros.
Errors: Retry TREZOR_CONFUSED (no message of theirs), Usage TREZOR_PATH, TREZOR_TYPE, and what a Failure means (`failure`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import UnsignedTx
from keys.typed import Field, Struct, TypedHash

CHUNK = 1024
"""The most bytes of a transaction's data in one message."""
HARDENED = 1 << 31
_STEP = re.compile(r"(\d{1,10})('?)")
_UINT = re.compile(r"uint(\d{1,3})")
_LONGEST = 1 << 16


class Kind(IntEnum):
    """Message types by number (messages.proto)."""

    INITIALIZE = 0
    SUCCESS = 2
    FAILURE = 3
    FEATURES = 17
    PIN_MATRIX_REQUEST = 18
    PIN_MATRIX_ACK = 19
    CANCEL = 20
    BUTTON_REQUEST = 26
    BUTTON_ACK = 27
    PASSPHRASE_REQUEST = 41
    PASSPHRASE_ACK = 42
    GET_ADDRESS = 56
    ADDRESS = 57
    TX_REQUEST = 59
    TX_ACK = 60
    SIGN_MESSAGE = 64
    MESSAGE_SIGNATURE = 66
    SIGN_TX_EIP1559 = 452
    SIGN_TYPED_DATA = 464
    STRUCT_REQUEST = 465
    STRUCT_ACK = 466
    VALUE_REQUEST = 467
    VALUE_ACK = 468
    TYPED_SIGNATURE = 469
    SIGN_TYPED_HASH = 470


class Message(NamedTuple):
    kind: int
    body: bytes = b""


Fields = Mapping[int, Sequence[int | bytes]]


class Features(NamedTuple):
    """What a device says of itself; `model` is "1" for the Trezor One, which has no field-by-field typed data."""

    session: bytes
    device_id: str
    model: str
    initialized: bool
    bootloader: bool


def confused(what: str) -> Retry:
    return Retry(
        "TREZOR_CONFUSED",
        f"the device or the bridge answered something that is not {what}",
        "Unplug the device and plug it in again.",
    )


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def encode(fields: Iterable[tuple[int, int | bytes]]) -> bytes:
    """Each (number, value) in order; an int goes as a varint, bytes by their length."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += _varint(number << 3 | 2) + _varint(len(value)) + value
        else:
            out += _varint(number << 3) + _varint(value)
    return out


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise confused("protobuf")


def decode(data: bytes) -> Fields:
    """Every field's values in the order they came; fields of other wire types (fixed32, fixed64) are passed over. Raises Retry."""
    found: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            found.setdefault(tag >> 3, []).append(value)
            continue
        size, at = _read_varint(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, len(data) + 1), at)
        if at + size > len(data):
            raise confused("protobuf")
        if kind == 2:
            found.setdefault(tag >> 3, []).append(data[at : at + size])
        at += size
    return found


def to_hex(message: Message) -> str:
    return (message.kind.to_bytes(2, "big") + len(message.body).to_bytes(4, "big") + message.body).hex()


def from_hex(text: str) -> Message:
    """Raises Retry TREZOR_CONFUSED."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise confused("a message in hex") from None
    if not 6 <= len(raw) <= _LONGEST or int.from_bytes(raw[2:6], "big") != len(raw) - 6:
        raise confused("one whole message")
    return Message(int.from_bytes(raw[:2], "big"), raw[6:])


def integer(fields: Fields, number: int, default: int = 0) -> int:
    """A field's last value. Raises Retry where it is no number."""
    value = fields.get(number, (default,))[-1]
    if isinstance(value, bytes):
        raise confused("a number")
    return value


def octets(fields: Fields, number: int) -> bytes:
    """A field's last bytes, empty where it is missing. Raises Retry where it is a number."""
    value = fields.get(number, (b"",))[-1]
    if not isinstance(value, bytes):
        raise confused("bytes")
    return value


def text(fields: Fields, number: int) -> str:
    try:
        return octets(fields, number).decode()
    except UnicodeDecodeError:
        raise confused("a text") from None


def read_path(path: str) -> tuple[int, ...]:
    """BIP-32 steps of "44'/60'/0'/0/0". Raises Usage TREZOR_PATH."""
    steps = [_STEP.fullmatch(step) for step in path.removeprefix("m/").split("/")]
    if not 1 <= len(steps) <= 10 or any(s is None or int(s[1]) >= HARDENED for s in steps):
        raise Usage("TREZOR_PATH", f"path {path[:60]!r} is no derivation path", "Write it as 44'/60'/0'/0/0.")
    return tuple(int(s[1]) | (HARDENED if s[2] else 0) for s in steps if s is not None)


def _where(path: Sequence[int]) -> list[tuple[int, int | bytes]]:
    return [(1, step) for step in path]


def _short(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def initialize(session: bytes) -> Message:
    """Begins, or takes up the session whose passphrase was given before."""
    return Message(Kind.INITIALIZE, encode([(1, session)] if session else []))


def read_features(body: bytes) -> Features:
    """Field numbers of messages-management.proto: Features."""
    fields = decode(body)
    return Features(
        octets(fields, 35),
        text(fields, 6),
        text(fields, 21),
        bool(integer(fields, 12)),
        bool(integer(fields, 5)),
    )


def get_address(path: Sequence[int]) -> Message:
    """Nobody is asked: show_display is left out."""
    return Message(Kind.GET_ADDRESS, encode(_where(path)))


def sign_transaction(path: Sequence[int], tx: UnsignedTx) -> Message:
    """EthereumSignTxEIP1559 with the first chunk of data; the device asks for the rest."""
    numbers = (tx.nonce, tx.fees.max_fee_wei, tx.fees.max_priority_fee_wei, tx.gas)
    fields = [*_where(path), *((n, _short(v)) for n, v in enumerate(numbers, 2))]
    fields += [(6, tx.to.encode()), (7, _short(tx.value)), (8, tx.data[:CHUNK]), (9, len(tx.data))]
    return Message(Kind.SIGN_TX_EIP1559, encode([*fields, (10, tx.chain_id)]))


def tx_ack(chunk: bytes) -> Message:
    return Message(Kind.TX_ACK, encode([(1, chunk)]))


def sign_message(path: Sequence[int], message: bytes) -> Message:
    return Message(Kind.SIGN_MESSAGE, encode([*_where(path), (2, message)]))


def sign_typed_hash(path: Sequence[int], typed: TypedHash) -> Message:
    return Message(Kind.SIGN_TYPED_HASH, encode([*_where(path), (2, typed.domain), (3, typed.message)]))


def sign_typed_data(path: Sequence[int], primary: str) -> Message:
    return Message(Kind.SIGN_TYPED_DATA, encode([*_where(path), (2, primary.encode()), (3, 1)]))


def struct_ack(struct: Struct) -> Message:
    """A struct's members by type and name. Raises Usage TREZOR_TYPE for a type none of our messages has."""
    members = (encode([(1, _field_type(f)), (2, f.name.encode())]) for f in struct.fields)
    return Message(Kind.STRUCT_ACK, encode((1, m) for m in members))


def _field_type(member: Field) -> bytes:
    unsigned = _UINT.fullmatch(member.type)
    if unsigned:
        return encode([(1, 1), (2, int(unsigned[1]) // 8)])
    if member.type in ("bytes", "address"):
        return encode([(1, 3 if member.type == "bytes" else 6)])
    raise Usage("TREZOR_TYPE", f"{member.name} is a {member.type}", 'Set typed = "hashes".')


def value_ack(member: Field) -> Message:
    """A member's value, an integer at its type's whole length."""
    value, unsigned = member.value, _UINT.fullmatch(member.type)
    raw = (
        value
        if isinstance(value, bytes)
        else value.to_bytes(int(unsigned[1]) // 8 if unsigned else 32, "big")
    )
    return Message(Kind.VALUE_ACK, encode([(1, raw)]))


def member_path(body: bytes) -> tuple[int, ...]:
    """Which member a device asks for: (0, i) of the domain, (1, i) of the message. Raises Retry."""
    found: list[int] = []
    for value in decode(body).get(1, ()):
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):  # packed, as protobuf lets a sender choose
            step, at = _read_varint(value, at)
            found.append(step)
    return tuple(found)


def read_signature(raw: bytes) -> tuple[int, int]:
    """(r, s) of r ‖ s ‖ v. Raises Retry."""
    if len(raw) != 65:
        raise confused("a signature")
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")


def failure(body: bytes) -> FairleadError:
    """What a Failure message means to the caller."""
    fields = decode(body)
    code = integer(fields, 1, 99)
    said = "".join(
        c for c in octets(fields, 2).decode(errors="replace")[:80] if c.isascii() and c.isprintable()
    )
    about = f" ({said})" if said else ""
    if code in (4, 6):
        return Denied("OWNER_REFUSED", "refused on the device", "Nothing was signed.")
    if code in (5, 7):
        return Retry("TREZOR_LOCKED", f"the device is locked{about}", "Enter its PIN, then ask again.")
    if code in (14, 15, 19):
        return Retry(
            "TREZOR_BUSY", f"the device is at something else{about}", "Finish it there, then ask again."
        )
    if code == 11:
        return Usage("TREZOR_NOT_INITIALIZED", "the device has no seed yet", "Set it up first.")
    if code == 1:
        return Reject(
            "TREZOR_UNSUPPORTED", f"the device does not know this request{about}", "Update its firmware."
        )
    if code == 3:
        return Reject("TREZOR_INVALID_DATA", f"the device does not take this{about}", "Check path and data.")
    return Reject("TREZOR_FAILED", f"the device failed with code {code}{about}", "See its screen.")
