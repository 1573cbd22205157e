"""The most that one sale to a pool can gain at given prices, for x * y = k and for liquidity in ranges. Integers, rounded up.

With prices V of a raw unit, keep g of the input, net input D = g d and reserves X, Y the gain V_j Y D / (X + D) - V_i D / g is at
most a + b - 2 sqrt(a b) with a = V_j Y, b = V_i X / g; a range of liquidity L at square-root price s has virtual reserves
L / s and L s and ends at its tick. Contracts round against the trader, so the continuous gain bounds theirs.
"""

from __future__ import annotations

from math import isqrt

from agent.amm import ConcentratedPool, ConcentratedV4Pool
from agent.amm.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, sqrt_price_at_tick

PIPS = 1_000_000
Q96 = 1 << 96


def summit_up(a: int, b: int) -> int:
    """max(0, sqrt(a) - sqrt(b))**2 for a >= b, rounded up; `a` must be rounded up and `b` down."""
    return a + b - 2 * isqrt(a * b) if a > b else 0


def first_unit_up(x: int, y: int, keep: int, whole: int, v_in: int, v_out: int, cap: int | None) -> int:
    """`product_gain_up` where every sale gives whole raw units. Where the best one gives less than one, the least that gives one is the best."""
    gain = product_gain_up(x, y, keep, whole, v_in, v_out, cap)
    if not 0 < gain < v_out:
        return gain
    least = -(-x * whole // (keep * (y - 1))) if y > 1 else None
    if least is None or (cap is not None and cap < least):
        return 0
    reached = x * whole + keep * least
    if v_out * keep * whole * x * y > v_in * reached * reached:
        return gain
    return max(-(-v_out * least * keep * y // reached) - v_in * least, 0)


def product_gain_up(x: int, y: int, keep: int, whole: int, v_in: int, v_out: int, cap: int | None) -> int:
    """Gain of the best sale of at most `cap` raw to reserves `x`, `y` that keep all but `keep`/`whole` of the input."""
    if not x or not y or not keep:
        return 0
    a, b = v_out * y, v_in * x * whole // keep
    if a <= b:
        return 0
    if cap is not None:
        reached = x * whole + keep * cap
        if v_out * keep * whole * x * y >= v_in * reached * reached:
            return max(-(-v_out * cap * keep * y // reached) - v_in * cap, 0)
    return summit_up(a, b)


def ranges_gain_up(
    pool: ConcentratedPool | ConcentratedV4Pool,
    i: int,
    keep: int,
    v_in: int,
    v_out: int,
    cap: int | None,
    per_tick: int,
) -> tuple[int, int]:
    """(gain, gain less `per_tick` a crossed tick) of the best sale of at most `cap` raw of asset `i`.

    The two are maximal at stops of their own. Ticks where the contract would revert end the walk.
    """
    s, liquidity = pool.sqrt_price_x96, pool.liquidity
    if not s or keep <= 0:
        return 0, 0
    down = i == 0
    floor = v_in * PIPS << 192
    # The price still pays while v_out * keep * p > v_in: p is s**2 / 2**192 selling token 0, its inverse selling token 1.
    limit = v_out * keep
    pays = limit * s * s > floor if down else limit << 192 > v_in * PIPS * s * s
    if not pays:
        return 0, 0
    ticks, nets = pool.table.ticks, pool.table.nets
    at = pool.table.at_or_below(pool.tick) if down else pool.table.above(pool.tick)
    count, total, crossed = len(ticks), 0, 0
    best = net = 0
    room = None if cap is None else -(-cap * keep // PIPS)
    while True:
        inside = 0 <= at < count
        t = sqrt_price_at_tick(ticks[at]) if inside else (MIN_SQRT_PRICE if down else MAX_SQRT_PRICE)
        if liquidity > 0 and t != s:
            if down:
                taken = liquidity * Q96 * (s - t) // (s * t)
                stays = limit * t * t >= floor
            else:
                taken = liquidity * (t - s) >> 96
                stays = limit << 192 >= v_in * PIPS * t * t
            if stays and (room is None or taken <= room):
                gross = liquidity * (s - t) if down else -(-liquidity * (t - s) * Q96 * Q96 // (s * t))
                total += -(-v_out * gross >> 96) - v_in * taken * PIPS // keep
                room = None if room is None else room - taken
            else:
                total += _partial_up(down, s, liquidity, keep, v_in, v_out, room)
                return max(best, total), max(net, total - crossed * per_tick)
        best, net = max(best, total), max(net, total - crossed * per_tick)
        if not inside:
            return best, net
        liquidity += -nets[at] if down else nets[at]
        at += -1 if down else 1
        s, crossed = t, crossed + 1
        if liquidity < 0:
            return best, net


def _partial_up(
    down: bool, s: int, liquidity: int, keep: int, v_in: int, v_out: int, room: int | None
) -> int:
    """Gain inside one range, ended by the price or by what is left to sell, whichever comes first."""
    if down:
        a = -(-v_out * liquidity * s >> 96)
        b = v_in * PIPS * liquidity * Q96 // (keep * s)
    else:
        a = -(-v_out * liquidity * Q96 // s)
        b = v_in * PIPS * liquidity * s // (Q96 * keep)
    if a <= b:
        return 0
    if room is not None:
        # Net input D against virtual reserves X, Y: the marginal price still pays at D = room where a / b >= (1 + D / X)**2.
        top = liquidity * Q96 if down else liquidity * s
        per = s if down else Q96
        reached = top + room * per
        if a * top * top >= b * reached * reached:
            # out = Y D / (X + D), so its value is a * room * per / reached.
            return max(-(-a * room * per // reached) - v_in * room * PIPS // keep, 0)
    return summit_up(a, b)
