"""How much goes by each leg of a plan, changed a little at a time: what knots cost is counted, where prices alone know of none.

The amounts of a plan come from parts of a thousandth, or from prices at which its legs' marginal rates agree (`balance`). Neither sees that a tick passed
costs gas: a leg that goes a little past one pays for all of it, and one that stops there leaves the rest to the others. So parts of what is held of
an asset are moved from leg to leg, in steps that double where they gain and shrink where they do not, as the floats say what the whole plan then is worth.
Only what is worth more after exact execution is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.domain.instruments import AssetId, place_of
from agent.routing.balance import Leg
from agent.routing.depths import cleaned
from agent.routing.graph import Hop
from agent.routing.plan import Plan
from agent.routing.problem import Problem
from agent.routing.remake import Exact, remade
from agent.routing.search import Search, Split, order_of

_ROUNDS, _TRIES = 6, 6
_FIRST, _MOST, _LEAST, _AGAIN = 1 / 16, 1 / 4, 1e-7, 1e-6
"""Steps as parts of what a leg carries: the first, the longest, what is no step, and the shortest to begin another round with."""
_SURE = 1e-9
"""Less than that share of the value is no gain, and ends the rounds."""
_NEAR, _LEFT_OUT = 2e-3, 4
"""A plan without one of its legs is looked at closer where it is worth so little less before its amounts are moved, and so many of them."""
Shares = dict[Hop, float]


class _Legs:
    """A plan's legs by what they are sold. Shares are of all that is held of an asset."""

    def __init__(self, problem: Problem, legs: Mapping[Hop, Leg], order: list[AssetId]) -> None:
        self.problem, self.legs, self._order = problem, legs, order
        self.amount, self.sell, self.buy = float(problem.amount), problem.sell, problem.buy
        self.rate = problem.gas_rate.get(place_of(problem.sell), 0.0)
        sold = {hop.asset_in for hop in legs}
        self.order = [asset for asset in order if asset in sold]
        self.onward = {
            asset: [leg for hop, leg in legs.items() if hop.asset_in == asset] for asset in self.order
        }

    def without(self, hop: Hop) -> _Legs | None:
        """Less one leg and what then leads from nowhere or to nowhere; None where no way is left."""
        left = cleaned(frozenset(self.legs) - {hop}, (self.sell, self.buy))
        if not any(one.asset_in == self.sell for one in left):
            return None
        return _Legs(self.problem, {one: leg for one, leg in self.legs.items() if one in left}, self._order)

    def shared(self, flows: Mapping[Hop, float]) -> Shares:
        """Each leg's part of what is sold of its asset."""
        whole: dict[AssetId, float] = {}
        for hop in self.legs:
            whole[hop.asset_in] = whole.get(hop.asset_in, 0.0) + flows[hop]
        return {hop: flows[hop] / whole[hop.asset_in] for hop in self.legs}

    def net(self, shares: Shares, flows: Shares | None = None) -> float:
        """What the bought asset comes to, gas off; `flows` takes what each leg is sold. Less than any where a leg is sold nothing."""
        held = dict.fromkeys((*self.order, self.buy), 0.0)
        held[self.sell] = self.amount
        gas = 0
        for asset in self.order:
            for leg in self.onward[asset]:
                part = held[asset] * shares[leg.hop]
                if part < 1:
                    return float("-inf")
                got, ticks = leg.given(part)
                held[leg.j] += got
                gas += leg.gas + leg.tick * ticks
                if flows is not None:
                    flows[leg.hop] = part
        return held[self.buy] - gas * self.rate


def polished(
    search: Search, plan: Plan, split: Split, exact: Exact, in_time: Callable[[], bool]
) -> tuple[Search, Plan, Split] | None:
    """The plan with other amounts by the same legs, as `remade` gives it; None where that gains nothing.

    Only for one source and one target in one place, with no books and no gas of a transaction's own among them."""
    problem, graph = search.problem, search.problem.graph
    if len(problem.sources) > 1 or problem.overheads or any(hop.book for hop in split.flows):
        return None
    order = order_of(list(split.flows))
    legs = {hop: leg for hop in split.flows if (leg := graph.leg(hop)) is not None}
    sold = {Hop(leg.id, leg.asset_in, leg.asset_out): float(leg.in_raw) for leg in plan.legs}
    if (
        order is None
        or len(legs) < len(split.flows)
        or sold.keys() != legs.keys()
        or problem.buy not in order
    ):
        return None
    if {hop.asset_out for hop in legs} - {hop.asset_in for hop in legs} != {problem.buy}:
        return None
    over = _Legs(problem, legs, order)
    begun = over.shared(sold)
    shares = _moved(over, begun, in_time)
    found = [] if shares is begun else [(over, shares)]
    while (fewer := _left_out(over, shares, in_time)) is not None:
        over, shares = fewer
        found.append(fewer)
    # What is worth most by the floats a pool may refuse, or give less for.
    best: tuple[Search, Plan, Split] | None = None
    for over, shares in reversed(found):
        flows: Shares = {}
        net = over.net(shares, flows)
        best = remade(search, flows, net, plan if best is None else best[1], exact) or best
    return best


def _left_out(over: _Legs, shares: Shares, in_time: Callable[[], bool]) -> tuple[_Legs, Shares] | None:
    """Without the leg that is worth least, its amounts moved; None where every leg is worth what it costs."""
    flows: Shares = {}
    now = over.net(shares, flows)
    near: list[tuple[float, Hop, _Legs, Shares]] = []
    for hop in sorted(over.legs):
        less = over.without(hop)
        if less is not None and in_time():
            begun = less.shared(flows)
            if (net := less.net(begun)) > now - abs(now) * _NEAR:
                near.append((net, hop, less, begun))
    near.sort(key=lambda one: (-one[0], one[1]))
    best, found = now + abs(now) * _SURE, None
    for _, _, less, begun in near[:_LEFT_OUT]:
        moved = _moved(less, begun, in_time)
        if (net := less.net(moved)) > best:
            best, found = net, (less, moved)
    return found


def _moved(over: _Legs, shares: Shares, in_time: Callable[[], bool]) -> Shares:
    """The shares at which no step between two legs gains any more; the very ones given where none does."""
    best = over.net(shares)
    steps: dict[tuple[Hop, Hop], float] = {}
    for _ in range(_ROUNDS):
        before = best
        for asset in over.order:
            hops = [leg.hop for leg in over.onward[asset]]
            for less, more in ((a, b) for a in hops for b in hops if a != b):
                if not in_time():
                    return shares
                step = steps.get((less, more), _FIRST)
                for _ in range(_TRIES):
                    part = shares[less] * step
                    trial = {**shares, less: shares[less] - part, more: shares[more] + part}
                    found = over.net(trial)
                    if found > best:
                        best, shares, step = found, trial, min(step * 2, _MOST)
                    else:
                        step /= 4
                    if step < _LEAST:
                        break
                steps[less, more] = max(step, _AGAIN)
        if best - before < _SURE * abs(best):
            break
    return shares


__all__ = ["polished"]
