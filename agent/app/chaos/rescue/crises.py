"""What befalls a loan, drawn from the seed and the case's number alone. Pure but for its own seeded chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

TOP_1E8 = 3_000 * 10**8
MOST_DROP_BPS = 600
"""A price falls no further in one slot: between trigger and liquidation lie two such falls."""
CALM_GWEI, DEAR = 1, 50
STALE_S = (4_000, 9_000)


@dataclass(frozen=True, slots=True)
class Slot:
    """Twelve seconds of a chain: the price posted in it, its base fee, whether the private road is down, and a death of the daemon.

    `gap_s` pass before the price is posted: longer than a price may be old. `death`: "" none, "before" the price, "after" the reaction.
    `stopped`: the uptime feed says that the sequencer is down; no price can be posted then. `dark`: the exchange hangs.
    """

    px_1e8: int
    base_gwei: int
    down: bool = False
    gap_s: int = 0
    death: str = ""
    stopped: bool = False
    dark: bool = False


@dataclass(frozen=True, slots=True)
class Crisis:
    """`health_bps` is the health factor it begins with; `usdc_bps` of the debt and `weth_bps` of the collateral are in the wallet."""

    seed: int
    case: int
    health_bps: int
    usdc_bps: int
    weth_bps: int
    slots: tuple[Slot, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def draw(seed: int, case: int) -> Crisis:
    """Case `case` of `seed`; the same for ever."""
    rng = Random(f"rescue {seed} {case}")
    count = rng.randint(5, 10)
    dear_from = rng.randrange(count) if rng.random() < 0.25 else count
    down_at = rng.randrange(count) if rng.random() < 0.25 else -1
    stale_at = rng.randrange(count) if rng.random() < 0.2 else -1
    dies_at = rng.randrange(count) if rng.random() < 0.25 else -1
    slots, px = list[Slot](), TOP_1E8
    for number in range(count):
        px = px * (10_000 - rng.randint(100, MOST_DROP_BPS)) // 10_000
        slots.append(
            Slot(
                px,
                CALM_GWEI * (DEAR if number >= dear_from else 1),
                number == down_at,
                rng.randint(*STALE_S) if number == stale_at else 0,
                rng.choice(("before", "after")) if number == dies_at else "",
            )
        )
    poor = rng.random() < 0.07
    usdc = (
        rng.randint(0, 100) if poor else rng.choice((rng.randint(2_000, 10_500), rng.randint(6_000, 10_500)))
    )
    weth = rng.randint(0, 100) if poor else rng.choice((0, rng.randint(500, 9_000)))
    health = rng.randint(12_600, 13_400)
    if rng.random() < 0.2:
        at = rng.randrange(1, count)
        # Beside a road that is down it would be two slots in which nothing can be done.
        if abs(at - down_at) > 1 or down_at < 0:
            slots[at] = replace(slots[at], px_1e8=slots[at - 1].px_1e8, stopped=True)
    if rng.random() < 0.25:
        dark_from = rng.randrange(count)
        slots = [replace(slot, dark=n >= dark_from) for n, slot in enumerate(slots)]
    return Crisis(seed, case, health, usdc, weth, tuple(slots))
