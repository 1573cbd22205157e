"""What a Safe changes about itself, in plain words: owners, threshold, modules, guards, fallback handler, approved hashes. Pure.

Such a call is never just one among others: each sentence is in capitals where it begins, and says what the change lets happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chains.safe_versions import RELEASES
from chains.types import ZERO_ADDRESS
from contracts.leaves import WalletAdmin

_HANDLERS = {r.fallback_handler: r.version for r in RELEASES}


def admin(leaf: WalletAdmin) -> str:
    """One sentence of one call of the Safe on itself."""
    say = _SAID.get(leaf.function)
    return f"CHANGES THE WALLET ITSELF: {leaf.summary}." if say is None else say(dict(leaf.args))


def _needed(a: Mapping[str, Any]) -> str:
    threshold = a["threshold"]
    if threshold == 1:
        return "from then on ANY SINGLE OWNER MOVES EVERYTHING"
    return f"from then on {threshold} owners must sign"


def _guard(what: str, guard: str, sees: str) -> str:
    if guard == ZERO_ADDRESS:
        return f"REMOVES THE {what}: nothing checks {sees} any more."
    return (
        f"SETS THE {what} {guard}: it can refuse {sees}, its own removal among them, and so lock the wallet."
    )


def _handler(a: Mapping[str, Any]) -> str:
    handler = a["handler"]
    if handler == ZERO_ADDRESS:
        return "REMOVES THE FALLBACK HANDLER: the wallet can no longer sign messages or take some tokens."
    known = f"Safe's own of {_HANDLERS[handler]}" if handler in _HANDLERS else "NOT ONE OF SAFE'S OWN"
    return f"SETS THE FALLBACK HANDLER {handler}, {known}: it answers in the wallet's name, for its signatures too."


_SAID: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "addOwnerWithThreshold": lambda a: f"ADDS THE OWNER {a['owner']}; {_needed(a)}.",
    "removeOwner": lambda a: f"REMOVES THE OWNER {a['owner']}; {_needed(a)}.",
    "swapOwner": lambda a: f"REPLACES THE OWNER {a['oldOwner']} BY {a['newOwner']}.",
    "changeThreshold": lambda a: f"CHANGES HOW MANY MUST SIGN; {_needed(a)}.",
    "enableModule": lambda a: (
        f"ENABLES THE MODULE {a['module']}: it can then spend everything and change everything without any owner's signature."
    ),
    "disableModule": lambda a: f"DISABLES THE MODULE {a['module']}: it can do nothing here any more.",
    "setGuard": lambda a: _guard("GUARD", a["guard"], "every transaction that owners sign"),
    "setModuleGuard": lambda a: _guard("MODULE GUARD", a["moduleGuard"], "what modules do"),
    "setFallbackHandler": _handler,
    "approveHash": lambda a: (
        f"APPROVES THE HASH 0x{a['hashToApprove']}: this wallet then counts as having signed whatever it stands for, without a deadline."
    ),
}
