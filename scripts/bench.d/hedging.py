"""What hedging costs at equal risk: by the clock and by the Whalley–Wilmott band, with costs of 5 bps and with gas besides.

    python scripts/bench.d/hedging.py [--paths 8000] [--seed 1] [--json]

A short call at the money, 30 days, volatility 60 %, looked at every hour; both rules see the same prices. Costs are compared where the
standard deviation of the P&L, costs included, is the same. Exit 1 where the band saves less than 35 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from hedge_paths import GAS, compare

LEAST = 0.35


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    begun = time.perf_counter()
    rows = [
        {
            "gas_usd": gas,
            "std": std,
            "clock": round(clock, 4),
            "band": round(band, 4),
            "saved": round(1 - band / clock, 4),
        }
        for gas in (0.0, GAS)
        for std, clock, band in compare(given.paths, given.seed, gas)
    ]
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seed": given.seed,
        "paths": given.paths,
        "took_s": round(time.perf_counter() - begun, 1),
        "rows": rows,
    }
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['machine']}, seed {given.seed}, {given.paths} paths, {found['took_s']} s")
        print("gas USD   std of P&L   clock USD   band USD   saved")
        for row in rows:
            print(
                f"{row['gas_usd']:7} {row['std']:12} {row['clock']:11} {row['band']:10} {row['saved']:7.1%}"
            )
    return 0 if all(float(row["saved"]) >= LEAST for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
