"""Assets that the deepest pools tie together: prices that are best moved as one.

Along the tree of the deepest ties around a root every subtree is such a block. One price moved alone runs against pools that hold it to
its neighbours (dollar against dollar) long before the pools further up have given way; a block moves all of them.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from agent.routing.certificate.crossings import MARK
from agent.routing.tables import Floats, Ints, Tables


def blocks_of(tables: Tables, values: Floats, root: int) -> list[Ints]:
    """The subtrees of more than one node, largest first, as node numbers; `values` are the nodes' prices."""
    t = tables
    at = t.first
    depth = values[t.i] * t.lin[at] / np.maximum(t.s[at], 1e-160)
    ties: dict[int, dict[int, float]] = {}
    for a, b, deep in zip(t.i.tolist(), t.j.tolist(), depth.tolist(), strict=True):
        for one, other in ((a, b), (b, a)):
            near = ties.setdefault(one, {})
            near[other] = near.get(other, 0.0) + deep
    parent: dict[int, int] = {}
    order: list[int] = []
    waiting = [(0.0, root, -1)]
    while waiting:
        _, node, before = heappop(waiting)
        if node in parent:
            continue
        parent[node] = before
        order.append(node)
        for other, deep in ties.get(node, {}).items():
            if other not in parent:
                heappush(waiting, (-deep, other, node))
    below: dict[int, list[int]] = {node: [node] for node in order}
    for node in reversed(order):
        if parent[node] >= 0:
            below[parent[node]] += below[node]
    found = [np.array(sorted(below[node]), dtype=np.int64) for node in order[1:] if len(below[node]) > 1]
    return sorted(found, key=lambda block: -len(block))


def tied_of(tables: Tables) -> list[Ints]:
    """The groups of nodes that transfers join, as node numbers."""
    group: dict[int, set[int]] = {}
    for e, hop in enumerate(tables.hops):
        if hop.id.startswith(MARK):
            a, b = int(tables.i[e]), int(tables.j[e])
            joined = group.get(a, {a}) | group.get(b, {b})
            group |= dict.fromkeys(joined, joined)
    each = {id(found): found for found in group.values()}
    return [np.array(sorted(found), dtype=np.int64) for found in each.values()]


__all__ = ["blocks_of", "tied_of"]
