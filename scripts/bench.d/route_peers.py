"""Routers that a user could pick instead, beside ours: recorded orders over the recorded mainnet market, every plan executed by our exact pools.

    python scripts/bench.d/route_peers.py [--count 40] [--seed 1] [--all] [--peers convex,tines,sor,milp] [--drawn] [--low] [--small 40] [--fresh | --again] [--json]

All get the same 842 pools, the same gas and the same limits (12 legs, 4 hops); what they answer is executed leg by leg in integers, of several
answers the best counts, and one that does not execute counts as nothing and is told. `convex` is cvxpy with Clarabel over the whole market;
`tines` is Sushi's router with up to a hundred flows; `sor` is the split search of Uniswap's smart-order-router over quotes of ours (its own need
a chain), up to seven splits in steps of 5 %; `milp` is HiGHS on markets of at most 30 pools around the order, where ours answers for those pools too;
`--small` takes drawn markets of at most 12 pools instead, which HiGHS solves to the end.
Rows are kept in the cache folder as they are made: a run that was interrupted goes on, `--fresh` begins again; `--again` plans ours anew, by the code as it is,
beside the peers' kept answers, which our code has no part in. `route_peers.txt` beside this keeps a run.
Peers come from locks of their own in scripts/peers; one that is not there is said and left out. Exit 1 where ours is below a peer by more than 0.01 bps.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

import numpy
from certificates import GWEI, at_gas, data_folder, drawn, spread
from kept_rows import KeptRows
from markets import USDC, WETH, random_market
from route_terms import edge_terms, executed, executed_routes, market_terms, node_numbers, route_terms

from agent.domain.errors import FairleadError
from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.graph import Graph, Hop
from agent.routing.greedy import best_plan
from agent.routing.plan import Plan
from agent.routing.problem import Problem, pose
from agent.routing.search import Search
from chains.devnet.paths import cache_dir

PEERS = Path(__file__).resolve().parents[1] / "peers"
HOPS, POOLS, INNER = 4, 30, 3
EQUAL = 0.01


class Peer:
    """A program that answers a line for a line."""

    def __init__(self, command: list[str], folder: str | None = None) -> None:
        environment = dict(os.environ, NODE_PATH=folder or "", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, told: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def started(names: list[str]) -> dict[str, Peer]:
    python, node = os.environ.get("FAIRLEAD_ROUTE_PEERS"), os.environ.get("FAIRLEAD_ROUTE_NODE")
    found = {}
    for name in names:
        if name in ("convex", "milp") and python:
            found[name] = Peer([python, str(PEERS / f"{name}_routes.py")])
        elif name in ("tines", "sor") and node:
            found[name] = Peer(["node", str(PEERS / "routes" / f"{name}.cjs")], node)
        else:
            print(f"{name} is not here and left out: scripts/bench route_peers fetches it", file=sys.stderr)
    return found


def best_of(problem: Problem, plans: list[dict[str, Any]], legs_of: Any) -> dict[str, Any]:
    """The best of a peer's answers, executed; the reasons why others were not."""
    best: dict[str, Any] = {"net": 0, "how": "", "legs": 0}
    faults: Counter[str] = Counter()
    for plan in plans:
        done = legs_of(plan)
        if plan.get("fault") or done.why:
            faults[plan.get("fault") or done.why] += 1
        if done.net > best["net"]:
            best |= {"net": done.net, "how": plan["name"], "legs": done.legs}
    return {**best, "ms": sum(plan["ms"] for plan in plans[-1:]), "faults": dict(faults)}


def asked(name: str, peer: Peer, problem: Problem) -> dict[str, Any]:
    if name in ("convex", "milp"):
        told, hops = edge_terms(problem, HOPS)
        answer = peer.ask(told)
        found = best_of(
            problem, answer["plans"],
            lambda plan: executed(problem, {hops[k][0]: share * hops[k][1] for k, share in plan["legs"]}, HOPS),
        )  # fmt: skip
        return {**found, **({"closed": answer["closed"]} if "closed" in answer else {})}
    if name == "sor":
        told, paths = route_terms(problem, HOPS)
        answer = peer.ask(told)
        found = best_of(
            problem, answer["plans"], lambda plan: executed_routes(problem, [(paths[k], p) for k, p in plan["parts"]])
        )  # fmt: skip
        return {**found, "routes": len(paths)}
    numbers = node_numbers(problem.view)
    pools = list(problem.view.pools.values())
    (gas,) = problem.view.gas.values()
    answer = peer.ask({
        "sell": numbers[problem.sell], "buy": numbers[problem.buy], "amount": str(problem.amount), "gasPrice": gas.price_wei,
        "assets": [[numbers[asset] for asset in pool.assets] for pool in pools],
    })  # fmt: skip
    wrapped = {f"{place}/slip44:60": held.native_as for place, held in problem.view.gas.items()}

    def legs(plan: dict[str, Any]) -> Any:
        flows: dict[Hop, float] = {}
        for number, i, j, amount in plan["legs"]:
            given, got = (pools[number].assets[k] for k in (i, j))
            hop = Hop(pools[number].id, wrapped.get(given, AssetId(given)), wrapped.get(got, AssetId(got)))
            flows[hop] = flows.get(hop, 0.0) + amount
        return executed(problem, flows, HOPS)

    return best_of(problem, answer["plans"], legs)


def small(problem: Problem) -> MarketView:
    """At most 30 pools: those between what is sold, what is bought and the three assets most candidates go by, the deepest first."""
    passed = Counter(hop.asset_out for path in problem.paths for hop in path.hops[:-1])
    chosen = {problem.sell, problem.buy, *(asset for asset, _ in passed.most_common(INNER))}
    market = problem.graph.prices()
    t, worth = market.tables, market.values
    depth: dict[str, float] = {}
    for edge, hop in enumerate(t.hops):
        if hop.asset_in in chosen and hop.asset_out in chosen:
            first = t.first[edge]
            depth[hop.id] = max(float(t.lin[first] / t.s[first] * worth[t.i[edge]]), depth.get(hop.id, 0.0))
    kept = sorted(depth, key=lambda pool: -depth[pool])[:POOLS]
    return replace(problem.view, pools={pool: problem.view.pools[pool] for pool in kept})


def drawn_small(seed: int) -> Problem | None:
    """An order in a small market drawn by the seed: the pools of one chain, no books."""
    view = replace(random_market(seed), books=(), inventory={})
    view = replace(view, pools={k: pool for k, pool in view.pools.items() if k.startswith("eip155:1/")})
    try:
        return pose(view, AssetId(WETH), AssetId(USDC), (1 + seed * 41 % 300) * 10**18 + seed, max_hops=HOPS)
    except FairleadError:
        return None


def beside_optimum(count: int) -> int:
    """`--small`: ours and HiGHS's plans of drawn small markets; how many of ours are below by more than is equal."""
    peer = started(["milp"])["milp"]
    rows: list[dict[str, Any]] = []
    for seed in range(count):
        problem = drawn_small(seed)
        found = planned(problem) if problem is not None else None
        if problem is not None and found is not None:
            row = {
                "net": found[0].net,
                "legs": len(found[0].legs),
                "ms": found[1],
                "pair": "WETH>USDC",
                "name": f"small {seed}",
            }
            rows.append({**row, "peers": {"milp": {**asked("milp", peer, problem), "ours": found[0].net}}})
            print(f"\r{seed + 1} of {count}", end="", file=sys.stderr)
    peer.close()
    print(f"{len(rows)} small markets drawn, at most 12 pools each")
    return told(rows)


def planned(problem: Problem) -> tuple[Plan, float] | None:
    begun = time.perf_counter()
    try:
        plan = best_plan(problem)
    except FairleadError:
        return None
    return plan, (time.perf_counter() - begun) * 1e3


def one(
    view: MarketView, graph: Graph, order: dict[str, Any], peers: dict[str, Peer]
) -> dict[str, Any] | None:
    try:
        problem = pose(view, order["sell"], order["buy"], int(order["sell_raw"]), max_hops=HOPS, graph=graph)
    except FairleadError:
        return None
    row: dict[str, Any] = {
        "pair": f"{view.assets[problem.sell].symbol}>{view.assets[problem.buy].symbol}",
        "peers": {},
    }
    found = planned(problem)
    if found is None:
        return None
    row |= {
        "net": found[0].net,
        "legs": len(found[0].legs),
        "ms": found[1],
        "gas_bps": found[0].gas_raw * 1e4 / max(found[0].out, 1),
    }
    for name, peer in peers.items():
        if name != "milp":
            row["peers"][name] = {**asked(name, peer, problem), "ours": found[0].net}
            continue
        few = small(problem)
        try:
            part = pose(few, problem.sell, problem.buy, problem.amount, max_hops=HOPS)
        except FairleadError:
            continue
        mine = planned(part)
        if mine is not None:
            row["peers"][name] = {**asked(name, peer, part), "ours": mine[0].net, "pools": len(few.pools)}
    greedy = Search(problem).run(problem.amount, 100, 1.0)
    legs = {hop: float(part) for hop, part in greedy.flows.items()} if not greedy.left else {}
    row["peers"]["greedy 100"] = {**vars(executed(problem, legs, HOPS)), "ours": found[0].net, "faults": {}}
    return row


def again(row: dict[str, Any], view: MarketView, graph: Graph, order: dict[str, Any]) -> dict[str, Any]:
    """A kept row with ours planned anew. Peers that were asked of other pools than all (`milp`) are left out."""
    found = planned(
        pose(view, order["sell"], order["buy"], int(order["sell_raw"]), max_hops=HOPS, graph=graph)
    )
    net, legs, ms = (found[0].net, len(found[0].legs), found[1]) if found is not None else (0, 0, 0.0)
    peers = {name: {**peer, "ours": net} for name, peer in row["peers"].items() if name != "milp"}
    return {**row, "net": net, "legs": legs, "ms": ms, "peers": peers}


def over(peer: dict[str, Any]) -> float | None:
    """By how many bps of the peer's net ours is more; None where neither nets anything."""
    if peer["net"] <= 0:
        return None
    return float((peer["ours"] - peer["net"]) * 10_000 / peer["net"])


def told(rows: list[dict[str, Any]]) -> int:
    """Prints what came out peer by peer; how many times ours was below."""
    below = 0
    for name in dict.fromkeys(name for row in rows for name in row["peers"]):
        peers = [(row, row["peers"][name]) for row in rows if name in row["peers"]]
        beside = [(gap, row) for row, peer in peers if (gap := over(peer)) is not None]
        faults: Counter[str] = Counter()
        for _, peer in peers:
            faults.update(peer.get("why") and {peer["why"]: 1} or peer["faults"] if not peer["net"] else {})
        print(
            f"{name}: {len(peers)} orders, {len(beside)} executed; of the rest: {dict(faults.most_common(5))}"
        )
        if not beside:
            continue
        gaps = [gap for gap, _ in beside]
        print(f"   ours more, bps   {spread(gaps)} · least {min(gaps):.4g}")
        print(f"   within {EQUAL} bps {sum(abs(gap) <= EQUAL for gap in gaps)}, ours better {sum(gap > EQUAL for gap in gaps)}, "
              f"worse {sum(gap < -EQUAL for gap in gaps)}, by more than 1 bps {sum(gap < -1 for gap in gaps)}")  # fmt: skip
        worse = sorted(
            (gap, row["pair"], row["legs"], row["peers"][name].get("legs"), row["name"])
            for gap, row in beside
            if gap < -EQUAL
        )
        for gap, pair, mine, theirs, label in worse[:12]:
            print(f"      {pair} {gap:.3f} bps, {mine} legs against {theirs} ({label})")
        below += len(worse)
        if any("closed" in peer for _, peer in peers):
            print(f"   proved the best  {sum(peer.get('closed', False) for _, peer in peers)}")
        took = [peer["ms"] for _, peer in peers if "ms" in peer]
        if took:
            print(f"   ms               {spread(took)}")
    print(f"ours, search ms     {spread([row['ms'] for row in rows])}")
    return below


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=40)
    options.add_argument("--all", action="store_true", help="every recorded order")
    options.add_argument(
        "--drawn", action="store_true", help="orders drawn by the seed, at four prices of gas"
    )
    options.add_argument("--low", action="store_true", help="drawn orders of $100 to $1,000")
    options.add_argument("--peers", default="convex,tines,sor,milp")
    options.add_argument("--fresh", action="store_true", help="nothing of a run before is kept")
    options.add_argument(
        "--again", action="store_true", help="ours planned anew beside the peers' kept answers"
    )
    options.add_argument("--json", action="store_true")
    options.add_argument(
        "--small", type=int, default=0, help="so many drawn small markets beside HiGHS, and nothing else"
    )
    given = options.parse_args()
    if given.small:
        if not os.environ.get("FAIRLEAD_ROUTE_PEERS"):
            print("HiGHS is not here: scripts/bench route_peers fetches it", file=sys.stderr)
            return 0
        return 1 if beside_optimum(given.small) else 0
    file = data_folder() / "markets" / "ethereum-2023-09-12.market.json.gz"
    if not file.exists():
        print(f"the recorded market is not at {file}: set FAIRLEAD_DATA", file=sys.stderr)
        return 0
    view = parse_text(gzip.decompress(file.read_bytes()))
    orders = json.loads(gzip.decompress((file.parent / "ethereum-2023-09-12.orders.json.gz").read_bytes()))[
        "orders"
    ]
    names = [(f"recorded {n}", order) for n, order in enumerate(orders)]
    given.drawn |= given.low
    if given.drawn:
        names = [
            (f"{'low' if given.low else 'drawn'} {given.seed}.{n}", order)
            for n, order in enumerate(drawn(view, random.Random(given.seed), given.count, given.low))
        ]
    elif not given.all:
        names = random.Random(given.seed).sample(names, min(given.count, len(names)))
    about = {"market": view.digest, "peers": given.peers, "hops": HOPS}
    kept_file = (
        cache_dir()
        / "bench"
        / f"route_peers-{'low' if given.low else 'drawn' if given.drawn else 'recorded'}.jsonl"
    )
    kept = KeptRows(kept_file, about, given.fresh)
    peers = started(given.peers.split(","))
    worlds: dict[int, tuple[MarketView, Graph]] = {}
    for gwei in GWEI if given.drawn else (0,):
        world = at_gas(view, gwei) if gwei else view
        worlds[gwei] = world, Graph(world)
    if "tines" in peers:
        peers["tines"].ask({"market": market_terms(view, worlds[min(worlds)][1])})
    for number, (name, order) in enumerate(names):
        if name not in kept.rows:
            kept.add(name, one(*worlds[order.get("gwei", 0)], order, peers))
            print(f"\r{number + 1} of {len(names)}", end="", file=sys.stderr)
    for peer in peers.values():
        peer.close()
    rows = [{**row, "name": name} for name, _ in names if (row := kept.rows[name]) is not None]
    if given.again:
        of = dict(names)
        rows = [again(row, *worlds[of[row["name"]].get("gwei", 0)], of[row["name"]]) for row in rows]
    machine = {
        "machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version(),
        "numpy": numpy.__version__, "seed": given.seed, "market": view.digest[:12],
    }  # fmt: skip
    print(" · ".join(f"{key} {value}" for key, value in machine.items()))
    print(
        f"{len(names)} orders, {len(rows)} with a route of ours; peers {', '.join(peers)}, 12 legs, {HOPS} hops"
        f"{'; ours planned again beside answers that were kept' if given.again else ''}"
    )
    below = told(rows)
    if given.json:
        print(json.dumps({**machine, "rows": rows}, indent=2))
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
