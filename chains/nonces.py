"""The nonce lane of one (chain, key): who owns which nonce, and what the chain has made of it. Pure.

    free → reserve → RESERVED → sign → SENT → observe → MINED          ours, by one of its hashes
                        │                        └────→ FOREIGN        consumed by a transaction that is none of ours
                        └ release → free
    A reorganisation takes MINED and FOREIGN back to SENT (or RESERVED, if nothing was ever signed).

A nonce keeps every hash ever signed for it: each stays a possible winner until the nonce is consumed. The next nonce is a
function of this ledger, the chain's latest nonce and what the mempool shows of other programs, so that a restart
from the ledger reserves what it would have reserved without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from chains.errors import Halt
from chains.types import Address, Hash32


class SlotState(Enum):
    RESERVED = "RESERVED"
    SENT = "SENT"
    MINED = "MINED"
    FOREIGN = "FOREIGN"


@dataclass(frozen=True, slots=True)
class Slot:
    """`winner` is the mined hash: one of `hashes` where MINED, another's (or None, unknown) where FOREIGN."""

    nonce: int
    state: SlotState
    hashes: tuple[Hash32, ...] = ()
    winner: Hash32 | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """`confirmed` is the chain's own latest nonce; `taken` the pending nonces of other programs using the same key."""

    chain_id: int
    address: Address
    confirmed: int
    slots: tuple[Slot, ...] = ()
    taken: frozenset[int] = frozenset()

    def slot(self, nonce: int) -> Slot | None:
        return next((s for s in self.slots if s.nonce == nonce), None)

    def with_slot(self, slot: Slot) -> Lane:
        kept = [s for s in self.slots if s.nonce != slot.nonce]
        return replace(self, slots=tuple(sorted([*kept, slot], key=lambda s: s.nonce)))


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another program spent this nonce of ours: what was signed for it can never be mined."""

    nonce: int
    hashes: tuple[Hash32, ...]
    winner: Hash32 | None


@dataclass(frozen=True, slots=True)
class Unmined:
    """A nonce that was mined is open again: the chain was reorganised."""

    nonce: int
    hashes: tuple[Hash32, ...]


Finding = Foreign | Unmined


def open_lane(
    chain_id: int, address: Address, latest: int, pending: int, ledger: Iterable[Slot] = ()
) -> Lane:
    """A lane at start: the ledger's slots, the chain's latest nonce, and the mempool's count (at least latest).

    Pending nonces the ledger does not know belong to another program and are left to it.
    """
    slots = tuple(sorted(ledger, key=lambda s: s.nonce))
    if len({s.nonce for s in slots}) != len(slots):
        raise Halt(
            "NONCE_LEDGER",
            f"the nonce ledger of {address} on chain {chain_id} names a nonce twice",
            "run reconcile",
        )
    ours = {s.nonce for s in slots}
    taken = frozenset(n for n in range(latest, max(latest, pending)) if n not in ours)
    return Lane(chain_id, address, latest, slots, taken)


def next_nonce(lane: Lane) -> int:
    """The lowest nonce from `confirmed` on that nobody holds: a gap is filled before anything is added behind it."""
    held = {s.nonce for s in lane.slots} | lane.taken
    nonce = lane.confirmed
    while nonce in held:
        nonce += 1
    return nonce


def reserve(lane: Lane) -> tuple[Lane, int]:
    nonce = next_nonce(lane)
    return lane.with_slot(Slot(nonce, SlotState.RESERVED)), nonce


def signed(lane: Lane, nonce: int, tx_hash: Hash32) -> Lane:
    """Record a hash before it is sent: the first one, or a replacement's. Raises Halt for a nonce not held or consumed."""
    slot = lane.slot(nonce)
    if slot is None or slot.state not in (SlotState.RESERVED, SlotState.SENT):
        state = slot.state.value if slot else "free"
        raise Halt(
            "NONCE_NOT_HELD",
            f"nonce {nonce} on chain {lane.chain_id} is {state}, nothing may be signed for it",
        )
    if tx_hash in slot.hashes:
        return lane
    return lane.with_slot(replace(slot, state=SlotState.SENT, hashes=(*slot.hashes, tx_hash)))


def release(lane: Lane, nonce: int) -> Lane:
    """Give back a nonce for which nothing was ever signed. Raises Halt otherwise: what was signed may yet be mined."""
    slot = lane.slot(nonce)
    if slot is None or slot.state is not SlotState.RESERVED or slot.hashes:
        raise Halt(
            "NONCE_NOT_RELEASABLE",
            f"nonce {nonce} on chain {lane.chain_id} was signed for and cannot be given back",
        )
    return replace(lane, slots=tuple(s for s in lane.slots if s.nonce != nonce))


def undecided(lane: Lane, latest: int) -> tuple[Slot, ...]:
    """Slots the chain has consumed whose winner is not known: their hashes' receipts must be looked up."""
    return tuple(
        s for s in lane.slots if s.nonce < latest and s.state in (SlotState.RESERVED, SlotState.SENT)
    )


def observe(
    lane: Lane, latest: int, winners: Mapping[int, Hash32 | None], pending: int | None = None
) -> tuple[Lane, tuple[Finding, ...]]:
    """The lane after the chain said its latest nonce.

    `winners[n]` is the mined hash of nonce n; None means it was proved that none of our hashes is mined. A consumed nonce
    that `winners` leaves out stays undecided: one endpoint's "not found" decides nothing.
    """
    findings: list[Finding] = []
    slots: list[Slot] = []
    for slot in lane.slots:
        if slot.nonce >= latest:
            if slot.state in (SlotState.MINED, SlotState.FOREIGN):
                findings.append(Unmined(slot.nonce, slot.hashes))
                slot = replace(slot, state=SlotState.SENT if slot.hashes else SlotState.RESERVED, winner=None)
        elif slot.nonce in winners:
            winner = winners[slot.nonce]
            state = SlotState.MINED if winner in slot.hashes else SlotState.FOREIGN
            if state is SlotState.FOREIGN and slot.state is not SlotState.FOREIGN:
                findings.append(Foreign(slot.nonce, slot.hashes, winner))
            slot = replace(slot, state=state, winner=winner)
        slots.append(slot)
    ours = {s.nonce for s in slots}
    seen = set(range(latest, pending)) if pending is not None else {n for n in lane.taken if n >= latest}
    return replace(lane, confirmed=latest, slots=tuple(slots), taken=frozenset(seen - ours)), tuple(findings)


def gaps(lane: Lane) -> tuple[int, ...]:
    """Nonces below a held one that nobody holds: until they are filled, nothing above them can be mined."""
    held = {s.nonce for s in lane.slots} | lane.taken
    top = max(held, default=lane.confirmed)
    return tuple(n for n in range(lane.confirmed, top) if n not in held)


def settle(lane: Lane, below: int) -> Lane:
    """Forget decided slots under `below`, a nonce whose block is final."""
    decided = (SlotState.MINED, SlotState.FOREIGN)
    return replace(lane, slots=tuple(s for s in lane.slots if s.nonce >= below or s.state not in decided))
