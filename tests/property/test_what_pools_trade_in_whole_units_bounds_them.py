"""A sale takes and gives whole raw units: no whole sale earns more than the gain counted, and where the best is less than a unit nothing is counted for a part of one."""

from __future__ import annotations

from random import Random

import pytest

from agent.amm import ConstantProductPool, Swapped, WeightedPool, swap_exact_in
from agent.domain.instruments import AssetId
from agent.routing.certificate.gains import Edge, Ends, Sale, gain_of
from agent.routing.certificate.units import ONE

A, B = AssetId("eip155:1/erc20:0xaa"), AssetId("eip155:1/erc20:0xbb")
WAD = 10**18
Coarse = ConstantProductPool | WeightedPool


def pool_of(draw: Random) -> Coarse:
    """Balances of few units: as of an asset with no decimals."""
    held = int(10 ** draw.uniform(1, 4)), int(10 ** draw.uniform(1, 4))
    if draw.random() < 0.4:
        return ConstantProductPool("p", (A, B), held, draw.choice((100, 3000, 10_000)))
    part = draw.choice((2, 20, 50, 80, 98)) * 10**16
    scaling = 10**36, 10 ** draw.choice((36, 30))
    return WeightedPool("p", (A, B), held, (part, WAD - part), draw.choice((10**14, 3 * 10**15)), scaling)


def sold(pool: Coarse, amount: int) -> int:
    made = swap_exact_in(pool, A, B, amount)
    return made.amount_out if isinstance(made, Swapped) else 0


@pytest.mark.parametrize("seed", range(60))
def test_no_whole_sale_earns_more_than_is_counted(seed: int) -> None:
    draw = Random(seed)
    pool = pool_of(draw)
    held = pool.reserves if isinstance(pool, ConstantProductPool) else pool.balances
    sizes = range(1, held[0] // 3 + 2) if held[0] < 900 else [*range(1, 60), *(held[0] * k // 300 for k in range(1, 100))]  # fmt: skip
    outs = {n: out for n in sizes if (out := sold(pool, n))}
    for _ in range(20):
        # From prices at which nothing pays to some at which nearly all does.
        near = held[0] / held[1] * 10 ** draw.uniform(-1, 1)
        value = {A: int(ONE * 10 ** draw.uniform(-3, 3)), B: 0}
        value[B] = max(int(value[A] * near), 1)
        caps = {A: draw.choice(list(sizes))} if draw.random() < 0.5 else {}
        gain = gain_of(Sale(Edge(pool, (A, B), 0, 0), 0, 1), Ends(frozenset((A, B)), frozenset(), frozenset()), value, caps)  # fmt: skip
        most = max((out * value[B] - n * value[A] for n, out in outs.items() if n <= caps.get(A, n)), default=0)  # fmt: skip
        assert gain.gross >= most


def test_a_part_of_a_unit_is_no_sale() -> None:
    """The first unit would pay, and the best sale gives a hundredth of one: it is none, and so is its gain."""
    ends = Ends(frozenset((A, B)), frozenset(), frozenset())
    weighted = WeightedPool("p", (A, B), (10**9, 1000), (WAD // 2, WAD // 2), 10**15, (WAD, 10**36))
    product = ConstantProductPool("p", (A, B), (10**9, 1000), 1000)
    for pool in (weighted, product):
        sale = Sale(Edge(pool, (A, B), 0, 0), 0, 1)
        for over, gains in ((1.00102, False), (1.5, True)):
            value = {A: ONE, B: int(ONE * 10**6 * over)}
            assert (gain_of(sale, ends, value, {}).gross > 0) == gains
        assert gain_of(sale, ends, {A: ONE, B: 2 * 10**6 * ONE}, {A: 10**6 - 1}).gross == 0
