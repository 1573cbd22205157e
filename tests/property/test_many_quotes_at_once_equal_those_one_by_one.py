"""A batch of sales to concentrated pools gives what the pools give one by one, to the unit, wherever in the range and however odd the pool."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from mainnet_world import market
from odd_pools import drawn_state

from agent.amm import ConcentratedPool, Swapped, constant_product, swap_exact_in
from agent.amm.math import ContractRevert
from agent.amm.ticks import TickTable
from agent.routing.batch import Batch, steps_of, whole, words

Sale = tuple[int, int, int]


def drawn_pool(draw: Random, name: str) -> ConcentratedPool:
    spacing, fee = draw.choice(
        [(1, 100), (10, 500), (60, 3000), (200, 10_000), (2, 0), (50, 999_999), (887272, 1)]
    )
    return ConcentratedPool(name, ("a", "b"), fee, spacing, *drawn_state(draw, spacing))


def alone(pool: ConcentratedPool, i: int, amount: int) -> int | None:
    done = swap_exact_in(pool, pool.assets[i], pool.assets[1 - i], amount)
    return (
        done.amount_out
        if isinstance(done, Swapped) and done.complete and done.amount_out < 1 << 120
        else None
    )


def agree(pools: list[ConcentratedPool], sales: list[Sale]) -> Batch:
    batch = Batch(pools)
    high, low = (np.ascontiguousarray(column) for column in words([amount for _, _, amount in sales]).T)
    out, status = batch.sell(np.array([2 * k + i for k, i, _ in sales]), high, low)
    for (k, i, amount), got, kept in zip(sales, whole(out), status.tolist(), strict=True):
        want = alone(pools[k], i, amount)
        assert (want if want is not None else 0, want is None) == (got, kept != 0), (pools[k], i, amount)
    return batch


def near_steps(pool: ConcentratedPool, k: int, draw: Random) -> list[Sale]:
    """Sales that end just before, at and just after the ends of steps: the whole step's amounts meet the part's there."""
    found: list[Sale] = []
    for i in (0, 1):
        steps = steps_of(pool, i == 0)[0]
        for paid, *_ in draw.sample(steps, min(len(steps), 6)):
            found += [(k, i, paid + by) for by in (-1, 0, 1, 2) if 0 < paid + by < 1 << 120]
    return found


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(s, marks=pytest.mark.full) for s in range(100, 160))]
)
def test_pools_drawn_at_random(seed: int) -> None:
    draw = Random(seed)
    pools = [drawn_pool(draw, f"p{n}") for n in range(60)]
    sales = [
        (k, draw.randrange(2), draw.randrange(1 << draw.choice([1, 8, 40, 64, 90, 119, 120])))
        for k in range(len(pools))
        for _ in range(25)
    ]
    for k, pool in enumerate(pools):
        sales += near_steps(pool, k, draw)
    agree(pools, sales)


def test_the_recorded_pools_with_hardly_any_on_the_slow_way() -> None:
    draw = Random(5)
    pools = [p for p in market().pools.values() if isinstance(p, ConcentratedPool) and p.liquidity][:80]
    sales: list[Sale] = []
    for k, pool in enumerate(pools):
        depth = (pool.liquidity << 96) // pool.sqrt_price_x96, pool.liquidity * pool.sqrt_price_x96 >> 96
        sales += [
            (k, i, max(int(depth[i] * 10 ** draw.uniform(-9, -1)), 1)) for i in (0, 1) for _ in range(20)
        ]
        sales += near_steps(pool, k, draw)
    batch = agree(pools, sales)
    assert batch.slow < len(sales) / 100


def test_what_is_no_sale_is_left_out() -> None:
    """Nothing, a pool without a price, one without liquidity, and more than a batch's words hold by its table."""
    bare = TickTable((), ())
    pools = [
        ConcentratedPool("none", ("a", "b"), 3000, 60, 0, 0, 0, bare),
        ConcentratedPool("dry", ("a", "b"), 3000, 60, 1 << 96, 0, 0, bare),
        ConcentratedPool("deep", ("a", "b"), 3000, 60, 1 << 96, 0, 1 << 127, TickTable((-887220, 887220), (1 << 127, -1 << 127))),
    ]  # fmt: skip
    agree(
        pools, [(k, i, amount) for k in range(3) for i in (0, 1) for amount in (0, 1, 10**18, (1 << 120) - 1)]
    )


@pytest.mark.parametrize("amount", [-1, 1 << 120])
def test_what_words_cannot_hold_is_refused(amount: int) -> None:
    with pytest.raises(ValueError, match="ask the pool itself"):
        words([5, amount])


def test_the_amount_of_a_pair_alone_is_that_of_its_swap() -> None:
    draw = Random(3)
    for _ in range(3000):
        reserves = tuple(draw.randrange(1 << draw.choice([1, 30, 80, 112])) for _ in "ab")
        amount, fee = (
            draw.randrange(-1, 1 << draw.choice([1, 40, 112, 140, 260])),
            draw.choice([0, 2500, 3000, 10_000]),
        )
        pool = constant_product.ConstantProductPool("p", ("a", "b"), (reserves[0], reserves[1]), fee)
        keep, every = 1_000_000 - fee, 1_000_000
        try:
            got: int | str = constant_product.amount_out(amount, *pool.reserves, keep, every)
        except ContractRevert as why:
            got = why.reason
        swapped = swap_exact_in(pool, "a", "b", amount)
        if isinstance(swapped, Swapped):
            assert got == swapped.amount_out
        elif swapped.reason not in ("UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT", "UniswapV2: OVERFLOW"):
            # A fee told in millionths overflows a little sooner than the same told in thousandths.
            assert isinstance(got, str)
