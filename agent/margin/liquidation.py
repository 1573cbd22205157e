"""Where an account's own predicate flips: the exact price of one asset, and the second at fixed prices. Pure.

Collateral times threshold less debt is linear in one price, so a rational gives the place; integers decide. Protocols that
floor an averaged threshold make the predicate a saw-tooth around that rational: every tooth near it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.margin.model import Side

MAX_PX_RAW = 10**8 * 10**15
MOST_FLICKER = 2_048
"""Further than that a flicker is not looked through: only dust, worth less than a ten-thousandth of a cent, has a wider one."""
CENTURY_S = 100 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class Line:
    """g(p) = slope·p + fixed, in basis points: safe where it is positive. The supply line is what a basis point is of.

    `slack` bounds, in the same unit, what flooring single values can move g. `flickers` where the asset is both lent and owed, so that the
    predicate need not flip only once.
    """

    slope: int
    fixed: int
    supply_slope: int
    supply_fixed: int
    slack: int
    flickers: bool = False

    def root(self, less_bps: int, slack: int) -> tuple[int, int] | None:
        """(numerator, denominator > 0) of the p with g(p) − less_bps·supply(p) = slack."""
        slope = self.slope - less_bps * self.supply_slope
        fixed = self.fixed - less_bps * self.supply_fixed - slack
        if slope == 0:
            return None
        return (-fixed, slope) if slope > 0 else (fixed, -slope)


def first_price(
    line: Line, bad: Callable[[int], bool], step: Callable[[int], int], now: int
) -> tuple[Side, int | None]:
    """Which way the price must go, and the first integer price that way at which `bad` holds.

    `step(p)` is the rounded threshold: between two prices of equal step `bad` flips at most once. BELOW: bad(px) and not
    bad above it; ABOVE: bad(px) and not bad under it. NONE where no price from 0 to 1e15 units does it, or all of them from `now` on.
    """
    if line.slope == 0:
        return Side.NONE, None
    root = line.root(0, 0)
    if root is None:
        return Side.NONE, None
    below = line.slope > 0
    safe = _bound(line, below, away_from_bad=True)
    sure = _bound(line, below, away_from_bad=False)
    if below:
        if safe < 1:
            return Side.NONE, None
        px = _last_bad(max(sure, 0), safe, bad, step, line.flickers)
        if px == MAX_PX_RAW:
            return _turned(bad, now)
        return (Side.BELOW, px) if px is not None and px > 0 else (Side.NONE, None)
    if root[0] > MAX_PX_RAW * root[1]:
        return _turned(bad, now) if bad(MAX_PX_RAW) else (Side.NONE, None)
    px = _last_bad(-sure, -safe, lambda p: bad(-p), lambda p: step(-p), line.flickers)
    # Bad at no price at all already: it is not this price that does it.
    return (Side.ABOVE, -px) if px is not None and px < 0 else (Side.NONE, None)


def _turned(bad: Callable[[int], bool], now: int) -> tuple[Side, int | None]:
    """As `first_price` where flooring a threshold turns the line: what is lent and owed of the asset nearly cancels, and it is bad as far as prices go.
    The nearer of the flips on both ways from here, each looked for by doubling."""
    if bad(now):
        return Side.NONE, None
    down, up = highest_bad(bad, now), lowest_bad(bad, now)
    if down is not None and (up is None or now - down <= up - now):
        return Side.BELOW, down
    return (Side.NONE, None) if up is None else (Side.ABOVE, up)


def _bound(line: Line, below: bool, *, away_from_bad: bool) -> int:
    """A price that flooring cannot make bad (or, towards bad, good): the root for a threshold of one basis point less."""
    root = line.root(1 if away_from_bad else 0, line.slack if away_from_bad else -line.slack)
    up = below is away_from_bad
    if root is None or (line.slope - (line.supply_slope if away_from_bad else 0) > 0) is not below:
        # Lent and borrowed nearly alike: one basis point turns the line, and the teeth reach as far as prices do.
        return MAX_PX_RAW if up else 0
    plain = line.root(0, 0)
    assert plain is not None
    numerator, denominator = root
    found = -(-numerator // denominator) + 2 if up else numerator // denominator - 2
    at = plain[0] // plain[1]
    return max(found, at + 2) if up else max(min(found, at - 2), 0)


def _last_bad(
    low: int, high: int, bad: Callable[[int], bool], step: Callable[[int], int], flickers: bool
) -> int | None:
    """The largest p in low..high with bad(p), teeth first from the top; None where there is none."""
    top = high
    while top >= low:
        level = step(top)
        bottom = _same_level(low, top, level, step)
        if bad(top):
            return top
        if bad(bottom):
            found = _narrowed(bad, top, bottom)
            return _past_flicker(found, top, bad) if flickers else found
        top = bottom - 1
    return None


def _past_flicker(found: int, top: int, bad: Callable[[int], bool]) -> int:
    """The last bad price up to `top`, beyond which flooring decides nothing; in dust, the last that has only good ones behind it for
    as far as is looked.

    An asset that is both lent and borrowed floors twice: the predicate flickers about its flip.
    """
    p = found + 1
    while p <= min(found + MOST_FLICKER, top):
        if bad(p):
            found = p
        p += 1
    return found


def _narrowed(bad: Callable[[int], bool], good: int, found: int) -> int:
    """The last bad value on the way from `found`, which is bad, to `good`, which is not."""
    while abs(found - good) > 1:
        middle = (good + found) // 2
        if bad(middle):
            found = middle
        else:
            good = middle
    return found


def _same_level(low: int, top: int, level: int, step: Callable[[int], int]) -> int:
    """The smallest p from which up to `top` the step stays the same (steps are monotone in one price)."""
    if step(low) == level:
        return low
    other, same = low, top
    while same - other > 1:
        middle = (same + other) // 2
        if step(middle) == level:
            same = middle
        else:
            other = middle
    return same


def first_second(bad: Callable[[int], bool]) -> int | None:
    """The first second from now at which `bad` holds, None where not within a century.

    Collateral earns linearly and debt compounds, so the difference is concave: once gone it does not come back.
    """
    if bad(0):
        return 0
    good, found = 0, 3600
    while not bad(found):
        good, found = found, found * 2
        if good >= CENTURY_S:
            return None
    return _narrowed(bad, good, found)


def highest_bad(bad: Callable[[int], bool], now: int, most: int = MAX_PX_RAW) -> int | None:
    """The largest price with bad(price), for a predicate that only falling prices make true; None where no price above 0 does."""
    if bad(now):
        good = max(now, 1)
        while bad(good):
            if good >= most:
                return None
            good *= 2
        found = now
    else:
        if not bad(0):
            return None
        good, found = now, 0
    found = _narrowed(bad, good, found)
    return found if found > 0 else None


def lowest_bad(bad: Callable[[int], bool], now: int, most: int = MAX_PX_RAW) -> int | None:
    """The smallest price with bad(price), for a predicate that only rising prices make true; None where no price up to `most` does."""
    if bad(now):
        if bad(0):
            return None
        good, found = 0, now
    else:
        good, found = now, max(now, 1)
        while not bad(found):
            if found >= most:
                return None
            good, found = found, found * 2
    return _narrowed(bad, good, found)
