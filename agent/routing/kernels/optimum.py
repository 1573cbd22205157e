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
import numpy.typing as npt

from agent.routing.kernels.jit import compiled, inlined
from agent.routing.tables import Floats, Ints, Tables

_STEPS, _TRIES, _DAMP, _LEAST_DAMP = 80, 6, 1e-4, 1e-9
_STEEP = 0.3
"""A step that ends where the way still leads down by more than this share of how it began goes on."""
_MOST = 0.7
"""The furthest the logarithm of a price goes in one step."""
_NOISE = 1e-8
"""Below this share of the value its sum says little about whether a step was good."""
_STALE = 10
"""How far prices may go, by the next step's furthest, before every edge is looked at anew."""
_NOTHING = 1e-6
"""Sales below this share of the value are what is left of the search."""


Numbers = npt.NDArray[np.int32]


class Web(NamedTuple):
    """Edges and their knots as `agent.routing.tables.Tables` has them, in as few places as one edge is read at: `ends` are its two nodes, `spot` the
    rate of the first unit, `ranges` its first and last knot, `keeps` what is kept of the input and one over that; `knots` are s, ins, outs,
    lin, lout and one over s. `hub` is a node's number among the hubs, -1 for the others, no two of which share an edge; `centre` the
    node of each hub."""

    ends: Numbers
    spot: Floats
    ranges: Numbers
    keeps: Floats
    knots: Floats
    hub: Ints
    centre: Ints


FROM, TO = range(2)
FIRST, LAST = range(2)
KEEP, PER = range(2)
S, INS, OUTS, LIN, LOUT, OVER = range(6)
_LEAST_S = 1e-160


def web(tables: Tables, hubs: Ints) -> Web:
    """The tables of a market laid out."""
    t = tables
    hub = np.full(len(t.nodes), -1, dtype=np.int64)
    hub[hubs] = np.arange(len(hubs), dtype=np.int64)
    ends = np.column_stack((t.i, t.j)).astype(np.int32)
    ranges = np.column_stack((t.first, t.last)).astype(np.int32)
    knots = np.column_stack((t.s, t.ins, t.outs, t.lin, t.lout, 1 / np.maximum(t.s, _LEAST_S)))
    return Web(ends, t.spot, ranges, np.column_stack((t.keep, 1 / t.keep)), knots, hub, hubs)


class Optimum(NamedTuple):
    """The least value found, the prices there, and how many steps it took."""

    value: float
    prices: Floats
    steps: int


@inlined
def _best(web: Web, e: int, vi: float, vj: float) -> tuple[float, float, float]:
    """What the best sale on an edge takes, gross, and gives, and how fast it grows with its price."""
    knots, keep, per = web.knots, web.keeps[e, KEEP], web.keeps[e, PER]
    # The square root of the price it ends at, vi / (vj * keep), and one over that.
    middle = 1 / sqrt(vi * vj * keep)
    want, over = vi * middle, vj * keep * middle
    low, high = np.int64(web.ranges[e, FIRST]), np.int64(web.ranges[e, LAST])
    last = high
    while low < high:
        mid = (low + high + 1) // 2
        if knots[mid, S] > want:
            low = mid
        else:
            high = mid - 1
    if low == last:
        return knots[low, INS] * per, knots[low, OUTS], 0.0
    lin = knots[low, LIN]
    net = knots[low, INS] + lin * (over - knots[low, OVER])
    return (
        net * per,
        knots[low, OUTS] + knots[low, LOUT] * (knots[low, S] - want),
        0.5 * vi * lin * per * over,
    )


@inlined
def _slack(web: Web, v: Floats, slack: Floats) -> None:
    """By how much the first unit of every edge falls short of paying: one and less where it pays."""
    for e in range(len(slack)):
        slack[e] = v[web.ends[e, FROM]] / (web.spot[e] * v[web.ends[e, TO]])


@compiled
def _measured(web: Web, v: Floats, source: int, amount: float, slack: Floats, limit: float, grad: Floats, diagonal: Floats, joint: Floats, dense: Floats) -> float:  # fmt: skip
    """The dual at `v`, and its derivatives by the logarithms of prices: `joint` between a node and a hub, `dense` between two hubs. Edges whose
    `slack` is beyond `limit` do not pay."""
    grad[:], diagonal[:], joint[:], dense[:] = 0.0, 0.0, 0.0, 0.0
    total = amount * v[source]
    grad[source] = total
    for e in range(len(slack)):
        if slack[e] > limit:
            continue
        i, j = web.ends[e, FROM], web.ends[e, TO]
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
    n = len(web.centre)
    matrix, right = dense.copy(), np.zeros(n)
    held = web.hub[target]
    if held >= 0:
        matrix[held, :] = 0.0
        matrix[:, held] = 0.0
    for a in range(n):
        node = web.centre[a]
        if a == held:
            matrix[a, a], right[a] = 1.0, 0.0
        else:
            matrix[a, a] += diagonal[node] + damp * (diagonal[node] + abs(grad[node])) + least
            right[a] -= grad[node]
    for node in range(len(grad)):
        if diagonal[node] == 0 and grad[node] == 0:
            continue
        if web.hub[node] >= 0 or node == target:
            continue
        per = 1 / (diagonal[node] + damp * (diagonal[node] + abs(grad[node])) + least)
        for a in range(n):
            if joint[node, a] == 0 or a == held:
                continue
            share = joint[node, a] * per
            right[a] += share * grad[node]
            # The half that the factors are made of.
            for b in range(a + 1):
                if b != held:
                    matrix[a, b] -= share * joint[node, b]
    # Cholesky without a library: the matrix is small, and a call would cost more.
    for a in range(n):
        for b in range(a):
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
    nodes, n = len(start), len(web.centre)
    v, trial, move = start / start[target], np.empty(nodes), np.zeros(nodes)
    grad, diagonal, joint, dense = np.empty(nodes), np.empty(nodes), np.empty((nodes, n)), np.empty((n, n))
    grad_2, diagonal_2, joint_2, dense_2 = np.empty(nodes), np.empty(nodes), np.empty((nodes, n)), np.empty((n, n))  # fmt: skip
    slack, drift = np.empty(len(web.ends)), 0.0
    _slack(web, v, slack)
    now = _measured(web, v, source, amount, slack, 1.0, grad, diagonal, joint, dense)
    grad[target] = 0.0
    damp, steps = _DAMP, 0
    for _ in range(_STEPS):
        # Deep pools give much for a little of price: the value is long at rest where flows do not balance yet.
        worst = np.abs(grad).max()
        if worst < close * now:
            break
        falls = _solved(web, target, grad, diagonal, joint, dense, damp, 1e-14 * now, move)
        slope, furthest = np.sum(grad * move), np.abs(move).max()
        if drift > _STALE * furthest:
            # Prices have gone far by how far they go on: what falls short from here on is more.
            _slack(web, v, slack)
            drift = 0.0
        moved, part, good, low, high, at_low, at_high = False, 1.0, 0.0, 0.0, 1.0, slope, 0.0
        for _ in range(_TRIES):
            steps += 1
            for node in range(nodes):
                trial[node] = v[node] * exp(part * move[node]) if move[node] != 0 else v[node]
            # Both ends of an edge have gone so far at most.
            limit = exp(2 * (drift + part * furthest)) * (1 + _NOISE)
            after = _measured(web, trial, source, amount, slack, limit, grad_2, diagonal_2, joint_2, dense_2)
            grad_2[target] = 0.0
            there = np.sum(grad_2 * move)
            moved = after < now or (falls < _NOISE * now and np.abs(grad_2).max() < worst)
            if moved and (there > _STEEP * slope or part == 1):
                good = part
                break
            # A pool that was at rest has begun to trade on the way. Where it does is sought by the slopes at both ends, for the next step
            # to know of it; an end that stays for long counts half.
            if there < 0:
                at_high = at_high / 2 if low > 0 else at_high
                low, at_low = part, there
            else:
                at_low = at_low / 2 if high < 1 else at_low
                high, at_high = part, there
            share = at_low / (at_low - at_high) if at_high > 0 else 0.5
            good, part = part, low + (high - low) * min(max(share, 0.05), 0.95)
        if not moved:
            damp *= 100
            if damp > 1e6:
                break
            continue
        now, v, trial, drift = after, trial, v, drift + good * furthest
        grad, grad_2, diagonal, diagonal_2 = grad_2, grad, diagonal_2, diagonal
        joint, joint_2, dense, dense_2 = joint_2, joint, dense_2, dense
        damp = max(damp / 10, _LEAST_DAMP)
    return Optimum(now, v, steps)


@inlined
def _given(web: Web, e: int, paid: float) -> float:
    """What a sale of `paid` gross gives on an edge."""
    net, knots = paid * web.keeps[e, KEEP], web.knots
    k, last = np.int64(web.ranges[e, FIRST]), np.int64(web.ranges[e, LAST])
    while k < last and knots[k + 1, INS] <= net:
        k += 1
    if k == last or knots[k, LIN] <= 0:
        return float(knots[k, OUTS])
    stop = 1 / (knots[k, OVER] + (net - knots[k, INS]) / knots[k, LIN])
    return float(knots[k, OUTS] + knots[k, LOUT] * (knots[k, S] - stop))


@compiled
def carried(web: Web, prices: Floats, source: int, target: int, amount: float, flow: Floats) -> float:
    """What the whole amount gives when every node's income goes on in the proportions of the best sales at `prices`; `flow` takes what each
    edge is sold. Below zero where these sales make a cycle."""
    nodes, count = len(prices), 0
    used, planned = np.empty(len(web.ends), dtype=np.int64), np.empty(len(web.ends))
    waits, total, held = np.zeros(nodes, dtype=np.int64), np.zeros(nodes), np.zeros(nodes)
    # Edges by where they begin: each is looked at once.
    at, least = np.zeros(nodes + 1, dtype=np.int64), _NOTHING * amount * prices[source]
    for e in range(len(web.ends)):
        i, j = web.ends[e, FROM], web.ends[e, TO]
        if prices[i] < web.spot[e] * prices[j] and i != target and j != source:
            paid, _, _ = _best(web, e, prices[i], prices[j])
            if paid * prices[i] > least:
                used[count], planned[count] = e, paid
                count += 1
                waits[j] += 1
                total[i] += paid
                at[i + 1] += 1
    order, ready, done = np.empty(nodes, dtype=np.int64), 0, 0
    for node in range(nodes):
        at[node + 1] += at[node]
        if waits[node] == 0:
            order[ready] = node
            ready += 1
    fill, placed = at.copy(), np.empty(count, dtype=np.int64)
    for k in range(count):
        i = web.ends[used[k], FROM]
        placed[fill[i]] = k
        fill[i] += 1
    held[source] = amount
    while done < ready:
        node = order[done]
        done += 1
        for n in range(at[node], at[node + 1]):
            e = used[placed[n]]
            part = held[node] * planned[placed[n]] / total[node]
            if part > 0:
                flow[e] = part
                held[web.ends[e, TO]] += _given(web, e, part)
            waits[web.ends[e, TO]] -= 1
            if waits[web.ends[e, TO]] == 0:
                order[ready] = web.ends[e, TO]
                ready += 1
    return float(held[target]) if ready == nodes else -1.0


__all__ = ["Optimum", "Web", "carried", "solve", "web"]
