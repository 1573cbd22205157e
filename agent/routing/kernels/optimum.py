"""The dual of one sale without gas, solved by damped Newton steps in value-scaled prices, compiled.

    F(v) = amount * v[source] + sum over edges of max(0, gain of the edge's best sale at v),   v[target] = 1

Its least value bounds what any splitting of the sale can give, and is reached by the flows at its prices. The Hessian is the Laplacian of
the graph of pools: nodes that no edge joins to each other are eliminated first, so that a dense solve is left for the few hubs alone.
Source: Angeris, Evans, Chitra, Boyd, "Optimal routing for constant function market makers" (2022).
"""

from __future__ import annotations

from math import exp, sqrt
from typing import NamedTuple

import numpy as np

from agent.routing.kernels.jit import compiled
from agent.routing.tables import Floats, Ints

_STEPS, _TRIES, _DAMP = 80, 6, 1e-4
_MOST = 0.7
"""The furthest the logarithm of a price goes in one step."""
_NOISE = 1e-8
"""Below this share of the value its sum says little about whether a step was good."""
_NOTHING = 1e-6
"""Sales below this share of the value are what is left of the search."""


class Web(NamedTuple):
    """Edges and their knots as `agent.routing.tables.Tables` has them; `hub` is a node's number among the hubs, -1 for the others, no two of
    which share an edge."""

    i: Ints
    j: Ints
    keep: Floats
    spot: Floats
    first: Ints
    last: Ints
    s: Floats
    ins: Floats
    outs: Floats
    lin: Floats
    lout: Floats
    hub: Ints
    hubs: int


class Optimum(NamedTuple):
    """The least value found, the prices there, and how many steps it took."""

    value: float
    prices: Floats
    steps: int


@compiled
def _best(web: Web, e: int, vi: float, vj: float) -> tuple[float, float, float]:
    """What the best sale on an edge takes, gross, and gives, and how fast it grows with its price."""
    keep = web.keep[e]
    want = sqrt(vi / (vj * keep))
    low, high = web.first[e], web.last[e]
    while low < high:
        mid = (low + high + 1) // 2
        if web.s[mid] > want:
            low = mid
        else:
            high = mid - 1
    top = web.s[low]
    if low == web.last[e]:
        return web.ins[low] / keep, web.outs[low], 0.0
    stop = max(want, 1e-160)
    net = web.ins[low] + web.lin[low] * (1 / stop - 1 / top)
    return net / keep, web.outs[low] + web.lout[low] * (top - stop), vi * web.lin[low] / (2 * keep * stop)


@compiled
def _measured(web: Web, v: Floats, source: int, amount: float, grad: Floats, diagonal: Floats, joint: Floats, dense: Floats) -> float:  # fmt: skip
    """The dual at `v`, and its derivatives by the logarithms of prices: `joint` between a node and a hub, `dense` between two hubs."""
    grad[:], diagonal[:], joint[:], dense[:] = 0.0, 0.0, 0.0, 0.0
    total = amount * v[source]
    grad[source] = total
    for e in range(len(web.i)):
        i, j = web.i[e], web.j[e]
        vi, vj = v[i], v[j]
        if vi >= web.spot[e] * vj:
            continue
        paid, got, bend = _best(web, e, vi, vj)
        total += vj * got - vi * paid
        grad[i] -= vi * paid
        grad[j] += vj * got
        if bend > 0:
            diagonal[i] += bend
            diagonal[j] += bend
            a, b = web.hub[i], web.hub[j]
            if a >= 0 and b >= 0:
                dense[a, b] -= bend
                dense[b, a] -= bend
            elif a >= 0:
                joint[j, a] -= bend
            else:
                joint[i, b] -= bend
    return float(total)


@compiled
def _solved(web: Web, target: int, grad: Floats, diagonal: Floats, joint: Floats, dense: Floats, damp: float, least: float, move: Floats) -> float:  # fmt: skip
    """The damped Newton step, and what the dual should fall by."""
    n = web.hubs
    matrix, right = dense.copy(), np.zeros(n)
    for node in range(len(grad)):
        a = web.hub[node]
        pivot = diagonal[node] + damp * (diagonal[node] + abs(grad[node])) + least
        if a >= 0:
            matrix[a, a] += pivot
            right[a] -= grad[node]
            if node == target:
                matrix[a, :] = 0.0
                matrix[:, a] = 0.0
                matrix[a, a], right[a] = 1.0, 0.0
    held = web.hub[target]
    for node in range(len(grad)):
        if web.hub[node] >= 0 or node == target or (diagonal[node] == 0 and grad[node] == 0):
            continue
        pivot = diagonal[node] + damp * (diagonal[node] + abs(grad[node])) + least
        for a in range(n):
            if joint[node, a] == 0 or a == held:
                continue
            share = joint[node, a] / pivot
            right[a] += share * grad[node]
            for b in range(n):
                if b != held:
                    matrix[a, b] -= share * joint[node, b]
    # Cholesky without a library: the matrix is small, and a call would cost more.
    for a in range(n):
        for b in range(a):
            if matrix[a, b] != 0:
                for c in range(b):
                    matrix[a, b] -= matrix[a, c] * matrix[b, c]
            elif b:
                for c in range(b):
                    matrix[a, b] -= matrix[a, c] * matrix[b, c]
            matrix[a, b] /= matrix[b, b]
        for c in range(a):
            matrix[a, a] -= matrix[a, c] * matrix[a, c]
        matrix[a, a] = sqrt(max(matrix[a, a], least))
    for a in range(n):
        for c in range(a):
            right[a] -= matrix[a, c] * right[c]
        right[a] /= matrix[a, a]
    for a in range(n - 1, -1, -1):
        for c in range(a + 1, n):
            right[a] -= matrix[c, a] * right[c]
        right[a] /= matrix[a, a]
    falls = 0.0
    for node in range(len(grad)):
        a = web.hub[node]
        if node == target or (a < 0 and diagonal[node] == 0 and grad[node] == 0):
            move[node] = 0.0
            continue
        if a >= 0:
            step = right[a]
        else:
            step = -grad[node]
            for b in range(n):
                if joint[node, b] != 0 and b != held:
                    step -= joint[node, b] * right[b]
            step /= diagonal[node] + damp * (diagonal[node] + abs(grad[node])) + least
        step = min(max(step, -_MOST), _MOST)
        move[node] = step
        falls -= step * grad[node] / 2
    return float(falls)


@compiled
def solve(web: Web, start: Floats, source: int, target: int, amount: float, close: float) -> Optimum:
    """From prices `start` on (raw `target` per raw unit), until no node's income and spending differ by more than a `close`-th of the value."""
    nodes, n = len(start), web.hubs
    v, trial, move = start / start[target], np.empty(nodes), np.zeros(nodes)
    grad, diagonal, joint, dense = np.empty(nodes), np.empty(nodes), np.empty((nodes, n)), np.empty((n, n))
    grad_2, diagonal_2, joint_2, dense_2 = np.empty(nodes), np.empty(nodes), np.empty((nodes, n)), np.empty((n, n))  # fmt: skip
    now = _measured(web, v, source, amount, grad, diagonal, joint, dense)
    grad[target] = 0.0
    damp, steps = _DAMP, 0
    for _ in range(_STEPS):
        # Deep pools give much for a little of price: the value is long at rest where flows do not balance yet.
        worst = np.abs(grad).max()
        if worst < close * now:
            break
        moved, part = False, 1.0
        falls = _solved(web, target, grad, diagonal, joint, dense, damp, 1e-14 * now, move)
        slope = np.sum(grad * move)
        for _ in range(_TRIES):
            steps += 1
            for node in range(nodes):
                trial[node] = v[node] * exp(part * move[node]) if move[node] != 0 else v[node]
            after = _measured(web, trial, source, amount, grad_2, diagonal_2, joint_2, dense_2)
            grad_2[target] = 0.0
            if after < now or (falls < _NOISE * now and np.abs(grad_2).max() < worst):
                moved = True
                break
            # A pool that was at rest has begun to trade on the way: the step ends about where it does, and the next one knows of it.
            there = np.sum(grad_2 * move)
            part *= min(max(slope / (slope - there), 0.05), 0.7) if there > 0 else 0.5
        if not moved:
            damp *= 100
            if damp > 1e6:
                break
            continue
        now, v, trial = after, trial, v
        grad, grad_2, diagonal, diagonal_2 = grad_2, grad, diagonal_2, diagonal
        joint, joint_2, dense, dense_2 = joint_2, joint, dense_2, dense
        damp = max(damp / 10, _DAMP)
    return Optimum(now, v, steps)


@compiled
def _given(web: Web, e: int, paid: float) -> float:
    """What a sale of `paid` gross gives on an edge."""
    net = paid * web.keep[e]
    k = web.first[e]
    while k < web.last[e] and web.ins[k + 1] <= net:
        k += 1
    if k == web.last[e] or web.lin[k] <= 0:
        return float(web.outs[k])
    stop = 1 / (1 / web.s[k] + (net - web.ins[k]) / web.lin[k])
    return float(web.outs[k] + web.lout[k] * (web.s[k] - stop))


@compiled
def carried(web: Web, prices: Floats, source: int, target: int, amount: float, flow: Floats) -> float:
    """What the whole amount gives when every node's income goes on in the proportions of the best sales at `prices`; `flow` takes what each
    edge is sold. Below zero where these sales make a cycle."""
    nodes, count = len(prices), len(web.i)
    planned, waits, total, held = np.zeros(count), np.zeros(nodes, dtype=np.int64), np.zeros(nodes), np.zeros(nodes)  # fmt: skip
    for e in range(count):
        i, j = web.i[e], web.j[e]
        if prices[i] < web.spot[e] * prices[j] and i != target and j != source:
            paid, _, _ = _best(web, e, prices[i], prices[j])
            if paid * prices[i] > _NOTHING * amount * prices[source]:
                planned[e] = paid
                waits[j] += 1
                total[i] += paid
    order, ready, done = np.empty(nodes, dtype=np.int64), 0, 0
    for node in range(nodes):
        if waits[node] == 0:
            order[ready] = node
            ready += 1
    # Edges by where they begin: each is looked at once.
    at, sorted_edges = np.zeros(nodes + 1, dtype=np.int64), np.empty(count, dtype=np.int64)
    for e in range(count):
        if planned[e] > 0:
            at[web.i[e] + 1] += 1
    for node in range(nodes):
        at[node + 1] += at[node]
    fill = at.copy()
    for e in range(count):
        if planned[e] > 0:
            sorted_edges[fill[web.i[e]]] = e
            fill[web.i[e]] += 1
    held[source] = amount
    while done < ready:
        node = order[done]
        done += 1
        for n in range(at[node], at[node + 1]):
            e = sorted_edges[n]
            part = held[node] * planned[e] / total[node]
            if part > 0:
                flow[e] = part
                held[web.j[e]] += _given(web, e, part)
            waits[web.j[e]] -= 1
            if waits[web.j[e]] == 0:
                order[ready] = web.j[e]
                ready += 1
    return float(held[target]) if ready == nodes else -1.0


__all__ = ["Optimum", "Web", "carried", "solve"]
