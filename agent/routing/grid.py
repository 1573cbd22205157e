"""The split in steps of 5 %: every path quoted at 5, 10, ... 100 % of the order, percentages combined over paths that share no pool.

It is how the field's most used router splits an order (breadth first, at most seven paths), and a peer that a user could pick instead. Here it is one
candidate more: on float curves, gas in full, and only combinations whose assets have an order.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeAlias

from agent.routing.graph import Hop
from agent.routing.search import Search, Split, order_of

STEP, SPLITS, KEPT = 5, 7, 2
"""How many paths of each percentage a combination may begin with."""

Parts: TypeAlias = tuple[tuple[int, int], ...]
_Ring: TypeAlias = tuple[float, int, int, frozenset[str], Parts]
"""(net, percent left, the last percentage, pools used, (percent, path) of each part)."""


class _Part(NamedTuple):
    net: float
    path: int
    pools: frozenset[str]


def grid_split(search: Search, broken: Collection[Hop] = ()) -> Split | None:
    """The best combination as a split with its estimate, by none of the hops in `broken`; None where no percentages add up to the whole."""
    parts = search.gridded(broken)
    return None if parts is None else search.placed(_amounts(search.problem.amount, parts))


def combined(search: Search, broken: Collection[Hop]) -> Parts | None:
    """(percent, path) of each part of the best combination."""
    problem = search.problem
    usable = [k for k, path in enumerate(search.paths) if not any(hop in broken for hop in path.hops)]
    percents = range(STEP, 101, STEP)
    pools = {k: frozenset(hop.id for hop in search.paths[k].hops) for k in usable}
    found = search.nets([problem.amount * percent // 100 for percent in percents])
    quotes = {
        percent: [
            _Part(net, k, pools[k])
            for net, k in sorted(nets, key=lambda known: (-known[0], known[1]))
            if k in pools
        ]
        for percent, nets in zip(percents, found, strict=True)
    }
    best: tuple[float, Parts] | None = None
    if quotes[100]:
        best = quotes[100][0].net, ((100, quotes[100][0].path),)
    ring: list[_Ring] = [
        (part.net, 100 - percent, percent, part.pools, ((percent, part.path),))
        for percent in range(100 - STEP, 0, -STEP)
        for part in quotes[percent][:KEPT]
    ]
    for _ in range(SPLITS - 1):
        improved = False
        onward: list[_Ring] = []
        for net, left, last, used, how in ring:
            for percent in range(min(left, last), 0, -STEP):
                other = next((q for q in quotes[percent] if not q.pools & used), None)
                if other is None:
                    continue
                total, parts = net + other.net, (*how, (percent, other.path))
                if percent < left:
                    onward.append((total, left - percent, percent, used | other.pools, parts))
                elif (best is None or total > best[0]) and _fits(search, parts):
                    best, improved = (total, parts), True
        if not improved:
            break
        ring = onward
    return None if best is None else best[1]


def _fits(search: Search, parts: Parts) -> bool:
    hops = list({hop for _, path in parts for hop in search.paths[path].hops})
    return len(hops) <= search.problem.max_legs and order_of(hops) is not None


def _amounts(whole: int, parts: Parts) -> dict[int, int]:
    """By path; what rounding leaves goes to the first."""
    amounts = {path: whole * percent // 100 for percent, path in parts}
    amounts[parts[0][1]] += whole - sum(amounts.values())
    return amounts


__all__ = ["KEPT", "SPLITS", "STEP", "Parts", "combined", "grid_split"]
