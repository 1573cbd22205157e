"""The Ledger Ethereum app's commands as bytes, and what its status words mean. Pure.

Source: "Ethereum application: Common Technical Specifications" (LedgerHQ/app-ethereum, doc/ethapp.adoc). CLA is 0xE0;
INS 0x02 public address, 0x04 sign transaction, 0x06 configuration, 0x08 sign message (EIP-191), 0x0C sign EIP-712 (implementation 0:
the two hashes; 1, from app 1.9.19: the fields, defined by 0x1A and filled by 0x1C before). Data longer than 255 bytes goes in several commands, P1 0x00 for the first and 0x80 for the rest; each is answered
with 0x9000 and only the last one with v ‖ r ‖ s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import Address
from contracts.hashing import checksum, keccak
from keys.typed import Field, Struct

CLA = 0xE0
ADDRESS, SIGN_TX, CONFIG, SIGN_MESSAGE, SIGN_TYPED, DEFINE, FILL = 0x02, 0x04, 0x06, 0x08, 0x0C, 0x1A, 0x1C
FIRST, MORE = 0x00, 0x80
OK = 0x9000
BLIND = 0x01
"""Configuration flag: the person allows data that the device cannot show in full ("blind signing")."""
INVALID_DATA = 0x6A80
_CHUNK = 255


@dataclass(frozen=True, slots=True)
class Config:
    blind: bool
    version: tuple[int, int, int]


def path(text: str) -> bytes:
    """A BIP-32 path as the app takes it: count, then four bytes each. Raises Usage LEDGER_PATH."""
    parts = text.removeprefix("m/").split("/")
    if not 1 <= len(parts) <= 10 or not all(re.fullmatch(r"\d{1,10}['hH]?", p) for p in parts):
        raise Usage("LEDGER_PATH", f"{text[:80]!r} is not a derivation path", "For example 44'/60'/0'/0/0.")
    numbers = [int(p.rstrip("'hH")) for p in parts]
    if max(numbers) >= 1 << 31:
        raise Usage("LEDGER_PATH", f"{text!r} has an index beyond 2147483647")
    hardened = [n | (1 << 31) if p[-1] in "'hH" else n for n, p in zip(numbers, parts, strict=True)]
    return bytes((len(hardened),)) + b"".join(n.to_bytes(4, "big") for n in hardened)


def command(ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> bytes:
    return bytes((CLA, ins, p1, p2, len(data))) + data


def chunked(ins: int, data: bytes) -> list[bytes]:
    pieces = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
    return [command(ins, MORE if n else FIRST, 0, piece) for n, piece in enumerate(pieces)]


def get_address(where: bytes) -> list[bytes]:
    return [command(ADDRESS, 0, 0, where)]


def get_config() -> list[bytes]:
    return [command(CONFIG)]


def sign_transaction(where: bytes, preimage: bytes) -> list[bytes]:
    """`preimage`: 0x02 ‖ rlp(…), an EIP-1559 transaction without its signature."""
    return chunked(SIGN_TX, where + preimage)


def sign_message(where: bytes, message: bytes) -> list[bytes]:
    return chunked(SIGN_MESSAGE, where + len(message).to_bytes(4, "big") + message)


def sign_typed(where: bytes, domain: bytes, message: bytes) -> list[bytes]:
    return [command(SIGN_TYPED, 0, 0, where + domain + message)]


def sign_fields(where: bytes, structs: Sequence[Struct]) -> list[bytes]:
    """The types, then the values in the same order, then the request to sign: the device hashes what it has shown by itself."""
    commands = []
    for struct in structs:
        commands.append(command(DEFINE, 0, 0x00, struct.name.encode()))
        commands += [command(DEFINE, 0, 0xFF, _member(field)) for field in struct.fields]
    for struct in structs:
        commands.append(command(FILL, 0, 0x00, struct.name.encode()))
        for field in struct.fields:
            data = len(field.raw).to_bytes(2, "big") + field.raw
            pieces = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
            commands += [command(FILL, n < len(pieces) - 1, 0xFF, piece) for n, piece in enumerate(pieces)]
    return [*commands, command(SIGN_TYPED, 0, 0x01, where)]


def _member(field: Field) -> bytes:
    """Type description (bit 6: a size follows; low bits: the type), size in bytes where it has one, then the name."""
    bits = re.fullmatch(r"uint(\d+)", field.type)
    if bits:
        kind = bytes((0x42, int(bits[1]) // 8))
    elif field.type in ("address", "bytes"):
        kind = b"\x03" if field.type == "address" else b"\x07"
    else:
        raise Usage("LEDGER_TYPE", f"{field.type} is no type this signer shows field by field")
    if len(field.raw) > 0xFFFF:
        raise Usage("LEDGER_TOO_LONG", f"{field.name} has {len(field.raw)} bytes, the device takes 65535")
    return kind + bytes((len(field.name),)) + field.name.encode()


def read_address(data: bytes) -> Address:
    """The address of the answer's public key; the text beside it must say the same. Raises Retry LEDGER_CONFUSED."""
    size = data[0] if data else 0
    public, rest = data[1 : 1 + size], data[1 + size :]
    said = rest[1 : 1 + rest[0]] if rest else b""
    if (size, len(public)) != (65, 65) or public[0] != 4 or len(said) != 40:
        raise confused("an address")
    found = keccak(public[1:])[12:]
    if said.lower() != found.hex().encode():
        raise confused("an address that is its key's")
    return Address(checksum(found))


def read_config(data: bytes) -> Config:
    if len(data) < 4:
        raise confused("a configuration")
    return Config(bool(data[0] & BLIND), (data[1], data[2], data[3]))


def read_signature(data: bytes) -> tuple[int, int]:
    """(r, s). v is left aside: the app answers a parity, 27/28 or a chain's v, by version and command; recovery finds it."""
    if len(data) != 65:
        raise confused("a signature")
    return int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")


def confused(wanted: str) -> Retry:
    return Retry(
        "LEDGER_CONFUSED",
        f"the device answered something other than {wanted}",
        "Close other wallets that use it, unplug it and ask again.",
    )


def failure(status: int, blind: bool = True) -> FairleadError:
    """What a status word other than 0x9000 means. `blind`: what the app's configuration says of blind signing."""
    match status:
        case 0x6985 | 0x6982:
            return Denied("OWNER_REFUSED", "it was refused on the device", "Nothing was signed.")
        case 0x5515 | 0x6B0C | 0x6804 | 0x5303:
            return Retry("LEDGER_LOCKED", "the device is locked", "Unlock it with its PIN and ask again.")
        case 0x6E00 | 0x6E01 | 0x6D00 | 0x6D02 | 0x6511 | 0x650E:
            return Retry(
                "LEDGER_WRONG_APP",
                "the Ethereum app is not open on the device",
                "Open it there and ask again.",
            )
        case 0x6A80 if not blind:
            return Usage(
                "LEDGER_BLIND_SIGNING_OFF",
                "the device may not sign what it cannot show in full",
                "In its Ethereum app, Settings, allow Blind signing; compare the hashes it shows with those here.",
            )
        case 0x6A80:
            return Reject(
                "LEDGER_INVALID_DATA", "the device does not take this data", "Update its Ethereum app."
            )
        case 0x6501 | 0x6700 | 0x6B00 | 0x6A87:
            return Reject(
                "LEDGER_UNSUPPORTED",
                f"the Ethereum app does not know this command (0x{status:04x})",
                "Update it with the vendor's program.",
            )
        case 0x6F42 | 0x6F00 | 0x6901:
            return Retry("LEDGER_BUSY", f"the device failed (0x{status:04x})", "Unplug it and ask again.")
    return Reject(
        "LEDGER_FAILED", f"the device answered 0x{status:04x}", "Its maker's table says what that is."
    )
