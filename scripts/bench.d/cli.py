"""`fairlead --help`: how long a person waits, beside a bare Python that does nothing.

python scripts/bench.d/cli.py [--runs 20]        Exit 1 where the p50 is over 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

TARGET_S = 0.3


def seconds(command: list[str], runs: int) -> list[float]:
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - began)
    return sorted(found)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=20)
    runs = words.parse_args().runs
    fairlead = str(Path(sys.executable).with_name("fairlead"))
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {runs} runs each"
    )
    peer = seconds([sys.executable, "-c", "pass"], runs)
    slow = False
    for line in (["--help"], ["--version"], ["trade", "--help"], ["journal", "--help"]):
        found = seconds([fairlead, *line], runs)
        p50 = statistics.median(found)
        slow |= p50 > TARGET_S
        print(
            f"fairlead {' '.join(line):<16} p50 {p50 * 1e3:6.0f} ms   max {found[-1] * 1e3:6.0f} ms   ratio to bare Python {p50 / statistics.median(peer):.1f}"
        )
    print(
        f"bare Python               p50 {statistics.median(peer) * 1e3:6.0f} ms; target {TARGET_S * 1e3:.0f} ms"
    )
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
