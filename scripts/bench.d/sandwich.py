"""What a sandwich takes of a trade on a recorded market: sent publicly, publicly as Fairlead would, privately, and to a builder that leaks.

    python scripts/bench.d/sandwich.py --market FILE [--sell WETH --buy USDC] [--qty 5 25 100 400] [--slippage-bps 50]

naive    all of it through the one pool that gives most, with 50 bps of tolerance
fairlead Fairlead's own route over the same pools, with its own minimum on every leg (`--slippage-bps`, 50 where nobody says otherwise)
private  the same route where nobody sees it before its block: undisturbed by construction
leaky    the same route handed to a builder that shows it to the bot: as fairlead in public, until a canary has named that builder

The bot front-runs each swap it sees with the size that earns it most, pays the gas of its own two swaps at the file's fees, and attacks
only what pays. Pools are the file's, swaps the contracts' own integer arithmetic, which the devnet's bot (`devnet up --with sandwich`) proves
on the chain. Losses are in bps of what the same swaps give undisturbed. The second table sets what a wider minimum is for, orders that
still fill after the market moved, beside what it costs: moves of a recorded pool, minute by minute.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.amm import Pool
from agent.app.adversary.sizing import Victim, best, whole
from agent.app.clocked import timed_route
from agent.domain.errors import Usage
from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.market.view import MarketView

NAIVE_BPS = 50
RECORDED = (
    Path(os.environ.get("FAIRLEAD_DATA", "../shared/data")) / "markets/ethereum-2023-09-12.market.json.gz"
)
MOVES = Path(os.environ.get("FAIRLEAD_DATA", "../shared/data")) / "minute-series"
WIDTHS = (1, 5, 10, 20, 30, 50, 100, 200)
MINUTES = (1, 2, 5)


def loss_bps(fair: int, out: int) -> Decimal:
    return (Decimal(10_000 * (fair - out)) / fair).quantize(Decimal("0.01"))


def naive(pools: list[Pool], sold: AssetId, bought: AssetId, amount: int, gas_wei: int) -> tuple[int, int]:
    """(what the best single pool gives undisturbed, what it gives under attack)."""
    found = [(done.amount_out, p) for p in pools if (done := whole(p, sold, bought, amount))]
    fair, pool = max(found, key=lambda one: one[0])
    attack = best(
        Victim(pool, sold, bought, amount, fair * (10_000 - NAIVE_BPS) // 10_000, Fraction(gas_wei))
    )
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
        attack = best(Victim(view.pools[leg.id], sold, bought, leg.in_raw, minimum, Fraction(gas_wei)))
        out += attack.out if attack else leg.out_raw
    return fair, out, len(route.legs)


def recorded_ticks() -> list[int]:
    """The tick of Polygon's WETH/USDC pool minute by minute, 13 to 17 August 2023; nothing where the recording is not there."""
    files = sorted(MOVES.glob("polygon-0x45dda9cb7c25131df268515131f647d726f50608-*.minute.csv.zst"))
    if not files:
        return []
    import zstandard

    ticks: list[int] = []
    for file in files:
        with file.open("rb") as packed:
            text = zstandard.ZstdDecompressor().stream_reader(packed).read().decode()
        rows = csv.DictReader(io.StringIO(text))
        ticks += [int(float(row["closeTick"])) for row in rows if row["closeTick"]]
    return ticks


def filled_share(ticks: Sequence[int], minutes: int, width_bps: int) -> Decimal:
    """Per cent of recorded minutes after which a sale of WETH, planned `minutes` before, still got its minimum, moves alone counted."""
    # The pool's price is USDC in WETH: a sale of WETH gets 1.0001^-(ticks risen) of what it would have got.
    good = sum(
        1 - 1.0001 ** -(b - a) <= width_bps / 10_000 for a, b in zip(ticks, ticks[minutes:], strict=False)
    )
    return (Decimal(100 * good) / max(len(ticks) - minutes, 1)).quantize(Decimal("0.01"))


def widths(view: MarketView, sold: AssetId, bought: AssetId, amount: int, gas_wei: int) -> None:
    """What a wider minimum buys, filled orders, beside what it costs where the bot sees it."""
    ticks = recorded_ticks()
    if not ticks:
        print(f"no recorded moves at {MOVES}: no fill rates")
        return
    print(
        f"\nwidth of the minimum: {len(ticks)} recorded minutes of moves (with the fall of 17 August 2023); loss of that sale in public, bps"
    )
    print(
        f"{'width bps':>10}"
        + "".join(f" {f'filled {m} min %':>15}" for m in MINUTES)
        + f" {'public':>8} {'private':>8}"
    )
    for width in WIDTHS:
        fair, out, _ = ours(view, sold, bought, amount, width, gas_wei)
        shares = "".join(f" {filled_share(ticks, m, width):>15}" for m in MINUTES)
        print(f"{width:>10}{shares} {loss_bps(fair, out):>8} {loss_bps(fair, fair):>8}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--market", type=Path, default=RECORDED)
    parser.add_argument("--sell", default="WETH")
    parser.add_argument("--buy", default="USDC")
    parser.add_argument("--slippage-bps", type=int, default=50)
    parser.add_argument(
        "--qty", nargs="+", type=Decimal, default=[Decimal(n) for n in (1, 25, 100, 400, 1000, 2000)]
    )
    parser.add_argument(
        "--width-qty", type=Decimal, default=Decimal(400), help="the sale of the table of widths"
    )
    options = parser.parse_args()
    if not options.market.exists():
        print(f"no market file at {options.market}: name one with --market")
        return 0
    data = options.market.read_bytes()
    recorded = parse_text(gzip.decompress(data) if options.market.suffix == ".gz" else data)
    named = {asset.symbol: (id_, asset.decimals) for id_, asset in recorded.assets.items()}
    (sold, decimals), (bought, _) = named[options.sell], named[options.buy]
    at = next(iter(recorded.gas.values()))
    if sold != at.native_as:
        raise Usage(
            "BAD_MARKET_FILE",
            f"{options.sell} is not what gas is paid in",
            "sell that: the bot counts its gas in it",
        )
    pools = {name: p for name, p in recorded.pools.items() if sold in p.assets and bought in p.assets}
    view, gas_wei = replace(recorded, pools=pools, books=()), at.base_fee_wei + at.priority_fee_wei
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
    widths(view, sold, bought, int(options.width_qty.scaleb(decimals)), gas_wei)
    return 0


if __name__ == "__main__":
    sys.exit(main())
