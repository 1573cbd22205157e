"""Where a bound looks for the best sale to a stable pool, the pool's own exact swaps give most: a little less or more gains less."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest

from agent.amm import CurvePool, SolidlyPool, swap_exact_in
from agent.amm.math import WAD
from agent.domain.instruments import AssetId
from agent.routing.certificate.gains import LITTLE, Edge, Ends, Sale, gain_of
from agent.routing.certificate.invariants import _own_level, partials
from agent.routing.certificate.stops import CLOSE, stop
from agent.routing.certificate.units import ONE

_ASSETS = tuple(AssetId(f"eip155:1/erc20:0x{k:040x}") for k in range(4))


def pool_of(draw: Random, solidly: bool) -> CurvePool | SolidlyPool:
    """A pool without fees of 18 decimals, some of its balances far from the others."""
    if solidly:
        held = draw.randint(10**21, 10**25), draw.randint(10**21, 10**25)
        return SolidlyPool("p", (_ASSETS[0], _ASSETS[1]), held, 0, True, (WAD, WAD))
    size = draw.randint(2, 4)
    balances = tuple(int(10 ** draw.uniform(22, 24.5)) for _ in range(size))
    amp = int(10 ** draw.uniform(0.5, 3.5)) * 100
    return CurvePool("p", _ASSETS[:size], balances, amp, 100, 0, 0, (WAD,) * size, (WAD,) * size)


@pytest.mark.parametrize("seed", range(60))
def test_the_pool_itself_gives_most_there(seed: int) -> None:
    draw = Random(seed)
    pool = pool_of(draw, seed % 3 == 0)
    held = pool.reserves if isinstance(pool, SolidlyPool) else pool.balances
    x = [float(balance) for balance in held]
    i, j = draw.sample(range(len(x)), 2)
    slopes, level = partials(pool, x), _own_level(pool, x)
    pays = 10 ** draw.uniform(-3, 0.3)
    limit = log(slopes[j]) - log(slopes[i]) + pays
    z = stop(pool, x, i, j, limit, float("inf"), level)
    sold = z[i] - x[i]
    assert sold > 0
    assert abs(_own_level(pool, z) / level - 1) < 1e-12
    after = partials(pool, z, level)
    # It pays no more, and does until right before.
    assert -1e-12 < log(after[i]) - log(after[j]) + limit < 1e-6

    def gain(part: float) -> float:
        """In units of what is bought, what is sold being worth exp(-limit) of them."""
        given = int(sold * part)
        got = swap_exact_in(pool, pool.assets[i], pool.assets[j], given)
        return float(got.amount_out) - exp(-limit) * given

    best = gain(1.0)
    assert best > 0
    for part in (0.2, 0.8, 0.97, 1.03, 1.2, 2.0):
        assert gain(part) < best
    # With less in hand it ends there.
    least = stop(pool, x, i, j, limit, sold / 3, level)
    assert least[i] - x[i] == pytest.approx(sold / 3)
    nothing = stop(pool, x, i, j, limit - pays - CLOSE, float("inf"), level)
    assert nothing == x


def test_trading_in_several_pairs_is_worked_out_again_only_where_the_caps_touch_it() -> None:
    pool = CurvePool(
        "p", _ASSETS[:3], (10**24, 10**24, 10**24), 20_000, 100, 4 * 10**6, 0, (WAD,) * 3, (WAD,) * 3
    )
    edge = Edge(pool, _ASSETS[:3], ONE * WAD, 0, frozenset({2}), frozenset({0}))
    ends = Ends(frozenset(_ASSETS[:3]), frozenset({_ASSETS[0]}), frozenset({_ASSETS[2]}))
    value = {_ASSETS[0]: ONE, _ASSETS[1]: ONE * 1001 // 1000, _ASSETS[2]: ONE * 1003 // 1000}
    sale = Sale(edge, 0, 0)
    free = gain_of(sale, ends, value, {})
    assert free.gross * LITTLE > edge.gas and free.used is not None and free.used[0] > 10**20
    wide = {_ASSETS[0]: int(free.used[0] * 1.01), _ASSETS[1]: int(free.used[1] * 1.01) + 1}
    assert not free.bound_by(wide)
    assert gain_of(sale, ends, value, wide).gross == pytest.approx(free.gross, rel=1e-6)
    tight = {**wide, _ASSETS[0]: int(free.used[0] * 0.5)}
    assert free.bound_by(tight)
    assert gain_of(sale, ends, value, tight).gross < free.gross * 0.9
