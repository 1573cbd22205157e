"""Identifiers, derived and never drawn: the same intent, slice, leg and attempt give the same id after any restart.

An id keeps its value through every retry; `attempt` grows only after proof that the previous one can take no effect.
"""

from __future__ import annotations

import base64
import hashlib
from typing import NewType

IntentId = NewType("IntentId", str)
ClOrdId = NewType("ClOrdId", str)
"""FIX ClOrdID (11): unique for ever within one journal; at most 30 characters of [a-z0-9-], which every venue accepts."""


def _digest(*parts: str | int) -> str:
    """The first 24 characters, which are fifteen bytes in base 32: no id takes more."""
    text = "\x1f".join([str(part) for part in parts])
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:15]).decode().lower()


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


def digest_of(*parts: str | int) -> str:
    """A short stable digest for anything else that must be named after its content."""
    return _digest(*parts)
