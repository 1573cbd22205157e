"""The dual of one order compiled: the sums, steps and second derivatives of `agent.routing.dual`, edge by edge.

What is found with it is a proposal, as there: a certificate computes what it proves in integers.
"""

from __future__ import annotations

from math import exp, log1p, sqrt
from typing import NamedTuple

import numpy as np

from agent.routing.kernels.jit import compiled, inlined
from agent.routing.tables import Bools, Floats, Ints

FROM, TO, FIRST, LAST = range(4)
KEEP, SPOT, LOG, LEAST, GAS, TICK, MOST = range(7)
S, INS, OUTS, LIN, LOUT = range(5)

_LEAST_S = 1e-160
_BUSY = 1e-9


class Net(NamedTuple):
    """An order's edges in few arrays: each costs a call half a microsecond.

    `edges` are those it may use; of all edges `ends` are the two nodes and the range of knots, `costs` what is kept of the input, the rate of the
    first unit and its logarithm, the least logarithm of its worth that matters, the gas and what a tick costs, in values, and the most of
    what is bought that is sold on. `knots` are the market's own.
    """

    edges: Ints
    ends: Ints
    costs: Floats
    knots: Floats


@inlined
def _sale(net: Net, e: int, vi: float, vj: float, cap: float) -> tuple[float, float, float, float, float]:
    """Of the best sale of no more than `cap` gross: input, output, gain, curvature, ticks passed."""
    costs, knots = net.costs, net.knots
    keep, first, last = costs[e, KEEP], net.ends[e, FIRST], net.ends[e, LAST]
    want = sqrt(vi / (vj * keep))
    at, high = first, last
    while at < high:
        mid = (at + high + 1) // 2
        if knots[mid, S] >= want:
            at = mid
        else:
            high = mid - 1
    top = knots[at, S]
    under = knots[at + 1, S] if at < last else top
    stop = max(min(want, top), under)
    net_in = knots[at, INS] + knots[at, LIN] * (1 / max(stop, _LEAST_S) - 1 / max(top, _LEAST_S))
    got = knots[at, OUTS] + knots[at, LOUT] * (top - stop)
    bend = 0.0
    if under < want < top:
        bend = vi * knots[at, LIN] / (2 * keep * max(stop, _LEAST_S))
    most = cap * keep
    if net_in > most:
        at, high = first, last
        while at < high:
            mid = (at + high + 1) // 2
            if knots[mid, INS] <= most:
                at = mid
            else:
                high = mid - 1
        inverse = 1 / max(knots[at, S], _LEAST_S)
        if knots[at, LIN] > 0:
            inverse += (most - knots[at, INS]) / knots[at, LIN]
        got = knots[at, OUTS] + knots[at, LOUT] * (knots[at, S] - 1 / inverse)
        net_in, bend = most, 0.0
    ticks = float(at - first)
    paid = net_in / keep
    gain = vj * got - vi * paid
    if ticks > 0 and costs[e, TICK] > 0:
        # Where the last stretch does not earn its tick, the sale ends at the tick.
        short = vj * knots[at, OUTS] - vi * knots[at, INS] / keep
        if gain - short < costs[e, TICK]:
            paid, got, bend, gain = knots[at, INS] / keep, knots[at, OUTS], 0.0, short
            ticks -= 1
    sold_on, spot = costs[e, MOST], costs[e, SPOT]
    if sold_on < np.inf and gain > sold_on * (vj - vi / spot):
        # As the bound counts it: all that is sold on at the rate of the first unit.
        got, bend, paid = sold_on, 0.0, sold_on / spot
        gain = vj * got - vi * paid
    return paid, got, gain, bend, ticks


@inlined
def _bent(x: float, tau: float) -> float:
    """As `agent.routing.dual` rounds the kink of max(x, 0)."""
    if tau > 0:
        return float(x if x > 30 * tau else tau * log1p(exp(x / tau)))
    if tau < 0:
        if x > -tau:
            return float(x)
        over = max(x - tau, 0.0)
        return float(over * over / (-4 * tau))
    return float(max(x, 0.0))


@compiled
def sales(net: Net, vi: Floats, vj: Floats, edges: Ints, cap: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:  # fmt: skip
    """`_sale` for each of `edges`."""
    count = len(edges)
    paid, got, gain, bend, ticks = (np.empty(count), np.empty(count), np.empty(count), np.empty(count), np.empty(count))  # fmt: skip
    for n in range(count):
        paid[n], got[n], gain[n], bend[n], ticks[n] = _sale(net, edges[n], vi[n], vj[n], cap[n])
    return paid, got, gain, bend, ticks


@compiled
def value(net: Net, v: Floats, cap: Floats, tau: float) -> float:
    """What all edges are worth at `v`."""
    ends, costs = net.ends, net.costs
    logs, total = np.log(v), 0.0
    for e in net.edges:
        i, j = ends[e, FROM], ends[e, TO]
        if costs[e, LOG] + logs[j] - logs[i] > costs[e, LEAST]:
            _, _, gain, _, ticks = _sale(net, e, v[i], v[j], cap[i])
            total += _bent(gain - costs[e, GAS] - costs[e, TICK] * ticks, tau)
    return float(total)


@compiled
def paying(net: Net, v: Floats, cap: Floats) -> tuple[Ints, Floats]:
    """The edges that pay at `v`, and by how much."""
    ends, costs = net.ends, net.costs
    logs, count = np.log(v), 0
    edges, worth = np.empty(len(net.edges), dtype=np.int64), np.empty(len(net.edges))
    for e in net.edges:
        i, j = ends[e, FROM], ends[e, TO]
        if costs[e, LOG] + logs[j] - logs[i] > costs[e, LEAST]:
            _, _, gain, _, ticks = _sale(net, e, v[i], v[j], cap[i])
            x = gain - costs[e, GAS] - costs[e, TICK] * ticks
            if x > 0:
                edges[count], worth[count] = e, x
                count += 1
    return edges[:count], worth[:count]


@compiled
def settled(net: Net, v: Floats, logs: Floats, cap: Floats, tau: float, edges: Ints, inside: Bools, held: float, steps: Floats, reach: float) -> float:  # fmt: skip
    """The best of `steps` for the nodes `inside`, over `edges`; `logs` are those of `v`, `held` is what is sold of them, by value."""
    ends, costs = net.ends, net.costs
    total = held * steps
    for e in edges:
        i, j = ends[e, FROM], ends[e, TO]
        one, other = inside[i], inside[j]
        # An edge that does not pay at any of the steps has no part in the choice between them.
        first = costs[e, LOG] + logs[j] - logs[i]
        if first <= costs[e, LEAST] - (reach if one != other else 0.0):
            continue
        for n in range(len(steps)):
            vi = v[i] * steps[n] if one else v[i]
            vj = v[j] * steps[n] if other else v[j]
            _, _, gain, _, ticks = _sale(net, e, vi, vj, cap[i])
            total[n] += _bent(gain - costs[e, GAS] - costs[e, TICK] * ticks, tau)
    return float(steps[np.argmin(total)])


class Slopes(NamedTuple):
    """The smoothed value, and of the nodes that may move and matter: numbers, gradient, second derivatives."""

    value: float
    names: Ints
    gradient: Floats
    bends: Floats


@compiled
def slopes(net: Net, v: Floats, cap: Floats, tau: float, supply: Floats, group: Ints, fixed: Bools) -> Slopes:
    """By the logarithms of prices; nodes of one `group` keep one price."""
    ends, costs = net.ends, net.costs
    logs, nodes, most = np.log(v), len(v), len(net.edges)
    busy, count = np.empty(most, dtype=np.int64), 0
    share, spread, gi, gj, bends = np.empty(most), np.empty(most), np.empty(most), np.empty(most), np.empty(most)  # fmt: skip
    grad = supply * v
    where = np.full(nodes, -1, dtype=np.int64)
    total = grad.sum()
    for e in net.edges:
        i, j = ends[e, FROM], ends[e, TO]
        if not costs[e, LOG] + logs[j] - logs[i] > costs[e, LEAST]:
            continue
        paid, got, gain, bend, ticks = _sale(net, e, v[i], v[j], cap[i])
        x = gain - costs[e, GAS] - costs[e, TICK] * ticks
        total += _bent(x, tau)
        if tau > 0:
            part = 1 / (1 + exp(-min(max(x / tau, -50.0), 50.0)))
            wide = part * (1 - part) / tau
        else:
            part = min(max((x - tau) / (-2 * tau), 0.0), 1.0)
            wide = 1 / (-2 * tau) if 0 < part < 1 else 0.0
        if part > _BUSY:
            busy[count], share[count], spread[count], bends[count] = e, part, wide, part * bend
            gi[count], gj[count] = -v[i] * paid, v[j] * got
            grad[group[i]] += part * gi[count]
            grad[group[j]] += part * gj[count]
            where[group[i]] = where[group[j]] = 0
            count += 1
    names, size = np.empty(nodes, dtype=np.int64), 0
    for node in range(nodes):
        if where[node] == 0 or supply[node] != 0:
            where[node] = -1
            if not fixed[node]:
                where[node] = size
                names[size] = node
                size += 1
    hess = np.zeros((size, size))
    for n in range(count):
        e = busy[n]
        a, b = where[group[ends[e, FROM]]], where[group[ends[e, TO]]]
        if a >= 0:
            hess[a, a] += bends[n] + spread[n] * gi[n] * gi[n]
        if b >= 0:
            hess[b, b] += bends[n] + spread[n] * gj[n] * gj[n]
        if a >= 0 and b >= 0:
            cross = -bends[n] + spread[n] * gi[n] * gj[n]
            hess[a, b] += cross
            hess[b, a] += cross
    gradient = np.empty(size)
    for n in range(size):
        gradient[n] = grad[names[n]]
    return Slopes(float(total), names[:size], gradient, hess)


@compiled
def onward(net: Net, v: Floats, size: Floats, parts: Floats, fixed: Bools, rounds: int) -> Floats:
    """Backwards from the fixed nodes, so many edges far: what a unit nets on the best way, by round and node; 0 where no way leads on. An
    edge is sold a part of its node's `size`, whichever nets most."""
    ends, costs = net.ends, net.costs
    edges, knots = len(net.edges), net.knots
    rate, cost = np.empty((edges, len(parts))), np.empty((edges, len(parts)))
    for n in range(edges):
        e = net.edges[n]
        first, last = ends[e, FIRST], ends[e, LAST]
        for p in range(len(parts)):
            sold = size[ends[e, FROM]] * parts[p]
            most = sold * costs[e, KEEP]
            at, high = first, last
            while at < high:
                mid = (at + high + 1) // 2
                if knots[mid, INS] <= most:
                    at = mid
                else:
                    high = mid - 1
            inverse = 1 / max(knots[at, S], _LEAST_S)
            if knots[at, LIN] > 0:
                inverse += (most - knots[at, INS]) / knots[at, LIN]
            rate[n, p] = (knots[at, OUTS] + knots[at, LOUT] * (knots[at, S] - 1 / inverse)) / sold
            cost[n, p] = (costs[e, GAS] + costs[e, TICK] * (at - first)) / sold
    found = np.empty((rounds, len(v)))
    best = np.where(fixed, v, 0.0)
    for number in range(rounds):
        after = best.copy()
        for n in range(edges):
            i, there = ends[net.edges[n], FROM], best[ends[net.edges[n], TO]]
            if there > 0:
                for p in range(len(parts)):
                    after[i] = max(after[i], there * rate[n, p] - cost[n, p])
        best = after
        found[number] = best
    return found


__all__ = ["Net", "Slopes", "onward", "paying", "sales", "settled", "slopes", "value"]
