"""Concentrated pools at any tick and of any depth, ranges that begin and end anywhere, gaps with nothing, now and then a table that no pool could hold."""

from __future__ import annotations

from random import Random

from agent.amm.ticks import MAX_TICK, MIN_TICK, TickTable, sqrt_price_at_tick

State = tuple[int, int, int, TickTable]
"""(square-root price, tick, liquidity, table)."""


def drawn_state(draw: Random, spacing: int, deepest: int = 120) -> State:
    last = MAX_TICK // spacing
    nets: dict[int, int] = {}
    for _ in range(draw.choice([0, 1, 2, 5, 40])):
        middle = draw.choice([0, 0, draw.randint(-last, last)])
        a, b = sorted(min(max(middle + draw.randint(-60, 60), -last), last) for _ in "ab")
        if a < b:
            size = draw.randrange(1, 1 << draw.choice([1, 20, 64, 90, deepest]))
            nets[a * spacing] = nets.get(a * spacing, 0) + size
            nets[b * spacing] = nets.get(b * spacing, 0) - size
    if draw.random() < 0.1:
        nets[draw.randint(-last, last) * spacing] = -draw.randrange(1 << 100)
    ticks = tuple(sorted(tick for tick, net in nets.items() if net))
    table = TickTable(ticks, tuple(nets[tick] for tick in ticks))
    tick = min(max(draw.choice([0, *ticks]) + draw.randint(-300, 300), MIN_TICK), MAX_TICK - 1)
    price = draw.randrange(sqrt_price_at_tick(tick), sqrt_price_at_tick(tick + 1))
    return price, tick, max(table.active_liquidity(tick), 0), table
