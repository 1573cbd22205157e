"""More candidates around a plan: its own paths with one hop through another pool, and its paths' beginnings with each other's ends.

The beam keeps a few ways to each asset, which is enough to find the assets to go by; once a plan goes by them, every pool between two of them
may carry a part. Only those that pay more at the margin than the plan's own paths do, by more than their gas, are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agent.routing.engine import search_over
from agent.routing.graph import Hop, Path
from agent.routing.search import Search, Split

_PART = 32
_MOST = 12


def widened(search: Search, split: Split) -> Search | None:
    """The search with such paths added, their numbers after all that were there; None where none promises anything."""
    problem = search.problem
    known = {path.hops for path in problem.paths}
    new = [Path(hops) for hops in dict.fromkeys(_near(search, split)) if hops not in known]
    if not new:
        return None
    count = len(problem.paths)
    wider = search_over(
        replace(problem, paths=(*problem.paths, *new), extra=problem.extra + len(new)), search
    )
    part = max(problem.amount // _PART, 1)
    last = wider.margins({k: held - held // _PART for k, held in split.amounts.items()}, part)
    least = max((last[k] for k in split.amounts if k in last), default=0.0)
    promise = {
        k: (last[k] - least) * problem.amount - wider.first_gas(k, split)
        for k in range(count, count + len(new))
        if k in last
    }
    best = sorted((k for k in promise if promise[k] > 0), key=lambda k: (-promise[k], k))[:_MOST]
    if not best:
        return None
    paths = (*problem.paths, *(wider.paths[k] for k in best))
    return search_over(replace(problem, paths=paths, extra=problem.extra + len(best)), search)


def _near(search: Search, split: Split) -> Iterator[tuple[Hop, ...]]:
    graph = search.problem.graph
    used = [search.paths[k].hops for k in split.amounts]
    longest = max((len(path.hops) for path in search.paths), default=0)
    for hops in used:
        taken = {hop.id for hop in hops}
        for at, hop in enumerate(hops):
            for pool in () if hop.book else graph.between(hop.asset_in, hop.asset_out):
                if pool.id not in taken and (len(hops) == 1 or pool.kind not in graph.alone):
                    yield (*hops[:at], Hop(pool.id, hop.asset_in, hop.asset_out), *hops[at + 1 :])
    for one in used:
        for other in used:
            for i in range(1, len(one)):
                for j in range(1, len(other)):
                    hops = (*one[:i], *other[j:])
                    assets = {hops[0].asset_in, *(hop.asset_out for hop in hops)}
                    meets = one[i - 1].asset_out == other[j].asset_in
                    if meets and len(hops) <= longest and len(assets) == len(hops) + 1:
                        yield hops


__all__ = ["widened"]
