"""The split in steps of 5 % compiled: the ring of `agent.routing.grid`, entry by entry in the same order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agent.routing.kernels.chunks import HOP, Paths
from agent.routing.kernels.jit import compiled
from agent.routing.tables import Bools, Floats, Ints


class Grid(NamedTuple):
    """How many steps make the whole, how many paths a combination has at most and by how many of each size it may begin, and the limit on legs."""

    steps: int
    splits: int
    kept: int
    legs: int


@compiled
def _fits(paths: Paths, parts: Ints, count: int, most: int) -> bool:
    """No more legs than allowed, and an order in which they can execute."""
    used, hops, n = np.zeros(len(paths.hops), dtype=np.bool_), np.empty(len(paths.hops), dtype=np.int64), 0
    for at in range(count):
        for step in range(paths.first[parts[at]], paths.first[parts[at] + 1]):
            hop = paths.steps[step, HOP]
            if not used[hop]:
                used[hop] = True
                hops[n] = hop
                n += 1
    if n > most:
        return False
    while n:
        kept = 0
        for a in range(n):
            waits = False
            for b in range(n):
                if paths.hops[hops[b], 1] == paths.hops[hops[a], 0]:
                    waits = True
                    break
            if waits:
                hops[kept] = hops[a]
                kept += 1
        if kept == n:
            return False
        n = kept
    return True


@compiled
def combined(paths: Paths, nets: Floats, pools: Bools, grid: Grid) -> Ints:
    """The best combination as rows of (steps, path), none where there is none. `nets` by steps less one and path are what a part gives alone, NaN where that
    cannot be; `pools` by path are those it goes through."""
    steps, count = nets.shape
    ranked, ranks = np.empty((steps, count), dtype=np.int64), np.zeros(steps, dtype=np.int64)
    for n in range(steps):
        for k in np.argsort(-nets[n], kind="mergesort"):
            if nets[n, k] == nets[n, k]:
                ranked[n, ranks[n]] = k
                ranks[n] += 1
    parts, sizes = np.empty(grid.splits, dtype=np.int64), np.empty(grid.splits, dtype=np.int64)
    found, length, best, any_found = np.empty((grid.splits, 2), dtype=np.int64), 0, 0.0, False
    if ranks[steps - 1]:
        top = ranked[steps - 1, 0]
        found[0, 0], found[0, 1], length, best, any_found = steps, top, 1, nets[steps - 1, top], True
    size = steps * grid.kept
    total, left, last = np.empty(size), np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    path, parent = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    end = 0
    for n in range(steps - 1, 0, -1):
        for k in ranked[n - 1, : min(ranks[n - 1], grid.kept)]:
            total[end], left[end], last[end], path[end], parent[end] = nets[n - 1, k], steps - n, n, k, -1
            end += 1
    begin = 0
    used = np.zeros(pools.shape[1], dtype=np.bool_)
    for _ in range(grid.splits - 1):
        better, stop = False, end
        for entry in range(begin, stop):
            used[:] = False
            length_now, at = 0, entry
            while at >= 0:
                parts[length_now], sizes[length_now] = path[at], last[at]
                length_now += 1
                used |= pools[path[at]]
                at = parent[at]
            for n in range(min(left[entry], last[entry]), 0, -1):
                other = -1
                for at in range(ranks[n - 1]):
                    k = ranked[n - 1, at]
                    if not np.any(pools[k] & used):
                        other = k
                        break
                if other < 0:
                    continue
                sum_of = total[entry] + nets[n - 1, other]
                if n < left[entry]:
                    if end == len(total):
                        more = 2 * end
                        totals, lefts, lasts = np.empty(more), np.empty(more, dtype=np.int64), np.empty(more, dtype=np.int64)  # fmt: skip
                        ways, befores = np.empty(more, dtype=np.int64), np.empty(more, dtype=np.int64)
                        totals[:end], lefts[:end], lasts[:end], ways[:end], befores[:end] = total, left, last, path, parent  # fmt: skip
                        total, left, last, path, parent = totals, lefts, lasts, ways, befores
                    total[end], left[end], last[end], path[end], parent[end] = sum_of, left[entry] - n, n, other, entry  # fmt: skip
                    end += 1
                elif not any_found or sum_of > best:
                    parts[length_now], sizes[length_now] = other, n
                    if _fits(paths, parts, length_now + 1, grid.legs):
                        best, any_found, better, length = sum_of, True, True, length_now + 1
                        for at in range(length_now):
                            found[at, 0], found[at, 1] = (
                                sizes[length_now - 1 - at],
                                parts[length_now - 1 - at],
                            )
                        found[length_now, 0], found[length_now, 1] = n, other
        if not better:
            break
        begin = stop
    return found[:length]


__all__ = ["Grid", "combined"]
