"""Random books of several accounts under every model: none is called safe that is not, and each printed price flips its account.

    python scripts/bench.d/books.py [--books 2000] [--seed 1] [--part 5000] [--kept FILE] [--json]

With --kept what was counted stays in FILE, and the same command goes on where it was cut short; a changed model begins anew. A million books
take some seventy-five minutes of one core's time (books.txt). Exit 1 with the account where one does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from book_runs import Counted, parts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, default=5_000)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    total = Counted()
    try:
        for number, counted, known in parts(given.books, given.seed, given.part, given.kept):
            total.add(counted)
            if given.books > given.part:
                print(
                    f"part {number}: {total.books:,} books, {total.accounts:,} accounts, {total.prices:,} prices"
                    f"{' (kept)' if known else ''}",
                    file=sys.stderr,
                    flush=True,
                )
    except AssertionError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(asdict(total), indent=2))
        return 0
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, seed {given.seed}"
    )
    print(f"{total.books:,} books, {total.accounts:,} accounts, {total.fallen:,} of them liquidatable")
    print(
        f"{total.prices:,} liquidation prices, each flips its account; no account is called safe that is not"
    )
    print(", ".join(f"{name} {count:,}" for name, count in sorted(total.models.items())))
    print(f"{total.cpu_s:.0f} s of CPU, {total.cpu_s / total.books * 1e3:.2f} ms a book")
    return 0


if __name__ == "__main__":
    sys.exit(main())
