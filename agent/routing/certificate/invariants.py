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
from math import expm1, inf, log1p, sqrt
from typing import TypeAlias

from agent.amm import BalancerStablePool, CurvePool, SolidlyPool, WeightedPool
from agent.amm.math import WAD
from agent.routing.certificate.units import ONE

Kept: TypeAlias = BalancerStablePool | CurvePool | SolidlyPool

_SLACK = 4e-12
_TINY = 1e-12
_UNITS = 64
_HALVINGS = 60


@dataclass(frozen=True)
class Trade:
    """Balances in the pool's own units, values of one of them paid out (`low`) or paid in (`high`; None: never paid in).

    `cap` is how much can be paid in, net of the fee; None where no limit is known.
    """

    balances: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int | None, ...]
    cap: tuple[int | None, ...]


def partials(pool: Kept, z: Sequence[float]) -> list[float]:
    """dF/dz_k in floats, up to a common factor."""
    if isinstance(pool, SolidlyPool):
        x, y = z
        return [y * (3 * x * x + y * y), x * (3 * y * y + x * x)]
    n = len(z)
    ann = pool.amp * n / pool.amp_precision
    d = stable_invariant(ann, z)
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


def _moved(
    pool: Kept,
    x: Sequence[float],
    i: int,
    j: int,
    paid: float,
) -> list[float] | None:
    """The balances after `paid` net of asset `i` moved `j` along the invariant; None where floats find none."""
    z = list(x)
    z[i] += paid
    if isinstance(pool, SolidlyPool):
        k, at, known = x[0] * x[1] * (x[0] ** 2 + x[1] ** 2), x[j], z[i]
        for _ in range(64):
            step = (known * at * (known * known + at * at) - k) / (known * (known * known + 3 * at * at))
            at -= step
            if abs(step) <= 1e-15 * at:
                break
        z[j] = at
    else:
        n = len(x)
        ann = pool.amp * n / pool.amp_precision
        d = stable_invariant(ann, x)
        c, total = d, 0.0
        for k, at in enumerate(z):
            if k != j:
                c *= d / (at * n)
                total += at
        c *= d / (ann * n)
        b, y = total + d / ann, d
        for _ in range(255):
            before = y
            y = (y * y + c) / (2 * y + b - d)
            if abs(y - before) <= 1e-15 * y:
                break
        z[j] = y
    return z if z[j] > 0 else None


def _stops(
    pool: Kept,
    x: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    cap: Sequence[float],
) -> list[list[float]]:
    """Where the best sale of every pair that pays at all ends: at its price, or at its cap."""
    found: list[list[float]] = []
    grads = partials(pool, x)
    for i in range(len(x)):
        if cap[i] <= 0:
            continue
        for j in range(len(x)):
            if i == j or low[j] <= 0 or grads[i] * low[j] <= grads[j] * high[i]:
                continue
            # Bisection on how far balance i grows: its price falls all the way.
            end = _moved(pool, x, i, j, cap[i]) if cap[i] < 1e6 * x[i] else None
            if end is not None:
                at_end = partials(pool, end)
                if at_end[i] * low[j] >= at_end[j] * high[i]:
                    found.append(end)
                    continue
            less, more = 0.0, min(cap[i], 1e6 * x[i])
            near = list(x)
            for _ in range(_HALVINGS):
                middle = (less + more) / 2 if less or more < 1e-9 * x[i] else more / 16
                z = _moved(pool, x, i, j, middle)
                if z is None:
                    more = middle
                    continue
                at = partials(pool, z)
                if at[i] * low[j] >= at[j] * high[i]:
                    less, near = middle, z
                else:
                    more = middle
                if more - less <= 1e-12 * more:
                    break
            found.append(near)
    return found


def weighted_gain_up(pool: WeightedPool, i: int, j: int, v_in: int, v_out: int, cap: int | None) -> int:
    """The most that selling at most `cap` raw of asset `i` to a weighted pool for `j` can gain, as a value, rounded up.

    The gain v_j y (1 - (x / (x + D))**r) - v_i D / keep is concave in the net input D: its top, or the cap, is its maximum.
    """
    x, y = pool.balances[i] * 1.0, pool.balances[j] * 1.0
    low, high = v_out / ONE, v_in / ONE / (1 - pool.fee_1e18 / WAD)
    r = pool.weights[i] / pool.weights[j]
    if not x or not y or low * y * r <= high * x * (1 - _TINY):
        return 0
    share = (low * y * r / (high * x)) ** (1 / (r + 1)) - 1
    if cap is not None:
        share = min(share, cap * (1 - pool.fee_1e18 / WAD) / x)
    if share <= 0:
        return 0
    taken, paid = -low * y * expm1(-r * log1p(share)), high * x * share
    gain = taken - paid + (taken + paid) * _SLACK + low + high
    return int(Fraction(gain) * ONE) + 1 if gain > 0 else 0


def gain_up(pool: Kept, trade: Trade) -> int:
    """A bound on the gain of any trading with the pool, as a value; 0 where no sale pays."""
    if any(balance <= 0 for balance in trade.balances):
        return 0
    x = [balance * 1.0 for balance in trade.balances]
    low = [value / ONE for value in trade.low]
    high = [inf if value is None else value / ONE for value in trade.high]
    cap = [inf if most is None else most * 1.0 for most in trade.cap]
    stops = _stops(pool, x, low, high, cap)
    if not stops:
        return 0
    found = min(_bound_up(pool, x, low, high, cap, z) for z in stops)
    return int(Fraction(found) * ONE) + 1 if found > 0 else 0


def _bound_up(
    pool: Kept, x: list[float], low: list[float], high: list[float], cap: list[float], z: list[float]
) -> float:
    """u . x - c F(x) + what is paid above `high`, for the best u along the slopes at `z`."""
    grads = partials(pool, z)
    level = _level(pool, x, z, grads)
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


def _level(pool: Kept, x: list[float], z: list[float], grads: list[float]) -> float:
    """F(x) in the scale in which `grads` are its slopes at `z`: F(z) is grads . z, by Euler."""
    at_z = sum(slope * at for slope, at in zip(grads, z, strict=True))
    if isinstance(pool, SolidlyPool):
        (a, b), (p, q) = x, z
        return at_z * sqrt(sqrt((a * b * (a * a + b * b)) / (p * q * (p * p + q * q))))
    ann = pool.amp * len(x) / pool.amp_precision
    return at_z * stable_invariant(ann, x) / stable_invariant(ann, z)
