"""The best plan of a small market by mixed-integer programming (HiGHS): an order a line of standard input, an answer a line. Runs in an environment of its own.

Curves are held from above by tangents; where a solution touches them one more is laid, until what it is worth by the curves is within `CLOSE` of what the
program says, which no plan exceeds (Duran and Grossmann 1986, outer approximation). A binary variable by leg pays its gas, one by tick passed pays the
tick's, and levels of assets keep plans forward and short.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

POINTS, TICKS, SECONDS, ROUNDS = 12, 5, 60.0, 40
CLOSE = 1e-7
# HiGHS takes a millionth for nothing, in what is best and in what a row may be broken by: a hundredth of a basis point. It is asked for thousands.
SCALE = 1e3


class Stretch(NamedTuple):
    """A segment of an edge: of x <= most comes alpha * x / (1 + a * x), only once `tick` ticks before it are paid for.

    Past the first few ticks each unit pays its part of those beyond, `late`.
    """

    edge: int
    a: float
    alpha: float
    most: float
    tick: int
    late: float

    def gets(self, x: float) -> float:
        return self.alpha * x / (1 + self.a * x)

    def tangent(self, x: float) -> tuple[float, float]:
        """Slope there, and what the tangent gets of nothing."""
        slope = self.alpha / (1 + self.a * x) ** 2
        return slope, self.gets(x) - slope * x


def stretches(told: dict[str, Any]) -> list[Stretch]:
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
            late = edge["tick"] / most if tick > TICKS else 0.0
            found.append(Stretch(e, a, alpha, most, tick, late))
            begin += most
    return found


class Program:
    """Variables: what goes into each stretch, what comes of it, legs, ticks, levels of assets."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.parts = told, stretches(told)
        few = 6 if len(self.parts) > 200 else POINTS
        self.points = [{p.most * (k / few) ** 2 for k in range(few + 1)} for p in self.parts]
        self._lay()

    def _lay(self) -> None:
        told, edges, parts = self.told, self.told["edges"], self.parts
        crossed = sorted(
            {(p.edge, t) for p in parts if edges[p.edge]["tick"] for t in range(1, min(p.tick, TICKS) + 1)}
        )
        m, count = len(parts), len(edges)
        nodes = sorted({edge[end] for edge in edges for end in ("i", "j")} | {told["source"], told["target"]})
        where = {node: k for k, node in enumerate(nodes)}
        z, w, u = 2 * m, 2 * m + count, 2 * m + count + len(crossed)
        self.z, size = z, u + len(nodes)
        cost, upper, lower = np.zeros(size), np.ones(size), np.zeros(size)
        rows: list[tuple[dict[int, float], float]] = []
        balance: dict[int, dict[int, float]] = {node: {} for node in nodes}
        room: dict[int, dict[int, float]] = {e: {} for e in range(count)}
        beyond: dict[tuple[int, int], dict[int, float]] = {}
        for k, p in enumerate(parts):
            upper[k], upper[m + k] = p.most, p.gets(p.most)
            edge = edges[p.edge]
            cost[k] += p.late
            if edge["j"] == told["target"]:
                cost[m + k] -= 1.0
            else:
                balance[edge["j"]][m + k] = -1.0
            balance[edge["i"]][k] = 1.0
            room[p.edge][k] = 1.0
            for t in range(1, min(p.tick, TICKS) + 1):
                beyond.setdefault((p.edge, t), {})[k] = 1.0
        for node, row in balance.items():
            if node != told["target"]:
                rows.append((row, 1.0 if node == told["source"] else 0.0))
        for e, row in room.items():
            cost[z + e] = edges[e]["q"]
            rows.append(({**row, z + e: -min(sum(p.most for p in parts if p.edge == e), 3.0)}, 0.0))
            # One leg a pair, assets in an order of few levels.
            i, j = where[edges[e]["i"]], where[edges[e]["j"]]
            rows.append(({u + i: 1.0, u + j: -1.0, z + e: told["hops"] + 1.0}, float(told["hops"])))
        for number, key in enumerate(crossed):
            cost[w + number] = edges[key[0]]["tick"]
            most = sum(p.most for p in parts if p.edge == key[0] and p.tick >= key[1])
            rows.append(({**beyond.get(key, {}), w + number: -most}, 0.0))
        rows.append(({z + e: 1.0 for e in range(count)}, float(told["legs"])))
        upper[u:] = told["hops"]
        upper[u + where[told["source"]]] = 0.0
        self.integer = np.zeros(size)
        self.integer[z:u] = 1
        self.cost, self.bounds, self.rows = cost, Bounds(lower, upper), rows

    def solve(self, seconds: float) -> tuple[Any, bool] | None:
        """What the variables are, and whether that is proved the best over the tangents laid."""
        m = len(self.parts)
        rows = list(self.rows)
        for k, p in enumerate(self.parts):
            for x in self.points[k]:
                slope, nothing = p.tangent(x)
                rows.append(({m + k: SCALE, k: -slope * SCALE}, nothing * SCALE))
        data = [(r, k, v) for r, (row, _) in enumerate(rows) for k, v in row.items()]
        matrix = sp.csr_matrix(
            ([d[2] for d in data], ([d[0] for d in data], [d[1] for d in data])),
            shape=(len(rows), len(self.cost)),
        )
        done = milp(
            self.cost * SCALE, constraints=LinearConstraint(matrix, -np.inf, [most for _, most in rows]), integrality=self.integer,
            bounds=self.bounds, options={"time_limit": max(seconds, 0.1), "mip_rel_gap": 1e-9},
        )  # fmt: skip
        return None if done.x is None else (done.x, done.status == 0)

    def touched(self, x: Any) -> float:
        """Lays a tangent where the solution is above its curve by more than counts; by how much it is, in all."""
        over = 0.0
        for k, p in enumerate(self.parts):
            put, got = float(x[k]), float(x[len(self.parts) + k])
            if put > 1e-12 and got - p.gets(put) > CLOSE / 100:
                over += got - p.gets(put)
                self.points[k].add(put)
        return over

    def flows(self, x: Any) -> dict[int, float]:
        flows: dict[int, float] = {}
        for k, p in enumerate(self.parts):
            if x[self.z + p.edge] > 0.5 and x[k] > 1e-11:
                flows[p.edge] = flows.get(p.edge, 0.0) + float(x[k])
        return flows


def answer(told: dict[str, Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    program = Program(told)
    plans: list[dict[str, Any]] = []
    for number in range(ROUNDS):
        left = SECONDS - (time.perf_counter() - begun)
        found = program.solve(left) if left > 0 else None
        if found is None:
            break
        x, best = found
        over = program.touched(x)
        closed = best and over < CLOSE
        plans.append(
            {
                "name": f"round {number}" + (", proved" if closed else ""),
                "legs": [[k, f] for k, f in program.flows(x).items()],
                "ms": (time.perf_counter() - begun) * 1e3,
                "fault": "" if best else "the time ran out",
            }
        )
        if closed or not best:
            break
    return {"plans": plans, "closed": bool(plans) and plans[-1]["name"].endswith("proved")}


if __name__ == "__main__":
    # What HiGHS itself prints goes to stderr: standard output is answers only.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
