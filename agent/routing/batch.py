"""Many exact sales to concentrated pools at once: the amounts `agent.amm.swap_exact_in` gives, to the unit.

The steps a walk over a pool takes are laid out once a pool and direction, with what each takes and gives in whole; a sale is then looked up and computed
in the one step it ends in, by compiled integers. What that cannot do (beyond the steps laid out, numbers past the contract's 256 bits, reverts) goes the
slow way, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.amm import ConcentratedPool, Swapped, swap_exact_in
from agent.amm.steps import amount0_down, amount0_up, amount1_down, amount1_up, default_limit, next_stop
from agent.amm.ticks import sqrt_price_at_tick
from agent.routing.kernels.digits import BITS, MASK
from agent.routing.kernels.quotes import DONE, LEFT, PART, PIPS, Sides, sold
from agent.routing.tables import Ints

STEPS = 4096
"""So many steps are laid out for each side of a pool."""
WORD = 60
_MOST = 1 << 2 * WORD

Step = tuple[int, int, int, int]
"""(paid before it, fee included; got before it; its liquidity; the square-root price it begins at)."""


def steps_of(pool: ConcentratedPool, down: bool, most: int = STEPS) -> tuple[list[Step], bool]:
    """The steps of a sale of token 0 (`down`) or token 1, the last of them where the table ends, and whether that is the end of the range of prices.

    None where the pool is not initialised."""
    price, tick, liquidity = pool.sqrt_price_x96, pool.tick, pool.liquidity
    if not price:
        return [], False
    at = pool.table.at_or_below(tick) if down else pool.table.above(tick)
    limit, keep = default_limit(down), PIPS - pool.fee_pips
    paid = got = 0
    found = [(paid, got, liquidity, price)]
    while len(found) <= most and keep > 0 and price != limit:
        tick_next, initialised = next_stop(pool.table, at, tick, pool.tick_spacing, liquidity, down, limit)
        stop = sqrt_price_at_tick(tick_next)
        target = max(limit, stop) if down else min(limit, stop)
        if down:
            whole, gives = amount0_up(target, price, liquidity), amount1_down(target, price, liquidity)
        else:
            whole, gives = amount1_up(price, target, liquidity), amount0_down(price, target, liquidity)
        # A step is gone through whole from here on: net of the fee, rounded down, it is the first amount to reach `whole`.
        paid += whole - (-whole * pool.fee_pips // keep)
        got += gives
        if initialised and target == stop:
            liquidity += -pool.table.nets[at] if down else pool.table.nets[at]
            at += -1 if down else 1
        if paid >= _MOST or got >= _MOST or not 0 <= liquidity < 1 << 128:
            break
        price, tick = target, tick_next - 1 if down else tick_next
        found.append((paid, got, liquidity, price))
    return found, price == limit


class Batch:
    """Sides of pools to sell to: side 2k sells token 0 of the k-th pool, side 2k + 1 its token 1.

    `sell` takes sides (n) and amounts as words of 60 bits (n, n) and answers (words (n, 2), status (n)): 0 done; 1 what the pool refuses or takes in part,
    whose words are zero. `words` and `whole` go between words and integers.
    """

    def __init__(self, pools: Sequence[ConcentratedPool], steps: int = STEPS) -> None:
        self.pools = tuple(pools)
        laid = [steps_of(pool, down, steps) for pool in pools for down in (True, False)]
        rows = [found for found, _ in laid]
        flat = [row for side in rows for row in side]
        self.sides = Sides(
            np.cumsum([0, *map(len, rows)]), np.array([1, 0] * len(self.pools), dtype=np.int64),
            np.array([PIPS - pool.fee_pips for pool in pools for _ in (0, 1)], dtype=np.int64),
            np.array([int(ended) for _, ended in laid], dtype=np.int64),
            _parts([row[0] for row in flat], 2, WORD)[:, ::-1].copy(), _parts([row[1] for row in flat], 2, WORD)[:, ::-1].copy(),
            _parts([row[2] for row in flat], 5), _parts([row[2] << 96 for row in flat], 8), _parts([row[3] for row in flat], 6),
        )  # fmt: skip
        self.slow = 0
        """How many sales so far went the slow way."""

    def sell(self, side: Ints, high: Ints, low: Ints) -> tuple[Ints, Ints]:
        out, left = np.zeros((len(side), 2), dtype=np.int64), np.zeros(len(side), dtype=np.int64)
        if sold(self.sides, side, high, low, out, left):
            for n in np.flatnonzero(left == LEFT).tolist():
                self.slow += 1
                pool, i = self.pools[side[n] >> 1], int(side[n]) & 1
                amount = (int(high[n]) << WORD) + int(low[n])
                swapped = swap_exact_in(pool, pool.assets[i], pool.assets[1 - i], amount)
                if isinstance(swapped, Swapped) and swapped.complete and swapped.amount_out < _MOST:
                    out[n], left[n] = words([swapped.amount_out])[0], DONE
                else:
                    left[n] = PART
        return out, left


def words(amounts: Sequence[int]) -> Ints:
    """Amounts below 2**120 as rows of (high, low). Raises ValueError for any other."""
    if any(not 0 <= amount < _MOST for amount in amounts):
        raise ValueError("an amount of a batch is from 0 to 2**120 - 1: ask the pool itself for others")
    return _parts(list(amounts), 2, WORD)[:, ::-1].copy()


def whole(parts: Ints) -> list[int]:
    """Rows of (high, low) as the integers they are."""
    return [(high << WORD) + low for high, low in parts.tolist()]


def _parts(values: list[int], count: int, bits: int = BITS) -> Ints:
    mask = MASK if bits == BITS else (1 << bits) - 1
    return np.array(
        [[value >> bits * k & mask for k in range(count)] for value in values], dtype=np.int64
    ).reshape(-1, count)


__all__ = ["STEPS", "WORD", "Batch", "steps_of", "whole", "words"]
