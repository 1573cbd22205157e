"""The few EVM primitives every chain module shares: Keccak-256, EIP-55 checksums, selectors, hex quantities.

All pure. `word`/`words` speak the ABI's 32-byte big-endian words; `quantity` and `number` the JSON-RPC hex quantities.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from chains.errors import Usage
from chains.types import Address, Hash32
from contracts import hashing
from contracts.hashing import keccak

__all__ = [
    "address_of",
    "call_data",
    "checksum",
    "from_hex",
    "hash32",
    "hex_bytes",
    "keccak",
    "number",
    "quantity",
    "selector",
    "signed",
    "word",
    "words",
]


_HASH = re.compile("[0-9a-f]{64}")


@lru_cache(maxsize=65_536)
def checksum(text: str) -> Address:
    """EIP-55, whatever the casing given. Raises Usage where `text` is not 0x and forty hex digits."""
    try:
        return Address(hashing.checksum(bytes.fromhex(text[2:] if text[:2] in ("0x", "0X") else "")))
    except ValueError:
        raise Usage(
            "BAD_ADDRESS", f"{text!r} is not an address", "an address is 0x followed by 40 hex digits"
        ) from None


def address_of(word_or_bytes: bytes) -> Address:
    """The address in the low twenty bytes of a word."""
    return checksum("0x" + word_or_bytes[-20:].hex())


@cache
def selector(signature: str) -> bytes:
    """Four bytes of a canonical signature such as `balanceOf(address)`."""
    return keccak(signature.encode())[:4]


def word(value: int | str | bytes) -> bytes:
    """One ABI word: a uint or an int (two's complement), an address, or up to 32 bytes padded on the left."""
    if isinstance(value, int):
        return (value % (1 << 256)).to_bytes(32, "big")
    raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value
    if len(raw) > 32:
        raise Usage("BAD_WORD", f"{len(raw)} bytes do not fit an ABI word")
    return raw.rjust(32, b"\0")


def words(data: bytes) -> list[int]:
    """The unsigned words of `data`; a trailing partial word is left out."""
    return [int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data) - 31, 32)]


def signed(value: int) -> int:
    """An unsigned word read as int256."""
    return value - (1 << 256) if value >> 255 else value


def call_data(signature: str, *args: int | str | bytes) -> bytes:
    """Calldata of a function whose arguments are all static words."""
    return selector(signature) + b"".join(word(a) for a in args)


def quantity(value: int) -> str:
    return hex(value)


def number(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def hex_bytes(data: bytes) -> str:
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def hash32(text: str | bytes) -> Hash32:
    body = text.hex() if isinstance(text, bytes) else text.lower().removeprefix("0x")
    if _HASH.fullmatch(body) is None:
        raise Usage("BAD_HASH", "not a 32-byte hash", "a hash is 0x followed by 64 hex digits")
    return Hash32("0x" + body)
