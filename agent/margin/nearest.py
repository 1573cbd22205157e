"""The nearest price at which a book of options is liquidated, by a predicate on floats, to one step of the price. Pure."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from agent.margin.exchange import ONE, PX_DECIMALS, to_raw_down
from agent.margin.model import LiquidationPx, Side

SCAN = 80
"""Steps of the search on each side of the price: a book of options may be liquidated in a band, which bisection alone would miss."""


def nearest_px(index: str, index_px: Fraction, bad: Callable[[float], bool]) -> LiquidationPx:
    """The nearest price of the index, either way, at which `bad` holds of its move (−0.2 is a fall by a fifth); one step nearer it does not."""
    now = to_raw_down(index_px)

    def gone(raw: int) -> bool:
        return bad(move_to(raw, index_px))

    found: list[int] = []
    for far in (0.001, 10.0) if not bad(0.0) else ():
        good = now
        # Even steps of the logarithm, near moves looked at more closely; then two long ones, since what falls there falls for ever.
        for n in (*range(1, SCAN + 1), 2 * SCAN, 3 * SCAN):
            there = max(int(now * far ** (n / SCAN)), 1)
            if gone(there):
                while abs(there - good) > 1:
                    middle = (good + there) // 2
                    good, there = (good, middle) if gone(middle) else (middle, there)
                found.append(there)
                break
            good = there
    if not found:
        return LiquidationPx(index, Side.NONE, None, now, PX_DECIMALS)
    px = min(found, key=lambda raw: abs(raw - now))
    return LiquidationPx(index, Side.BELOW if px < now else Side.ABOVE, px, now, PX_DECIMALS)


def move_to(raw: int, index_px: Fraction) -> float:
    """The move that brings the index to a price of `raw` 1e-8 dollars."""
    return float(Fraction(raw, ONE) / index_px) - 1.0
