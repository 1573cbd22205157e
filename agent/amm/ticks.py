"""Ticks and square-root prices of concentrated liquidity: price = 1.0001 ** tick, held as sqrt(price) * 2**96.

The price at a tick is the fixed-point one every deployment shares (factors of 1.0001 ** -(2**k / 2) in Q128). The tick at a price is
the greatest whose price is not above it, as TickMath.getTickAtSqrtRatio defines it, so both equal the contracts' everywhere.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import log

from agent.amm.math import ContractRevert

MIN_TICK, MAX_TICK = -887272, 887272
MIN_SQRT_PRICE = 4295128739
MAX_SQRT_PRICE = 1461446703485210103287273052203988822378723970342

_FACTORS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001, 0xFFF97272373D413259A46990580E213A, 0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0, 0xFFCB9843D60F6159C9DB58835C926644, 0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861, 0xFE5DEE046A99A2A811C461F1969C3053, 0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54, 0xF3392B0822B70005940C7A398E4B70F3, 0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825, 0xA9F746462D870FDF8A65DC1F90E061E5, 0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6, 0x9AA508B5B7A84E1C677DE54F3E99BC9, 0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98, 0x48A170391F7DC42444E8FA2,
)  # fmt: skip
_LOWEST = 1 << 20
"""Ticks are counted from here for a moment, so that a whole number rounds down."""
_TICKS_PER_LOG = 2 / log(1.0001)
_FIRST_TICK = _LOWEST - 96 * log(2) * _TICKS_PER_LOG


@lru_cache(maxsize=1 << 16)
def sqrt_price_at_tick(tick: int) -> int:
    """sqrt(1.0001 ** tick) * 2**96, rounded up; reverts with "T" outside the tick range."""
    bits = abs(tick)
    if bits > MAX_TICK:
        raise ContractRevert("T")
    ratio = _FACTORS[0] if bits & 1 else 1 << 128
    for k in range(1, 20):
        if bits >> k & 1:
            ratio = ratio * _FACTORS[k] >> 128
    if tick > 0:
        ratio = ((1 << 256) - 1) // ratio
    return (ratio + 0xFFFFFFFF) >> 32


def tick_at_sqrt_price(sqrt_price_x96: int) -> int:
    """The greatest tick whose square-root price is at most the given one; reverts with "R" outside the range."""
    if not MIN_SQRT_PRICE <= sqrt_price_x96 < MAX_SQRT_PRICE:
        raise ContractRevert("R")
    # A float proposes, the integers of both neighbouring ticks decide: the contract's logarithm finds the same tick (it is defined by them).
    tick = max(int(log(sqrt_price_x96) * _TICKS_PER_LOG + _FIRST_TICK) - _LOWEST, MIN_TICK)
    while sqrt_price_at_tick(tick) > sqrt_price_x96:
        tick -= 1
    while sqrt_price_at_tick(tick + 1) <= sqrt_price_x96:
        tick += 1
    return tick


@dataclass(frozen=True, slots=True)
class TickTable:
    """The initialised ticks of a pool, ascending, with the net liquidity crossing each upwards adds.

    Swaps never change it, so a pool and all the pools that come after it share one table.
    """

    ticks: tuple[int, ...]
    nets: tuple[int, ...]

    def active_liquidity(self, tick: int) -> int:
        """The sum of net liquidity at or below `tick`: what the pool's `liquidity` must be."""
        return sum(self.nets[: bisect_right(self.ticks, tick)])

    def at_or_below(self, tick: int) -> int:
        """Index of the greatest initialised tick <= `tick`, -1 when there is none."""
        return bisect_right(self.ticks, tick) - 1

    def above(self, tick: int) -> int:
        """Index of the least initialised tick > `tick`, len(ticks) when there is none."""
        return bisect_left(self.ticks, tick + 1)
