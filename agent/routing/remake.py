"""Amounts by the legs of a plan, made paths of a search and an exact plan: what is found leg by leg becomes a split like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from agent.domain.instruments import AssetId
from agent.routing.depths import fed_by
from agent.routing.engine import search_over
from agent.routing.graph import Hop, Path
from agent.routing.plan import Plan
from agent.routing.problem import Problem
from agent.routing.search import Search, Split, order_of

_PATHS, _SURE = 64, 1e-9
_REFUSALS, _LITTLE = 8, 1e-6
"""How often a pool may refuse its leg, and how much less is asked of it then, ten times that the next time."""
Exact: TypeAlias = Callable[[Search, Split, set[Hop]], Plan | None]


def remade(
    search: Search, flows: Mapping[Hop, float], net: float, plan: Plan, exact: Exact
) -> tuple[Search, Plan, Split] | None:
    """The plan of `flows`, raw, expected to be worth `net`, as a split over paths of the search given with it; None where it is worth no more than
    `plan`."""
    problem = search.problem
    amounts, paths = _paths(flows, problem)
    if not amounts or amounts[0] <= 0:
        return None
    numbers = {path.hops: k for k, path in enumerate(problem.paths)}
    new = [Path(hops) for hops in paths if hops not in numbers]
    if new:
        search = search_over(replace(problem, paths=(*problem.paths, *new), extra=problem.extra + len(new)), search)  # fmt: skip
        numbers = {path.hops: k for k, path in enumerate(search.paths)}
    made_of = {hop: max(int(flow), 1) for hop, flow in flows.items()}
    split = Split(
        {numbers[hops]: part for hops, part in zip(paths, amounts, strict=True)},
        made_of,
        0,
        net,
    )
    asked: dict[Hop, float] = {}
    for _ in range(_REFUSALS):
        refused = set[Hop]()
        better = exact(search, split, refused)
        if better is not None:
            return (search, better, split) if better.worth > plan.worth else None
        # What takes all that its pool has by the float's measure is a little too much by the pool's own: the others take that.
        for hop in fed_by(refused, split.flows):
            asked[hop] = asked.get(hop, _LITTLE / 10) * 10
        split = replace(
            split, flows={hop: max(int(flow * (1 - asked.get(hop, 0.0))), 1) for hop, flow in made_of.items()}
        )
    return None


def _paths(flows: Mapping[Hop, float], problem: Problem) -> tuple[list[int], list[tuple[Hop, ...]]]:
    """The flows as amounts on paths, the widest path first; what is left of the amount goes by the first. None where less than a unit would go on."""
    left = dict(flows)
    order = order_of(sorted(flows)) or []
    into: dict[AssetId, float] = {}
    for hop, flow in flows.items():
        into[hop.asset_in] = into.get(hop.asset_in, 0.0) + flow
    share = {hop: flow / into[hop.asset_in] for hop, flow in flows.items()}
    amounts, paths, rest = list[int](), list[tuple[Hop, ...]](), 1.0
    parts: dict[AssetId, float] = {asset: 0.0 for asset in order}
    parts[problem.sell] = 1.0
    for asset in order:
        for hop in sorted(hop for hop in flows if hop.asset_in == asset):
            left[hop] = parts[asset] * share[hop]
            parts[hop.asset_out] += left[hop]
    while rest > _SURE and len(paths) < _PATHS:
        at, hops, part = problem.sell, list[Hop](), rest
        while at != problem.buy:
            on = [hop for hop in sorted(left) if hop.asset_in == at]
            if not on:
                return [], []
            hop = max(on, key=lambda hop: left[hop])
            hops.append(hop)
            part, at = min(part, left[hop]), hop.asset_out
        if part <= 0:
            break
        for hop in hops:
            left[hop] -= part
        rest -= part
        amounts.append(max(int(problem.amount * part), 1))
        paths.append(tuple(hops))
    if amounts:
        amounts[0] += problem.amount - sum(amounts)
    return amounts, paths


__all__ = ["Exact", "remade"]
