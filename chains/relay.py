"""The small interface every submission road shares: what it is as data, what may be sent on it, what it answers.

`Sendable` is the proof that a signed transaction may take a road: only `sendable` makes one, and it refuses a road that
does not honour the plan's protection. An answer means *received*; whether a block holds it only the chain can say.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from chains.errors import Denied
from chains.types import Hash32, Protection, SignedTx

Header = Callable[[bytes], Awaitable[str]]
"""Makes the authentication header over the exact bytes of a body; the key behind it lives in the signer's process."""


class RelayStatus(Enum):
    PENDING = "PENDING"
    INCLUDED = "INCLUDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class RelayProfile:
    """A road as data. `honours` says which plans may use it on `chains`; `trusts` whom its secrecy rests on.

    `per_block`: what is handed over counts for one block only, and has to be handed over again for the next.
    `reverts_free`: a transaction that would revert is left out and costs nothing.
    """

    name: str
    honours: frozenset[Protection]
    chains: frozenset[int]
    method: str
    needs_auth: bool
    trusts: tuple[str, ...]
    cancels: bool = False
    per_block: bool = False
    reverts_free: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """The road said it has the transaction. No promise of inclusion."""

    relay: str
    tx_hash: Hash32
    reference: str = ""


class _Seal:
    pass


_SEAL = _Seal()


@dataclass(frozen=True, slots=True)
class Sendable:
    """A signed transaction and the one road it was allowed on. Made by `sendable` alone."""

    signed: SignedTx
    protection: Protection
    relay: str
    seal: _Seal

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise Denied(
                "PROTECTION_NOT_HONOURED", "a Sendable is made by chains.relay.sendable and by nothing else"
            )


def sendable(signed: SignedTx, protection: Protection, profile: RelayProfile) -> Sendable:
    """Raises Denied PROTECTION_NOT_HONOURED where the road does not honour the plan's protection, or serves other chains."""
    if protection not in profile.honours:
        honoured = ", ".join(sorted(p.value for p in profile.honours))
        raise Denied(
            "PROTECTION_NOT_HONOURED",
            f"the plan asks for {protection.value}, the relay {profile.name} honours {honoured}",
            "configure a relay that honours it; there is no fallback to another road",
        )
    if signed.chain_id not in profile.chains:
        raise Denied(
            "PROTECTION_NOT_HONOURED",
            f"the relay {profile.name} does not serve chain {signed.chain_id}",
            "configure a relay for that chain",
        )
    return Sendable(signed, protection, profile.name, _SEAL)


def check_road(item: Sendable, profile: RelayProfile) -> None:
    """Raises Denied where an item that was allowed on one road is handed to another."""
    if (
        item.relay != profile.name
        or item.protection not in profile.honours
        or item.signed.chain_id not in profile.chains
    ):
        raise Denied(
            "PROTECTION_NOT_HONOURED", f"this transaction was allowed on {item.relay}, not on {profile.name}"
        )


def replacement_id(signed: SignedTx) -> uuid.UUID:
    """The name under which a bundle is replaced and withdrawn: the same for whatever is signed for this nonce, in every run."""
    return uuid.uuid5(
        uuid.NAMESPACE_URL, f"fairlead:{signed.chain_id}:{signed.sender.lower()}:{signed.nonce}"
    )


class Relay(Protocol):
    """`send` raises Retry (nothing was sent), Reject (they said no) or Reconcile (it may have arrived).

    `block` is the block it is meant for next (needed where the profile says `per_block`), `max_block` the last that may hold it.
    """

    @property
    def profile(self) -> RelayProfile: ...

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received: ...

    async def cancel(self, signed: SignedTx) -> bool:
        """True where the road took it back. It may have been handed on before: only the chain's nonce is proof."""
        ...

    async def status(self, tx_hash: Hash32) -> RelayStatus: ...
