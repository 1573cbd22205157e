"""Whole numbers beyond a machine word, compiled: digits of 30 bits, the least first, in rows of 64-bit integers. Exact.

Two digits and a carry fit a signed word, so that nothing here can overflow. Division is Knuth's algorithm D (The Art of Computer Programming,
volume 2, section 4.3.1).
"""

from __future__ import annotations

from agent.routing.kernels.jit import inlined
from agent.routing.tables import Ints

BITS = 30
MASK = (1 << BITS) - 1


@inlined
def length(a: Ints, most: int) -> int:
    """How many of the first `most` digits there are without leading zeros."""
    n = most
    while n > 0 and a[n - 1] == 0:
        n -= 1
    return n


@inlined
def times(a: Ints, na: int, b: Ints, nb: int, out: Ints) -> int:
    """`out` becomes a * b; its length. `out` has room for `na + nb` digits and is neither of them."""
    for k in range(na + nb):
        out[k] = 0
    for i in range(na):
        carry, digit = 0, a[i]
        for j in range(nb):
            t = digit * b[j] + out[i + j] + carry
            out[i + j] = t & 1073741823
            carry = t >> 30
        out[i + nb] = carry
    return length(out, na + nb)


@inlined
def plus(a: Ints, na: int, b: Ints, nb: int, out: Ints) -> int:
    """`out` becomes a + b; its length. `out` may be one of them."""
    most, carry = max(na, nb), 0
    for k in range(most):
        t = carry
        if k < na:
            t += a[k]
        if k < nb:
            t += b[k]
        out[k] = t & 1073741823
        carry = t >> 30
    out[most] = carry
    return most + 1 if carry else most


@inlined
def over_little(a: Ints, na: int, little: int, out: Ints) -> int:
    """`out` becomes floor(a / little) of a divisor below 2**30; its length. `out` may be `a`."""
    rest = 0
    for k in range(na - 1, -1, -1):
        t = (rest << 30) | a[k]
        out[k] = t // little
        rest = t - out[k] * little
    return length(out, na)


@inlined
def halved(a: Ints, na: int, bits: int, out: Ints) -> int:
    """`out` becomes floor(a / 2**bits); its length. `out` may be `a`."""
    whole, part = bits // 30, bits % 30
    n = na - whole
    if n <= 0:
        return 0
    for k in range(n):
        high = a[k + whole + 1] if k + whole + 1 < na else 0
        out[k] = (a[k + whole] >> part) | ((high << (30 - part)) & 1073741823)
    return length(out, n)


@inlined
def over(u: Ints, nu: int, v: Ints, nv: int, out: Ints, by: Ints) -> int:
    """`out` becomes floor(u / v); its length. `u` is used up and has room for a digit more, `by` is room for v; v has no leading zeros."""
    if nu < nv:
        return 0
    if nv == 1:
        return over_little(u, nu, v[0], out)
    shift, top = 0, v[nv - 1]
    while top < 536870912:
        top <<= 1
        shift += 1
    for k in range(nv - 1, 0, -1):
        by[k] = ((v[k] << shift) & 1073741823) | (v[k - 1] >> (30 - shift))
    by[0] = (v[0] << shift) & 1073741823
    u[nu] = u[nu - 1] >> (30 - shift)
    for k in range(nu - 1, 0, -1):
        u[k] = ((u[k] << shift) & 1073741823) | (u[k - 1] >> (30 - shift))
    u[0] = (u[0] << shift) & 1073741823
    first, second = by[nv - 1], by[nv - 2]
    for j in range(nu - nv, -1, -1):
        head = (u[j + nv] << 30) | u[j + nv - 1]
        guess = head // first
        rest = head - guess * first
        while guess > 1073741823 or guess * second > ((rest << 30) | u[j + nv - 2]):
            guess -= 1
            rest += first
            if rest > 1073741823:
                break
        borrow = 0
        for k in range(nv):
            t = u[j + k] - guess * by[k] + borrow
            u[j + k] = t & 1073741823
            borrow = t >> 30
        t = u[j + nv] + borrow
        u[j + nv] = t
        if t < 0:
            guess -= 1
            carry = 0
            for k in range(nv):
                t = u[j + k] + by[k] + carry
                u[j + k] = t & 1073741823
                carry = t >> 30
            u[j + nv] += carry
        out[j] = guess
    return length(out, nu - nv + 1)


__all__ = ["BITS", "MASK", "halved", "length", "over", "over_little", "plus", "times"]
