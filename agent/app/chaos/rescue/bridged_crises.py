"""Crises in which what would save the loan is on another chain, by a seed of their own: the other kinds stay as they are. Pure."""

from __future__ import annotations

from random import Random

from agent.app.chaos.rescue.crises import CALM_GWEI, DEAR, NEVER, TOP_1E8, Abroad, Crisis, Slot

DEATHS = ("unsent", "unjournalled", "flying", "paid")
"""The daemon dies with the crossing in its journal and in no block; with the deposit in a block and not in its journal; while it is under
way, to live again only after a relayer had his turn; as soon as it was paid out."""
STEEP_BPS = {0: 600, 1: 500, 2: 350, NEVER: 500}
"""A price falls no further in a slot, by how many a relayer takes: money from elsewhere outruns no crash."""


def draw_bridged(seed: int, case: int) -> Crisis:
    """Case `case` of `seed`; the same for ever."""
    rng = Random(f"rescue bridged {seed} {case}")
    count = rng.randint(6, 10)
    delay = rng.choices((0, 1, 2, NEVER), (40, 30, 15, 15))[0]
    dear_from = rng.randrange(count) if rng.random() < 0.2 else count
    down_at = rng.randrange(count) if rng.random() < 0.15 else -1
    death = rng.choice(DEATHS) if rng.random() < 0.6 else ""
    slots, px = list[Slot](), TOP_1E8
    for number in range(count):
        px = px * (10_000 - rng.randint(120, STEEP_BPS[delay])) // 10_000
        slots.append(
            Slot(px, CALM_GWEI * (DEAR if number >= dear_from else 1), number == down_at, death=death)
        )
    here = 0 if rng.random() < 0.6 else rng.randint(1, 1_500)
    poor = rng.random() < 0.1
    usdc = rng.randint(0, 500) if poor or rng.random() < 0.15 else rng.randint(2_500, 10_500)
    weth = rng.randint(1_000, 6_000) if not poor and (usdc < 2_500 or rng.random() < 0.2) else 0
    return Crisis(
        seed, case, rng.randint(12_600, 13_200), here, 0, tuple(slots), abroad=Abroad(usdc, weth, delay)
    )
