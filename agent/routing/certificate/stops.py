"""Where selling one asset of a pool for another stops paying: Newton steps along the pool's invariant, in floats.

A bound holds at any point, so that what is found here need only be near; it is always on the side where the sale still pays. Of a StableSwap pool the
balance left of what is bought is the root of y**2 + (b - D) y = c (the contracts' `get_y`, which goes there by Newton steps); of Solidly's x**3 y + y**3 x
it is found by Newton steps. Both slopes follow from the invariant, so that every step costs a few operations whatever the number of assets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, inf, log, sqrt
from typing import TypeAlias

from agent.amm import BalancerStablePool, CurvePool, SolidlyPool

Kept: TypeAlias = BalancerStablePool | CurvePool | SolidlyPool

CLOSE = 1e-10
_STEPS = 60
_FARTHEST = 1e6
"""No more is sold than so many times what the pool holds."""
_TINY = 1e-15
_ROOTS = 64
_LEAP = 30.0


_Point: TypeAlias = tuple[float, float, float]
"""After a sale: the logarithm of the rate along the invariant, how that changes with what is sold (below 0), and what is left of the other asset."""
_At: TypeAlias = Callable[[float, float], _Point | None]
"""The point with a balance of what is sold, from a balance of the other asset that is no smaller than there; None where floats find none."""


def stop(
    pool: Kept, x: Sequence[float], i: int, j: int, limit: float, cap: float, level: float, close: float = CLOSE
) -> list[float]:  # fmt: skip
    """Balances after the sale of `i` for `j` from `x` on, with the invariant at `level`, up to where the rate's logarithm has fallen to
    -`limit`, or `cap`. What is sold is within one part in 1 / `close` of that, and not beyond it."""
    at = _solidly(level) if isinstance(pool, SolidlyPool) else _stable(pool, x, i, j, level)
    begin, most = x[i], min(cap, _FARTHEST * x[i])
    less, more, near, left = 0.0, most, 0.0, x[j]
    if cap < _FARTHEST * begin:
        end = at(begin + cap, left)
        if end is not None and end[0] + limit >= 0:
            return _with(x, i, j, begin + cap, end[2])
    paid, found = 0.0, at(begin, left)
    for _ in range(_STEPS):
        guess = inf
        rate, slope, there = found or (-inf, 0.0, left)
        if rate + limit < 0:
            more = paid
        else:
            less, near, left = paid, paid, there
        if slope < 0:
            # In the logarithm of the balance, in which a product's rate is a line.
            leap = -(rate + limit) / (slope * (begin + paid))
            guess = begin * (exp(leap) - 1) + paid * exp(leap) if abs(leap) < _LEAP else inf
        if abs(guess - paid) <= close / 4 * paid:
            if near == paid:
                break
            guess = min(guess, paid) * (1 - close / 2)
        if more - less <= close * more:
            break
        if not less < guess < more:
            guess = more / 16 if not less and more > 1e-9 * begin else (less + more) / 2
        paid = guess
        found = at(begin + paid, left)
    return _with(x, i, j, begin + near, left) if near else list(x)


def _with(x: Sequence[float], i: int, j: int, sold: float, bought: float) -> list[float]:
    z = list(x)
    z[i], z[j] = sold, bought
    return z


def _stable(pool: BalancerStablePool | CurvePool, x: Sequence[float], i: int, j: int, d: float) -> _At:
    n = len(x)
    ann = pool.amp * n / pool.amp_precision
    product, rest = d * (d / n) * (d / (ann * n)), d / ann - d
    for k, held in enumerate(x):
        if k not in (i, j):
            product *= d / (held * n)
            rest += held

    def at(z: float, _: float) -> _Point | None:
        c, e = product / z, rest + z
        root = sqrt(e * e + 4 * c)
        y = 2 * c / (root + e) if e > 0 else (root - e) / 2
        if not y > 0:
            return None
        # The slopes are ann (1 + p) and ann (1 + q).
        p, q = c / (y * z), c / (y * y)
        rate = (1 + p) / (1 + q)
        bend = p * (rate / y - 2 / z) / (1 + p) - q * (2 * rate / y - 1 / z) / (1 + q)
        return log(rate), bend, y

    return at


def _solidly(level: float) -> _At:
    def at(z: float, y: float) -> _Point | None:
        for _ in range(_ROOTS):
            step = (z * y * (z * z + y * y) - level) / (z * (z * z + 3 * y * y))
            y -= step
            if abs(step) <= _TINY * y:
                break
        if not y > 0:
            return None
        one, other = 3 * z * z + y * y, z * z + 3 * y * y
        rate = y * one / (z * other)
        # What is left falls by the rate.
        bend = -rate / y + (6 * z - 2 * y * rate) / one - 1 / z - (2 * z - 6 * y * rate) / other
        return log(rate), bend, y

    return at


__all__ = ["CLOSE", "Kept", "stop"]
