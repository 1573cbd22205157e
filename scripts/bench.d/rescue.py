"""From an account as it was read to the cheapest plan that restores its health: the decision of a rescue, without reads and signing.

    python scripts/bench.d/rescue.py [--accounts 1000] [--seed 1] [--json]

Accounts have four reserves, two of them owed, and four means to choose from and to combine. Times are of this process's own CPU; exit 1
where the slowest hundredth takes more than 10 ms.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from troubled_loans import AT, account, means

from agent.margin import aave_v3_0, aave_v3_6
from agent.margin.rescue import plans

TARGET_MS, HEALTH_1E18, LIFE_S = 10.0, 135 * 10**16, 180


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    took: list[float] = []
    planned = 0
    for number in range(given.accounts):
        seed = given.seed * 1_000_000 + number
        model, one = (aave_v3_0.MODEL, aave_v3_6.MODEL)[number % 2], account(seed)
        at_hand = means(random.Random(-seed))
        begun = time.process_time()
        factor = model.account_data(one, AT).health_1e18
        if factor is not None and factor < HEALTH_1E18:
            planned += bool(plans(model, one, (AT, AT + LIFE_S), HEALTH_1E18, at_hand))
        took.append((time.process_time() - begun) * 1e3)
    ranked = sorted(took)
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seed": given.seed,
        "accounts": given.accounts,
        "planned": planned,
        "median_ms": round(statistics.median(took), 3),
        "p99_ms": round(ranked[len(ranked) * 99 // 100], 3),
        "worst_ms": round(ranked[-1], 3),
    }
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['machine']}, seed {given.seed}")
        print(f"{given.accounts} accounts, {planned} of them with a plan")
        print(
            f"decision   median {found['median_ms']} ms, p99 {found['p99_ms']} ms, worst {found['worst_ms']} ms; target p99 {TARGET_MS}"
        )
    return 0 if ranked[len(ranked) * 99 // 100] <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
