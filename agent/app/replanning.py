"""The plan of an order that works on, found from the one before: most blocks move the market a little, and the best split with it.

    Starts().plan(problem, in_time)     the plan, from the last one's split where that still fits, else from nothing

A warm start goes over the paths that the last plan used and settles their amounts on the market as it is now. Where an unused path pays
more at the margin than a used one it looks around too, as a search from nothing does at its end: legs added, joined and left out.
An order book is no such curve, it has lots and minima: where one trades the pair, every search is one from nothing.
What a search from nothing alone would find, it can miss; so every `COLD_EVERY` plans one starts from nothing, and so does the next
after a plan whose certificate (which comes after it has left) shows more than `FAR_BPS` of room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.domain.instruments import AssetId
from agent.routing.engine import search_over
from agent.routing.graph import Hop, Path
from agent.routing.greedy import best_split, settled
from agent.routing.local import improved
from agent.routing.plan import Plan
from agent.routing.problem import Problem
from agent.routing.search import Search, Split

COLD_EVERY = 16
FAR_BPS = 1.0
LITTLE, ENOUGH = 1000, 1 + 1e-6
"""The share of the order that is tried at the margin, and how much more than the least a margin must pay to matter."""
ALIKE = 4
"""A slice larger or smaller than the last by more than this factor is another question."""
Pair = tuple[AssetId, AssetId]


@dataclass(frozen=True, slots=True)
class Last:
    """What the last plan of a pair sold over each path; `age` plans since one from nothing."""

    sold: dict[tuple[Hop, ...], int]
    age: int


@dataclass
class Starts:
    """By pair, where the next search begins. `warm` counts the plans that began at the one before."""

    kept: dict[Pair, Last] = field(default_factory=dict)
    warm: int = 0

    def plan(self, problem: Problem, in_time: Callable[[], bool]) -> Plan:
        """Raises as `best_plan`."""
        pair = problem.sell, problem.buy
        last = self.kept.pop(pair, None)
        found = again(problem, last.sold, in_time) if last is not None and last.age < COLD_EVERY else None
        age = last.age + 1 if found is not None and last is not None else 0
        self.warm += found is not None
        searched, plan, split = found or best_split(problem, in_time)
        self.kept[pair] = Last({searched.paths[k].hops: part for k, part in split.amounts.items()}, age)
        return plan

    def told(self, sell: AssetId, buy: AssetId, gap_bps: float | None) -> None:
        """How far from the best that pair's last plan can have been; None where nobody knows."""
        if gap_bps is None or gap_bps > FAR_BPS:
            self.kept.pop((sell, buy), None)


def again(
    problem: Problem, sold: dict[tuple[Hop, ...], int], in_time: Callable[[], bool]
) -> tuple[Problem, Plan, Split] | None:
    """The split of another amount or another moment, made the best near it, and the problem whose paths it numbers; None where it does not
    fit this one. Paths that were found by looking around a plan, not by this problem's own search for candidates, come along."""
    known = {path.hops for path in problem.paths}
    more = [Path(hops) for hops in sold if hops not in known]
    assets = {source.asset for source in problem.sources}
    if not all(path.source in assets and all(_there(problem, hop) for hop in path.hops) for path in more):
        return None
    if more:
        problem = replace(problem, paths=(*problem.paths, *more), extra=problem.extra + len(more))
    paths = {path.hops: k for k, path in enumerate(problem.paths)}
    total = sum(sold.values())
    if any(hop.book for path in problem.paths for hop in path.hops):
        return None
    if not total <= problem.amount * ALIKE <= total * ALIKE**2:
        return None
    amounts = {paths[hops]: part * problem.amount // total for hops, part in sold.items()}
    most = max(amounts, key=lambda k: amounts[k])
    amounts[most] += problem.amount - sum(amounts.values())
    caps = {source.asset: source.cap for source in problem.sources}
    for asset, cap in caps.items():
        if cap is not None and sum(p for k, p in amounts.items() if problem.paths[k].source == asset) > cap:
            return None
    search = search_over(problem)
    split = search.run(0, 1, 0.0, {k: part for k, part in amounts.items() if part})
    found = settled(search, split) if not split.left else None
    if found is None or at_rest(search, found[1]):
        return (problem, *found) if found is not None else None
    return problem, *improved(search, *found, settled, in_time)


def _there(problem: Problem, hop: Hop) -> bool:
    return any(pool.id == hop.id for pool in problem.graph.between(hop.asset_in, hop.asset_out))


def at_rest(search: Search, split: Split) -> bool:
    """Whether no path that is not used pays more for a little than what the used ones pay for their last, gas left aside: since every
    curve pays less the more it is sold, none of them could then earn anything, however much it were given. Not known of a path that can take
    no little."""
    part = max(search.problem.amount // LITTLE, 1)
    margins = search.margins(split.amounts, part)
    if len(margins) < len(search.paths):
        return False
    least = min(margins[k] for k in split.amounts)
    return all(paid <= least * ENOUGH for k, paid in margins.items() if k not in split.amounts)
