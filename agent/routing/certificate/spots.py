"""What a pool pays for the first unit sold to it, as the logarithm of raw out per raw in: a sale that does not pay there never pays.

Every curve pays less and less, so where the first unit loses by more than floats can err, the gain of any sale is none and
need not be computed. `MARGIN` is a thousand times what the few operations here can lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log
from typing import TypeAlias

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    WeightedPool,
)
from agent.amm.math import WAD
from agent.routing.certificate.invariants import partials
from agent.routing.certificate.ranges import PIPS

MARGIN = 1e-9
Rates: TypeAlias = dict[str, list[list[float]]]
"""By pool id, what `first_rates` found."""


def first_rates(pool: Pool) -> list[list[float]]:
    """By (asset sold, asset bought): the logarithm of the rate of the first unit after the fee; -inf where nothing is paid."""
    if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        s = pool.sqrt_price_x96
        fees = [pool.fee_pips] * 2 if isinstance(pool, ConcentratedPool) else [pool.swap_fee_pips(0), pool.swap_fee_pips(1)]  # fmt: skip
        rate = 2 * (log(s) - log(2) * 96) if s else 0.0
        return _square([rate, 0.0], [_kept(PIPS - fee, PIPS) if s else -inf for fee in fees], [0.0, 0.0])
    if isinstance(pool, WeightedPool):
        marginal = [log(b) - log(w) if b else inf for b, w in zip(pool.balances, pool.weights, strict=True)]
        return _square([-m for m in marginal], [_kept(WAD - pool.fee_1e18, WAD)] * len(marginal), [0.0] * len(marginal))  # fmt: skip
    if isinstance(pool, ConstantProductPool) or (isinstance(pool, SolidlyPool) and not pool.stable):
        keep = _kept(PIPS - pool.fee_pips, PIPS) if isinstance(pool, ConstantProductPool) else _kept(10_000 - pool.fee_1e4, 10_000)  # fmt: skip
        if not all(pool.reserves):
            return [[-inf] * 2] * 2
        return _square([-log(held) for held in pool.reserves], [keep, keep], [0.0, 0.0])
    return _kept_together(pool)


def _kept_together(pool: SolidlyPool | CurvePool | BalancerStablePool) -> list[list[float]]:
    scale: Sequence[int]
    held: Sequence[int]
    taken = given = 0.0
    if isinstance(pool, SolidlyPool):
        held, scale = pool.reserves, [WAD * WAD // unit for unit in pool.units]
        taken = _kept(10_000 - pool.fee_1e4, 10_000)
    else:
        held, scale = pool.balances, pool.scaling
        if isinstance(pool, CurvePool):
            given = _kept(10**10 - pool.fee_1e10, 10**10)
        else:
            taken = _kept(WAD - pool.fee_1e18, WAD)
    size = len(held)
    inside = [amount * s / WAD for amount, s in zip(held, scale, strict=True)]
    if not all(inside):
        return [[-inf] * size] * size
    # The price of an asset in the pool is its partial derivative; a raw unit of it is `scale` of the pool's own.
    marks = [log(slope) + log(s) for slope, s in zip(partials(pool, inside), scale, strict=True)]
    return _square(marks, [taken] * size, [given] * size)


def _kept(part: int, whole: int) -> float:
    return log(part) - log(whole) if part > 0 else -inf


def _square(marks: Sequence[float], taken: Sequence[float], given: Sequence[float]) -> list[list[float]]:
    return [
        [
            -inf if i == j or not abs(marks[i]) < inf or not abs(marks[j]) < inf else marks[i] - marks[j] + taken[i] + given[j]
            for j in range(len(marks))
        ]
        for i in range(len(marks))
    ]  # fmt: skip


__all__ = ["MARGIN", "Rates", "first_rates"]
