"""What a plan gives when it executes one, two or three blocks after it was made, while other people's recorded orders trade in between.

    python scripts/bench.d/realised.py [--worlds 6] [--orders 12 | --recorded] [--traders 10] [--seed 1] [--json] [--fresh]

The recordings hold no three blocks in a row, so the blocks between are made of what was recorded: of the user orders of the same minutes, those whose
own limit the recorded market meets are drawn by the seed, so many a block, and each is traded by its own best plan, exactly, on the pools as the ones
before left them, unless they left it none within its limit. Our orders are drawn like those of the routing bench, or, with --recorded, are the recorded ones themselves: in each world the seed gives
half of them to us and half to the others. Our plans are made before the first of them and executed unchanged after one, two and three blocks: what is sold as planned, everything on
the way passed on in the planned proportions. Told is what they net against the plan, how many a minimum 50 bps below the plan would have held back,
and what a plan made anew at that block would net: the first is the market's move, the difference is the plan's age. `realised.txt` beside this
keeps a run; each world is kept in the cache folder as it ends, so that a run that was interrupted goes on where it stopped. Exit 1 where a plan executed in the block it was made for nets anything else than planned.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

import numpy
from certificates import data_folder, drawn, spread
from kept_rows import KeptRows

from agent.amm import Reverted
from agent.domain.errors import FairleadError
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.graph import Graph, Hop, swap
from agent.routing.greedy import best_plan
from agent.routing.plan import Plan, make_plan
from agent.routing.problem import Problem, pose
from agent.routing.search import Split
from chains.devnet.paths import cache_dir

BLOCKS, HOPS, MINIMUM_BPS = (1, 2, 3), 4, 50


def planned(view: MarketView, graph: Graph, order: dict[str, Any]) -> tuple[Problem, Plan] | None:
    try:
        problem = pose(view, order["sell"], order["buy"], int(order["sell_raw"]), max_hops=HOPS, graph=graph)
        return problem, best_plan(problem)
    except FairleadError:
        return None


def later(problem: Problem, plan: Plan, view: MarketView) -> Plan | None:
    """The same plan on another state; None where a pool refuses its leg."""
    flows = {Hop(leg.id, leg.asset_in, leg.asset_out): leg.in_raw for leg in plan.legs}
    # The number of the path only says which asset is sold.
    return make_plan(replace(problem, view=view), Split({0: problem.amount}, flows, 0, 0.0))


def traded(view: MarketView, plan: Plan) -> MarketView:
    """The market after a plan."""
    pools = dict(view.pools)
    for leg in plan.legs:
        swapped = swap(pools[leg.id], leg.asset_in, leg.asset_out, leg.in_raw)
        assert not isinstance(swapped, Reverted) and swapped.amount_out == leg.out_raw
        pools[leg.id] = swapped.after
    return replace(view, pools=pools)


def block(view: MarketView, chance: random.Random, orders: list[dict[str, Any]], traders: int) -> MarketView:
    """The market one block on: so many recorded orders that it can fill within their own limits."""
    left, graph = chance.sample(orders, len(orders)), Graph(view)
    done = 0
    while left and done < traders:
        order = left.pop()
        found = planned(view, graph, order)
        if found is not None and found[1].net >= int(order["buy_raw"]) > 0:
            view, done = traded(view, found[1]), done + 1
            graph = Graph(view)
    return view


def met(view: MarketView, orders: list[dict[str, Any]]) -> list[int]:
    """Which of the recorded orders the market fills within their own limits, by their places."""
    graph = Graph(view)
    return [
        k
        for k, order in enumerate(orders)
        if int(order["buy_raw"]) > 0
        and (found := planned(view, graph, order)) is not None
        and found[1].net >= int(order["buy_raw"])
    ]


def world(
    view: MarketView, orders: list[dict[str, Any]], seed: int, count: int | None, traders: int
) -> list[dict[str, Any]]:
    """One world's plans and what became of them; `count` orders drawn by the seed, or half of the recorded ones where it is None."""
    chance = random.Random(seed)
    graph = Graph(view)
    wanted = [] if count is None else drawn(view, chance, count)
    if count is None:
        mixed = chance.sample(orders, len(orders))
        wanted, orders = mixed[::2], mixed[1::2]
    ours = [
        found for order in wanted if (found := planned(view, graph, order)) is not None and found[1].net > 0
    ]
    rows: list[dict[str, Any]] = []
    for problem, plan in ours:
        same = later(problem, plan, view)
        pair = f"{view.assets[problem.sell].symbol}>{view.assets[problem.buy].symbol}"
        rows.append(
            {"pair": pair, "net": plan.net, "same": same is not None and same.net == plan.net, "blocks": {}}
        )
    now = view
    for number in BLOCKS:
        now = block(now, chance, orders, traders)
        fresh = Graph(now)
        for row, (problem, plan) in zip(rows, ours, strict=True):
            old = later(problem, plan, now)
            order = {"sell": problem.sell, "buy": problem.buy, "sell_raw": problem.amount}
            new = planned(now, fresh, order)
            row["blocks"][str(number)] = {
                "realised_bps": None if old is None else (old.net - plan.net) * 10_000 / plan.net,
                "anew_bps": None if new is None else (new[1].net - plan.net) * 10_000 / plan.net,
            }
    return rows


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--worlds", type=int, default=6)
    options.add_argument("--orders", type=int, default=12)
    options.add_argument("--recorded", action="store_true")
    options.add_argument("--traders", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", action="store_true")
    options.add_argument("--fresh", action="store_true", help="nothing of a run before is kept")
    asked = options.parse_args()
    file = data_folder() / "markets" / "ethereum-2023-09-12.market.json.gz"
    if not file.exists():
        print(f"the recorded market is not at {file}: set FAIRLEAD_DATA", file=sys.stderr)
        return 0
    view = parse_text(gzip.decompress(file.read_bytes()))
    text = gzip.decompress((file.parent / "ethereum-2023-09-12.orders.json.gz").read_bytes())
    orders = json.loads(text)["orders"]
    about = {
        "market": view.digest,
        "orders": asked.orders,
        "recorded": asked.recorded,
        "traders": asked.traders,
    }
    name = f"realised-{'recorded' if asked.recorded else 'drawn'}.jsonl"
    kept = KeptRows(cache_dir() / "bench" / name, about, asked.fresh)
    if "met" not in kept.rows:
        kept.add("met", met(view, orders))
    orders = [orders[k] for k in kept.rows["met"]]
    print(f"{len(orders)} recorded orders that the market meets", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for number in range(asked.worlds):
        seed = asked.seed * 1000 + number
        if str(seed) not in kept.rows:
            count = None if asked.recorded else asked.orders
            kept.add(str(seed), world(view, orders, seed, count, asked.traders))
        rows += kept.rows[str(seed)]
        print(f"\r{number + 1} of {asked.worlds} worlds", end="", file=sys.stderr)
    print(file=sys.stderr)
    machine = {
        "machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version(),
        "numpy": numpy.__version__, "seed": asked.seed, "market": view.digest[:12],
    }  # fmt: skip
    wrong = sum(not row["same"] for row in rows)
    if asked.json:
        print(json.dumps({**machine, "rows": rows}, indent=2))
        return 1 if wrong else 0
    print(" · ".join(f"{key} {value}" for key, value in machine.items()))
    print(
        f"{len(rows)} plans over {asked.worlds} worlds, {asked.traders} recorded orders trade in each block; in their own block {wrong} net anything else than planned"
    )
    for number in BLOCKS:
        cells = [row["blocks"][str(number)] for row in rows]
        lost = [-cell["realised_bps"] for cell in cells if cell["realised_bps"] is not None]
        both = [cell for cell in cells if cell["realised_bps"] is not None and cell["anew_bps"] is not None]
        age = [cell["anew_bps"] - cell["realised_bps"] for cell in both]
        moved = sum(gone != 0 for gone in lost)
        print(f"{number} later: {len(cells) - len(lost)} refused by a pool, {moved} moved at all, "
              f"{sum(gone > MINIMUM_BPS for gone in lost)} below a minimum of {MINIMUM_BPS} bps")  # fmt: skip
        print(f"  lost, bps            {spread(lost)} · most {max(lost):.4g}")
        print(f"  a new plan more, bps {spread(age)} · most {max(age):.4g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
