"""How far from the best the router's answers are, proved: the recorded user orders over the recorded mainnet market.

    python scripts/bench.d/certificates.py [--count 60] [--seed 1] [--all] [--gross] [--drawn] [--low] [--alone] [--compiled] [--fresh] [--json]

With `--gross` gas costs nothing and the market is first rid of its arbitrage, by exact swaps: the gap of the routing alone.
With `--drawn` the orders are drawn instead: any two assets with a reference price, from $1,000 to $5,000,000, at 5, 15, 50 and 200 gwei in turn;
`--low` draws them from $100 to $1,000.
Every answer is certified and its certificate checked by the checker alone. The gap is net of gas, against everything that was
loaded: against plans whose chains of legs are as long as the router's own where the certificate says so (`universe.hops`), and that have no more legs than it may have where the plan has as many
(`universe.legs`), against any others. Beside it stand the best single path, a hundred greedy chunks and the 5 % grid
of the field's most used router over the same candidate paths, all executed exactly. The market holds arbitrage of its own (one stable pool alone is 13 % off), and bounds contain
what circles between assets in between could earn: there the gap is wide however good the plan. Times are CPU times of this process,
whose garbage collector looks as seldom as that of every command.
`--all` takes all 522 recorded orders, `--drawn --count 1000` as many drawn ones: hours with what stands beside, which `--alone` leaves out. Every order's row
is kept in the cache folder as it is made, so that a run that was interrupted goes on where it stopped; `--fresh` begins again. `certificates.txt` beside this keeps a run. Exit 1 where a certificate is missing or not valid, or an answer is below a baseline.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

import numpy
from kept_rows import KeptRows
from levelled import free, levelled
from routing import grid_split

from agent.app.entry import collect_seldom
from agent.domain.errors import FairleadError
from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.arbitrage import traded_out
from agent.routing.certificate.check import check
from agent.routing.certify import certified
from agent.routing.graph import Graph
from agent.routing.greedy import best_plan, single_path, whole
from agent.routing.plan import make_plan
from agent.routing.problem import Problem, pose
from agent.routing.report import route_json, route_of
from agent.routing.search import Search
from agent.routing.warm import warm
from chains.devnet.paths import cache_dir

ROOT = Path(__file__).resolve().parents[2]
CHUNKS = 100
GWEI = (5, 15, 50, 200)


def data_folder() -> Path:
    return Path(os.environ.get("FAIRLEAD_DATA", ROOT.parent / "shared" / "data"))


def baselines(problem: Problem) -> dict[str, int]:
    """Net outputs of the best single path and of a greedy split in equal chunks, both executed exactly."""
    search, found = Search(problem), {}
    splits = [single_path(search, k) for k in range(len(problem.paths))]
    nets = [
        p.net for s in splits if s is not None and (p := whole(problem, make_plan(problem, s))) is not None
    ]
    if nets:
        found["one path"] = max(nets)
    split = search.run(problem.amount, CHUNKS, 1.0)
    plan = whole(problem, make_plan(problem, split)) if not split.left else None
    if plan is not None:
        found["greedy 100"] = plan.net
    grid = grid_split(problem) if not any(hop.book for path in problem.paths for hop in path.hops) else None
    if grid is not None:
        # It counts gas in floats.
        found["5 % grid"] = grid - grid // 10**9
    return found


def at_gas(view: MarketView, gwei: int) -> MarketView:
    return replace(view, gas={p: replace(g, base_fee_wei=gwei * 10**9, priority_fee_wei=0) for p, g in view.gas.items()})  # fmt: skip


def drawn(view: MarketView, chance: random.Random, count: int, low: bool = False) -> list[dict[str, Any]]:
    """Orders between assets that pools trade, those traded by more of them more often; sizes even in their logarithm."""
    traded = [
        a
        for pool in view.pools.values()
        for a in pool.assets
        if view.reference_px_native.get(AssetId(a), 0) > 0
    ]
    dollar = float(view.reference_px_native[view.asset("USDC").id])
    found: list[dict[str, Any]] = []
    while len(found) < count:
        sell, buy = (AssetId(asset) for asset in chance.sample(traded, 2))
        if sell == buy:
            continue
        whole_units = (
            10 ** chance.uniform(*((2, 3) if low else (3, 6.7)))
            * dollar
            / float(view.reference_px_native[sell])
        )
        raw = int(whole_units * 10 ** view.assets[sell].decimals)
        found.append({"sell": sell, "buy": buy, "sell_raw": str(raw), "gwei": GWEI[len(found) % len(GWEI)]})
    return found


def one(view: MarketView, graph: Graph, order: dict[str, Any], alone: bool) -> dict[str, Any] | None:
    """Everything measured of one order; None where there is no route."""
    try:
        begun = time.process_time()
        problem = pose(view, order["sell"], order["buy"], int(order["sell_raw"]), max_hops=4, graph=graph)
        plan = best_plan(problem)
        searched = time.process_time()
    except FairleadError:
        return None
    route = certified(problem, route_of(problem, plan))
    ended = time.process_time()
    verdict = check(json.loads(json.dumps(route_json(route))), view)
    checked = time.process_time()
    beside = {} if alone else baselines(problem)
    return {
        "pair": f"{view.assets[route.sell].symbol}>{view.assets[route.buy].symbol}",
        "legs": len(route.legs),
        "gwei": order.get("gwei"),
        "gap_bps": route.certificate.gap_bps if route.certificate else None,
        "gas_bps": plan.gas_raw * 1e4 / plan.net if plan.net > 0 else None,
        "certified": route.certificate is not None,
        "valid": verdict.valid,
        "search_ms": (searched - begun) * 1e3,
        "certify_ms": (ended - searched) * 1e3,
        "check_ms": (checked - ended) * 1e3,
        "over_bps": {n: (plan.net - net) * 1e4 / net if net > 0 else None for n, net in beside.items()},
        "below": [name for name, net in beside.items() if plan.net < net],
    }


def spread(values: list[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    shown = (
        ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.25, 0.5, 0.75, 0.95, 0.99)
    )
    return " · ".join(f"p{p} {value:.4g}" for p, value in zip((25, 50, 75, 95, 99), shown, strict=True))


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=60)
    options.add_argument("--all", action="store_true", help="every recorded order")
    options.add_argument("--json", action="store_true")
    options.add_argument("--gross", action="store_true", help="no gas, on the market after its arbitrage")
    options.add_argument(
        "--drawn", action="store_true", help="orders drawn by the seed, at four prices of gas"
    )
    options.add_argument("--low", action="store_true", help="drawn orders of $100 to $1,000")
    options.add_argument("--alone", action="store_true", help="without the baselines beside it")
    options.add_argument("--compiled", action="store_true", help="planned and priced by compiled loops")
    options.add_argument("--fresh", action="store_true", help="nothing of a run before is kept")
    asked = options.parse_args()
    file = data_folder() / "markets" / "ethereum-2023-09-12.market.json.gz"
    if not file.exists():
        print(f"the recorded market is not at {file}: set FAIRLEAD_DATA", file=sys.stderr)
        return 0
    view = parse_text(gzip.decompress(file.read_bytes()))
    text = gzip.decompress((file.parent / "ethereum-2023-09-12.orders.json.gz").read_bytes())
    orders = json.loads(text)["orders"]
    names = [f"recorded {n}" for n in range(len(orders))]
    asked.drawn |= asked.low
    if asked.drawn:
        orders = drawn(view, random.Random(asked.seed), asked.count, asked.low)
        names = [f"{'low' if asked.low else 'drawn'} {asked.seed}.{n}" for n in range(len(orders))]
    elif not asked.all:
        chosen = random.Random(asked.seed).sample(range(len(orders)), min(asked.count, len(orders)))
        orders, names = [orders[n] for n in chosen], [names[n] for n in chosen]
    if asked.gross:
        held, kept_view = view.digest[:12], levelled(view)
        view = traded_out(free(view)).view if kept_view is None else kept_view
        print(f"arbitrage traded out of {held} by exact swaps, digest then {view.digest}")
    collect_seldom()
    if asked.compiled:
        warm()
    worlds: dict[int, tuple[MarketView, Graph]] = {}
    started = time.process_time()
    for gwei in GWEI if asked.drawn else (0,):
        world = at_gas(view, gwei) if gwei else view
        worlds[gwei] = world, Graph(world)
        worlds[gwei][1].prices()
        worlds[gwei][1].ground()
        if asked.compiled:
            worlds[gwei][1].beams().rows.laid()
    prepared = (time.process_time() - started) * 1e3 / len(worlds)
    kept = KeptRows(
        cache_dir()
        / "bench"
        / f"certificates-{'low' if asked.low else 'drawn' if asked.drawn else 'recorded'}{'-gross' * asked.gross}{'-compiled' * asked.compiled}.jsonl",
        {"market": view.digest, "alone": asked.alone, "compiled": asked.compiled},
        asked.fresh,
    )
    for name, order in zip(names, orders, strict=True):
        if name not in kept.rows:
            kept.add(name, one(*worlds[order.get("gwei", 0)], order, asked.alone))
            print(f"\r{len(kept.rows)} kept", end="", file=sys.stderr)
    rows = [row for name in names if (row := kept.rows[name]) is not None]
    machine = {
        "machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version(),
        "numpy": numpy.__version__, "seed": asked.seed, "market": view.digest[:12],
    }  # fmt: skip
    if asked.json:
        print(json.dumps({**machine, "rows": rows}, indent=2))
    else:
        gaps = [row["gap_bps"] for row in rows if row["gap_bps"] is not None]
        print(" · ".join(f"{key} {value}" for key, value in machine.items()))
        print(f"{len(orders)} orders, {len(rows)} with a route, {sum(r['certified'] for r in rows)} certified, "
              f"{sum(not r['valid'] for r in rows)} not valid, {len(rows) - len(gaps)} that net nothing")  # fmt: skip
        print(f"net gap, bps            {spread(gaps)}")
        for limit in (0.5, 5.0, 50.0):
            print(f"  within {limit:>4} bps       {sum(gap <= limit for gap in gaps)} of {len(gaps)}")
        for gwei in GWEI if asked.drawn else ():
            some = [row["gap_bps"] for row in rows if row["gwei"] == gwei and row["gap_bps"] is not None]
            print(f"  at {gwei:>3} gwei, bps      {spread(some)}")
        for name in ("one path", "greedy 100", "5 % grid"):
            over = [row["over_bps"][name] for row in rows if row["over_bps"].get(name) is not None]
            if over:
                print(f"over {name:<11} bps    {spread(over)} · least {min(over):.4g}")
        total = [row["search_ms"] + row["certify_ms"] for row in rows]
        print(f"prices of the market ms {prepared:.0f}, once a state")
        print(f"state to certified plan {spread(total)}, ms")
        for name in ("search", "certify", "check"):
            print(f"{name:<8} ms             {spread([row[f'{name}_ms'] for row in rows])}")
    return 1 if any(not row["valid"] or not row["certified"] or row["below"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
