"""Routes over the recorded mainnet market, beside one path alone and beside the 5 % grid split, all in this process; and how time grows with a market.

    python scripts/bench.d/routing.py [--seed 1] [--runs 15] [--cases 40] [--orders 100] [--json]

The grid peer is the scheme of the field's most used router: every candidate path is quoted at 5, 10, ... 100 % of the
order, then percentages are combined over paths that share no pool, at most seven. It gets the same candidate paths and
the same exact pools, so what differs is the split. Gains are in net output (gas paid), times are CPU
times. Searches are compiled but where it says otherwise: their plans are the same. `recorded orders` are drawn from the 522 of the recorded
market, from a state laid out to the exact plan, its certificate not included (`certificates.py` has that). `growth` is over drawn markets of 100 to 10,000
pools: the best sale without gas from the market's own prices (cold) and a block later from the prices before (warm), how far its flows are from
its bound, and the exact plan with gas at 5 gwei. `routing.txt` beside this keeps a run. Exit 1 where a median is over its target.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

import numba
import numpy
from grown_markets import a_block_later, grown
from markets import USDC, WETH, random_market

from agent.amm import Reverted
from agent.app.entry import collect_seldom
from agent.domain.errors import FairleadError
from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.buy import route_buy
from agent.routing.engine import compile_searches
from agent.routing.graph import Graph, swap
from agent.routing.graphs import Graphs
from agent.routing.greedy import best_plan, route_sell, single_path, whole
from agent.routing.gross import Gross
from agent.routing.plan import make_plan
from agent.routing.problem import Problem, pose
from agent.routing.search import Search
from agent.routing.tables import Tables, depth_prices
from agent.routing.warm import warm

ROOT = Path(__file__).resolve().parents[2]
TARGETS_MS = {
    "sell 25 WETH, 842 pools": 100, "buy 40,000 USDC, 842 pools": 200, "sell 40 WETH, 12 pools": 30,
    "100 recorded orders, 842 pools": 10,
}  # fmt: skip
SIZES = ((100, 20), (300, 40), (1000, 100), (3000, 240), (10_000, 800))
GROSS_MS = {1000: (1.0, 0.2), 10_000: (10.0, 1.0)}
"""By pools, the medians wanted of the best sale without gas, cold and warm."""
STEP, SPLITS = 5, 7


def data_folder() -> Path:
    return Path(os.environ.get("FAIRLEAD_DATA", ROOT.parent / "shared" / "data"))


def one_path(problem: Problem) -> int | None:
    """The best net output over one path alone, every candidate simulated exactly."""
    search, best = Search(problem), None
    for index in range(len(problem.paths)):
        split = single_path(search, index)
        plan = whole(problem, make_plan(problem, split)) if split is not None else None
        if plan is not None and (best is None or plan.net > best):
            best = plan.net
    return best


def grid_split(problem: Problem) -> int | None:
    """The best net output of the 5 % grid: breadth first over percentages, paths that share no pool."""
    quotes: dict[int, list[tuple[float, frozenset[str]]]] = {}
    for percent in range(STEP, 101, STEP):
        found: list[tuple[float, frozenset[str]]] = []
        for path in problem.paths:
            held: int | None = problem.amount * percent // 100
            gas = 0
            for hop in path.hops:
                sold = swap(problem.view.pools[hop.id], hop.asset_in, hop.asset_out, held or 0)
                if isinstance(sold, Reverted) or not sold.complete or not sold.amount_out:
                    held = None
                    break
                held, gas = sold.amount_out, gas + sold.gas
            if held is not None:
                used = frozenset(hop.id for hop in path.hops)
                found.append((held - gas * problem.gas_rate.get(path.place, 0.0), used))
        found.sort(key=lambda quote: -quote[0])
        quotes[percent] = found
    best = quotes[100][0][0] if quotes[100] else None
    ring = [
        (net, 100 - percent, percent, used)
        for percent in range(100 - STEP, 0, -STEP)
        for net, used in quotes[percent][:2]
    ]
    for _ in range(SPLITS - 1):
        improved, onward = False, []
        for net, left, last, used in ring:
            for percent in range(min(left, last), 0, -STEP):
                other = next((quote for quote in quotes[percent] if not quote[1] & used), None)
                if other is None:
                    continue
                total = net + other[0]
                if percent < left:
                    onward.append((total, left - percent, percent, used | other[1]))
                elif best is None or total > best:
                    best, improved = total, True
        if not improved:
            break
        ring = onward
    return None if best is None else int(best)


def timed(work: Callable[[], Any], runs: int) -> list[float]:
    """Milliseconds of this process's own CPU, ascending: on an idle machine the same as by the wall clock."""
    took = []
    for _ in range(runs):
        start = time.process_time()
        work()
        took.append((time.process_time() - start) * 1e3)
    return sorted(took)


def figures(took: list[float]) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)], 1),
    }


def case(name: str, view: MarketView, sell: AssetId, buy: AssetId, amount: int, runs: int) -> dict[str, Any]:
    """One sale: ours, one path and the grid, each from the same market, candidates found anew every time."""

    def posed() -> Problem:
        return pose(view, sell, buy, amount)

    net = route_sell(view, sell, buy, amount).net_out_raw
    alone, grid = one_path(posed()), grid_split(posed())
    ours = timed(lambda: route_sell(view, sell, buy, amount), runs)
    theirs = timed(lambda: grid_split(posed()), max(runs // 5, 2))
    single = timed(lambda: one_path(posed()), max(runs // 5, 2))
    return {
        "what": name,
        **figures(ours),
        "one_path_p50_ms": figures(single)["p50_ms"],
        "grid_p50_ms": figures(theirs)["p50_ms"],
        "times_the_grid": round(statistics.median(theirs) / statistics.median(ours), 1),
        "over_one_path_bps": gain(net, alone),
        "over_grid_bps": gain(net, grid),
    }


def gain(ours: int, theirs: int | None) -> float | None:
    return None if theirs is None or theirs <= 0 else round((ours - theirs) / theirs * 1e4, 3)


def drawn(view: MarketView, chance: random.Random, count: int) -> dict[str, Any]:
    """Random pairs of the market's busiest assets at random sizes: one answer each, and the gains' spread."""
    degree = Counter(asset for pool in view.pools.values() for asset in pool.assets)
    hubs = [asset for asset, _ in degree.most_common(8)]
    ours, grids, over_path, over_grid = [], [], [], []
    while len(ours) < count:
        sell, buy = (AssetId(asset) for asset in chance.sample(hubs, 2))
        worth = float(view.reference_px_native.get(sell, 0))
        if worth <= 0:
            continue
        amount = int(10 ** chance.uniform(-1, 2.5) / worth * 10 ** view.assets[sell].decimals)
        try:
            start = time.process_time()
            route = route_sell(view, sell, buy, amount)
            ours.append((time.process_time() - start) * 1e3)
        except FairleadError:
            continue
        start = time.process_time()
        problem = pose(view, sell, buy, amount)
        grid = grid_split(problem)
        grids.append((time.process_time() - start) * 1e3)
        over_path.append(gain(route.net_out_raw, one_path(problem)) or 0.0)
        over_grid.append(gain(route.net_out_raw, grid) or 0.0)
    return {
        "what": f"{count} drawn sales, 842 pools",
        **figures(ours),
        "grid_p50_ms": figures(grids)["p50_ms"],
        "times_the_grid": round(statistics.median(grids) / statistics.median(ours), 1),
        "over_one_path_bps": {"median": statistics.median(over_path), "worst": min(over_path)},
        "over_grid_bps": {"median": statistics.median(over_grid), "worst": min(over_grid)},
    }


def recorded(
    view: MarketView, orders: list[dict[str, Any]], chance: random.Random, count: int
) -> dict[str, Any]:
    """Recorded orders from a state laid out to the exact plan, compiled and not; and what a block's changes cost."""
    chosen = [orders[n] for n in chance.sample(range(len(orders)), min(count, len(orders)))]
    graph = Graph(view)

    def each() -> list[float]:
        took = []
        for order in chosen:
            start = time.process_time()
            try:
                best_plan(
                    pose(view, order["sell"], order["buy"], int(order["sell_raw"]), max_hops=4, graph=graph)
                )
            except FairleadError:
                continue
            took.append((time.process_time() - start) * 1e3)
        return took

    start = time.process_time()
    graph.beams().rows.laid()
    laid = (time.process_time() - start) * 1e3
    each()
    ours = each()
    compile_searches(False)
    plain = each()
    compile_searches()
    graphs, moving = Graphs(), view
    graphs.of(moving).beams().rows.laid()

    def block() -> None:
        graphs.of(moving).beams().rows.laid()

    patched = []
    for _ in range(10):
        moving = a_block_later(moving, chance, 0.02)
        patched += timed(block, 1)
    return {
        "what": f"{len(chosen)} recorded orders, {len(view.pools)} pools", **figures(ours),
        "interpreted_p50_ms": figures(plain)["p50_ms"], "interpreted_p99_ms": figures(plain)["p99_ms"],
        "times_faster": round(statistics.median(plain) / statistics.median(ours), 1),
        "laid_out_once_ms": round(laid, 1), "a_block_patched_ms": round(statistics.median(patched), 2),
    }  # fmt: skip


def growth(pools: int, tokens: int, seed: int, count: int) -> dict[str, Any]:
    """The best sale without gas, and the exact plan with gas, over a drawn market of that size."""
    market, chance = grown(pools, tokens, seed), random.Random(seed)
    tables = Tables(market.view)
    values = depth_prices(market.view, tables, next(iter(market.dollars)))
    start = numpy.array([values.get(node, 1e-30) for node in tables.nodes])
    now, later, graph = Gross(tables), Gross(Tables(a_block_later(market.view, chance))), Graph(market.view)
    cold, warmed, gaps, plans = [], [], [], []
    while len(cold) < count:
        sell, buy, amount = market.order(chance)
        if sell not in tables.number or buy not in tables.number:
            continue
        now.best(sell, buy, amount, start)
        began = time.process_time()
        found = now.best(sell, buy, amount, start)
        cold.append((time.process_time() - began) * 1e3)
        began = time.process_time()
        later.best(sell, buy, amount, found.prices)
        warmed.append((time.process_time() - began) * 1e3)
        gaps.append(found.gap_bps)
        try:
            graph.beams().rows.laid()
            began = time.process_time()
            best_plan(pose(market.view, sell, buy, amount, max_hops=4, graph=graph))
            plans.append((time.process_time() - began) * 1e3)
        except FairleadError:
            continue
    return {
        "what": f"growth: {pools} pools, {tokens} tokens", "p50_ms": round(statistics.median(plans), 1),
        "gross_cold_p50_ms": round(statistics.median(cold), 3), "gross_cold_most_ms": round(max(cold), 2),
        "gross_warm_p50_ms": round(statistics.median(warmed), 3), "gross_warm_most_ms": round(max(warmed), 2),
        "gross_gap_median_bps": round(statistics.median(gaps), 5), "gross_gap_most_bps": round(max(gaps), 3),
    }  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--runs", type=int, default=15)
    options.add_argument("--cases", type=int, default=40)
    options.add_argument("--orders", type=int, default=100, help="recorded orders")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    machine = {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "numba": numba.__version__,
        "system": platform.system(),
        "seed": asked.seed,
    }
    collect_seldom()
    warm()
    rows: list[dict[str, Any]] = []
    small = max(
        (random_market(seed) for seed in range(asked.seed, asked.seed + 60)), key=lambda v: len(v.pools)
    )
    rows.append(
        case(
            f"sell 40 WETH, {len(small.pools)} pools",
            small,
            AssetId(WETH),
            AssetId(USDC),
            40 * 10**18,
            asked.runs,
        )
    )
    file = data_folder() / "markets" / "ethereum-2023-09-12.market.json.gz"
    if file.exists():
        view = parse_text(gzip.decompress(file.read_bytes()))
        weth, usdc = view.asset("WETH").id, view.asset("USDC").id
        name = f"{len(view.pools)} pools"
        rows.append(case(f"sell 25 WETH, {name}", view, weth, usdc, 25 * 10**18, asked.runs))
        rows.append(case(f"sell 1000 WETH, {name}", view, weth, usdc, 1000 * 10**18, asked.runs))
        buys = timed(lambda: route_buy(view, weth, usdc, 40_000 * 10**6), asked.runs)
        rows.append({"what": f"buy 40,000 USDC, {name}", **figures(buys)})
        graphs = timed(lambda: Graph(view), asked.runs)
        rows.append({"what": f"the graph alone, {name}", **figures(graphs)})
        rows.append(drawn(view, random.Random(asked.seed), asked.cases))
        text = gzip.decompress((file.parent / "ethereum-2023-09-12.orders.json.gz").read_bytes())
        rows.append(recorded(view, json.loads(text)["orders"], random.Random(asked.seed), asked.orders))
    else:
        print(f"the recorded market is not at {file}: set FAIRLEAD_DATA", file=sys.stderr)
    rows += [growth(pools, tokens, asked.seed, asked.cases) for pools, tokens in SIZES]
    late = [
        f"{row['what']}: {row['p50_ms']} ms, {TARGETS_MS[row['what']]} wanted"
        for row in rows
        if row["p50_ms"] > TARGETS_MS.get(row["what"], float("inf"))
    ]
    for (pools, tokens), row in zip(SIZES, rows[-len(SIZES) :], strict=True):
        for wanted, name in zip(
            GROSS_MS.get(pools, ()), ("gross_cold_p50_ms", "gross_warm_p50_ms"), strict=False
        ):
            late += [f"{pools} pools, {tokens} tokens: {name} {row[name]}, {wanted} wanted"] * (
                row[name] > wanted
            )
    if asked.json:
        print(json.dumps({**machine, "rows": rows, "late": late}, indent=2))
    else:
        print(" · ".join(f"{key} {value}" for key, value in machine.items()))
        for row in rows:
            print(row["what"])
            print("   " + " · ".join(f"{key} {value}" for key, value in row.items() if key != "what"))
        print("\n".join(late) or "every time is within its target")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
