"""A plan made anew over the legs that a search over sets of legs ends at: `agent.routing.support` finds them, `remake` makes them paths and an exact plan."""

from __future__ import annotations

from collections.abc import Callable

from agent.domain.instruments import AssetId
from agent.routing.depths import fitted
from agent.routing.engine import supports_over
from agent.routing.graph import Hop
from agent.routing.plan import Plan
from agent.routing.remake import Exact, remade
from agent.routing.search import Search, Split


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
    exact: Exact,
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
    return remade(search, made.flows, made.net, plan, exact)


__all__ = ["rebuilt"]
