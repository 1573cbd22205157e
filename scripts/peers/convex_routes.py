"""Convex routing with cvxpy and Clarabel: an order a line of standard input (see route_terms.py), an answer a line. Runs in an environment of its own.

Every segment of a curve is a second-order cone; flows are conserved asset by asset. Fixed costs make no convex problem, so they are read the
usual way, as costs by unit at the flows of the solution before (reweighting), some rounds of it; after each round the legs that carry most,
as many as are allowed and free of circles, are solved for alone. All of these are answers.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

ROUNDS = 6
FULL, TOO_LITTLE = 30.0, 1e-6
# Over a whole market with arbitrage in it the solver ends short of its own tolerance: that will do to see which legs matter.
SETTINGS = {"reduced_tol_gap_abs": 1e-2, "reduced_tol_gap_rel": 1e-2, "reduced_tol_feas": 1e-4}
_NOTHING, _LEAST = 1e-7, 1e-3


class Curves:
    """The segments of some edges as arrays."""

    def __init__(self, told: dict[str, Any], kept: list[int]) -> None:
        self.told, self.kept = told, kept
        rows = [(e, *s) for e, k in enumerate(kept) for s in told["edges"][k]["segments"] if s]
        edge = np.array([row[0] for row in rows], dtype=int)
        a, alpha, most = (np.array([row[n] for row in rows]) for n in (1, 2, 3))
        # Interior points need figures of like size: what pays out less than a millionth of the order is left out, and a
        # pool is filled until next to nothing of it is left.
        most = np.minimum(most, FULL / a)
        some = (alpha * most / (1 + a * most) > TOO_LITTLE) & (most > TOO_LITTLE)
        self.edge, self.a, self.alpha, self.most = edge[some], a[some], alpha[some], most[some]

    def solve(self, cost: np.ndarray) -> np.ndarray | None:
        """Flows by edge where a unit put into one costs `cost`; None where the solver gives none."""
        told, n, m = self.told, self.told["nodes"], len(self.edge)
        ends = [(told["edges"][k]["i"], told["edges"][k]["j"]) for k in self.kept]
        i = np.array([ends[e][0] for e in self.edge])
        j = np.array([ends[e][1] for e in self.edge])
        part, fall = cp.Variable(m, nonneg=True), cp.Variable(m, nonneg=True)
        x = cp.multiply(self.most, part)
        got = cp.multiply(self.alpha * self.most, part - fall)
        into = sp.csr_matrix((np.ones(m), (j, np.arange(m))), shape=(n, m))
        out = sp.csr_matrix((np.ones(m), (i, np.arange(m))), shape=(n, m))
        supply = np.zeros(n)
        supply[told["source"]] = 1.0
        inner = np.unique(np.concatenate((i, j)))
        inner = inner[inner != told["target"]]
        bends = self.a * self.most
        bend = cp.multiply(bends, part)
        limits = [
            part <= 1,
            (into[inner] @ got) + supply[inner] >= out[inner] @ x,
            cp.SOC(
                1 + bend + fall, cp.vstack([cp.multiply(2 * np.sqrt(bends), part), 1 + bend - fall]), axis=0
            ),
        ]
        aim = into[[told["target"]]] @ got - cost[self.edge] @ x
        problem = cp.Problem(cp.Maximize(cp.sum(aim)), limits)
        try:
            problem.solve(solver=cp.CLARABEL, **SETTINGS)
        except cp.error.SolverError:
            return None
        if x.value is None:
            return None
        return np.bincount(self.edge, np.maximum(x.value, 0), len(self.kept))


def forward(told: dict[str, Any], flows: dict[int, float]) -> dict[int, float]:
    """Without circles: the smallest leg of each is left out."""
    flows = dict(flows)
    while (ring := circle(told, list(flows))) is not None:
        del flows[min(ring, key=lambda k: flows[k])]
    return flows


def circle(told: dict[str, Any], used: list[int]) -> list[int] | None:
    onward: dict[int, list[int]] = {}
    for k in used:
        onward.setdefault(told["edges"][k]["i"], []).append(k)
    done: set[int] = set()
    for root in list(onward):
        way: list[int] = []
        ahead = [(root, iter(onward.get(root, ())))]
        on = [root]
        while ahead:
            node, edges = ahead[-1]
            k = next(edges, None)
            if k is None:
                ahead.pop()
                on.pop()
                done.add(node)
                if way:
                    way.pop()
                continue
            other = told["edges"][k]["j"]
            if other in on:
                return [*way[on.index(other) :], k]
            if other not in done:
                way.append(k)
                on.append(other)
                ahead.append((other, iter(onward.get(other, ()))))
    return None


def connected(told: dict[str, Any], used: list[int]) -> list[int]:
    """The edges on some way from what is sold to what is bought."""
    edges = told["edges"]
    for _ in range(told["hops"] + 12):
        made = {edges[k]["j"] for k in used} | {told["source"]}
        taken = {edges[k]["i"] for k in used} | {told["target"]}
        kept = [k for k in used if edges[k]["i"] in made and edges[k]["j"] in taken]
        if len(kept) == len(used):
            break
        used = kept
    return used


def answer(told: dict[str, Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    edges = told["edges"]
    every = Curves(told, list(range(len(edges))))
    q = np.array([edge["q"] for edge in edges])
    cost = np.zeros(len(edges))
    plans: list[dict[str, Any]] = []
    tried: set[tuple[int, ...]] = set()
    for turn in range(ROUNDS):
        found = every.solve(cost)
        if found is None:
            break
        flows = forward(told, {k: float(f) for k, f in enumerate(found) if f > _NOTHING})
        used = sorted(flows, key=lambda k: -flows[k])
        for most in (told["legs"], 6, 3):
            legs = connected(told, used[:most])
            if not legs or tuple(sorted(legs)) in tried:
                continue
            tried.add(tuple(sorted(legs)))
            only = Curves(told, legs).solve(np.zeros(len(legs)))
            if only is None:
                continue
            last = forward(told, {k: float(f) for k, f in zip(legs, only, strict=True) if f > _NOTHING})
            plans.append(
                {
                    "name": f"round {turn}, {most} legs",
                    "legs": [[k, f] for k, f in last.items()],
                    "ms": (time.perf_counter() - begun) * 1e3,
                }
            )
        cost = q / np.maximum(found, _LEAST)
    return {"plans": plans}


if __name__ == "__main__":
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(json.loads(line))), flush=True)
