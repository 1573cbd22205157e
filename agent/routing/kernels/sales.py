"""One sale on a float curve, compiled: the arithmetic of `agent.routing.curves`, operation by operation.

A market's curves lie in one row of numbers: `kind` says which arithmetic, `par_at` where its constants begin, `state_at` where its state
does in a row of states that the caller keeps. What the constants are is said where they are laid out (`Curve.row`).
"""

from __future__ import annotations

from math import expm1, log1p, sqrt
from typing import NamedTuple

from agent.routing.curves import PRODUCT, RANGES, SOLIDLY, STABLE, WEIGHTED
from agent.routing.kernels.jit import inlined
from agent.routing.tables import Floats, Ints

NONE = -1.0
"""What comes out where the curve cannot take the sale."""

_MAX_WEIGHTED = 1.3
_POWER_MARGIN = 1e-14
_CLOSE = 4e-16


class Market(NamedTuple):
    """The curves: kind, first constant and first number of state of each, and the row of constants."""

    kind: Ints
    par_at: Ints
    state_at: Ints
    par: Floats


@inlined
def _ranges(par: Floats, p: int, i: int, net: float, s: float, k: int, after: Floats, at: int) -> tuple[float, int]:  # fmt: skip
    count = int(par[p + 2])
    edges, held = p + 3, p + 3 + count
    out, crossed = 0.0, 0
    if i == 0:
        while k > 0:
            low, liquidity = par[edges + k - 1], par[held + k]
            if liquidity > 0:
                moved = net * s
                whole = liquidity + moved
                end = liquidity * s / whole
                if end >= low:
                    after[at], after[at + 1] = end, float(k)
                    return out + liquidity * s * (moved / whole), crossed
                net -= liquidity * (s - low) / (s * low)
                out += liquidity * (s - low)
            k -= 1
            s, crossed = low, crossed + 1
        return NONE, 0
    while k < count:
        high, liquidity = par[edges + k], par[held + k]
        if liquidity > 0:
            end = s + net / liquidity
            if end <= high:
                after[at], after[at + 1] = end, float(k)
                return out + net / (s * end), crossed
            net -= liquidity * (high - s)
            out += liquidity * (high - s) / (s * high)
        s, crossed = high, crossed + 1
        k += 1
    return NONE, 0


@inlined
def _weighted(par: Floats, p: int, i: int, j: int, amount: float, states: Floats, a: int, after: Floats, at: int) -> float:  # fmt: skip
    n = int(par[p])
    power, odd, start = p + 2, p + 2 + n * n, p + 2 + 2 * n * n
    x, y = states[a + i], states[a + j]
    net = amount * par[p + 1]
    if x == 0 or y == 0 or net == 0 or x + net > _MAX_WEIGHTED * par[start + i]:
        return NONE
    share = -expm1(par[power + i * n + j] * log1p(net / x))
    if par[odd + i * n + j] != 0:
        share -= (1 - share) * _POWER_MARGIN + 1e-18
    if share <= 0:
        return NONE
    out = y * share
    for k in range(n):
        after[at + k] = states[a + k]
    after[at + i] += amount
    after[at + j] -= out
    return float(out)


@inlined
def _invariant(states: Floats, a: int, n: int, ann: float, guess: float) -> float:
    total = 0.0
    for k in range(n):
        total += states[a + k]
    d = guess
    for _ in range(64):
        part = d
        for k in range(n):
            part *= d / (states[a + k] * n)
        before = d
        d = (ann * total + n * part) * d / ((ann - 1) * d + (n + 1) * part)
        if abs(d - before) <= _CLOSE * d:
            break
    return d


@inlined
def _stable(par: Floats, p: int, i: int, j: int, amount: float, states: Floats, a: int, after: Floats, at: int) -> float:  # fmt: skip
    n = int(par[p])
    ann, keep_in, keep_out, leaves = par[p + 1], par[p + 2], par[p + 3], par[p + 4]
    scale = p + 5
    for k in range(n):
        if states[a + k] == 0:
            return NONE
    d = _invariant(states, a, n, ann, states[a + n])
    c, others = d, 0.0
    for k in range(n):
        if k != j:
            x = states[a + k]
            c *= d / (x * n)
            others += x
    c *= d / (ann * n)
    into = amount * par[scale + i]
    moved = into * keep_in
    y = states[a + j]
    gap = moved * (y + c / (states[a + i] + moved))
    slope = 2 * y + others + d / ann - d + moved
    under = slope * slope - 4 * gap
    if under < 0:
        return NONE
    fell = 2 * gap / (slope + sqrt(under))
    if fell >= y:
        return NONE
    for k in range(n):
        after[at + k] = states[a + k]
    after[at + i] += into
    after[at + j] -= fell * leaves
    after[at + n] = d
    return float(fell * keep_out / par[scale + j])


@inlined
def _solidly(par: Floats, p: int, i: int, j: int, amount: float, x: float, y: float, after: Floats, at: int) -> float:  # fmt: skip
    if x == 0 or y == 0:
        return NONE
    into = amount * par[p] / par[p + 1 + i]
    k = x * y * (x * x + y * y)
    x += into
    end = y
    for _ in range(64):
        step = (x * end * (x * x + end * end) - k) / (x * (x * x + 3 * end * end))
        end -= step
        if abs(step) <= _CLOSE * end:
            break
    out = y - end
    if out <= 0:
        return NONE
    after[at + i], after[at + j] = x, end
    return float(out * par[p + 1 + j])


@inlined
def _paid(par: Floats, p: int, count: int, used: float) -> float:
    low, high = 0, count
    while low < high:
        mid = (low + high) // 2
        if used < par[p + 1 + mid]:
            high = mid
        else:
            low = mid + 1
    k = min(low, count - 1)
    ins, outs = p + 1, p + 1 + count
    share = (used - par[ins + k - 1]) / (par[ins + k] - par[ins + k - 1])
    return float(par[outs + k - 1] + share * (par[outs + k] - par[outs + k - 1]))


@inlined
def sold(kinds: Ints, par_at: Ints, state_at: Ints, par: Floats, c: int, i: int, j: int, amount: float, states: Floats, after: Floats, at: int) -> tuple[float, int]:  # fmt: skip
    """`sell` on the parts of a market: to take one from the other costs as much as a sale, and it need be done once alone."""
    kind, p, a = kinds[c], par_at[c], state_at[c]
    if kind == RANGES:
        net, s = amount * par[p + i], states[a]
        if s == 0 or net == 0:
            return NONE, 0
        return _ranges(par, p, i, net, s, int(states[a + 1]), after, at)
    if kind == PRODUCT:
        x, y = states[a + i], states[a + j]
        net = amount * par[p]
        if x == 0 or y == 0 or net == 0:
            return NONE, 0
        out = net * y / (x + net)
        after[at + i] = x + (amount if par[p + 1] != 0 else net)
        after[at + j] = y - out
        return out, 0
    if kind == WEIGHTED:
        return _weighted(par, p, i, j, amount, states, a, after, at), 0
    if kind == STABLE:
        return _stable(par, p, i, j, amount, states, a, after, at), 0
    if kind == SOLIDLY:
        return _solidly(par, p, i, j, amount, states[a], states[a + 1], after, at) if i == 0 else _solidly(
            par, p, i, j, amount, states[a + 1], states[a], after, at
        ), 0
    used, count = states[a] + amount, int(par[p])
    if used > par[p + count]:
        return NONE, 0
    after[at] = used
    return _paid(par, p, count, used) - _paid(par, p, count, states[a]), 0


@inlined
def sell(market: Market, c: int, i: int, j: int, amount: float, states: Floats, after: Floats, at: int) -> tuple[float, int]:  # fmt: skip
    """What `amount` > 0 raw of asset `i` sold for asset `j` on curve `c` gives, and how many ticks it crosses; where the curve stands then is written
    to `after` from `at` on. NONE past the end of the liquidity."""
    return sold(market.kind, market.par_at, market.state_at, market.par, c, i, j, amount, states, after, at)


__all__ = ["NONE", "Market", "sell", "sold"]
