"""The most that trading with a pool of a homogeneous concave invariant can gain at given prices, rounded up.

StableSwap and Solidly's stable pools keep an invariant F of their balances that is concave and of degree one (the last
as the fourth root of x**3 y + y**3 x). For any point z and any prices u, Euler and concavity give u . x' >= c F(x') with
c = min u_k / dF_k(z): so no trade that keeps F(x') >= F(x) takes out more than u . x - c F(x). Fees enter through u: an asset
paid out must be priced at `low` or more, one paid in at `high` or less, and `cap * (u - high)` makes up for going above, where at
most `cap` can be paid in. The bound holds for every z; a good one is where the best sale ends.

These are floats with an outward slack: relative to the whole value of the balances it is a thousand times what the few dozen
operations can lose, and a few of the pool's smallest units stand for the contract's own rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import expm1, inf, ldexp, log, log1p, sqrt

from agent.amm import SolidlyPool, WeightedPool
from agent.amm.math import WAD
from agent.routing.certificate.stops import Kept, stop
from agent.routing.certificate.units import ONE, SHIFT

_SLACK = 4e-12
_TINY = 1e-12
_MOST_IN = 0.3 * (1 + 1e-9)
_UNITS = 64
_TURNS, _PAYS, _NEAR, _LEAST = 8, 1e-8, 1e-7, 1e-8
_LARGE = 1e200
_HIGHEST = 700.0


@dataclass(frozen=True)
class Trade:
    """Balances in the pool's own units, values of one of them paid out (`low`) or paid in (`high`; None: never paid in).

    `cap` is how much can be paid in, net of the fee; None where no limit is known.
    """

    balances: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int | None, ...]
    cap: tuple[int | None, ...]


def partials(pool: Kept, z: Sequence[float], level: float | None = None) -> list[float]:
    """dF/dz_k in floats, up to a common factor; `level` is a StableSwap pool's D where it is known."""
    if isinstance(pool, SolidlyPool):
        x, y = z
        return [y * (3 * x * x + y * y), x * (3 * y * y + x * x)]
    n = len(z)
    ann = pool.amp * n / pool.amp_precision
    d = stable_invariant(ann, z) if level is None else level
    part = d
    for at in z:
        part *= d / (at * n)
    return [ann + part / at for at in z]


def stable_invariant(ann: float, z: Sequence[float]) -> float:
    """D of A n**n S + D = A D n**n + D**(n+1) / (n**n P) with `ann` = A n as the contracts count it; in floats."""
    n, total = len(z), sum(z)
    d = total
    for _ in range(255):
        part = d
        for at in z:
            part *= d / (at * n)
        before = d
        d = (ann * total + n * part) * d / ((ann - 1) * d + (n + 1) * part)
        if abs(d - before) <= 1e-15 * d:
            break
    return d


def _stops(
    pool: Kept,
    x: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    cap: Sequence[float],
    level: float,
) -> list[list[float]]:
    """Where the best sale of every pair that pays at all ends: at its price, or at its cap."""
    found: list[list[float]] = []
    grads = partials(pool, x, level)
    for i in range(len(x)):
        if cap[i] <= 0:
            continue
        for j in range(len(x)):
            if i == j or low[j] <= 0 or grads[i] * low[j] <= grads[j] * high[i]:
                continue
            found.append(stop(pool, x, i, j, log(low[j]) - log(high[i]), cap[i], level))
    return found


def settled(
    pool: Kept, x: Sequence[float], low: Sequence[float], high: Sequence[float], cap: Sequence[float], level: float | None = None
) -> list[float]:  # fmt: skip
    """Where trading with the pool ends that takes the best-paying pair on, time and again, and may take back what it did before.

    `level` is the pool's own, where it is known."""
    z, level = list(x), _own_level(pool, x) if level is None else level
    lows, highs = ([log(at) if 0 < at < inf else None for at in ends] for ends in (low, high))
    for _ in range(_TURNS * len(x)):
        slopes = [log(slope) for slope in partials(pool, z, level)]
        # What each asset is sold at per unit, where it can be.
        gets = [(highs if got > x[j] else lows)[j] for j, got in enumerate(z)]
        best, move = _PAYS, None
        for i, given in enumerate(z):
            taken_back = given < x[i]
            cost = (lows if taken_back else highs)[i]
            room = x[i] - given if taken_back else cap[i] - (given - x[i])
            if cost is None or room <= _LEAST * x[i] * (not taken_back):
                continue
            for j, worth in enumerate(gets):
                if i != j and worth is not None:
                    pays = slopes[i] + worth - slopes[j] - cost
                    if pays > best:
                        best, move = pays, (i, j, worth - cost, room)
        if move is None:
            break
        moved = stop(pool, z, *move, level)
        if moved == z:
            break
        z = moved
    return z


def _own_level(pool: Kept, x: Sequence[float]) -> float:
    """D of a StableSwap pool, x y (x**2 + y**2) of Solidly's, whose fourth root is the invariant of degree one; in floats."""
    if isinstance(pool, SolidlyPool):
        return x[0] * x[1] * (x[0] ** 2 + x[1] ** 2)
    return stable_invariant(pool.amp * len(x) / pool.amp_precision, x)


def weighted_gain_up(pool: WeightedPool, i: int, j: int, v_in: int, v_out: int, cap: int | None) -> int:
    """The most that selling at most `cap` raw of asset `i` to a weighted pool for `j` can gain, as a value, rounded up.

    The gain v_j y (1 - (x / (x + D))**r) - v_i D / keep is concave in the net input D: its top, or the cap, is its maximum. The contract
    takes no more net than three tenths of what it holds; after other legs into it that is more, but worth no more than the same part of `x`.
    It rounds the fee, the power and what comes out against the trader, and takes and gives whole raw units: where the top is below one of
    either, the first whole one is the best sale. (A unit of an asset without decimals may be worth more than all else that is left.)
    """
    x, y, keep = pool.balances[i] * 1.0, pool.balances[j] * 1.0, 1 - pool.fee_1e18 / WAD
    low, high = v_out / ONE, v_in / ONE / keep
    r = pool.weights[i] / pool.weights[j]
    if not x or not y or low * y * r <= high * x * (1 - _TINY):
        return 0
    share = min((low * y * r / (high * x)) ** (1 / (r + 1)) - 1, _MOST_IN)
    most = _MOST_IN if cap is None else min(cap * keep / x, _MOST_IN)
    share = min(share, most)
    if share <= 0 or y <= 1:
        return 0
    taken = -low * y * expm1(-r * log1p(share))
    if taken < low or x * share < 1:
        least = max(1 / x, expm1(min(-log1p(-1 / y) / r, _HIGHEST))) * (1 - _NEAR)
        if least > most:
            return 0
        share = max(share, least)
        taken = -low * y * expm1(-r * log1p(share))
    paid = high * x * share
    gain = taken - paid + (taken + paid) * _SLACK
    return _value_up(gain) if gain > 0 else 0


def _value_up(units: float) -> int:
    # A power of two moves a float's exponent alone; what is too large for that takes the long way.
    return (int(ldexp(units, SHIFT)) if units < _LARGE else int(Fraction(units) * ONE)) + 1


def gain_up(pool: Kept, trade: Trade, enough: int = 0) -> tuple[int, list[float]]:
    """A bound on the gain of any trading with the pool, as a value; 0 where no sale pays. What is no more than `enough` need not be tighter.

    Beside it the most of each asset that was taken in where it was looked at, in the pool's own units."""
    taken = [0.0] * len(trade.balances)
    if any(balance <= 0 for balance in trade.balances):
        return 0, taken
    x = [balance * 1.0 for balance in trade.balances]
    low = [value / ONE for value in trade.low]
    high = [inf if value is None else value / ONE for value in trade.high]
    cap = [inf if most is None else most * 1.0 for most in trade.cap]
    level = _own_level(pool, x)
    stops = _stops(pool, x, low, high, cap, level)
    if not stops:
        return 0, taken
    found = min(_bound_up(pool, x, low, high, cap, z, level) for z in stops)
    if len(x) > 2 and found > 0 and _value_up(found) > enough:
        # The best trading may take several pairs, and one may pay after another alone.
        stops.append(settled(pool, x, low, high, cap, level))
        found = min(found, _bound_up(pool, x, low, high, cap, stops[-1], level))
    taken = [max(0.0, *(z[k] - held for z in stops)) for k, held in enumerate(x)]
    return (_value_up(found) if found > 0 else 0), taken


def _bound_up(
    pool: Kept, x: list[float], low: list[float], high: list[float], cap: list[float], z: list[float], own: float
) -> float:  # fmt: skip
    """u . x - c F(x) + what is paid above `high`, for the best u along the slopes at `z`; `own` is `_own_level` of `x`."""
    there = _own_level(pool, z)
    grads = partials(pool, z, there)
    # F(x) in the scale in which `grads` are its slopes at `z`: F(z) is grads . z, by Euler.
    level = sum(slope * at for slope, at in zip(grads, z, strict=True)) * (
        sqrt(sqrt(own / there)) if isinstance(pool, SolidlyPool) else own / there
    )
    best = inf
    # Any common factor gives a bound; the best is one at which some asset is priced at exactly its `low`.
    for factor in {low[k] / grads[k] for k in range(len(x)) if low[k] > 0}:
        total, made_up, c = 0.0, 0.0, inf
        for k, slope in enumerate(grads):
            price = max(low[k], factor * slope)
            if price > high[k]:
                if cap[k] == inf or (price - high[k]) <= _TINY * price:
                    price = max(high[k], low[k])
                else:
                    made_up += (price - high[k]) * cap[k]
            total += price * x[k]
            c = min(c, price / slope)
        slack = total * _SLACK + made_up * _SLACK + _UNITS * (2 * c * sum(grads) / len(grads) + max(low))
        best = min(best, total - c * level + made_up + slack)
    return best
