"""The bid for a block, replayed over seeded base fees and builders: in within two slots nine times of ten, within five nearly always."""

from __future__ import annotations

from random import Random

import pytest

from agent.analytics.bidding import SHARES, Paid, Slot, base_fees, regret_bps_up, slots, submit, within
from chains.gas import GWEI, Urgency

ROOMY = Paid(tuple(range(0, 2 * GWEI, GWEI // 50)), False)
FULL = Paid(tuple(range(GWEI // 2, 3 * GWEI, GWEI // 40)), True)


def chain(seed: int, shares: tuple[int, ...] = SHARES) -> list[Slot]:
    rng = Random(seed)
    level, levels = 20 * GWEI, []
    for _ in range(200):
        level = max(level * rng.choice((60, 85, 100, 100, 118, 170)) // 100, GWEI)
        levels.append(level)
    return slots(base_fees(levels), [ROOMY, FULL], rng.randrange, shares)


@pytest.mark.parametrize("urgency", Urgency)
def test_it_gets_in_soon(urgency: Urgency) -> None:
    told, rng = chain(1), Random(2)
    starts = [rng.randrange(10, len(told) - 12) for _ in range(600)]
    bids = [submit(told, at, urgency) for at in starts]
    least = 90 if urgency is not Urgency.PATIENT else 75
    assert within(bids, 2) * 100 >= least * len(bids)
    assert within(bids, 5) * 100 >= 99 * len(bids) or urgency is Urgency.PATIENT
    assert all(
        regret_bps_up(b, b.same_slot_wei) >= 0 and b.best_wei <= b.same_slot_wei for b in bids if b.waited
    )


def test_fewer_builders_show_in_it() -> None:
    """The yardstick finds what is wrong: one builder of 28 per cent gets in within two slots every second time at most."""
    told = chain(3, (28,))
    bids = [submit(told, at) for at in range(10, len(told) - 12, 2)]
    assert within(bids, 2) * 100 < 60 * len(bids) and within(bids, 5) * 100 < 90 * len(bids)


def test_a_story_told_by_hand() -> None:
    """Two slots are lost to builders that do not have it; the third takes it for its base fee and our tip."""
    tips = Paid(tuple([GWEI] * 11), True)
    told = (
        [Slot(10 * GWEI, False, tips)] * 12 + [Slot(8 * GWEI, True, tips)] + [Slot(9 * GWEI, True, tips)] * 12
    )
    (one,) = [submit(told, 10)]
    assert (one.waited, one.paid_wei) == (3, 9 * GWEI)
    assert one.same_slot_wei == one.best_wei == 9 * GWEI and regret_bps_up(one, one.best_wei) == 0


def test_base_fees_move_no_more_than_the_protocol_lets_them() -> None:
    fees = base_fees([10 * GWEI, 100 * GWEI, GWEI])
    assert len(fees) == 11
    for before, after in zip(fees, fees[1:], strict=False):
        assert before - before // 8 <= after <= before + before // 8
