"""The best plan of a small market by mixed-integer programming (HiGHS): an order a line of standard input, an answer a line. Runs in an environment of its own.

Curves are chords between many points, finer around the solution before in each further round; a binary variable by leg pays its gas, one by
tick passed pays the tick's, and levels of assets keep plans forward and short.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

POINTS, TICKS, SECONDS = 48, 5, 8.0
WIDTHS = (0.1, 0.005)


class Chord(NamedTuple):
    """A stretch of an edge: at most `most` in, `rate` out for each unit, only once `tick` further ticks are paid for.

    Past the first few ticks each unit pays its part of those beyond, `late`.
    """

    edge: int
    most: float
    rate: float
    tick: int
    late: float


def chords(told: dict[str, Any], near: dict[int, float] | None, width: float) -> list[Chord]:
    found = []
    for e, edge in enumerate(told["edges"]):
        begin = 0.0
        for tick, segment in enumerate(edge["segments"]):
            if segment is None:
                continue
            a, alpha, most = segment
            most = min(most, 3.0 - begin)
            if most <= 0:
                break
            stops = (
                {most * (k / POINTS) ** 2 for k in range(POINTS + 1)}
                if len(edge["segments"]) < 6
                else {most * k / 8 for k in range(9)}
            )
            if near is not None and e in near:
                around = near[e]
                stops |= {
                    min(max(around * (1 + width * k / POINTS) - begin, 0.0), most)
                    for k in range(-POINTS, POINTS + 1)
                }
            points = sorted(stops)
            late = edge["tick"] / most if tick > TICKS else 0.0
            for low, high in zip(points, points[1:], strict=False):
                if high - low < 1e-12:
                    continue
                paid = alpha * high / (1 + a * high) - alpha * low / (1 + a * low)
                found.append(Chord(e, high - low, paid / (high - low), tick, late))
            begin += most
    return found


def solve(told: dict[str, Any], parts: list[Chord]) -> tuple[dict[int, float], str] | None:
    edges = told["edges"]
    crossed = sorted(
        {(c.edge, t) for c in parts if edges[c.edge]["tick"] for t in range(1, min(c.tick, TICKS) + 1)}
    )
    m, count = len(parts), len(edges)
    nodes = sorted({edge[end] for edge in edges for end in ("i", "j")} | {told["source"], told["target"]})
    where = {node: k for k, node in enumerate(nodes)}
    z, w, u = m, m + count, m + count + len(crossed)
    size = u + len(nodes)
    cost, upper, lower = np.zeros(size), np.ones(size), np.zeros(size)
    rows: list[tuple[dict[int, float], float]] = []
    balance: dict[int, dict[int, float]] = {node: {} for node in nodes}
    room: dict[int, dict[int, float]] = {e: {} for e in range(count)}
    beyond: dict[tuple[int, int], dict[int, float]] = {}
    whole = [sum(c.most for c in parts if c.edge == e) for e in range(count)]
    for k, c in enumerate(parts):
        upper[k] = c.most
        edge = edges[c.edge]
        cost[k] += c.late
        if edge["j"] == told["target"]:
            cost[k] -= c.rate
        else:
            balance[edge["j"]][k] = balance[edge["j"]].get(k, 0.0) - c.rate
        balance[edge["i"]][k] = balance[edge["i"]].get(k, 0.0) + 1.0
        room[c.edge][k] = 1.0
        for t in range(1, min(c.tick, TICKS) + 1):
            beyond.setdefault((c.edge, t), {})[k] = 1.0
    for node, row in balance.items():
        if node != told["target"]:
            rows.append((row, 1.0 if node == told["source"] else 0.0))
    for e, row in room.items():
        cost[z + e] = edges[e]["q"]
        rows.append(({**row, z + e: -min(whole[e], 3.0)}, 0.0))
        # One leg a pair, assets in an order of few levels.
        i, j = where[edges[e]["i"]], where[edges[e]["j"]]
        rows.append(({u + i: 1.0, u + j: -1.0, z + e: told["hops"] + 1.0}, float(told["hops"])))
    for number, key in enumerate(crossed):
        cost[w + number] = edges[key[0]]["tick"]
        most = sum(c.most for c in parts if c.edge == key[0] and c.tick >= key[1])
        rows.append(({**beyond.get(key, {}), w + number: -most}, 0.0))
    rows.append(({z + e: 1.0 for e in range(count)}, float(told["legs"])))
    upper[u:] = told["hops"]
    upper[u + where[told["source"]]] = 0.0
    integer = np.zeros(size)
    integer[z:u] = 1
    data = [(r, k, v) for r, (row, _) in enumerate(rows) for k, v in row.items()]
    matrix = sp.csr_matrix(
        ([d[2] for d in data], ([d[0] for d in data], [d[1] for d in data])), shape=(len(rows), size)
    )
    done = milp(
        cost, constraints=LinearConstraint(matrix, -np.inf, [most for _, most in rows]), integrality=integer, bounds=Bounds(lower, upper),
        options={"time_limit": SECONDS, "mip_rel_gap": 1e-8},
    )  # fmt: skip
    if done.x is None:
        return None
    flows: dict[int, float] = {}
    for k, c in enumerate(parts):
        if done.x[z + c.edge] > 0.5 and done.x[k] > 1e-11:
            flows[c.edge] = flows.get(c.edge, 0.0) + float(done.x[k])
    return flows, "" if done.status == 0 else "the time ran out"


def answer(told: dict[str, Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    plans: list[dict[str, Any]] = []
    near: dict[int, float] | None = None
    for width in (0.0, *WIDTHS):
        found = solve(told, chords(told, near, width))
        if found is None:
            break
        near, fault = found
        plans.append(
            {
                "name": f"width {width}",
                "legs": [[k, f] for k, f in near.items()],
                "ms": (time.perf_counter() - begun) * 1e3,
                "fault": fault,
            }
        )
    return {"plans": plans}


if __name__ == "__main__":
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(json.loads(line))), flush=True)
