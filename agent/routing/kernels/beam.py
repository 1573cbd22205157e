"""The beam over a market's pools compiled: `Graph.paths` of `agent.routing.graph`, candidate by candidate in the same order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agent.routing.kernels.jit import compiled
from agent.routing.kernels.sales import Market, sold
from agent.routing.tables import Bools, Floats, Ints

_FAR = 1 << 30
_WIDEST = 64
"""More numbers than any curve's state has."""


class Edges(NamedTuple):
    """Pools by direction, those out of one asset together from `first` on: the asset they lead to, the curve with both assets' places in it, gas
    at all and per tick, and whether no path may join them."""

    first: Ints
    other: Ints
    curve: Ints
    i: Ints
    j: Ints
    gas: Floats
    per_tick: Floats
    alone: Bools


class Ways(NamedTuple):
    """Paths as they were found; `edges` by row, -1 after the last."""

    out: Floats
    gas: Floats
    length: Ints
    edges: Ints


@compiled
def _distances(edges: Edges, target: int, limit: int, without: int) -> Ints:
    begins, others = edges.first, edges.other
    found = np.full(len(begins) - 1, _FAR, dtype=np.int64)
    found[target] = 0
    for steps in range(1, limit + 1):
        for a in range(len(found)):
            if found[a] == steps - 1 and a != without:
                for at in range(begins[a], begins[a + 1]):
                    if found[others[at]] == _FAR:
                        found[others[at]] = steps
    return found


@compiled
def beam(market: Market, start: Floats, edges: Edges, source: int, target: int, amount: float, hops: int, width: int) -> Ways:  # fmt: skip
    """The paths of at most `hops` pools that survive when `width` ways to each asset are kept, and the one that needs least gas."""
    begins, others, curves, given, got_of, needed, per_tick, lone = edges
    kinds, par_at, state_at, par = market
    nodes = len(begins) - 1
    distance = _distances(edges, target, hops, source)
    # Typed as it is everywhere else: a constant would have the sale compiled once more.
    scratch, begin = np.empty(_WIDEST), int(np.int64(0))
    size, count = 1, 1
    out, gas = np.empty(size), np.empty(size)
    parent, edge = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    out[0], gas[0], parent[0], edge[0] = amount, 0.0, -1, -1
    done, dones = np.empty(16, dtype=np.int64), 0
    ring, rings = np.zeros(nodes * (width + 1) + 1, dtype=np.int64), 1 if distance[source] < _FAR else 0
    top, lean, kept = np.empty((nodes, width), dtype=np.int64), np.empty(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)  # fmt: skip
    reached = np.empty(nodes, dtype=np.int64)
    seen, used = np.empty(hops + 1, dtype=np.int64), np.empty(hops + 1, dtype=np.int64)
    for left in range(hops - 1, -1, -1):
        more = 0
        for n in range(rings):
            at = edge[ring[n]]
            asset = source if at < 0 else others[at]
            more += begins[asset + 1] - begins[asset]
        if count + more > size:
            size = count + more
            wider, heavier = np.empty(size), np.empty(size)
            before, last = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
            wider[:count], heavier[:count], before[:count], last[:count] = out[:count], gas[:count], parent[:count], edge[:count]  # fmt: skip
            out, gas, parent, edge = wider, heavier, before, last
        reaches = 0
        kept[:] = 0
        for n in range(rings):
            entry = ring[n]
            length, e = 0, entry
            while edge[e] >= 0:
                seen[length], used[length] = others[edge[e]], curves[edge[e]]
                length += 1
                e = parent[e]
            asset = source if length == 0 else others[edge[entry]]
            for at in range(begins[asset], begins[asset + 1]):
                other, curve = others[at], curves[at]
                if distance[other] > left or other == source or (lone[at] and (length or other != target)):  # fmt: skip
                    continue
                again = False
                for k in range(length):
                    again = again or seen[k] == other or used[k] == curve
                if again:
                    continue
                got, crossed = sold(
                    kinds,
                    par_at,
                    state_at,
                    par,
                    curve,
                    given[at],
                    got_of[at],
                    out[entry],
                    start,
                    scratch,
                    begin,
                )
                if not got >= 1:
                    continue
                new = count
                count += 1
                out[new], parent[new], edge[new] = got, entry, at
                gas[new] = gas[entry] + needed[at] + crossed * per_tick[at]
                if other == target:
                    if dones == len(done):
                        longer = np.empty(2 * dones, dtype=np.int64)
                        longer[:dones] = done
                        done = longer
                    done[dones] = new
                    dones += 1
                    continue
                if kept[other] == 0:
                    reached[reaches] = other
                    reaches += 1
                    lean[other] = new
                elif gas[new] < gas[lean[other]] or (gas[new] == gas[lean[other]] and got > out[lean[other]]):
                    lean[other] = new
                spot = kept[other]
                while spot > 0 and out[top[other, spot - 1]] < got:
                    spot -= 1
                if spot < width:
                    kept[other] = min(kept[other] + 1, width)
                    for k in range(kept[other] - 1, spot, -1):
                        top[other, k] = top[other, k - 1]
                    top[other, spot] = new
        rings = 0
        for n in range(reaches):
            asset = reached[n]
            # A small order pays for its gas: the way that needs least of it is kept even where others give more.
            leaner = True
            for k in range(kept[asset]):
                ring[rings] = top[asset, k]
                rings += 1
                leaner = leaner and gas[lean[asset]] < gas[top[asset, k]]
            if leaner:
                ring[rings] = lean[asset]
                rings += 1
    ways, lengths = np.full((dones, hops), -1, dtype=np.int64), np.empty(dones, dtype=np.int64)
    outs, gases = np.empty(dones), np.empty(dones)
    for n in range(dones):
        e = done[n]
        outs[n], gases[n], length = out[e], gas[e], 0
        while edge[e] >= 0:
            used[length] = edge[e]
            length += 1
            e = parent[e]
        lengths[n] = length
        for k in range(length):
            ways[n, k] = used[length - 1 - k]
    return Ways(outs, gases, lengths, ways)


@compiled
def new_ones(ways: Ways, gas_rate: float, known: Bools, most: int) -> Ints:
    """The first rows that pay for their gas and have an edge that is not `known`, at most `most`; their edges become known."""
    found, count = np.empty(most, dtype=np.int64), 0
    for n in range(len(ways.out)):
        if count == most:
            break
        if not ways.out[n] > ways.gas[n] * gas_rate:
            continue
        fresh = False
        for k in range(ways.length[n]):
            fresh = fresh or not known[ways.edges[n, k]]
        if fresh:
            for k in range(ways.length[n]):
                known[ways.edges[n, k]] = True
            found[count] = n
            count += 1
    return found[:count]


__all__ = ["Edges", "Ways", "beam", "new_ones"]
