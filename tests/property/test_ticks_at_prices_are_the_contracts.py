"""The tick of a price is the one TickMath's fixed-point logarithm finds: at every tick's own price, a unit beside it, and anywhere between."""

from __future__ import annotations

from random import Random

import pytest

from agent.amm.math import ContractRevert
from agent.amm.ticks import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    sqrt_price_at_tick,
    tick_at_sqrt_price,
)


def by_logarithm(price: int) -> int:
    """TickMath.getTickAtSqrtRatio as it is deployed: a binary logarithm of fourteen places in fixed point, and one comparison where it leaves two ticks."""
    ratio = price << 32
    top = ratio.bit_length() - 1
    r = ratio >> (top - 127) if top >= 128 else ratio << (127 - top)
    log_2 = (top - 128) << 64
    for place in range(63, 49, -1):
        r = r * r >> 127
        bit = r >> 128
        log_2 |= bit << place
        r >>= bit
    by_tick = log_2 * 255738958999603826347141
    low = (by_tick - 3402992956809132418596140100660247210) >> 128
    high = (by_tick + 291339464771989622907027621153398088495) >> 128
    return high if low == high or sqrt_price_at_tick(high) <= price else low


def prices(draw: Random, count: int) -> list[int]:
    ticks = [
        MIN_TICK,
        MIN_TICK + 1,
        -1,
        0,
        1,
        MAX_TICK - 1,
        *(draw.randint(MIN_TICK, MAX_TICK - 1) for _ in range(count)),
    ]
    found = [MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1]
    for tick in ticks:
        low, high = sqrt_price_at_tick(tick), sqrt_price_at_tick(tick + 1)
        found += [low, low + 1, high - 1, draw.randrange(low, high)]
    return found


@pytest.mark.parametrize("count", [3_000, pytest.param(400_000, marks=pytest.mark.full)])
def test_every_price_has_its_tick(count: int) -> None:
    for price in prices(Random(7), count):
        tick = tick_at_sqrt_price(price)
        assert tick == by_logarithm(price), price
        assert sqrt_price_at_tick(tick) <= price < sqrt_price_at_tick(tick + 1)


@pytest.mark.parametrize("price", [0, MIN_SQRT_PRICE - 1, MAX_SQRT_PRICE, 1 << 200])
def test_outside_the_range_it_reverts(price: int) -> None:
    with pytest.raises(ContractRevert, match="R"):
        tick_at_sqrt_price(price)
