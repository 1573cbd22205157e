"""The nonces that this journal holds, counted by `chains.nonces`: one model for whoever has them. Pure.

    sending   of a key, or of an account at its EntryPoint: every form signed for a nonce, and every cancel of it, may be what uses it
    wallet    of a Safe: a lane beside it; what the owners signed for one of its nonces is a bearer instrument until that is used

A nonce is held from the signature until the order it was signed for is over; so it is after a restart, since all of this is folded from
the journal. What a block has used is held until it is final too: an endpoint that lags behind that block hands out nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.domain.submission_state import UNDECIDED, SubmissionState
from agent.journal.records import PartRecord
from chains.nonces import Lane, Slot, SlotState, open_lane
from chains.types import Address, Hash32

DONE = frozenset({SubmissionState.INCLUDED, SubmissionState.FINAL})
"""A block executed what the owners signed, by whomever it was sent."""


def sending(records: Iterable[PartRecord], chain_id: int, sender: Address, latest: int) -> Lane:
    """`latest` as the chain, or the EntryPoint, counts it. A gap below what is held comes first: nothing above could be mined."""
    held: dict[int, Slot] = {}
    for record in records:
        signed = record.authorized
        if (
            signed is None
            or (signed.chain_id, signed.sender) != (chain_id, sender)
            or record.submission is None
        ):
            continue
        forms = [(form.nonce, form.tx_hash) for form in record.signed]
        forms += [(signed.nonce, cancel.tx_hash) for cancel in record.cancels]
        if record.submission in UNDECIDED:
            for nonce, tx_hash in forms:
                _hold(held, nonce, (tx_hash,))
        elif not record.settled:
            for nonce, tx_hash in forms:
                if tx_hash == record.winner:
                    held[nonce] = Slot(nonce, SlotState.MINED, (tx_hash,), tx_hash)
    return _lane(chain_id, sender, latest, held)


def wallet(records: Iterable[PartRecord], chain_id: int, safe: Address, latest: int) -> Lane:
    """`latest` as the Safe counts it. Whoever sent it: the Safe's nonces are of all keys that may send for it."""
    held: dict[int, Slot] = {}
    for record in records:
        signed = record.authorized
        if signed is None or signed.chain_id != chain_id or signed.wallet_nonce < 0:
            continue
        hashes = tuple(form.tx_hash for form in record.signed)
        if record.submission in UNDECIDED:
            _hold(held, signed.wallet_nonce, hashes)
        elif record.submission in DONE and not record.settled:
            won = Hash32(record.winner)
            held[signed.wallet_nonce] = Slot(signed.wallet_nonce, SlotState.MINED, hashes, won)
    return _lane(chain_id, safe, latest, held)


def _hold(held: dict[int, Slot], nonce: int, hashes: tuple[Hash32, ...]) -> None:
    before = held.get(nonce)
    if before is None or before.state is SlotState.SENT:
        held[nonce] = Slot(nonce, SlotState.SENT, (*(before.hashes if before is not None else ()), *hashes))


def _lane(chain_id: int, address: Address, latest: int, held: dict[int, Slot]) -> Lane:
    return open_lane(chain_id, address, latest, latest, [s for n, s in held.items() if n >= latest])
