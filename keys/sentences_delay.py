"""A Zodiac Delay in plain words: what is queued in it, what is executed out of it, and what its owner tells it. Pure.

A Delay is a module of the Safe: what has waited in it is executed as the Safe, without any owner's signature, by whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contracts.leaves import DelayCall
from keys.sentences_words import span


def queue(leaf: DelayCall) -> str:
    as_safe = ", BY DELEGATECALL (as the Safe itself)" if leaf.operation else ""
    if leaf.kind == "QUEUE":
        return f"The Delay {leaf.target} is to have the following wait{as_safe}; after its cooldown anybody can have it executed as its Safe:"
    return f"The Delay {leaf.target} executes what has waited longest in it{as_safe}, as its Safe:"


def _expiration(a: Mapping[str, Any]) -> str:
    if not a["expiration"]:
        return "what waits in it NEVER EXPIRES, what waits already among it"
    return f"what waits in it expires {span(a['expiration'])} after its cooldown"


SAY: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "setTxCooldown": lambda a: (
        f"what is queued waits {span(a['cooldown'])} before anybody can have it executed, what waits already among it"
        if a["cooldown"]
        else "what is queued DOES NOT WAIT AT ALL any more, what waits already among it"
    ),
    "setTxExpiration": _expiration,
    "setTxNonce": lambda a: (
        f"skips all that waits in it under a number below {a['nonce']}: none of that can be executed any more"
    ),
    "skipExpired": lambda a: "skips what has expired at the front of its queue",
    "enableModule": lambda a: f"{a['module']} MAY QUEUE WHATEVER IT LIKES in it, for its Safe to do",
    "disableModule": lambda a: f"{a['module']} may queue nothing in it any more",
    "setAvatar": lambda a: f"ACTS FOR ANOTHER WALLET from then on: {a['avatar']}",
    "setTarget": lambda a: f"PASSES ITS CALLS ON TO ANOTHER CONTRACT from then on: {a['target']}",
    "setGuard": lambda a: (
        f"asks the guard {a['guard']} before it executes anything, which can refuse all of it"
    ),
    "transferOwnership": lambda a: (
        f"BELONGS TO {a['newOwner']} from then on, who alone can skip what waits in it"
    ),
    "renounceOwnership": lambda a: (
        "BELONGS TO NOBODY from then on: what waits in it can never be skipped again"
    ),
}
