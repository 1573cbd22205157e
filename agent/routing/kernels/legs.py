"""Legs by their knots, compiled: `Leg` of `agent.routing.balance`, and which legs `Supports.more` of `agent.routing.support` finds, in the same order."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from agent.routing.kernels.jit import compiled, inlined
from agent.routing.tables import Bools, Floats, Ints


class Legs(NamedTuple):
    """All hops over pools, those out of one asset together from `first` on. By hop: `other` is the asset it leads to, `back` the hop the other way,
    `pool` its pool, `rate` what the first unit gives, `knot` where its knots begin and `size` how many they are (none: the pool has none),
    `keep`, `spot`, `gas` and `tick` as of `Leg`. `knots` are rows of square root of the price, in, out and liquidity of both."""

    first: Ints
    given: Ints
    other: Ints
    back: Ints
    pool: Ints
    alone: Bools
    rate: Floats
    knot: Ints
    size: Ints
    keep: Floats
    spot: Floats
    gas: Floats
    tick: Floats
    knots: Floats


class Limits(NamedTuple):
    """How many pairs of legs are told by asset, at how many prices they are looked at and how often an interval is halved; what part of its gas a leg
    is to gain, and what is no gain."""

    ways: int
    halvings: int
    part: float
    least: float


class Added(NamedTuple):
    """Legs that may be added: one hop, or two (-1: none) with the price of the asset between them; what they gain and their gas."""

    one: Ints
    two: Ints
    gain: Floats
    gas: Floats
    price: Floats


S, IN, OUT, LIN, LOUT = range(5)


@inlined
def best(legs: Legs, e: int, vi: float, vj: float) -> tuple[float, float, float]:
    """`Leg.best`."""
    if vi >= legs.spot[e] * vj:
        return 0.0, 0.0, 0.0
    keep, knots, at = legs.keep[e], legs.knots, legs.knot[e]
    want = sqrt(vi / (vj * keep))
    low, high = 0, legs.size[e]
    while low < high:
        middle = (low + high) // 2
        if knots[at + middle, S] > want:
            low = middle + 1
        else:
            high = middle
    k = at + max(low - 1, 0)
    if k == at + legs.size[e] - 1:
        return knots[k, IN] / keep, knots[k, OUT], 0.0
    lin = knots[k, LIN]
    net = knots[k, IN] + lin * (1 / want - 1 / knots[k, S])
    return net / keep, knots[k, OUT] + knots[k, LOUT] * (knots[k, S] - want), 0.5 * vi * lin / (keep * want)


@inlined
def gain(legs: Legs, e: int, vi: float, vj: float) -> float:
    """`Leg.gain`."""
    paid, got, _ = best(legs, e, vi, vj)
    return got * vj - paid * vi


@inlined
def given(legs: Legs, e: int, paid: float) -> tuple[float, int]:
    """`Leg.given`."""
    net, knots, at = paid * legs.keep[e], legs.knots, legs.knot[e]
    low, high = 0, legs.size[e]
    while low < high:
        middle = (low + high) // 2
        if net < knots[at + middle, IN]:
            high = middle
        else:
            low = middle + 1
    k = max(low - 1, 0)
    if k == legs.size[e] - 1 or knots[at + k, LIN] <= 0:
        return knots[at + k, OUT], k
    stop = 1 / (1 / knots[at + k, S] + (net - knots[at + k, IN]) / knots[at + k, LIN])
    return knots[at + k, OUT] + knots[at + k, LOUT] * (knots[at + k, S] - stop), k


@inlined
def _between(legs: Legs, one: int, two: int, vi: float, vj: float, halvings: int) -> tuple[float, float]:
    low, high = vi / legs.spot[one], legs.spot[two] * vj
    if low >= high:
        return low, 0.0
    for _ in range(halvings):
        middle = sqrt(low * high)
        if best(legs, one, vi, middle)[1] < best(legs, two, middle, vj)[0]:
            low = middle
        else:
            high = middle
    price = sqrt(low * high)
    return price, gain(legs, one, vi, price) + gain(legs, two, price, vj)


@compiled
def through(
    legs: Legs, hops: Ints, vi: float, vj: float, least: float, most: float, looks: int, narrowings: int, near: float
) -> float:  # fmt: skip
    """`Supports.through`."""
    times = sqrt(sqrt(sqrt(sqrt(most / least))))
    best, at, amount = _row(legs, hops, vi, vj, least), least, least
    for _ in range(looks):
        amount *= times
        found = _row(legs, hops, vi, vj, amount)
        if found > best:
            best, at = found, amount
    low, high = at / times, at * times
    for _ in range(narrowings):
        amount = sqrt(low * high)
        if _row(legs, hops, vi, vj, amount * near) > _row(legs, hops, vi, vj, amount):
            low = amount
        else:
            high = amount
    return max(best, _row(legs, hops, vi, vj, sqrt(low * high)))


@inlined
def _row(legs: Legs, hops: Ints, vi: float, vj: float, amount: float) -> float:
    """What legs in a row gain of so much."""
    held = amount
    for k in range(len(hops)):
        held = given(legs, hops[k], held)[0]
    return held * vj - amount * vi


@compiled
def more(legs: Legs, assets: Ints, values: Floats, used: Ints, ends: tuple[int, int], whole: float, rate: float, limits: Limits) -> Added:  # fmt: skip
    """`Supports.more`: `assets` stand in order, `values` are their prices, `used` the pools of the support, `ends` what is sold and bought, `whole` what the
    order is worth."""
    sell, buy = ends
    nodes, edges = len(legs.first) - 1, len(legs.other)
    prices = np.zeros(nodes)
    for n in range(len(assets)):
        prices[assets[n]] = values[n]
    held = np.zeros(edges + 1, dtype=np.bool_)
    for n in range(len(used)):
        held[used[n]] = True
    taken = held[legs.pool]
    one, two = np.empty(64, dtype=np.int64), np.empty(64, dtype=np.int64)
    gains, gases, at_price = np.empty(64), np.empty(64), np.empty(64)
    found = 0
    # By asset in between: from how many of the assets it is reached, by which one last, and by how many hops.
    reached, last = np.zeros(nodes, dtype=np.int64), np.full(nodes, -1, dtype=np.int64)
    hops = np.zeros(nodes + 1, dtype=np.int64)
    for n in range(len(assets)):
        a = assets[n]
        for e in range(legs.first[a], legs.first[a + 1]):
            other = legs.other[e]
            if prices[other] > 0:
                if taken[e] or a == buy or other == sell:
                    continue
                vi, vj = prices[a], prices[other]
                if not legs.rate[e] * vj > vi or not _has(legs, e, sell, buy):
                    continue
                won = gain(legs, e, vi, vj)
                if won > limits.part * legs.gas[e] * rate + limits.least:
                    if found == len(one):
                        one, two, gains, gases, at_price = _longer(one), _longer(two), _further(gains), _further(gases), _further(at_price)  # fmt: skip
                    one[found], two[found], gains[found], gases[found], at_price[found] = e, -1, won, legs.gas[e] * rate, 0.0  # fmt: skip
                    found += 1
            else:
                if last[other] != a:
                    last[other] = a
                    reached[other] += 1
                hops[other + 1] += 1
    for k in range(nodes):
        if reached[k] < 2:
            hops[k + 1] = 0
        hops[k + 1] += hops[k]
    ins, filled = np.empty(hops[nodes], dtype=np.int64), hops[:nodes].copy()
    for n in range(len(assets)):
        a = assets[n]
        for e in range(legs.first[a], legs.first[a + 1]):
            other = legs.other[e]
            if prices[other] <= 0 and reached[other] > 1:
                ins[filled[other]] = e
                filled[other] += 1
    widest = 0
    for k in range(nodes):
        widest = max(widest, hops[k + 1] - hops[k])
    to, on = np.empty(widest, dtype=np.int64), np.empty(widest, dtype=np.int64)
    won_to, won_on = np.empty((widest, 3)), np.empty((widest, 3))
    top, firsts, seconds = np.empty(limits.ways), np.empty(limits.ways, dtype=np.int64), np.empty(limits.ways, dtype=np.int64)  # fmt: skip
    part = limits.part * rate
    for k in range(nodes):
        low, high = np.inf, -np.inf
        for at in range(hops[k], hops[k + 1]):
            e = ins[at]
            b = legs.back[e]
            if taken[e]:
                continue
            if legs.given[e] != buy and legs.rate[e] > 0:
                low = min(low, prices[legs.given[e]] / legs.rate[e])
            if legs.given[e] != sell and legs.rate[b] > 0:
                high = max(high, prices[legs.given[e]] * legs.rate[b])
        if not low < high:
            continue
        half = sqrt(high / low)
        quarter = sqrt(half)
        first, middle, third = low * quarter, low * half, low * half * quarter
        tos = ons = 0
        for at in range(hops[k], hops[k + 1]):
            e = ins[at]
            b, end = legs.back[e], legs.given[e]
            if taken[e]:
                continue
            if end != buy and legs.rate[e] > 0 and (1 - prices[end] / legs.rate[e] / high) * whole > part * legs.gas[e] + limits.least and _has(legs, e, sell, buy):  # fmt: skip
                to[tos] = e
                won_to[tos, 0] = gain(legs, e, prices[end], first)
                won_to[tos, 1] = gain(legs, e, prices[end], middle)
                won_to[tos, 2] = gain(legs, e, prices[end], third)
                tos += 1
            if end != sell and legs.rate[b] > 0 and (1 - low / (prices[end] * legs.rate[b])) * whole > part * legs.gas[b] + limits.least and _has(legs, b, sell, buy):  # fmt: skip
                on[ons] = b
                won_on[ons, 0] = gain(legs, b, first, prices[end])
                won_on[ons, 1] = gain(legs, b, middle, prices[end])
                won_on[ons, 2] = gain(legs, b, third, prices[end])
                ons += 1
        count = 0
        for n in range(tos):
            for m in range(ons):
                e, b = to[n], on[m]
                gas = part * (legs.gas[e] + legs.gas[b]) + limits.least
                if not won_to[n, 2] + won_on[m, 0] > gas or legs.given[e] == legs.other[b] or legs.pool[e] == legs.pool[b]:  # fmt: skip
                    continue
                most = min(min(won_to[n, 0] + won_on[m, 0], won_to[n, 1] + won_on[m, 1]), won_to[n, 2] + won_on[m, 2]) - gas  # fmt: skip
                if not most > 0:
                    continue
                spot = count
                while spot > 0 and top[spot - 1] < most:
                    spot -= 1
                if spot < limits.ways:
                    count = min(count + 1, limits.ways)
                    for q in range(count - 1, spot, -1):
                        top[q], firsts[q], seconds[q] = top[q - 1], firsts[q - 1], seconds[q - 1]
                    top[spot], firsts[spot], seconds[spot] = most, e, b
        for q in range(count):
            e, b = firsts[q], seconds[q]
            price, won = _between(legs, e, b, prices[legs.given[e]], prices[legs.other[b]], limits.halvings)
            gas = (legs.gas[e] + legs.gas[b]) * rate
            if won > limits.part * gas + limits.least:
                if found == len(one):
                    one, two, gains, gases, at_price = _longer(one), _longer(two), _further(gains), _further(gases), _further(at_price)  # fmt: skip
                one[found], two[found], gains[found], gases[found], at_price[found] = e, b, won, gas, price
                found += 1
    return Added(one[:found], two[:found], gains[:found], gases[:found], at_price[:found])


@compiled
def ways(
    legs: Legs, i: int, j: int, paid: float, floor: float, inside: Ints, used: Ints, ends: tuple[int, int]
) -> tuple[Ints, Ints, Floats, Floats]:  # fmt: skip
    """`Supports._ways`: the legs by number (the second -1: none), what is between them and what comes of it."""
    sell, buy = ends
    taken = np.zeros(len(legs.other) + 1, dtype=np.bool_)
    for n in range(len(used)):
        taken[used[n]] = True
    nodes = len(legs.first) - 1
    within, into, on = np.zeros(nodes, dtype=np.bool_), np.zeros(nodes), np.zeros(nodes)
    for n in range(len(inside)):
        within[inside[n]] = True
    for e in range(legs.first[i], legs.first[i + 1]):
        into[legs.other[e]] = max(into[legs.other[e]], legs.rate[e])
    for e in range(legs.first[j], legs.first[j + 1]):
        on[legs.other[e]] = max(on[legs.other[e]], legs.rate[legs.back[e]])
    one, two = np.empty(nodes + 1, dtype=np.int64), np.empty(nodes + 1, dtype=np.int64)
    held, outs = np.empty(nodes + 1), np.empty(nodes + 1)
    found, above = 0, max(floor, 1.0)
    least = above / paid
    e, out = _most(legs, i, j, paid, least, taken, sell, buy)
    if e >= 0 and out > floor:
        one[found], two[found], held[found], outs[found] = e, -1, 0.0, out
        found += 1
    for k in range(nodes):
        if within[k] or not into[k] * on[k] > least:
            continue
        e, part = _most(legs, i, k, paid, least / on[k], taken, sell, buy)
        if e < 0 or not part > 0:
            continue
        b, out = _most(legs, k, j, part, above / part, taken, sell, buy)
        if b >= 0 and out > floor and legs.pool[b] != legs.pool[e]:
            one[found], two[found], held[found], outs[found] = e, b, part, out
            found += 1
    return one[:found], two[:found], held[:found], outs[:found]


@inlined
def _most(legs: Legs, i: int, j: int, amount: float, need: float, taken: Bools, sell: int, buy: int) -> tuple[int, float]:  # fmt: skip
    """The hop between two assets that gives most for so much, of those whose first unit gives more than `need` (-1: none)."""
    best, most = -1, 0.0
    for e in range(legs.first[i], legs.first[i + 1]):
        if (
            legs.other[e] != j
            or taken[legs.pool[e]]
            or not legs.rate[e] > need
            or not _has(legs, e, sell, buy)
        ):
            continue
        out = given(legs, e, amount)[0]
        if best < 0 or out > most:
            best, most = e, out
    return best, most


@inlined
def _has(legs: Legs, e: int, sell: int, buy: int) -> bool:
    """Whether the hop has knots and a path may have it."""
    return legs.size[e] > 0 and not (legs.alone[e] and (legs.given[e] != sell or legs.other[e] != buy))


@compiled
def _longer(values: Ints) -> Ints:
    found = np.empty(2 * len(values), dtype=np.int64)
    found[: len(values)] = values
    return found


@compiled
def _further(values: Floats) -> Floats:
    found = np.empty(2 * len(values))
    found[: len(values)] = values
    return found


__all__ = ["Added", "Legs", "Limits", "best", "gain", "given", "more"]
