"""Several roads at once for one chain: whatever one is told all are told, and each only what its own profile honours.

More builders are more chances in each slot, and one more party that sees the transaction: which roads are in a set the settings
say, and a road that leaked is taken out (`drop`) for as long as this process lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chains.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from chains.relay import Received, Relay, RelayProfile, RelayStatus, Sendable, check_road, sendable
from chains.types import Hash32, SignedTx

_TOLD = (RelayStatus.INCLUDED, RelayStatus.PENDING, RelayStatus.CANCELLED, RelayStatus.FAILED)


class RelaySet:
    """Implements `chains.relay.Relay` over its members. Raises Usage NO_RELAY for none."""

    def __init__(self, members: Sequence[Relay]) -> None:
        if not members:
            raise Usage("NO_RELAY", "a set of no relays", "configure one under the chain's [[chains.relays]]")
        self._members = list(members)
        self.dropped: dict[str, str] = {}
        self.profile = _together([m.profile for m in members])

    @property
    def members(self) -> tuple[Relay, ...]:
        return tuple(self._members)

    def drop(self, name: str, why: str) -> None:
        """Uses that road no longer. Raises Denied NO_RELAY_LEFT where it was the last: then nothing is sent, anywhere."""
        left = [m for m in self._members if m.profile.name != name]
        if len(left) < len(self._members):
            self.dropped[name] = why
            self._members = left
            if left:
                self.profile = _together([m.profile for m in left])

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        """Received where any of them has it; `reference` names those that have not, and why. Where none has: Reconcile if it may
        have arrived anywhere, Retry if any could be asked again, else the first one's no. Denied NO_RELAY_LEFT."""
        check_road(item, self.profile)
        if not self._members:
            gone = "; ".join(f"{name}: {why}" for name, why in self.dropped.items())
            raise Denied(
                "NO_RELAY_LEFT", f"every relay was dropped ({gone})", "configure another, and start again"
            )

        async def one(member: Relay) -> Received | FairleadError:
            try:
                own = sendable(item.signed, item.protection, member.profile)
                return await member.send(own, block=block, max_block=max_block)
            except FairleadError as error:
                return error

        members = self.members
        answers = await asyncio.gather(*(one(m) for m in members))
        names = [m.profile.name for m in members]
        took = [a for a in answers if isinstance(a, Received)]
        if not took:
            errors = [a for a in answers if isinstance(a, FairleadError)]
            for kind in (Reconcile, Retry, Reject):
                if found := [e for e in errors if isinstance(e, kind)]:
                    raise found[0]
            raise errors[0]
        told = [
            f"{name}: {a.code}" if isinstance(a, FairleadError) else f"{name}: {a.reference or 'received'}"
            for name, a in zip(names, answers, strict=True)
        ]
        return Received(
            self.profile.name, item.signed.hash, took[0].reference if len(answers) == 1 else ", ".join(told)
        )

    async def cancel(self, signed: SignedTx) -> bool:
        """True only where every one of them took it back: one that holds it can still land it."""
        answers = await asyncio.gather(*(m.cancel(signed) for m in self._members), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, FairleadError):
                raise answer
        if all(isinstance(a, FairleadError) for a in answers) and answers:
            raise answers[0]  # type: ignore[misc]  # nobody could be asked
        return all(a is True for a in answers)

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """The most any of them says; a hint, not a proof. Raises Retry where nobody answered."""
        answers = await asyncio.gather(*(m.status(tx_hash) for m in self._members), return_exceptions=True)
        found = {a for a in answers if isinstance(a, RelayStatus)}
        errors = [a for a in answers if isinstance(a, BaseException)]
        if not found and errors:
            raise errors[0]
        return next((status for status in _TOLD if status in found), RelayStatus.UNKNOWN)


def _together(profiles: Sequence[RelayProfile]) -> RelayProfile:
    if len(profiles) == 1:
        return profiles[0]
    return RelayProfile(
        name="+".join(p.name for p in profiles),
        honours=frozenset.intersection(*(p.honours for p in profiles)),
        chains=frozenset.intersection(*(p.chains for p in profiles)),
        method="+".join(sorted({p.method for p in profiles})),
        needs_auth=any(p.needs_auth for p in profiles),
        trusts=tuple(dict.fromkeys(t for p in profiles for t in p.trusts)),
        cancels=any(p.cancels for p in profiles),
        per_block=any(p.per_block for p in profiles),
        reverts_free=all(p.reverts_free for p in profiles),
    )
