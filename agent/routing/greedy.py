"""The router: greedy splits at several readings of gas, refined, thinned of legs that do not pay, then made exact.

The answer is the best net output among the refined splits and every single path, so it is never worse than the best
path alone. Integers decide: every plan compared here was simulated leg by leg.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId, place_of
from agent.domain.routes import Route
from agent.market.view import MarketView
from agent.routing.engine import search_over
from agent.routing.graph import Hop
from agent.routing.grid import grid_split
from agent.routing.local import improved
from agent.routing.plan import Plan, make_plan
from agent.routing.polish import polished
from agent.routing.problem import Problem, pose
from agent.routing.rebuild import rebuilt
from agent.routing.report import route_of
from agent.routing.search import Asked, Floor, Search, Split
from agent.routing.widen import widened

_COARSE, _FINE, _STEP = 40, 1000, 200
_FINEST = ((2000, 40_000), (20_000, 400_000))
"""How finely the answer itself is settled: legs that carry a thousandth of the order are worth a hundredth of a basis point."""
_SMALL = 12
_SETTLINGS, _GAIN = 6, 200_000
_COARSE_TO_FINE = ((2, 60), (20, 400))
_CLEARLY = 1e-3
_WIDENED = 4
_HUNDRED = 100
_SLACK, _SLACK_RAW = 1e-6, 10.0
"""How far an exact plan may exceed its float estimate: far more than it ever does."""


def whole(problem: Problem, plan: Plan | None) -> Plan | None:
    """The plan, unless it leaves more unsold than the smallest step of the books it uses."""
    if plan is None:
        return None
    left = problem.amount - plan.amount
    if left <= 0:
        return plan if not left else None
    lots = {book.id: book for book in problem.view.books}
    dust = 0
    for leg in plan.legs:
        if leg.id in lots and leg.qty:
            dust += -(
                -2
                * problem.from_source(leg.in_raw, leg.asset_in)
                * int(lots[leg.id].lot * 10**18)
                // int(leg.qty * 10**18)
            )
    return plan if left <= dust else None


def exact(search: Search, split: Split, broken: set[Hop] | None = None) -> Plan | None:
    """`whole` of the split's exact plan, made once for the same split: searches come to the same ends by many ways."""
    key = tuple(split.amounts.items()), tuple(split.flows.items())
    found = search.made.get(key)
    if found is None:
        refused = set[Hop]()
        plan = whole(search.problem, make_plan(search.problem, split, refused, search.legs))
        found = search.made[key] = plan, frozenset(refused)
    if broken is not None:
        broken |= found[1]
    return found[0]


def _better(a: Plan | None, b: Plan | None) -> bool:
    """Whether `a` beats `b`: worth more, and of equal worth the one with fewer legs."""
    if a is None:
        return False
    return b is None or (a.worth, -len(a.legs)) > (b.worth, -len(b.legs))


def single_path(search: Search, index: int) -> Split | None:
    """All of it over one path, None where that path cannot take it all."""
    split = search.run(search.problem.amount, 1, 1.0, only=frozenset((index,)))
    return split if not split.left else None


def _best_single(search: Search, broken: set[Hop]) -> tuple[Plan, Split] | None:
    """The best plan over one path alone. A path whose estimate cannot reach the best exact plan is not simulated."""
    problem = search.problem
    [estimates] = search.nets([problem.amount])
    estimates.sort(key=lambda known: (-known[0], known[1]))
    best: tuple[Plan, Split] | None = None
    for net, index in estimates:
        if best is not None and net + abs(net) * _SLACK + _SLACK_RAW < best[0].worth:
            break
        split = single_path(search, index)
        plan = exact(search, split, broken) if split is not None else None
        if plan is not None and split is not None and _better(plan, best[0] if best else None):
            best = plan, split
    return best


def _refine(
    search: Search,
    split: Split,
    step: int,
    fine: int,
    share: float,
    only: frozenset[int] | None,
    banned: frozenset[Hop] = frozenset(),
) -> Split:
    """Takes `step` back from every path and hands it out again in `fine` chunks of the whole."""
    amount = search.problem.amount
    base = {k: part - min(part, step) for k, part in split.amounts.items()}
    freed = amount - sum(base.values())
    kept = {k: part for k, part in base.items() if part > 0}
    return search.run(freed, max(1, freed * fine // amount), share, kept, banned, only)


def _thin(problem: Problem, search: Search, split: Split, plan: Plan) -> tuple[Split, Plan]:
    """Drops legs, worst first, and places whose transaction does not pay, as long as the plan is worth more without."""
    improved = True
    while improved and len(plan.legs) > 1:
        improved = False
        hops = sorted(split.flows, key=lambda h: split.flows[h] * _rate(problem, h, plan))
        drops = [frozenset((hop,)) for hop in hops] if len(hops) > 1 else []
        places = {place_of(hop.asset_in) for hop in hops} if problem.overheads else set()
        if len(places) > 1:
            drops = [
                frozenset(hop for hop in hops if place_of(hop.asset_in) == place)
                for place in sorted(places & set(problem.overheads))
            ] + drops
        asked: list[Asked] = []
        for banned in drops:
            kept = {
                k: part for k, part in split.amounts.items() if not banned.intersection(search.paths[k].hops)
            }
            if not kept:
                continue
            freed = problem.amount - sum(kept.values())
            parts = max(4, _COARSE * freed // problem.amount)
            asked.append(Asked(freed, parts, 0.0, kept, banned, frozenset(kept)))
        floor = Floor(plan.worth, _CLEARLY, _SLACK_RAW)
        for trial in search.runs(asked, floor):
            # What is estimated as clearly worse is not made exact; a plan passes shares on, an estimate paths.
            if trial.left or floor.above(trial.worth):
                continue
            made = exact(search, trial)
            if made is not None and _better(made, plan):
                split, plan, improved = trial, made, True
                break
    return split, plan


def _rate(problem: Problem, hop: Hop, plan: Plan) -> float:
    for leg in plan.legs:
        if leg.id == hop.id and leg.asset_in == hop.asset_in and leg.asset_out == hop.asset_out:
            return 1.0 if leg.asset_in == problem.sell else problem.amount / max(leg.in_raw, 1)
    return 0.0


def _always() -> bool:
    return True


def best_plan(problem: Problem, in_time: Callable[[], bool] = _always) -> Plan:
    """The best plan found for a problem. Raises Reject NO_ROUTE where nothing can take the whole amount.

    Once `in_time` says no, the best plan so far is the answer.
    """
    return best_split(problem, in_time)[1]


def best_split(problem: Problem, in_time: Callable[[], bool] = _always) -> tuple[Problem, Plan, Split]:
    """`best_plan`, with the split it was made of and the problem with the paths that the split numbers."""
    search = search_over(problem)
    broken: set[Hop] = set()
    best = _best_single(search, broken)
    seen: set[tuple[tuple[int, int], ...]] = set()
    # A small market is searched more widely: its quotes are few.
    narrow = frozenset(range(len(problem.paths) - problem.extra)) if problem.extra else None
    small = len(problem.paths) - problem.extra <= _SMALL
    shares = [1.0, 0.1, 0.0] if small else [1.0, 0.1]
    while shares:
        if best is not None and not in_time():
            break
        share, refused = shares.pop(0), len(broken)
        split = search.run(problem.amount, _COARSE, share, banned=frozenset(broken), only=narrow)
        used = tuple(sorted(split.amounts.items()))
        if used in seen:
            continue
        seen.add(used)
        candidates: list[Split] = []
        if not split.left:
            step = max(problem.amount // _COARSE, 1)
            candidates = [_refine(search, split, step, _FINE, share, narrow, frozenset(broken)), split]
        if best is not None and (split.left or len(split.flows) >= problem.max_legs):
            # Thin paths took all the legs: start again from what can take most, and add to it.
            step = problem.amount // 5
            candidates.append(_refine(search, best[1], step, 5 * _COARSE, share, narrow, frozenset(broken)))
        made = False
        for candidate in candidates:
            plan = exact(search, candidate, broken) if not candidate.left else None
            if plan is not None:
                if made and not small and candidate is split:
                    continue
                made = True
                found = finished(search, *_thin(problem, search, candidate, plan))
                if best is None or _better(found[0], best[0]):
                    best = found
        if not made and len(broken) > refused:
            # A pool refused exactly what its curve promised: the same again without it.
            shares.insert(0, share)
    if best is None:
        names = problem.view.assets[problem.sell].symbol, problem.view.assets[problem.buy].symbol
        raise Reject(
            "NO_ROUTE",
            f"no path takes the whole amount of {names[0]} for {names[1]}",
            "try a smaller quantity",
        )
    best = _beside(search, broken, *best, in_time)
    plan, chosen = improved(search, *best, settled, in_time)
    for _ in range(_WIDENED):
        wider = widened(search, chosen) if in_time() else None
        if wider is None:
            break
        search, before = wider, plan
        plan, chosen = improved(search, plan, chosen, settled, in_time)
        if not _better(plan, before):
            break
    for step, fine in _FINEST:
        plan, chosen = finished(search, chosen, plan, step, fine)
    # Made anew over other legs it may be worth more as it is, and less once ticks are counted: both ends are looked at.
    ends = [(search, plan, chosen)]
    if in_time() and (other := rebuilt(search, plan, exact, in_time)) is not None:
        ends.append(other)
    ends += [better for one in ends if in_time() and (better := polished(*one, exact, in_time)) is not None]
    search, plan, chosen = max(reversed(ends), key=lambda one: one[1].worth)
    return search.problem, plan, chosen


def _beside(
    search: Search, broken: set[Hop], plan: Plan, split: Split, in_time: Callable[[], bool]
) -> tuple[Plan, Split]:
    """What a user could pick instead is a candidate as well: the answer is never below the plain greedy split, nor below the 5 % grid."""
    problem = search.problem
    for peer in (_hundred, grid_split):
        other = peer(search, broken) if in_time() else None
        if other is None or other.left or other.worth + abs(other.worth) * _SLACK + _SLACK_RAW < plan.worth:
            continue
        plain = exact(search, other)
        if plain is not None and _better(plain, plan):
            plan, split = finished(search, *_thin(problem, search, other, plain))
    return plan, split


def _hundred(search: Search, broken: set[Hop]) -> Split:
    return search.run(search.problem.amount, _HUNDRED, 1.0, banned=frozenset(broken))


def settled(search: Search, split: Split) -> tuple[Plan, Split] | None:
    """A split thinned and settled, with its exact plan; None where a pool refuses it."""
    amount, only = search.problem.amount, frozenset(split.amounts)
    for part, fine in _COARSE_TO_FINE:
        finer = _refine(search, split, max(amount // part, 1), fine, 0.0, only)
        if not finer.left and finer.worth > split.worth:
            split = finer
    plan = exact(search, split)
    if plan is None:
        return None
    return finished(search, *_thin(search.problem, search, split, plan))


def finished(
    search: Search, split: Split, plan: Plan, step: int = _STEP, fine: int = 4 * _FINE
) -> tuple[Plan, Split]:
    """The split settled over its own paths for as long as that gains something, and its plan: a `step`-th of the order of each is
    handed out again in parts of a `fine`-th."""
    problem = search.problem
    for _ in range(_SETTLINGS):
        only = frozenset(split.amounts)
        finer = _refine(search, split, max(problem.amount // step, 1), fine, 0.0, only)
        made = exact(search, finer) if not finer.left else None
        if made is None or not _better(made, plan):
            break
        gain = made.worth - plan.worth
        split, plan = finer, made
        if gain * _GAIN < abs(plan.worth):
            break
    return plan, split


def route_sell(
    view: MarketView,
    sell: AssetId,
    buy: AssetId,
    amount_raw: int,
    *,
    max_legs: int = 12,
    max_hops: int = 3,
    cross_domain: bool = False,
    never: frozenset[str] = frozenset(),
    alone: frozenset[str] = frozenset(),
) -> Route:
    """The best split found for selling `amount_raw` of `sell` for `buy`.

    With `cross_domain`, equivalents of both assets count at par wherever they are, each source within its inventory.
    Pools whose kind or id is in `never` are not used; those in `alone` only as a whole path, for executors with such limits.
    A chain that does not earn what its transaction costs besides the swaps (`tx_gas`) is left out.
    Raises Usage SAME_ASSET or BAD_AMOUNT, Reject NO_INVENTORY or NO_ROUTE.
    """
    problem = pose(
        view,
        sell,
        buy,
        amount_raw,
        max_legs=max_legs,
        max_hops=max_hops,
        cross_domain=cross_domain,
        never=never,
        alone=alone,
    )
    return route_of(problem, best_plan(problem))


__all__ = ["best_plan", "route_sell", "single_path"]
