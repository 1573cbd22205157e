"""Exact sales to concentrated pools by the thousand, compiled: the walk of `agent.amm.steps`, laid out ahead, ends in one step that is computed here.

    zero for one: sqrtP falls by floor(n * sqrtP**2 / (L * 2**96 + n * sqrtP)), out = floor(L * fall / 2**96)
    one for zero: sqrtP rises by floor(n * 2**96 / L), out = floor(L * 2**96 * rise / (sqrtP' * sqrtP))

with n what is left net of the fee, rounded down: the formulas of the V3 pool's SqrtPriceMath, whose nested roundings come to one each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agent.routing.kernels.digits import halved, length, over, over_little, plus, times
from agent.routing.kernels.jit import compiled
from agent.routing.tables import Ints

PIPS = 1_000_000
DONE, PART, LEFT = 0, 1, 2


class Sides(NamedTuple):
    """Pools sold to in one direction, and the steps each may end in. Amounts are words of 60 bits (high, low), other numbers digits of 30.

    `first` by side and one more; `down` is 1 where token 0 is sold; `keep` is a million less the fee; `ends` is 1 where the table comes to the end of the
    range of prices, so that who pays more is not served whole. By step: what was paid, fee included, and got
    before it, its liquidity, that times 2**96, and the square-root price it begins at. The last step of a side is where the table ends.
    """

    first: Ints
    down: Ints
    keep: Ints
    ends: Ints
    paid: Ints
    got: Ints
    liquidity: Ints
    shifted: Ints
    price: Ints


@compiled
def sold(of: Sides, side: Ints, high: Ints, low: Ints, out: Ints, left: Ints) -> int:
    """What each sale of (high, low) to a side gives, into `out` as words, and how it ended, into `left`; how many are `LEFT` to the slow path."""
    word, count = 1152921504606846975, 0
    net, product, dividend = (
        np.zeros(8, dtype=np.int64),
        np.zeros(12, dtype=np.int64),
        np.zeros(24, dtype=np.int64),
    )
    divisor, by, moved = (
        np.zeros(24, dtype=np.int64),
        np.zeros(24, dtype=np.int64),
        np.zeros(24, dtype=np.int64),
    )
    got, reached = np.zeros(24, dtype=np.int64), np.zeros(12, dtype=np.int64)
    for n in range(len(side)):
        s, hi, lo = side[n], high[n], low[n]
        left[n] = 2
        begin, end = of.first[s], of.first[s + 1] - 1
        if hi < 0 or hi > word or (hi == 0 and lo == 0) or begin >= end:
            count += 1
            continue
        a, b = begin, end
        while b - a > 1:
            middle = (a + b) >> 1
            if of.paid[middle, 0] < hi or (of.paid[middle, 0] == hi and of.paid[middle, 1] <= lo):
                a = middle
            else:
                b = middle
        # The last row is no step: whoever comes as far takes all that was laid out, and wants no more or is not served here.
        if of.paid[end, 0] < hi or (of.paid[end, 0] == hi and of.paid[end, 1] <= lo):
            if of.paid[end, 0] == hi and of.paid[end, 1] == lo:
                out[n, 0], out[n, 1], left[n] = of.got[end, 0], of.got[end, 1], 0
            elif of.ends[s]:
                left[n] = 1
            else:
                count += 1
            continue
        lo -= of.paid[a, 1]
        hi -= of.paid[a, 0]
        if lo < 0:
            lo += word + 1
            hi -= 1
        net[0], net[1], net[2], net[3] = lo & 1073741823, lo >> 30, hi & 1073741823, hi >> 30
        # Times the part that is kept, and a million off.
        carry = 0
        for k in range(4):
            t = net[k] * of.keep[s] + carry
            net[k] = t & 1073741823
            carry = t >> 30
        net[4] = carry
        nn = over_little(net, 5, 1000000, net)
        no = 0
        if nn:
            liquid, price = of.liquidity[a], of.price[a]
            nl, np_ = length(liquid, 5), length(price, 6)
            if of.down[s]:
                nd = times(net, nn, price, np_, product)
                nu = times(product, nd, price, np_, dividend)
                nv = plus(product, nd, of.shifted[a], length(of.shifted[a], 8), divisor)
                # From 2**256 on the contract divides otherwise.
                if nv > 9 or (nv == 9 and divisor[8] > 65535):
                    count += 1
                    continue
                nq = over(dividend, nu, divisor, nv, moved, by)
                no = halved(got, times(liquid, nl, moved, nq, got), 96, got)
            else:
                for k in range(3):
                    dividend[k] = 0
                for k in range(nn):
                    dividend[k + 3] = net[k]
                # 2**96 is three digits and six bits.
                carry = 0
                for k in range(3, nn + 3):
                    t = (dividend[k] << 6) | carry
                    dividend[k] = t & 1073741823
                    carry = t >> 30
                dividend[nn + 3] = carry
                nq = over(dividend, nn + 4 if carry else nn + 3, liquid, nl, moved, by)
                nr = plus(moved, nq, price, np_, reached)
                nv = times(reached, nr, price, np_, divisor)
                nu = times(of.shifted[a], length(of.shifted[a], 8), moved, nq, dividend)
                no = over(dividend, nu, divisor, nv, got, by)
        if no > 4:
            count += 1
            continue
        for k in range(no, 4):
            got[k] = 0
        lo = (got[0] | (got[1] << 30)) + of.got[a, 1]
        hi = (got[2] | (got[3] << 30)) + of.got[a, 0] + (lo >> 60)
        if hi > word:
            count += 1
            continue
        out[n, 0], out[n, 1], left[n] = hi, lo & word, 0
    return count


__all__ = ["DONE", "LEFT", "PART", "PIPS", "Sides", "sold"]
