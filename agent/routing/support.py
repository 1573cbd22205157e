"""Local search over the legs of a plan themselves: what any set of them is worth at best is solved for, and prices tell which legs to try.

The amounts of a plan are right at the prices where its legs' marginal rates agree (`balance`). There a leg whose gain is below its gas may be left out, and one that is not there
is worth adding only where it would gain more than its gas: both are bounds, so few sets have to be looked at. It finds what a search by paths
and chunks does not: many legs changed at once, each of which is worth a part of its gas. Only what is worth more after exact execution is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf, sqrt
from operator import add
from typing import NamedTuple

from agent.domain.instruments import AssetId, place_of
from agent.routing.balance import Balanced, Leg, balanced
from agent.routing.engine import search_over, supports_over
from agent.routing.graph import Hop, Path
from agent.routing.plan import Plan
from agent.routing.problem import Problem
from agent.routing.search import Search, Split, order_of

WAYS, HALVINGS, LESS = 6, 16, 0.2
"""Pairs of legs told by asset between them; how often the interval of its price is halved; legs that earn that part of their gas are tried many at once."""
_ROUNDS, _TRIED, _SWAPS, _MORE = 24, 24, 13, 16
SURE = 1e-9
"""Less than that share of the value is no gain."""
_PATHS = 64

Support = frozenset[Hop]


class More(NamedTuple):
    """Legs that may be added: what they gain at most and their gas, raw units of the bought asset, and the prices of assets they are the first to have."""

    gain: float
    gas: float
    hops: tuple[Hop, ...]
    prices: Mapping[AssetId, float]


class Supports:
    """Sets of one problem's legs, and what each is worth."""

    def __init__(self, problem: Problem, in_time: Callable[[], bool]) -> None:
        self.problem, self._in_time = problem, in_time
        self._rate = problem.gas_rate.get(place_of(problem.sell), 0.0)
        self._known: dict[Support, Balanced] = {}
        self._around: dict[frozenset[AssetId], list[Hop]] = {}

    def leg(self, hop: Hop) -> Leg | None:
        """A hop's curve, None where it has none or no path may join it."""
        graph, ends = self.problem.graph, (self.problem.sell, self.problem.buy)
        if graph.alone and graph.ready(hop).alone and (hop.asset_in, hop.asset_out) != ends:
            return None
        return graph.leg(hop)

    def worth(self, support: Support, start: Mapping[AssetId, float]) -> Balanced:
        """What the legs are worth at best; minus infinity where a plan cannot have them."""
        found = self._known.get(support)
        if found is None:
            found = self._known[support] = self._worth(support, start)
        return found

    def _worth(self, support: Support, start: Mapping[AssetId, float]) -> Balanced:
        nothing, hops = Balanced(-inf, {}, {}), sorted(support)
        order = order_of(hops)
        if order is None or not self._forward(hops, order):
            return nothing
        if not {self.problem.sell, self.problem.buy} <= set(order) or not set(order) <= start.keys():
            return nothing
        return self.balanced(hops, order, start) or nothing

    def balanced(self, hops: Sequence[Hop], order: Sequence[AssetId], start: Mapping[AssetId, float]) -> Balanced | None:  # fmt: skip
        """What the legs are worth at best, their assets in order; None where one has no curve."""
        legs = [leg for hop in hops if (leg := self.leg(hop)) is not None]
        ends = self.problem.sell, self.problem.buy
        if len(legs) < len(hops):
            return None
        return balanced(legs, order, *ends, float(self.problem.amount), start, self._rate)

    def over(self, hop: Hop, prices: Mapping[AssetId, float]) -> float | None:
        """What a leg gains beyond its gas, None where it has no curve."""
        leg = self.leg(hop)
        if leg is None:
            return None
        return leg.gain(prices[hop.asset_in], prices[hop.asset_out]) - leg.gas * self._rate

    def _forward(self, hops: list[Hop], order: list[AssetId]) -> bool:
        """Whether no chain is longer than paths may be, and no pool is sold what it gave."""
        behind = dict.fromkeys(order, 0)
        for asset in order:
            for hop in hops:
                if hop.asset_in == asset:
                    behind[hop.asset_out] = max(behind[hop.asset_out], behind[asset] + 1)
        sold, bought = {(h.id, h.asset_in) for h in hops}, {(h.id, h.asset_out) for h in hops}
        return max(behind.values(), default=0) <= self.problem.max_hops and not sold & bought

    def score(self, made: Balanced) -> tuple[int, float]:
        """What supports are compared by: first that they have no more legs than a plan may have."""
        return -max(len(made.flows) - self.problem.max_legs, 0), made.net

    def thinned(self, support: Support, made: Balanced) -> tuple[Support, Balanced]:
        """Without the legs that do not earn their gas, and the least useful beyond the limit on legs."""
        while self._in_time():
            support = frozenset(made.flows)
            held = len(support) - self.problem.max_legs
            short: list[tuple[float, Hop]] = []
            for hop in sorted(support):
                over = self.over(hop, made.prices)
                if over is not None and (over < 0 or held > 0):
                    short.append((over, hop))
            short.sort()
            best: tuple[Support, Balanced] | None = None
            for _, hop in short if held <= 0 else short[:_SWAPS]:
                less = self._cleaned(support - {hop})
                tried = self.worth(less, made.prices)
                if self.score(tried) > self.score(best[1] if best else made):
                    best = less, tried
                    if held <= 0:
                        break
            if best is None:
                break
            support, made = best
        return support, made

    def _cleaned(self, support: Support) -> Support:
        """Without legs that lead from nowhere or to nowhere."""
        while True:
            reached = {self.problem.sell, *(hop.asset_out for hop in support)}
            left = {self.problem.buy, *(hop.asset_in for hop in support)}
            kept = frozenset(hop for hop in support if hop.asset_in in reached and hop.asset_out in left)
            if kept == support:
                return kept
            support = kept

    def more(self, support: Support, made: Balanced) -> list[More]:
        """Legs that could gain more than a part of their gas, two where they lead by an asset that is not there yet."""
        found = list[More]()
        prices, pools = made.prices, {hop.id for hop in support}
        least = abs(made.net) * SURE
        # By asset in between: legs to it with the price they need at least, legs from it with what they bring at most.
        ins: dict[AssetId, list[tuple[float, Hop]]] = {}
        outs: dict[AssetId, list[tuple[float, Hop]]] = {}
        for hop in self._offered(frozenset(prices)):
            if hop.id in pools:
                continue
            rate = self.problem.graph.rate(hop)
            if hop.asset_in in prices and hop.asset_out in prices:
                vi, vj = prices[hop.asset_in], prices[hop.asset_out]
                leg = self.leg(hop) if rate * vj > vi else None
                gain = 0.0 if leg is None else leg.gain(vi, vj)
                if leg is not None and gain > LESS * leg.gas * self._rate + least:
                    found.append(More(gain, leg.gas * self._rate, (hop,), {}))
            elif hop.asset_in in prices and rate > 0:
                ins.setdefault(hop.asset_out, []).append((prices[hop.asset_in] / rate, hop))
            elif rate > 0:
                outs.setdefault(hop.asset_in, []).append((prices[hop.asset_out] * rate, hop))
        for asset in sorted(ins.keys() & outs.keys()):
            for one, two in self._pairs(ins[asset], outs[asset], prices, least):
                price, gain = _between(one, two, prices[one.i], prices[two.j])
                gas = (one.gas + two.gas) * self._rate
                if gain > LESS * gas + least:
                    found.append(More(gain, gas, (one.hop, two.hop), {asset: price}))
        return found

    def _pairs(self, ins: list[tuple[float, Hop]], outs: list[tuple[float, Hop]], prices: Mapping[AssetId, float], least: float) -> list[tuple[Leg, Leg]]:  # fmt: skip
        """Legs to an asset and on from it that may gain more together than a part of their gas, the best few: at any one price of it both gain no less."""
        low, high = min(price for price, _ in ins), max(price for price, _ in outs)
        if low >= high:
            return []
        half = sqrt(high / low)
        at = [low * sqrt(half), low * half, low * half * sqrt(half)]
        # All of the order at the rate of the first unit, against the best leg there is on the other side, is more than a leg can gain.
        whole, part = self.problem.amount * prices[self.problem.sell], LESS * self._rate
        pools = self.problem.view.pools
        to = [
            (leg, [leg.gain(prices[leg.i], price) for price in at])
            for needed, hop in ins
            if (1 - needed / high) * whole > part * pools[hop.id].gas + least and (leg := self.leg(hop))
        ]
        on = [
            (leg, [leg.gain(price, prices[leg.j]) for price in at])
            for worth, hop in outs
            if (1 - low / worth) * whole > part * pools[hop.id].gas + least and (leg := self.leg(hop))
        ]
        found = []
        for n, (one, first) in enumerate(to):
            for m, (two, second) in enumerate(on):
                gas = part * (one.gas + two.gas) + least
                if first[-1] + second[0] > gas and one.i != two.j and one.hop.id != two.hop.id:
                    most = min(map(add, first, second)) - gas
                    if most > 0:
                        found.append((-most, n, m))
        return [(to[n][0], on[m][0]) for _, n, m in sorted(found)[:WAYS]]

    def _offered(self, assets: frozenset[AssetId]) -> list[Hop]:
        """The hops between two of the assets, and to and from assets that lead from one of them to another."""
        if assets not in self._around:
            sell, buy = self.problem.sell, self.problem.buy
            graph, near = self.problem.graph, dict[AssetId, list[AssetId]]()
            for asset in sorted(assets):
                for other in dict.fromkeys(other for _, other in graph.edges[asset]):
                    near.setdefault(other, []).append(asset)
            found = list[Hop]()
            for other, ends in near.items():
                if other not in assets and len(ends) < 2:
                    continue
                for asset in ends:
                    for pool in graph.between(asset, other):
                        # Between two of them each is the other's neighbour in turn.
                        both = ((asset, other),) if other in assets else ((asset, other), (other, asset))
                        found += [Hop(pool.id, a, b) for a, b in both if a != buy and b != sell]
            self._around[assets] = found
        return self._around[assets]

    def improved(self, support: Support, start: Mapping[AssetId, float]) -> tuple[Support, Balanced]:
        """The best support found from one on."""
        best = self.thinned(support, self.worth(support, start))
        for _ in range(_ROUNDS):
            if not self._in_time() or not best[1].flows:
                break
            more = self.more(*best)
            better = self._added(*best, more) or self._flooded(*best, more) or self._replaced(*best)
            if better is None:
                break
            best = better
        return best

    def _better(self, support: Support, prices: Mapping[AssetId, float], than: Balanced) -> tuple[Support, Balanced] | None:  # fmt: skip
        tried = self.worth(support, prices)
        if not tried.flows:
            return None
        made = self.thinned(support, tried)
        least = self.score(than)
        return made if self.score(made[1]) > (least[0], least[1] + abs(least[1]) * SURE) else None

    def _added(self, support: Support, made: Balanced, more: list[More]) -> tuple[Support, Balanced] | None:
        """One leg more, or two through another asset."""
        paying = sorted(
            (one for one in more if one.gain > one.gas), key=lambda one: (one.gas - one.gain, one.hops)
        )
        for one in paying[:_TRIED]:
            better = self._better(support | set(one.hops), {**made.prices, **one.prices}, made)
            if better is not None:
                return better
        return None

    def _flooded(self, support: Support, made: Balanced, more: list[More]) -> tuple[Support, Balanced] | None:
        """Many legs at once, of which those that pay stay."""
        wide, prices, many = support, dict(made.prices), 0
        for one in sorted(more, key=lambda one: (LESS * one.gas - one.gain, one.hops)):
            wider = wide | set(one.hops)
            order = order_of(sorted(wider))
            if order is not None and self._forward(sorted(wider), order):
                wide, prices, many = wider, {**one.prices, **prices}, many + 1
                if many == _MORE:
                    break
        return self._better(wide, prices, made) if many > 1 else None

    def _replaced(self, support: Support, made: Balanced) -> tuple[Support, Balanced] | None:
        """Another way for all that one leg carries, or two in a row: by one leg, or two through an asset that is not there yet.

        At prices that agree with a leg, a way a little better than it may gain less than its gas; it need only gain what it costs beyond the leg's.
        """
        found: list[tuple[float, Support, frozenset[Hop], dict[AssetId, float]]] = []
        pools = {hop.id for hop in support}
        for old, paid, got in self._stretches(made):
            i, j = old[0].asset_in, old[-1].asset_out
            spent = sum(leg.gas for hop in old if (leg := self.leg(hop)))
            free = pools - {hop.id for hop in old}
            for new, more, gas, prices in self._ways(i, j, paid, got, made.prices, free):
                over = (more - got) * made.prices[j] - (gas - spent) * self._rate
                if over > abs(made.net) * SURE:
                    found.append((-over, frozenset(old), frozenset(new), prices))
        for _, gone, come, prices in sorted(found, key=lambda one: (one[0], sorted(one[2])))[:_TRIED]:
            better = self._better(support - gone | come, {**made.prices, **prices}, made)
            if better is not None:
                return better
        return None

    def _stretches(self, made: Balanced) -> list[tuple[tuple[Hop, ...], float, float]]:
        """Each leg, and each two of which the second sells all that the first buys and nothing else: the legs, what they take and what they give."""
        into: dict[AssetId, list[Hop]] = {}
        on: dict[AssetId, list[Hop]] = {}
        for hop in sorted(made.flows):
            into.setdefault(hop.asset_out, []).append(hop)
            on.setdefault(hop.asset_in, []).append(hop)
        found: list[tuple[tuple[Hop, ...], float, float]] = []
        for hop, paid in sorted(made.flows.items()):
            leg = self.leg(hop)
            if leg is None:
                continue
            got = leg.given(paid)[0]
            found.append(((hop,), paid, got))
            after = on.get(hop.asset_out, [])
            if (
                len(after) == 1
                and len(into[hop.asset_out]) == 1
                and (next_ := self.leg(after[0])) is not None
            ):
                found.append(((hop, after[0]), paid, next_.given(got)[0]))
        return found

    def _ways(
        self, i: AssetId, j: AssetId, paid: float, got: float, prices: Mapping[AssetId, float], used: set[str]
    ) -> list[tuple[tuple[Hop, ...], float, float, dict[AssetId, float]]]:
        """Ways from an asset to another that begin better than `got` for `paid`: the legs, what comes of it, their gas, the price of what is between."""
        graph, least = self.problem.graph, got / paid
        found: list[tuple[tuple[Hop, ...], float, float, dict[AssetId, float]]] = []

        def best(a: AssetId, b: AssetId, amount: float, need: float) -> tuple[float, Hop, Leg] | None:
            made = None
            for pool in graph.between(a, b):
                hop = Hop(pool.id, a, b)
                if hop.id in used or graph.rate(hop) <= need or (leg := self.leg(hop)) is None:
                    continue
                out = leg.given(amount)[0]
                if made is None or (out, hop) > made[:2]:
                    made = out, hop, leg
            return made

        direct = best(i, j, paid, least)
        if direct is not None and direct[0] > got:
            found.append(((direct[1],), direct[0], direct[2].gas, {}))
        near = {other for _, other in graph.edges[j]}
        for k in sorted({other for _, other in graph.edges[i]} & near - prices.keys()):
            on = graph.best_rate(k, j)
            one = best(i, k, paid, least / on) if graph.best_rate(i, k) * on > least else None
            two = best(k, j, one[0], got / one[0]) if one is not None else None
            if one is not None and two is not None and two[0] > got and one[1].id != two[1].id:
                gas = one[2].gas + two[2].gas
                found.append(((one[1], two[1]), two[0], gas, {k: prices[i] * paid / one[0]}))
        return found


def _between(one: Leg, two: Leg, vi: float, vj: float) -> tuple[float, float]:
    """The price of the asset between two legs at which the second takes what the first gives, and what both gain there."""
    low, high = vi / one.spot, two.spot * vj
    if low >= high:
        return low, 0.0
    for _ in range(HALVINGS):
        middle = sqrt(low * high)
        if one.best(vi, middle)[1] < two.best(middle, vj)[0]:
            low = middle
        else:
            high = middle
    price = sqrt(low * high)
    return price, one.gain(vi, price) + two.gain(price, vj)


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
    search: Search, plan: Plan, exact: Callable[[Search, Split], Plan | None], in_time: Callable[[], bool]
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
    supports = supports_over(problem, in_time)
    _, made = supports.improved(support, _prices(plan, problem.buy))
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
    split = Split(
        {numbers[hops]: part for hops, part in zip(paths, amounts, strict=True)},
        {hop: max(int(flow), 1) for hop, flow in made.flows.items()},
        0,
        made.net,
    )
    better = exact(search, split)
    return (search, better, split) if better is not None and better.worth > plan.worth else None


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
    while rest > SURE and len(paths) < _PATHS:
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


__all__ = ["Supports", "rebuilt"]
