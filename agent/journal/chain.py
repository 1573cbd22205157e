"""Entries and the hash that ties each to the one before it. Pure.

    hash = SHA-256(prev_hash ‖ seq ‖ at_ns ‖ len(kind) ‖ kind ‖ version ‖ payload)

seq, at_ns: 8 bytes big-endian; len(kind): 2; version: 4. The first entry's prev_hash names the environment, so a journal of one
environment is never taken for another's.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import NewType

Seq = NewType("Seq", int)
"""1 for the first entry, without gaps; 0 for a journal that is empty."""

_HEAD = struct.Struct(">QqH")
_VERSION = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored event: `payload` is its canonical JSON, `at_ns` Unix time in nanoseconds, hashes 32 bytes."""

    seq: Seq
    at_ns: int
    kind: str
    version: int
    payload: bytes
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where a journal ends. Whoever has seen a head can prove a later rewrite or truncation."""

    seq: Seq
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


def genesis(environment: str) -> bytes:
    return hashlib.sha256(b"fairlead journal/1\x00" + environment.encode()).digest()


def link(prev_hash: bytes, seq: int, at_ns: int, kind: str, version: int, payload: bytes) -> bytes:
    name = kind.encode()
    digest = hashlib.sha256(prev_hash)
    digest.update(_HEAD.pack(seq, at_ns, len(name)) + name + _VERSION.pack(version))
    digest.update(payload)
    return digest.digest()
