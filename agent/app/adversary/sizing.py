"""What a sandwich around one swap earns, by the pools' own integer arithmetic, and the front-run that earns most.

    front    sold to the pool before the victim: the price moves against it
    victim   its swap at the worse price, if that still gives its minimum; else nothing of it happens
    back     all that the front-run bought, sold to the pool again

Amounts are base units of what the victim sells unless said otherwise. A larger front-run earns more until the pool's fee on it eats the
gain; the victim's minimum ends it before that in all but the widest tolerances.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from agent.amm import Pool, Reverted, Swapped, swap_exact_in, swap_exact_out
from agent.domain.instruments import AssetId

SWAP_GAS = 60_000
"""What a bot's transaction takes around a swap, beside the pool's gas: before it is rehearsed."""
COARSE = 32


@dataclass(frozen=True, slots=True)
class Attack:
    """`front` in, `bought` out of it, `back` in the end; the victim's `out` in between. `profit` is after `gas` units of gas."""

    front: int
    bought: int
    back: int
    out: int
    gas: int
    profit: int


def whole(pool: Pool, sold: str, bought: str, amount: int) -> Swapped | None:
    """The swap, or None where the pool would not make all of it."""
    done = swap_exact_in(pool, sold, bought, amount)
    return None if isinstance(done, Reverted) or not done.complete else done


def gas_in_up(pool: Pool, asset: AssetId, native: AssetId, cost_wei: int) -> int | None:
    """`cost_wei` of gas in base units of `asset`, at the pool's own price, rounded up; None where it does not hold the gas token."""
    if asset == native:
        return cost_wei
    if native not in pool.assets:
        return None
    bought = swap_exact_out(pool, asset, native, cost_wei)
    return None if isinstance(bought, Reverted) else bought.amount_in


@dataclass(frozen=True, slots=True)
class Victim:
    """One swap as the bot sees it. `gas_price` is what a unit of gas costs in base units of what is sold; `most` what the bot has to
    sell, None where that is no limit."""

    pool: Pool
    sold: AssetId
    bought: AssetId
    amount: int
    minimum: int
    gas_price: Fraction
    most: int | None = None

    @property
    def alone(self) -> int | None:
        """What it gives where nobody trades before it; None where it reverts all the same."""
        done = whole(self.pool, self.sold, self.bought, self.amount)
        return None if done is None or done.amount_out < self.minimum else done.amount_out

    def attacked(self, front: int) -> Attack | None:
        """Front-run with `front`. None where the victim's swap would revert, or the pool has not enough."""
        if self.most is not None and front > self.most:
            return None
        first = whole(self.pool, self.sold, self.bought, front)
        theirs = whole(first.after, self.sold, self.bought, self.amount) if first else None
        if first is None or theirs is None or theirs.amount_out < self.minimum:
            return None
        back = whole(theirs.after, self.bought, self.sold, first.amount_out)
        if back is None:
            return None
        gas = first.gas + back.gas + 2 * SWAP_GAS
        cost = ceil(gas * self.gas_price)
        return Attack(
            front, first.amount_out, back.amount_out, theirs.amount_out, gas, back.amount_out - front - cost
        )


def most_allowed(victim: Victim) -> int:
    """The largest front-run, to the unit, after which the victim's swap still gives its minimum; 0 where none."""
    low, high = 0, max(victim.amount, 2)
    while high <= victim.amount * 64 and victim.attacked(high) is not None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if victim.attacked(middle) is None:
            high = middle
        else:
            low = middle
    return low


def best(victim: Victim) -> Attack | None:
    """The attack that earns most, None where none pays: the largest that the minimum allows and steps below it, then by thirds between
    the best step's neighbours."""
    most = most_allowed(victim)

    def earns(front: int) -> int:
        found = victim.attacked(front)
        return found.profit if found is not None else -(1 << 255)

    steps = [most * n // COARSE for n in range(COARSE + 1)]
    top = max(range(1, COARSE + 1), key=lambda n: earns(steps[n]))
    low, high = steps[top - 1], steps[min(top + 1, COARSE)]
    while high - low > max(most >> 16, 2):
        third = (high - low) // 3
        if earns(low + third) < earns(high - third):
            low += third
        else:
            high -= third
    found = [
        a for front in (steps[top], low, (low + high) // 2, high) if front and (a := victim.attacked(front))
    ]
    chosen = max(found, key=lambda a: a.profit, default=None)
    return chosen if chosen is not None and chosen.profit > 0 else None
