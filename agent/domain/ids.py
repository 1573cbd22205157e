"""Identifiers, derived and never drawn: the same intent, slice, leg and attempt give the same id after any restart.

An id keeps its value through every retry; `attempt` grows only after proof that the previous one can take no effect.
"""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import product
from typing import NewType

IntentId = NewType("IntentId", str)
ClOrdId = NewType("ClOrdId", str)
"""FIX ClOrdID (11): unique for ever within one journal; at most 30 characters of [a-z0-9-], which every venue accepts."""


_PAIRS = tuple(map("".join, product("abcdefghijklmnopqrstuvwxyz234567", repeat=2)))
_SHIFTS = tuple(range(110, -1, -10))


def _digest(*parts: str | int) -> str:
    """The first 24 characters, which are fifteen bytes in base 32 (RFC 4648, in lower case): no id takes more."""
    text = "\x1f".join([str(part) for part in parts])
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:15], "big")
    return "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])  # ten bits are two characters


def intent_id(environment: str, wallet: str, text: str, salt: str) -> IntentId:
    """`salt` tells apart two equal wishes: a quote's id, a schedule's fire time, or the moment of typing."""
    return IntentId("i-" + _digest("intent", environment, wallet, text, salt)[:16])


def parent_id(intent: IntentId) -> ClOrdId:
    return ClOrdId("p-" + _digest("parent", intent)[:16])


def child_id(parent: ClOrdId, slice_no: int) -> ClOrdId:
    return ClOrdId("c-" + _digest("child", parent, slice_no)[:16])


def part_id(child: ClOrdId, place: str, attempt: int) -> ClOrdId:
    """The id that leaves this machine: a venue's newClientOrderId, or the name of a chain submission."""
    return ClOrdId("fl-" + _digest("part", child, place, attempt)[:20])


_OURS = re.compile(r"fl-([a-z2-7]{20})")
_MARK = b"fl\x01"
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")


def in_16_bytes(cl_ord_id: ClOrdId) -> bytes:
    """For venues whose ids are 128 bits. Our own (100 bits) are kept whole; any other is hashed, and known again only by whoever remembers it."""
    ours = _OURS.fullmatch(cl_ord_id)
    if ours is None:
        return hashlib.sha256(cl_ord_id.encode()).digest()[:16]
    packed = base64.b32decode(ours[1].upper() + "AAAA")
    return _MARK + packed[:13]  # 24 characters are 15 bytes; the last two and a half are empty


def out_of_16_bytes(raw: bytes) -> ClOrdId | None:
    """Our id out of them, None for what is none of ours."""
    if len(raw) != 16 or not raw.startswith(_MARK):
        return None
    packed = raw[len(_MARK) :]
    name = ClOrdId("fl-" + base64.b32encode(packed + b"\0\0").decode().lower()[:20])
    return name if in_16_bytes(name) == raw else None


def as_uuid(cl_ord_id: ClOrdId) -> str:
    """`in_16_bytes`, as 32 hexadecimal digits in five groups."""
    digits = in_16_bytes(cl_ord_id).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def of_uuid(text: str) -> ClOrdId | None:
    """Our id out of a UUID with or without its dashes, None for what is none of ours, or no UUID."""
    digits = text.lower().replace("-", "")
    if len(digits) != 32 or not _UUID.fullmatch(text.lower()):
        return None
    return out_of_16_bytes(bytes.fromhex(digits))


def digest_of(*parts: str | int) -> str:
    """A short stable digest for anything else that must be named after its content."""
    return _digest(*parts)
