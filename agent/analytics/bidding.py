"""How good our bids for a block are: replayed over base fees, builders' chances and tips, against the best bid in hindsight. Pure.

A slot is won by a builder that has our transaction, or not; that builder takes it where the cap holds its base fee and the tip left
is no less than the least that this block took. Wei a unit of gas everywhere, integers, rounded against us. Chance is an argument:
`chance(n)` is a whole number from 0 to n - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chains.gas import PERCENTILES, FeeHistory, Urgency, bid, bump_up
from chains.types import Fees

Chance = Callable[[int], int]
SHARES = (49, 28, 17)
"""Per cent of the boosted slots that each builder of ours wins; the rest is won by builders that do not have it."""
NO_BOOST = 10
"""Per cent of all slots that carry no private transaction at all."""
BLOCKS_A_MINUTE = 5
PATIENCE = 3
"""Slots after which the fees are raised: `agent.app.wiring.patience` on chain 1."""
MOST_BUMPS = 3
HISTORY = 10
HORIZON = 5


@dataclass(frozen=True, slots=True)
class Paid:
    """Tips that one recorded block's transactions paid, ascending; `full` where it had no room left."""

    tips_wei: tuple[int, ...]
    full: bool

    def at(self, percentile: int) -> int:
        return self.tips_wei[percentile * (len(self.tips_wei) - 1) // 100]


@dataclass(frozen=True, slots=True)
class Slot:
    base_fee_wei: int
    ours: bool
    paid: Paid

    @property
    def least_tip_wei(self) -> int:
        """What a full block's cheapest tenth paid; a block with room takes any tip above nothing."""
        return self.paid.at(10) if self.paid.full else 1


@dataclass(frozen=True, slots=True)
class Bid:
    """One submission: slots waited (0 where it never got in), price paid, and what hindsight would have paid a unit of gas: in the same
    slot, and in the cheapest of the first HORIZON."""

    waited: int
    paid_wei: int
    same_slot_wei: int
    best_wei: int


def base_fees(levels_wei: Sequence[int]) -> list[int]:
    """Block by block between a series of minutes, as EIP-1559 can move: at most an eighth up or down a block."""
    found = [levels_wei[0]]
    for level in levels_wei[1:]:
        for _ in range(BLOCKS_A_MINUTE):
            last = found[-1]
            found.append(min(max(level, last - last // 8), last + max(last // 8, 1)))
    return found


def slots(
    fees_wei: Sequence[int], blocks: Sequence[Paid], chance: Chance, shares: Sequence[int] = SHARES
) -> list[Slot]:
    """A block before a rise of the fee by a sixteenth or more was nearly full: it paid as a recorded full block did."""
    full, roomy = [b for b in blocks if b.full], [b for b in blocks if not b.full]
    found = []
    for at, fee in enumerate(fees_wei[:-1]):
        crowded = fees_wei[at + 1] - fee >= fee // 16
        among = (full or roomy) if crowded else (roomy or full)
        found.append(Slot(fee, _ours(chance, shares), among[chance(len(among))]))
    return found


def _ours(chance: Chance, shares: Sequence[int]) -> bool:
    return chance(100) >= NO_BOOST and chance(100) < sum(shares)


def history_before(told: Sequence[Slot], at: int) -> FeeHistory:
    """What eth_feeHistory tells when slot `at` is next."""
    before = told[max(at - HISTORY, 0) : at]
    fees = (*(slot.base_fee_wei for slot in before), told[at].base_fee_wei)
    rows = tuple(tuple(slot.paid.at(p) for p in PERCENTILES) for slot in before)
    return FeeHistory(at - len(before), fees, rows)


def submit(told: Sequence[Slot], at: int, urgency: Urgency = Urgency.NORMAL) -> Bid:
    """A bid made before slot `at`, and raised as the engine raises it, until it is in or its deadline's slots are over."""
    fees = bid(history_before(told, at), urgency)
    best = min(
        (s.base_fee_wei + s.least_tip_wei for s in told[at : at + HORIZON] if s.ours),
        default=0,
    )
    for waited, slot in enumerate(told[at : at + (MOST_BUMPS + 1) * PATIENCE], 1):
        if waited > 1 and (waited - 1) % PATIENCE == 0:
            again = bid(history_before(told, at + waited - 1), Urgency.URGENT)
            fees = bump_up(fees, at_least=again)
        if slot.ours and _takes(slot, fees):
            price = min(fees.max_fee_wei, slot.base_fee_wei + fees.max_priority_fee_wei)
            same = slot.base_fee_wei + slot.least_tip_wei
            return Bid(waited, price, same, min(best, same) if best else same)
    return Bid(0, 0, 0, best)


def _takes(slot: Slot, fees: Fees) -> bool:
    left = min(fees.max_fee_wei - slot.base_fee_wei, fees.max_priority_fee_wei)
    return left >= slot.least_tip_wei


def within(bids: Sequence[Bid], count: int) -> int:
    """How many got in within so many slots."""
    return sum(0 < one.waited <= count for one in bids)


def regret_bps_up(one: Bid, best_wei: int) -> int:
    """What was paid above `best_wei`, in bps of it, rounded up."""
    return -(-(one.paid_wei - best_wei) * 10_000 // best_wei)


__all__ = ["Bid", "Paid", "Slot", "base_fees", "history_before", "regret_bps_up", "slots", "submit", "within"]
