"""Book levels a second from raw Binance frames to a book kept in step, in exact decimals, beside ccxt's streams on the same frames.

    python scripts/bench.d/feeds.py [--rounds 3] [--seconds 20] [--instruments 200] [--json]

Both read the same recorded minutes (spot and perpetual), one core, CPU time, the best of the rounds; ccxt in an environment of its
own, its sequence checks left out. Then the load: so many instruments fed as fast as this core can, a consumer that takes one state
in a millisecond at most, ten instruments working, forty held: how old a state is when it is read, and what memory does. `--seconds
600` is the long run. Exit 1 below 100,000 levels a second, above 50 ms (p99, working), or where memory grows by more than a tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from recordings import minutes

from agent.market.conflation import Conflation, Priority
from agent.market.feed import BookDelta, BookSnapshot, Event
from agent.market.ladder import BookRules, Ladder
from agent.venues.binance_spot import feed as spot
from agent.venues.binance_usdm import feed as usdm

ROOT = Path(__file__).resolve().parents[2]
TARGET, STALENESS_MS = 100_000, 50.0
BUCKET_NS = 10_000
RULES = BookRules(overlap=True, skew_ns=0)


def frames(market: str) -> list[bytes]:
    """The REST snapshot, then every depth frame after it."""
    told = [frame.strip() for _, frame in minutes(market) if b"@depth" in frame or b'"lastUpdateId"' in frame]
    at = next(i for i, frame in enumerate(told) if b'"lastUpdateId"' in frame)
    begins = json.loads(told[at])["lastUpdateId"]
    later = [
        f
        for f in [*told[:at], *told[at + 1 :]]
        if json.loads(f[f.index(b'{"stream"') :])["data"]["u"] > begins
    ]
    return [told[at], *later]


def ours(market: str, told: list[bytes]) -> dict[str, Any]:
    module = spot if market == "spot" else usdm
    ladder = Ladder("BTCUSDT", RULES)
    (start,) = module.depth("BTCUSDT", told[0])
    assert isinstance(start, BookSnapshot)
    ladder.load(start, 0)
    decode: Callable[[bytes], tuple[Event, ...]] = module.decode
    begin = time.process_time()
    for frame in told[1:]:
        for event in decode(frame):
            if isinstance(event, BookDelta):
                ladder.apply(event, event.at_ns)
    took = time.process_time() - begin
    assert ladder.doubt is None
    bid, ask = ladder.touch()
    assert bid is not None and ask is not None
    return {"levels": ladder.updates, "cpu_s": took, "bid": str(bid[0]), "ask": str(ask[0])}


def theirs(told: list[bytes]) -> dict[str, Any] | None:
    python = os.environ.get("FAIRLEAD_PEERS")
    if not python:
        return None
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join(told))
        file.flush()
        done = subprocess.run(
            [python, str(ROOT / "scripts" / "peers" / "ccxt_books.py"), file.name],
            capture_output=True,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def touch_agrees(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return float(a["bid"]) == float(b["bid"]) and float(a["ask"]) == float(b["ask"])


def resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def load(told: list[bytes], instruments: int, seconds: float) -> dict[str, Any]:
    """One recording for every instrument, each at its own place in it; the consumer takes one state a millisecond."""
    symbols = [f"S{n}" for n in range(instruments)]
    priority = {
        s: Priority.WORKING if n < 10 else Priority.HELD if n < 50 else Priority.WATCHED
        for n, s in enumerate(symbols)
    }
    (start,) = usdm.depth("BTCUSDT", told[0])
    assert isinstance(start, BookSnapshot)
    ladders = {s: Ladder(s, RULES) for s in symbols}
    at = {s: 1 + n * 31 % (len(told) - 1) for n, s in enumerate(symbols)}
    news: Conflation[tuple[int, Ladder]] = Conflation(instruments)
    ages: dict[Priority, Counter[int]] = {
        p: Counter() for p in Priority
    }  # by BUCKET_NS: what measures must not grow
    begin = time.perf_counter_ns()
    ends, next_take, number, levels, warm_mb = begin + int(seconds * 1e9), begin, 0, 0, 0.0
    while (now := time.perf_counter_ns()) < ends:
        symbol = symbols[number % instruments]
        ladder, number = ladders[symbol], number + 1
        (event,) = usdm.decode(told[at[symbol]])
        assert isinstance(event, BookDelta)
        if at[symbol] == 1 or ladder.doubt is not None or ladder.seq != event.prev:
            ladder.load(replace(start, seq=event.prev), now)
        at[symbol] = at[symbol] % (len(told) - 1) + 1
        ladder.apply(event, now)
        levels += len(event.bids) + len(event.asks)
        news.put(symbol, priority[symbol], (now, ladder))
        while next_take <= time.perf_counter_ns():
            taken = news.take()
            next_take += 1_000_000
            if taken is None:
                continue
            ages[taken[1]][(time.perf_counter_ns() - taken[2][0]) // BUCKET_NS] += 1
        if not warm_mb and now - begin > seconds * 1e9 / 4:
            warm_mb = resident_mb()
    return {
        "instruments": instruments,
        "seconds": seconds,
        "levels_per_s": round(levels / seconds),
        "age_ms_p99": {p.name: percentile(ages[p], 0.99) for p in Priority},
        "age_ms_p50": {p.name: percentile(ages[p], 0.5) for p in Priority},
        "conflated": {p.name: news.conflated[p] for p in Priority},
        "dropped": sum(news.dropped.values()),
        "resident_mb": [round(warm_mb, 1), round(resident_mb(), 1)],
    }


def percentile(ages: Counter[int], share: float) -> float | None:
    """Milliseconds that so many of the readings were not above, to the bucket's upper end."""
    left = int(ages.total() * share)
    for bucket in sorted(ages):
        left -= ages[bucket]
        if left < 0:
            return round((bucket + 1) * BUCKET_NS / 1e6, 3)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--instruments", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    out: dict[str, Any] = {"machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}  # fmt: skip
    good = True
    for market in ("spot", "usdm"):
        told = frames(market)
        mine = min((ours(market, told) for _ in range(given.rounds)), key=lambda r: r["cpu_s"])
        peers = [r for r in (theirs(told) for _ in range(given.rounds)) if r is not None]
        peer = min(peers, key=lambda r: r["cpu_s"]) if peers else None
        rate = mine["levels"] / mine["cpu_s"]
        good &= rate >= TARGET
        line: dict[str, Any] = {"levels": mine["levels"], "fairlead_per_s": round(rate)}
        if peer is not None:
            line |= {
                "ccxt": peer["version"],
                "ccxt_per_s": round(peer["levels"] / peer["cpu_s"]),
                "same_touch_at_the_end": touch_agrees(mine, peer),
            }
        out[market] = line
    out["load"] = load(frames("usdm"), given.instruments, given.seconds)
    p99 = out["load"]["age_ms_p99"]["WORKING"]
    warm, end = out["load"]["resident_mb"]
    good &= p99 is not None and p99 <= STALENESS_MS and end <= warm * 1.1
    if given.json:
        print(json.dumps(out))
    else:
        print(out["machine"])
        for market in ("spot", "usdm"):
            one = out[market]
            beside = f"ccxt {one['ccxt']} {one['ccxt_per_s']:,}/s" if "ccxt" in one else "ccxt is not here (FAIRLEAD_PEERS)"  # fmt: skip
            print(
                f"{market:5} {one['levels']:,} book levels: {one['fairlead_per_s']:,}/s per core · {beside}"
            )
        print(f"load  {json.dumps(out['load'])}")
        print("all within their targets" if good else "a target is missed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
