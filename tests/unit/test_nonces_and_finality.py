from __future__ import annotations

import pytest

from chains.errors import Halt
from chains.finality import FinalityRule, Heads, Level, Verdict, collateral_counts, judge
from chains.nonces import (
    Foreign,
    Slot,
    SlotState,
    Unmined,
    gaps,
    observe,
    open_lane,
    release,
    reserve,
    signed,
    undecided,
)
from chains.types import Address, BlockRef, Hash32

ME = Address("0x" + "22" * 20)
A, B, OTHER = (Hash32("0x" + c * 64) for c in "abc")


def test_a_nonce_another_program_spent_is_found_and_the_lane_goes_on() -> None:
    lane, nonce = reserve(open_lane(1, ME, 7, 7))
    lane = signed(lane, nonce, A)
    assert [s.nonce for s in undecided(lane, 8)] == [7]
    lane, findings = observe(lane, 8, {7: OTHER})
    assert findings == (Foreign(7, (A,), OTHER),)
    assert reserve(lane)[1] == 8


def test_one_not_found_decides_nothing() -> None:
    lane, nonce = reserve(open_lane(1, ME, 7, 7))
    lane = signed(lane, nonce, A)
    lane, findings = observe(lane, 8, {})
    assert findings == () and undecided(lane, 8)[0].state is SlotState.SENT


def test_any_of_a_nonces_hashes_may_win() -> None:
    lane, nonce = reserve(open_lane(1, ME, 0, 0))
    lane = signed(signed(lane, nonce, A), nonce, B)
    lane, findings = observe(lane, 1, {0: A})
    assert findings == () and lane.slots[0].winner == A


def test_a_reorganisation_opens_the_nonce_again() -> None:
    lane, nonce = reserve(open_lane(1, ME, 0, 0))
    lane, _ = observe(signed(lane, nonce, A), 1, {0: A})
    lane, findings = observe(lane, 0, {})
    assert findings == (Unmined(0, (A,)),) and lane.slots[0].state is SlotState.SENT
    assert reserve(lane)[1] == 1


def test_a_gap_is_filled_before_anything_is_added_behind_it() -> None:
    lane = open_lane(1, ME, 3, 3, [Slot(5, SlotState.SENT, (A,))])
    assert gaps(lane) == (3, 4)
    assert reserve(lane)[1] == 3


def test_pending_nonces_of_another_program_are_left_to_it() -> None:
    lane = open_lane(1, ME, 3, 5, [Slot(4, SlotState.SENT, (A,))])
    assert lane.taken == {3} and reserve(lane)[1] == 5
    lane, _ = observe(lane, 3, {}, pending=3)
    assert reserve(lane)[1] == 3


def test_what_was_signed_is_never_given_back_or_signed_for_after_its_end() -> None:
    lane, nonce = reserve(open_lane(1, ME, 0, 0))
    lane = signed(lane, nonce, A)
    with pytest.raises(Halt, match="cannot be given back"):
        release(lane, nonce)
    lane, _ = observe(lane, 1, {0: A})
    with pytest.raises(Halt, match="MINED"):
        signed(lane, 0, B)
    with pytest.raises(Halt, match="free"):
        signed(lane, 9, B)
    with pytest.raises(Halt, match="twice"):
        open_lane(1, ME, 0, 0, [Slot(1, SlotState.SENT, (A,)), Slot(1, SlotState.SENT, (B,))])


def ref(number: int) -> BlockRef:
    return BlockRef(
        number, Hash32(f"0x{number:064x}"), Hash32(f"0x{number - 1:064x}"), 1_700_000_000 + number, 1
    )


RULE = FinalityRule(Level.FINALIZED, Level.SAFE)
HEADS = Heads(ref(100), ref(90), ref(80))


@pytest.mark.parametrize(
    ("height", "canonical", "verdict"),
    [
        (80, ref(80).hash, Verdict.FINAL),
        (81, ref(81).hash, Verdict.PROVISIONAL),
        (80, A, Verdict.REORGED),
        (95, None, Verdict.REORGED),
        (101, None, Verdict.PROVISIONAL),
    ],
)
def test_verdicts(height: int, canonical: Hash32 | None, verdict: Verdict) -> None:
    assert judge(RULE, HEADS, height, ref(height).hash, canonical) is verdict


def test_a_missing_tag_settles_nothing_and_depth_counts_blocks() -> None:
    bare = Heads(ref(100))
    assert judge(RULE, bare, 1, ref(1).hash, ref(1).hash) is Verdict.PROVISIONAL
    deep = FinalityRule(Level.DEPTH, Level.DEPTH, depth=12)
    assert judge(deep, bare, 88, ref(88).hash, ref(88).hash) is Verdict.FINAL
    assert judge(deep, bare, 89, ref(89).hash, ref(89).hash) is Verdict.PROVISIONAL
    assert collateral_counts(RULE, HEADS, 90) and not collateral_counts(RULE, HEADS, 91)
