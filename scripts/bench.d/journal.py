"""Durable events per second of the journal, beside the disk's own fdatasync and a plain one-row-per-transaction SQLite.

    python scripts/bench.d/journal.py [--seconds 2] [--seed 1] [--dir FOLDER] [--json]

Every figure is taken on the same file system, in the same process, one after the other. Exit 1 where the journal with group
commit stays below 5,000 durable events a second at 64 writers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.domain.events import Observed
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.submission_state import Observation
from agent.journal.registry import event_codec
from agent.journal.store import Journal
from chains.types import Hash32

TARGET = 5_000


class WallClock:
    def now_ns(self) -> int:
        return time.time_ns()


def event(chance: random.Random) -> Observed:
    return Observed(
        ClOrdId(f"fl-{chance.randrange(1000):020d}"),
        Place("eip155:1"),
        chance.choice(list(Observation)),
        Hash32(f"0x{chance.getrandbits(256):064x}"),
        19_000_000,
        f"0x{chance.getrandbits(256):064x}",
        21_000,
        chance.getrandbits(40),
        0,
        time.time_ns(),
    )


def percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_us": round(statistics.median(ordered) * 1e6, 1),
        "p99_us": round(ordered[int(len(ordered) * 0.99)] * 1e6, 1),
    }


def disk(folder: Path, seconds: float) -> dict[str, object]:
    fd = os.open(folder / "fdatasync", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    took, row, stop = [], b"x" * 400, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        os.write(fd, row)
        os.fdatasync(fd)
        took.append(time.perf_counter() - start)
    os.close(fd)
    return {
        "what": "disk: append 400 B + fdatasync",
        "per_s": round(len(took) / sum(took)),
        **percentiles(took),
    }


def peer(folder: Path, seconds: float, chance: random.Random) -> dict[str, object]:
    db = sqlite3.connect(folder / "peer.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, at_ns INTEGER, kind TEXT, payload BLOB)")
    codec, took, stop = event_codec(), [], time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        kind, _, payload = codec.encode(event(chance))
        db.execute(
            "INSERT INTO entries (at_ns, kind, payload) VALUES (?, ?, ?)", (time.time_ns(), kind, payload)
        )
        took.append(time.perf_counter() - start)
    db.close()
    return {
        "what": "peer: sqlite3, one row a transaction",
        "per_s": round(len(took) / sum(took)),
        **percentiles(took),
    }


async def durable(folder: Path, seconds: float, writers: int, chance: random.Random) -> dict[str, object]:
    journal = Journal.open(
        folder / f"j{writers}.db", clock=WallClock(), environment="devnet", codec=event_codec()
    )
    took: list[float] = []
    begin = time.perf_counter()

    async def write() -> None:
        while time.perf_counter() < begin + seconds:
            one = event(chance)
            start = time.perf_counter()
            await journal.record_durably(one)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*[write() for _ in range(writers)])
    rate = len(took) / (time.perf_counter() - begin)
    journal.close()
    return {"what": f"journal: durable, {writers} writers", "per_s": round(rate), **percentiles(took)}


async def cheap(folder: Path, chance: random.Random) -> dict[str, object]:
    journal = Journal.open(folder / "cheap.db", clock=WallClock(), environment="devnet", codec=event_codec())
    took = []
    for _ in range(5_000):
        one = event(chance)
        start = time.perf_counter()
        await journal.record(one)
        took.append(time.perf_counter() - start)
    journal.close()
    return {
        "what": "journal: record, durability not awaited",
        "per_s": round(len(took) / sum(took)),
        **percentiles(took),
    }


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--dir", type=Path, help="where the files are made; its disk is the one measured")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(dir=chosen.dir) as name:
        folder = Path(name)
        rows = [disk(folder, chosen.seconds), peer(folder, chosen.seconds, chance)]
        for writers in (1, 16, 64):
            rows.append(asyncio.run(durable(folder, chosen.seconds, writers, chance)))
        rows.append(asyncio.run(cheap(folder, chance)))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    reached = int(str(rows[4]["per_s"]))
    if chosen.json:
        print(
            json.dumps(
                {
                    "machine": machine,
                    "seed": chosen.seed,
                    "target_per_s": TARGET,
                    "rows": rows,
                    "ok": reached >= TARGET,
                }
            )
        )
    else:
        print(f"{machine}; seed {chosen.seed}")
        for row in rows:
            print(
                f"  {row['what']:42} {row['per_s']:>8,}/s   p50 {row['p50_us']:>8} us   p99 {row['p99_us']:>9} us"
            )
        print(
            f"  target: {TARGET:,} durable events/s with group commit: {'reached' if reached >= TARGET else 'MISSED'}"
        )
    return 0 if reached >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
