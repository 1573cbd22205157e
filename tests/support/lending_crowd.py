"""Many random borrowers of one market: some safe, some at the edge, some dust."""

from __future__ import annotations

import random

from agent.margin import aave_v3_0, aave_v3_6
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_core import AaveModel
from agent.margin.ray import RAY

AT = 1_700_000_000
PRICES = (
    300_000_000_000,
    6_000_000_000_000,
    10**8,
    99_990_000,
    150_000_000,
    345_000_000_000,
    1_200_000_000,
    45_000_000,
)
DECIMALS = (18, 8, 6, 6, 18, 18, 18, 18)


def crowd(count: int, seed: int) -> tuple[list[tuple[AaveModel, Account]], dict[str, int]]:
    """(accounts of two versions in turn, prices): about one in a hundred is below a factor of one."""
    draw = random.Random(seed)
    prices = {f"a{n}": px for n, px in enumerate(PRICES)}
    found: list[tuple[AaveModel, Account]] = []
    for number in range(count):
        size = 10 ** draw.uniform(-7, 6) if draw.random() < 0.05 else 10 ** draw.uniform(2, 6)
        lent = draw.sample(range(8), draw.randrange(1, 4))
        owed = draw.sample([n for n in range(8) if n not in lent], draw.randrange(1, 3))
        thresholds = {n: draw.choice((7_500, 8_250, 9_000)) for n in lent}
        weighted = sum(size * thresholds[n] / 10_000 for n in lent)
        factor = draw.uniform(0.97, 1.02) if draw.random() < 0.015 else 1 + 10 ** draw.uniform(-1.7, 1)
        if draw.random() < 0.01:
            factor = 1.0
        rows = []
        for n in range(8):
            unit, px = 10 ** DECIMALS[n], PRICES[n] / 1e8
            supply = int(size / px * unit) if n in lent else 0
            debt = int(weighted / factor / len(owed) / px * unit) if n in owed else 0
            rows.append(
                Reserve(f"a{n}", DECIMALS[n], PRICES[n], 7_000, thresholds.get(n, 8_000), True, AT, supply, RAY, 0, debt, RAY, 0)
            )  # fmt: skip
        found.append(((aave_v3_0, aave_v3_6)[number % 2].MODEL, Account(tuple(rows))))
    return found, prices
