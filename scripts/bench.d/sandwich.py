"""What a sandwich takes of a trade on a recorded market: sent publicly, publicly as Fairlead would, privately, and to a builder that leaks.

    python scripts/bench.d/sandwich.py --market FILE [--sell WETH --buy USDC] [--qty 5 25 100 400] [--slippage-bps 50]

naive    all of it through the one pool that gives most, with 50 bps of tolerance
fairlead Fairlead's own route over the same pools, with its own minimum on every leg (`--slippage-bps`, 50 where nobody says otherwise)
private  the same route where nobody sees it before its block: undisturbed by construction
leaky    the same route handed to a builder that shows it to the bot: as fairlead in public, until a canary has named that builder

The bot front-runs each swap it sees with the size that earns it most, pays the gas of its own two swaps at the file's fees, and attacks
only what pays. Pools are the file's, swaps the contracts' own integer arithmetic. Losses are in bps of what the same swaps give undisturbed.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.amm import Pool, Reverted, Swapped, swap_exact_in
from agent.app.clocked import timed_route
from agent.domain.errors import Usage
from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.market.view import MarketView

NAIVE_BPS = 50
RECORDED = (
    Path(os.environ.get("FAIRLEAD_DATA", "../shared/data")) / "markets/ethereum-2023-09-12.market.json.gz"
)
SWAP_GAS = 60_000
"""What a bot's own contract takes around a swap, beside the pool's gas."""


@dataclass(frozen=True)
class Attack:
    """What the bot does and gets, base units of what the victim sells; the victim's `out` after it."""

    front: int
    profit: int
    out: int


def out_of(pool: Pool, sold: str, bought: str, amount: int) -> Swapped | None:
    done = swap_exact_in(pool, sold, bought, amount)
    return None if isinstance(done, Reverted) or not done.complete else done


@dataclass(frozen=True)
class Victim:
    """One swap as the bot sees it; `gas_wei` a unit of gas."""

    pool: Pool
    sold: AssetId
    bought: AssetId
    amount: int
    minimum: int
    gas_wei: int

    def attacked(self, front: int) -> Attack | None:
        """Front-run with `front`, the victim's swap, everything back. None where the victim's would revert."""
        first = out_of(self.pool, self.sold, self.bought, front)
        theirs = out_of(first.after, self.sold, self.bought, self.amount) if first else None
        if first is None or theirs is None or theirs.amount_out < self.minimum:
            return None
        back = out_of(theirs.after, self.bought, self.sold, first.amount_out)
        if back is None:
            return None
        gas = (first.gas + back.gas + 2 * SWAP_GAS) * self.gas_wei
        return Attack(front, back.amount_out - front - gas, theirs.amount_out)


def best(victim: Victim) -> Attack | None:
    """The bot's best: the largest front-run that the minimum allows, by bisection, and smaller ones beside it. None where none pays."""
    low, high = 0, victim.amount
    while victim.attacked(high) is not None and high < victim.amount * 64:
        low, high = high, high * 2
    while high - low > max(victim.amount // 10**6, 1):
        middle = (low + high) // 2
        if victim.attacked(middle) is None:
            high = middle
        else:
            low = middle
    sizes = {low * n // 32 for n in range(1, 33)} - {0}
    paying = [a for size in sizes if (a := victim.attacked(size)) and a.profit > 0]
    return max(paying, key=lambda a: a.profit, default=None)


def loss_bps(fair: int, out: int) -> Decimal:
    return (Decimal(10_000 * (fair - out)) / fair).quantize(Decimal("0.01"))


def naive(pools: list[Pool], sold: AssetId, bought: AssetId, amount: int, gas_wei: int) -> tuple[int, int]:
    """(what the best single pool gives undisturbed, what it gives under attack)."""
    found = [(done.amount_out, p) for p in pools if (done := out_of(p, sold, bought, amount))]
    fair, pool = max(found, key=lambda one: one[0])
    attack = best(Victim(pool, sold, bought, amount, fair * (10_000 - NAIVE_BPS) // 10_000, gas_wei))
    return fair, attack.out if attack else fair


def ours(
    view: MarketView, sold: AssetId, bought: AssetId, amount: int, slippage_bps: int, gas_wei: int
) -> tuple[int, int, int]:
    """(what Fairlead's route gives undisturbed, what under attack on every leg that pays, how many legs)."""
    route = timed_route(view, sold, bought, amount, max_hops=1)
    fair = sum(leg.out_raw for leg in route.legs)
    out = 0
    for leg in route.legs:
        minimum = leg.out_raw * (10_000 - slippage_bps) // 10_000
        attack = best(Victim(view.pools[leg.id], sold, bought, leg.in_raw, minimum, gas_wei))
        out += attack.out if attack else leg.out_raw
    return fair, out, len(route.legs)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--market", type=Path, default=RECORDED)
    parser.add_argument("--sell", default="WETH")
    parser.add_argument("--buy", default="USDC")
    parser.add_argument("--slippage-bps", type=int, default=50)
    parser.add_argument(
        "--qty", nargs="+", type=Decimal, default=[Decimal(n) for n in (1, 25, 100, 400, 1000, 2000)]
    )
    options = parser.parse_args()
    if not options.market.exists():
        print(f"no market file at {options.market}: name one with --market")
        return 0
    data = options.market.read_bytes()
    whole = parse_text(gzip.decompress(data) if options.market.suffix == ".gz" else data)
    named = {asset.symbol: (id_, asset.decimals) for id_, asset in whole.assets.items()}
    (sold, decimals), (bought, _) = named[options.sell], named[options.buy]
    at = next(iter(whole.gas.values()))
    if sold != at.native_as:
        raise Usage(
            "BAD_MARKET_FILE",
            f"{options.sell} is not what gas is paid in",
            "sell that: the bot counts its gas in it",
        )
    pools = {name: p for name, p in whole.pools.items() if sold in p.assets and bought in p.assets}
    view, gas_wei = replace(whole, pools=pools, books=()), at.base_fee_wei + at.priority_fee_wei
    print(
        f"{len(pools)} pools of {options.sell}/{options.buy}, gas at {gas_wei} wei; loss in bps of the same swaps undisturbed"
    )
    print(
        f"{'sold':>6} {'one pool':>16} {'naive':>7} {'fairlead':>16} {'legs':>4} {'public':>7} {'private':>7} {'leaky':>7}"
    )
    for qty in options.qty:
        amount = int(qty.scaleb(decimals))
        alone, attacked = naive(list(pools.values()), sold, bought, amount, gas_wei)
        fair, out, legs = ours(view, sold, bought, amount, options.slippage_bps, gas_wei)
        public = loss_bps(fair, out)
        print(
            f"{qty:>6} {alone:>16} {loss_bps(alone, attacked):>7} {fair:>16} {legs:>4} {public:>7} {loss_bps(fair, fair):>7} {public:>7}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
