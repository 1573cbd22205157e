"""A plan made anew over the legs that a search over sets of legs ends at: `agent.routing.support` finds them, here they become paths and an exact plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.domain.instruments import AssetId
from agent.routing.depths import fed_by, fitted
from agent.routing.engine import search_over, supports_over
from agent.routing.graph import Hop, Path
from agent.routing.plan import Plan
from agent.routing.problem import Problem
from agent.routing.search import Search, Split, order_of

_PATHS, _SURE = 64, 1e-9
_REFUSALS, _LITTLE = 8, 1e-6
"""How often a pool may refuse its leg, and how much less is asked of it then, ten times that the next time."""


def _prices(plan: Plan, buy: AssetId) -> dict[AssetId, float]:
    """What a raw unit of every asset on a plan's way brought, in raw units of what is bought."""
    got: dict[AssetId, float] = {buy: 1.0}
    worth: dict[AssetId, float] = {}
    sold: dict[AssetId, float] = {}
    for leg in reversed(plan.legs):
        worth[leg.asset_in] = worth.get(leg.asset_in, 0.0) + leg.out_raw * got[leg.asset_out]
        sold[leg.asset_in] = sold.get(leg.asset_in, 0.0) + leg.in_raw
        got[leg.asset_in] = worth[leg.asset_in] / sold[leg.asset_in]
    return got


def rebuilt(
    search: Search,
    plan: Plan,
    exact: Callable[[Search, Split, set[Hop]], Plan | None],
    in_time: Callable[[], bool],
) -> tuple[Search, Plan, Split] | None:
    """A plan over other legs that is worth more, as a split over paths of the search given with it; None where none was found.

    Only for one source and one target in one place, with no books and no gas of a transaction's own among them."""
    problem = search.problem
    if len(problem.sources) > 1 or problem.overheads or any(leg.kind == "book" for leg in plan.legs):
        return None
    support = frozenset(Hop(leg.id, leg.asset_in, leg.asset_out) for leg in plan.legs)
    sold, bought = {leg.asset_in for leg in plan.legs}, {leg.asset_out for leg in plan.legs}
    if sold - bought != {problem.sell} or bought - sold != {problem.buy}:
        return None
    supports, prices = supports_over(problem, in_time), _prices(plan, problem.buy)
    worth = {Hop(leg.id, leg.asset_in, leg.asset_out): leg.in_raw * prices[leg.asset_in] for leg in plan.legs}
    _, made = supports.improved(fitted(support, (problem.sell, problem.buy), problem.max_hops, worth), prices)
    # Where the search ends depends on where it began: once more from the larger half of the legs.
    if made.flows and (half := supports.halved(made)) != made.flows.keys():
        made = max(made, supports.improved(half, made.prices)[1], key=supports.score)
    if made.net <= plan.worth or not made.flows:
        return None
    amounts, paths = _paths(made.flows, problem)
    if not amounts or amounts[0] <= 0:
        return None
    numbers = {path.hops: k for k, path in enumerate(problem.paths)}
    new = [Path(hops) for hops in paths if hops not in numbers]
    if new:
        search = search_over(replace(problem, paths=(*problem.paths, *new), extra=problem.extra + len(new)), search)  # fmt: skip
        numbers = {path.hops: k for k, path in enumerate(search.paths)}
    made_of = {hop: max(int(flow), 1) for hop, flow in made.flows.items()}
    split = Split(
        {numbers[hops]: part for hops, part in zip(paths, amounts, strict=True)},
        made_of,
        0,
        made.net,
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


__all__ = ["rebuilt"]
