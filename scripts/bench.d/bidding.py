"""What our bids for a block cost above the best in hindsight, and how soon they get in.

    python scripts/bench.d/bidding.py [--seed 1] [--submissions 20000]

Base fees: the recorded gas price of 14-17 August 2023, by the minute (5,760 of them, a crash among them), carried from minute to minute
block by block as EIP-1559 can move; the series is Polygon's, no block-by-block one of mainnet is among the data. Tips: those of the three
recorded mainnet blocks, two of them full. Builders: 49, 28 and 17 per cent of the slots that have any private flow, which 10 per cent have
not; drawn by the seed. The bid is `chains.gas.bid` with the engine's own replacement after three slots.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.analytics.bidding import Bid, Paid, base_fees, regret_bps_up, slots, submit, within
from chains.gas import Urgency

DATA = Path(os.environ.get("FAIRLEAD_DATA", "../shared/data"))
BLOCKS = (15538827, 15752489, 17666333)
LEAST_2, LEAST_5 = 90, 99
GWEI = Decimal(10**9)


def unpacked(path: Path) -> str:
    import zstandard

    with path.open("rb") as packed:
        return str(zstandard.ZstdDecompressor().stream_reader(packed).read().decode())


def levels() -> list[int]:
    lines = unpacked(DATA / "minute-series/gas_price.csv.zst").splitlines()[1:]
    return [int(Decimal(line.split(",")[1]) * GWEI) for line in lines if line]


def recorded(number: int) -> Paid:
    block = json.loads(unpacked(DATA / f"mainnet-blocks/{number}.block.json.zst"))
    base = int(block["baseFeePerGas"], 16)
    tips = sorted(max(int(tx["gasPrice"], 16) - base, 0) for tx in block["transactions"])
    full = int(block["gasUsed"], 16) * 100 >= int(block["gasLimit"], 16) * 95
    return Paid(tuple(tips), full)


def told(name: str, values: list[int]) -> str:
    ordered = sorted(values)
    p95 = ordered[int(len(ordered) * 0.95)]
    mean = sum(ordered) / len(ordered)
    return f"{name:<52} mean {mean:8.0f} bps   p50 {median(ordered):8.0f}   p95 {p95:8.0f}"


def line(urgency: Urgency, bids: list[Bid]) -> bool:
    two, five = within(bids, 2) * 100 / len(bids), within(bids, 5) * 100 / len(bids)
    never = sum(one.waited == 0 for one in bids)
    print(f"\n{urgency.name.lower()}: {len(bids)} submissions")
    print(
        f"  in within 2 slots {two:.2f} % (least {LEAST_2}), within 5 {five:.2f} % (least {LEAST_5}), never {never}"
    )
    done = [one for one in bids if one.waited]
    print(
        "  "
        + told(
            "regret against the least tip of the same slot", [regret_bps_up(b, b.same_slot_wei) for b in done]
        )
    )
    print(
        "  "
        + told(
            "regret against the cheapest of the first 5 slots", [regret_bps_up(b, b.best_wei) for b in done]
        )
    )
    return two >= LEAST_2 and five >= LEAST_5


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--submissions", type=int, default=20_000)
    given = words.parse_args()
    if not (DATA / "minute-series").exists():
        print(f"no recorded data in {DATA}: name its folder by FAIRLEAD_DATA")
        return 0
    rng = Random(given.seed)
    fees = base_fees(levels())
    chain = slots(fees, [recorded(number) for number in BLOCKS], rng.randrange)
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, seed {given.seed}"
    )
    print(f"{len(chain)} slots, base fee {min(fees) / 1e9:.1f} to {max(fees) / 1e9:.1f} gwei")
    starts = [rng.randrange(10, len(chain) - 12) for _ in range(given.submissions)]
    rising = [at for at in starts if chain[at + 1].base_fee_wei * 16 > chain[at].base_fee_wei * 17]
    held = [line(urgency, [submit(chain, at, urgency) for at in starts]) for urgency in Urgency]
    print("\nof these, begun while the base fee rose by a sixteenth or more a block:")
    line(Urgency.NORMAL, [submit(chain, at) for at in rising])
    return 0 if held[list(Urgency).index(Urgency.NORMAL)] else 1


if __name__ == "__main__":
    sys.exit(main())
