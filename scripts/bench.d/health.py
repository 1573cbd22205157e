"""Ten thousand lending accounts against new prices: float screen and integer confirm, beside all of them in integers.

    python scripts/bench.d/health.py [--accounts 10000] [--seed 1] [--runs 31] [--json]

Both answer from the same balances; the accounts below a factor of one, and each factor, must be identical at every price. Times are
of this process's own CPU. Exit 1 where the median is over 5 ms or anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from lending_crowd import AT, crowd

from agent.margin.screen import Screen

TARGET_MS = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=31)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    accounts, prices = crowd(given.accounts, given.seed)
    screen, draw = Screen(accounts, AT), random.Random(given.seed)
    fast: list[float] = []
    slow: list[float] = []
    below: list[int] = []
    confirmed: list[int] = []
    same = True
    for _ in range(given.runs):
        moved = {asset: int(px * draw.uniform(0.99, 1.01)) for asset, px in prices.items()}
        begun = time.process_time()
        told = screen.below(moved)
        between = time.process_time()
        exact = screen.all_integer(moved)
        slow.append((time.process_time() - between) * 1e3)
        fast.append((between - begun) * 1e3)
        below.append(len(told.below))
        confirmed.append(told.confirmed)
        same = same and dict(told.below) == exact
    median = statistics.median(fast)
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seed": given.seed,
        "accounts": given.accounts,
        "runs": given.runs,
        "screen_ms": round(median, 3),
        "screen_worst_ms": round(max(fast), 3),
        "all_integer_ms": round(statistics.median(slow), 3),
        "below_median": statistics.median(below),
        "confirmed_median": statistics.median(confirmed),
        "identical": same,
    }
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['machine']}, seed {given.seed}")
        print(f"{given.accounts} accounts, {given.runs} sets of prices")
        print(f"screen and confirm   {median:8.2f} ms (worst {max(fast):.2f}), target {TARGET_MS}")
        print(f"all in integers      {statistics.median(slow):8.2f} ms")
        print(
            f"below one            {statistics.median(below):8.0f}, {statistics.median(confirmed):.0f} computed in integers"
        )
        print(f"same accounts and factors: {'yes' if same else 'NO'}")
    return 0 if same and median <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
