"""A sending key's nonces, an account's at its EntryPoint and a Safe's are counted by one model over what the journal holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from desk import HERE, usdc, weth

from agent.domain.events import Authorized, CancelSigned
from agent.domain.ids import ClOrdId
from agent.domain.orders import Part
from agent.domain.submission_state import SubmissionState as S
from agent.execution import nonce_lanes
from agent.execution.nonce_gaps import NonceGaps
from agent.journal.book import Book
from agent.journal.records import PartRecord
from chains.nonces import Lane, SlotState, gaps, next_nonce
from chains.operations import keyed
from chains.types import Address, BlockRef, Hash32, Protection

ME, SAFE = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
WETH, USDC = weth(1), usdc(1)
HASH = Hash32("0x" + "a" * 64)
Sequence = Callable[[int], int]
KINDS: dict[str, Sequence] = {"key": lambda n: n, "entry point": keyed, "safe": lambda n: n}


def record(kind: str, at: int, state: S, tx_hash: Hash32 = HASH, **more: object) -> PartRecord:
    """A part signed for `at`; its other nonce says nothing."""
    part = Part(ClOrdId(f"p{at}{tx_hash}"), ClOrdId("c"), HERE, 0, WETH, USDC, 1, 1, 1, (0,))
    nonce, wallet = (1000 + at, at) if kind == "safe" else (KINDS[kind](at), 1000 + at)
    signed = Authorized(
        part, None, 1, ME, nonce, wallet, tx_hash, b"", "", Protection.PRIVATE, 15, 2**40, 1, 0
    )  # fmt: skip
    found = PartRecord(part, True, authorized=signed, submission=state)
    for name, value in more.items():
        setattr(found, name, value)
    return found


def lane(kind: str, records: list[PartRecord], latest: int) -> Lane:
    if kind == "safe":
        return nonce_lanes.wallet(records, 1, SAFE, latest)
    return nonce_lanes.sending(records, 1, ME, KINDS[kind](latest))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_counted_alike(kind: str) -> None:
    at = KINDS[kind]

    def after(latest: int, *records: PartRecord) -> int:
        return next_nonce(lane(kind, list(records), latest))

    waits = record(kind, 7, S.BROADCAST)
    assert after(7) == at(7)
    assert after(7, waits) == at(8), "signed, and no block has decided"
    assert after(7, record(kind, 7, S.AUTHORIZED)) == at(8), "nobody knows whether it left"
    assert after(8, waits) == at(8), "a block has used it, whoever did"
    assert after(7, record(kind, 7, S.EXPIRED)) == at(7), "it can take effect no more"
    ahead = record(kind, 8, S.BROADCAST)
    assert after(7, ahead) == at(7) and gaps(lane(kind, [ahead], 7)) == (at(7),), "a gap comes first"
    assert after(7, waits, ahead) == at(9)
    mined = record(kind, 7, S.INCLUDED, winner=HASH)
    assert after(7, mined) == at(8), "an endpoint that lags behind the block hands out nothing twice"
    assert after(7, replace(mined, settled=True)) == at(7), "what is final every endpoint knows"
    other_chain = replace(waits, authorized=replace(waits.authorized, chain_id=10))  # type: ignore[type-var]
    assert after(7, other_chain) == at(7)


def test_every_form_of_an_order_may_be_what_uses_its_nonce() -> None:
    new = record("key", 7, S.BROADCAST, Hash32("0x" + "b" * 64))
    old = record("key", 7, S.BROADCAST).authorized
    cancel = CancelSigned(new.part.cl_ord_id, HERE, Hash32("0x" + "c" * 64), 9, 0)
    assert old is not None
    both = replace(new, earlier=(old,), cancels=(cancel,))
    (slot,) = lane("key", [both], 7).slots
    assert slot.state is SlotState.SENT and {h[2] for h in slot.hashes} == {"a", "b", "c"}
    gone = replace(both, submission=S.CANCELLED, winner=cancel.tx_hash)
    assert next_nonce(lane("key", [gone], 7)) == 8, "the cancel used it"


def test_a_call_signed_again_after_a_foreign_use_holds_its_new_nonce() -> None:
    first = record("key", 7, S.BROADCAST).authorized
    again = replace(record("key", 8, S.BROADCAST, Hash32("0x" + "b" * 64)), earlier=(first,))
    assert next_nonce(lane("key", [again], 8)) == 9


def test_an_outer_transaction_that_reverts_uses_its_own_nonce_and_not_the_safes() -> None:
    assert next_nonce(lane("key", [record("key", 7, S.REVERTED, winner=HASH)], 7)) == 8
    assert next_nonce(lane("safe", [record("safe", 7, S.REVERTED, winner=HASH)], 7)) == 7


def test_a_safe_used_by_somebody_else_with_our_signatures_is_used() -> None:
    theirs = Hash32("0x" + "d" * 64)
    done = record("safe", 7, S.INCLUDED, winner=theirs)
    assert next_nonce(lane("safe", [done], 7)) == 8
    assert next_nonce(nonce_lanes.sending([done], 1, ME, 1007)) == 1007, "and the sender's own is free"


def test_two_keys_of_one_safe_share_its_nonces() -> None:
    mine = record("safe", 7, S.BROADCAST)
    rotated = replace(mine, authorized=replace(mine.authorized, sender=SAFE))  # type: ignore[type-var]
    assert next_nonce(lane("safe", [rotated], 7)) == 8


def test_of_two_orders_above_a_gap_the_lower_one_fills_it() -> None:
    book, gaps = Book(), NonceGaps()
    low, high = record("key", 6, S.BROADCAST), record("key", 7, S.BROADCAST)
    for one in (low, high):
        book.parts[one.part.cl_ord_id] = one

    def fills(one: PartRecord) -> bool:
        heads = (BlockRef(number, HASH, HASH, 0, 0) for number in (100, 101))
        return [gaps.to_fill(book, one, 5, head) for head in heads][-1]

    assert (fills(low), fills(high)) == (True, False)
    low.submission = S.EXPIRED
    assert fills(high), "nobody below it is to be mined any more"
