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
BARE = 1 / 3
"""So many of the crises find a wallet with next to nothing in it: what saves the loan is its own collateral."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Twelve seconds of a chain: the price posted in it, its base fee, whether the private road is down, and a death of the daemon.

    `gap_s` pass before the price is posted: longer than a price may be old. `death`: "" none, "before" the price, "after" the reaction,
    and what "lands" is seen by nobody but the next life. `stopped`: the uptime feed says that the sequencer is down; no price can be
    posted then. `dark`: the exchange hangs. `cliff`: the price falls so far that health is below one. `pushed_bps`: others sell that
    much below the pools' price once a payment is on its way.
    """

    px_1e8: int
    base_gwei: int
    down: bool = False
    gap_s: int = 0
    death: str = ""
    stopped: bool = False
    dark: bool = False
    cliff: bool = False
    pushed_bps: int = 0


NEVER = -1


@dataclass(frozen=True, slots=True)
class Abroad:
    """What the wallet has on the other chain: `usdc_bps` of the debt, `weth_bps` of the collateral. A relayer takes `delay` slots for a
    deposit, or NEVER takes it."""

    usdc_bps: int
    weth_bps: int
    delay: int


@dataclass(frozen=True, slots=True)
class Crisis:
    """`health_bps` is the health factor it begins with; `usdc_bps` of the debt and `weth_bps` of the collateral are in the wallet.

    `bare`: it may be repaid out of its collateral, at pools whose price is `off_bps` below the oracle's.
    `abroad`: what there is besides has to be brought by the bridge; its slots' deaths are of that (`bridged_crises`).
    """

    seed: int
    case: int
    health_bps: int
    usdc_bps: int
    weth_bps: int
    slots: tuple[Slot, ...]
    bare: bool = False
    off_bps: int = 0
    abroad: Abroad | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def pool_px_1e8(px_1e8: int, off_bps: int, pushed_bps: int = 0) -> int:
    """What the pools pay for an ETH beside that price of the oracle's."""
    return px_1e8 * (10_000 - off_bps) * (10_000 - pushed_bps) // 10**8


def draw(seed: int, case: int) -> Crisis:
    """Case `case` of `seed`; the same for ever."""
    if Random(f"rescue bare {seed} {case}").random() < BARE:
        return _bare(seed, case)
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


def _bare(seed: int, case: int) -> Crisis:
    """Nothing in the wallet, or too little. Two in five fall below a health of one at a blow; a pool far off its price helps nobody."""
    rng = Random(f"bare {seed} {case}")
    count, health = rng.randint(3, 6), rng.randint(12_600, 13_400)
    cliff_at = rng.randrange(2) if rng.random() < 0.4 else -1
    dear_from = rng.randrange(count) if rng.random() < 0.25 else count
    down_at = rng.randrange(count) if rng.random() < 0.2 else -1
    stopped_at = rng.randrange(1, count) if rng.random() < 0.15 else -1
    stale = {rng.randrange(count)} if rng.random() < 0.2 else set[int]()
    dies_at = rng.randrange(count) if rng.random() < 0.4 else -1
    dark_from = rng.randrange(count) if rng.random() < 0.25 else count
    pushed = rng.random() < 0.3
    if down_at == cliff_at:  # nobody could have done anything about it
        down_at = -1
    if stopped_at == cliff_at or (down_at >= 0 and abs(stopped_at - down_at) <= 1):
        stopped_at = -1
    if stopped_at >= 0 and rng.random() < 0.8:  # for an hour after a sequencer's return nothing is sold
        stale.add(stopped_at + 1)
    slots, px = list[Slot](), TOP_1E8
    for number in range(count):
        if number == cliff_at:
            px = TOP_1E8 * rng.randint(9_000, 9_950) // health
        elif number == stopped_at:
            pass
        elif number < cliff_at:
            px = px * (10_000 - rng.randint(50, 150)) // 10_000
        else:
            px = px * (10_000 - rng.randint(100 if cliff_at >= 0 else 300, MOST_DROP_BPS)) // 10_000
        slots.append(
            Slot(
                px,
                CALM_GWEI * (DEAR if number >= dear_from else 1),
                number == down_at,
                rng.randint(*STALE_S) if number in stale else 0,
                rng.choice(("before", "after", "lands")) if number == dies_at else "",
                number == stopped_at,
                number >= dark_from,
                number == cliff_at,
                rng.randint(100, 300) if pushed and number != stopped_at else 0,
            )
        )
    kind = rng.random()
    off = 0 if kind < 0.55 else rng.randint(10, 150) if kind < 0.85 else rng.randint(500, 3_000)
    usdc = 0 if rng.random() < 0.6 else rng.randint(1, 1_500)
    return Crisis(seed, case, health, usdc, 0, tuple(slots), True, off)
