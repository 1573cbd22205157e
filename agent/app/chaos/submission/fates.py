"""What befalls a submission, drawn from the seed and the case's number alone. Pure but for its own seeded chance."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from agent.app.chaos.deaths import MOMENTS, Death
from chains.devnet.relay_builder import SEQUENCER

KINDS = ("refuse", "down", "accept_then_5xx", "accept_then_hang", "swallow", "delay")
BUILDERS = ("titan", "buildernet", "flashbots")
"""The devnet's builders, named by the relays that speak to them; `stranger` is one that no plan names."""
WORDS = (
    "titan:49:race=30:cutoff=2:lag=1",
    "buildernet:28:race=20:latency=3",
    "flashbots:17:race=50:latency=5:lies",
    "stranger:2",
)
LAST_EVENT = 22
"""An order that meets no trouble writes about as many events: later deaths strike those that do."""


@dataclass(frozen=True, slots=True)
class Fate:
    """One case. `qty_raw` wei of WETH, no two alike; `faults` as `relay_fault` takes them, gone `lasts` blocks after the first signature;
    `tight`: a slippage so small that other traders can put it out of reach. `foreign_s`: when another program uses the sender's next
    nonce, seconds after the order was given; None where none does."""

    seed: int
    case: int
    qty_raw: int
    slippage_bps: int
    builders: tuple[str, ...]
    faults: tuple[dict[str, Any], ...] = ()
    lasts: int = 0
    deaths: tuple[Death, ...] = ()
    cancelled: bool = False
    pause_s: float = 0.0
    foreign_s: float | None = None

    @property
    def tight(self) -> bool:
        return self.slippage_bps < 10


def draw(seed: int, case: int, *, real_share: float = 0.02, rollup: bool = False) -> Fate:
    """The fate of case `case` of `seed`; the same for ever. `rollup`: on its way to a sequencer, the only road there is."""
    rng = Random(f"{'rollup' if rollup else 'submission'} {seed} {case}")
    qty = rng.randrange(4 * 10**16, 25 * 10**16) // 10**7 * 10**7 + case % 10**7
    builders = BUILDERS if rng.random() < 0.8 else tuple(rng.sample(BUILDERS, rng.choice((1, 2))))
    if rollup:
        builders = (SEQUENCER,)
    faults: list[dict[str, Any]] = []
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2, 3))):
            kind = rng.choice(KINDS)
            where = "" if rollup else rng.choice((*builders, ""))
            fault = {
                "road": SEQUENCER if rollup else "private",
                "kind": kind,
                "count": rng.randint(1, 4),
                "builder": where,
            }
            faults.append(fault | ({"blocks": rng.randint(1, 2)} if kind == "delay" else {}))
    deaths: list[Death] = []
    real = rng.random() < real_share
    if real or rng.random() < 0.3:
        for _ in range(1 if real else rng.choice((1, 1, 1, 2, 3))):
            deaths.append(Death(rng.randrange(LAST_EVENT if not real else 13), rng.choice(MOMENTS), real))
    return Fate(
        seed,
        case,
        qty,
        rng.choice((1, 3, *[50] * 8, *[100] * 8)),
        builders,
        tuple(faults),
        rng.randint(1, 4) if faults else 0,
        tuple(deaths),
        rng.random() < 0.06,
        0.3 + rng.random(),
        _foreign_s(seed, case, rollup),
    )


def _foreign_s(seed: int, case: int, rollup: bool) -> float | None:
    rng = Random(f"foreign {seed} {case} {rollup}")
    return rng.random() if rng.random() < (0.12 if rollup else 0.04) else None
