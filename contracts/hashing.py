"""Keccak-256 and EIP-55 addresses: the two functions everything on an EVM chain is named by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def load_crypto_alone() -> None:
    """PyCryptodome asks a program of the system, `file`, what kind of machine this is, and hands it this process's whole
    environment, secrets and all. It is told beforehand, so that nothing is started."""
    from Crypto.Util import _raw_api

    known: list[str] | None = getattr(_raw_api, "cached_architecture", None)
    if known == []:
        known[:] = ["64bit" if sys.maxsize > 2**32 else "32bit", ""]


def _backend() -> Callable[[bytes], bytes]:
    load_crypto_alone()
    from eth_hash.auto import keccak as auto

    auto(b"")  # the first call picks the C backend; afterwards its hasher can be called without the wrapper
    hasher: Any = auto.hasher
    return hasher  # type: ignore[no-any-return]


_HASHER: list[Callable[[bytes], bytes]] = []


def keccak(data: bytes) -> bytes:
    """Keccak-256 of `data` (32 bytes)."""
    if not _HASHER:
        _HASHER.append(_backend())
    return _HASHER[0](data)


@lru_cache(maxsize=8192)
def checksum(raw: bytes) -> str:
    """The EIP-55 address of 20 raw bytes. Raises ValueError for another length."""
    if len(raw) != 20:
        raise ValueError(f"an address has 20 bytes, not {len(raw)}")
    text = raw.hex()
    digest = keccak(text.encode()).hex()
    return "0x" + "".join(c.upper() if d >= "8" else c for c, d in zip(text, digest, strict=False))


@lru_cache(maxsize=8192)
def address_bytes(address: str) -> bytes:
    """The 20 bytes of a 0x address. Raises ValueError when it is not one, or when its mixed-case checksum is wrong."""
    if len(address) != 42 or address[:2] != "0x":
        raise ValueError(f"{address!r} is not a 0x address of 20 bytes")
    raw = bytes.fromhex(address[2:])
    digits = address[2:]
    if digits not in (digits.lower(), digits.upper()) and checksum(raw) != address:
        raise ValueError(f"{address} has a wrong EIP-55 checksum")
    return raw


def to_checksum(address: str) -> str:
    """Any casing to EIP-55. Raises ValueError as `address_bytes`."""
    return checksum(address_bytes(address))
