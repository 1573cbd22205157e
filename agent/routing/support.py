"""Local search over the legs of a plan themselves: what any set of them is worth at best is solved for, and prices tell which legs to try.

The amounts of a plan are right at the prices where its legs' marginal rates agree (`balance`). There a leg whose gain is below its gas may be left out, and one that is not there
is worth adding only where it would gain more than its gas: both are bounds, so few sets have to be looked at. It finds what a search by paths
and chunks does not: many legs changed at once, each of which is worth a part of its gas. Only what is worth more after exact execution is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, sqrt
from operator import add
from typing import NamedTuple

from agent.domain.instruments import AssetId, place_of
from agent.routing.balance import Balanced, Leg, balanced
from agent.routing.depths import Depths, cleaned
from agent.routing.graph import Hop
from agent.routing.problem import Problem
from agent.routing.search import order_of
from agent.routing.sides import sides

WAYS, HALVINGS, LESS = 6, 16, 0.2
"""Pairs of legs told by asset between them; how often the interval of its price is halved; legs that earn that part of their gas are tried many at once."""
LOOKS, NARROWINGS, NEAR = 16, 10, 1 + 1e-3
"""At how many amounts, each as many times the one before, legs in a row are looked at; how often the interval around the best of them is halved, and how
much more is set beside its middle."""
_ROUNDS, _TRIED, _SWAPS, _MORE = 24, 24, 13, 16
SURE = 1e-9
"""Less than that share of the value is no gain."""
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
        self.gas_price, self._ends = self._rate, (problem.sell, problem.buy)
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

    def given(self, hop: Hop, paid: float) -> float:
        """What a leg gives for so much, nought where it has no curve."""
        leg = self.leg(hop)
        return 0.0 if leg is None else leg.given(paid)[0]

    def through(self, hops: Sequence[Hop], vi: float, vj: float, least: float, most: float) -> float:
        """What legs in a row gain at best, at the prices of their ends, by no less than `least` and no more than `most`; gas left out."""
        legs = [leg for hop in hops if (leg := self.leg(hop)) is not None]
        if len(legs) < len(hops):
            return 0.0

        def gain(amount: float) -> float:
            held = amount
            for leg in legs:
                held = leg.given(held)[0]
            return held * vj - amount * vi

        # Of little, what one leg gives is told too coarsely for halving alone: a wrong turn would be the last.
        times = sqrt(sqrt(sqrt(sqrt(most / least))))
        best, at, amount = gain(least), least, least
        for _ in range(LOOKS):
            amount *= times
            if (found := gain(amount)) > best:
                best, at = found, amount
        low, high = at / times, at * times
        for _ in range(NARROWINGS):
            amount = sqrt(low * high)
            if gain(amount * NEAR) > gain(amount):
                low = amount
            else:
                high = amount
        return max(best, gain(sqrt(low * high)))

    def over(self, hop: Hop, prices: Mapping[AssetId, float]) -> float | None:
        """What a leg gains beyond its gas, None where it has no curve."""
        leg = self.leg(hop)
        if leg is None:
            return None
        return leg.gain(prices[hop.asset_in], prices[hop.asset_out]) - leg.gas * self._rate

    def _forward(self, hops: list[Hop], order: list[AssetId]) -> bool:
        """Whether no chain is longer than paths may be, and no pool is sold what it gave."""
        sold, bought = {(h.id, h.asset_in) for h in hops}, {(h.id, h.asset_out) for h in hops}
        return Depths(order, hops).longest <= self.problem.max_hops and not sold & bought

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
            least = inf
            for _, hop in short if held <= 0 else short[:_SWAPS]:
                less = cleaned(support - {hop}, self._ends)
                tried = self.worth(less, made.prices)
                if held <= 0:
                    if self.score(tried) > self.score(made):
                        best = less, tried
                        break
                    continue
                gone = min(len(made.flows) - len(tried.flows), held)
                lost = (made.net - tried.net) / gone if tried.flows and gone > 0 else inf
                if lost < least:
                    best, least = (less, tried), lost
            if best is None:
                break
            support, made = best
        return support, made

    def more(self, support: Support, made: Balanced, ways: int = WAYS) -> list[More]:
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
            for one, two in self._pairs(ins[asset], outs[asset], prices, least, ways):
                price, gain = _between(one, two, prices[one.i], prices[two.j])
                gas = (one.gas + two.gas) * self._rate
                if gain > LESS * gas + least:
                    found.append(More(gain, gas, (one.hop, two.hop), {asset: price}))
        return found

    def _pairs(self, ins: list[tuple[float, Hop]], outs: list[tuple[float, Hop]], prices: Mapping[AssetId, float], least: float, ways: int) -> list[tuple[Leg, Leg]]:  # fmt: skip
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
        return [(to[n][0], on[m][0]) for _, n, m in sorted(found)[:ways]]

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

    def halved(self, made: Balanced) -> Support:
        """Half of the legs, those that most goes by, with a whole way among them."""
        flows, prices = made.flows, made.prices
        way, at = list[Hop](), self.problem.sell
        while at != self.problem.buy:
            way.append(max((hop for hop in sorted(flows) if hop.asset_in == at), key=lambda hop: flows[hop]))
            at = way[-1].asset_out
        by_worth = sorted(flows, key=lambda hop: (-flows[hop] * prices[hop.asset_in], hop))
        return cleaned(frozenset((*way, *by_worth[: max(len(flows) // 2, 1)])), self._ends)

    def improved(self, support: Support, start: Mapping[AssetId, float]) -> tuple[Support, Balanced]:
        """The best support found from one on."""
        best = self.thinned(support, self.worth(support, start))
        for _ in range(_ROUNDS):
            if not self._in_time() or not best[1].flows:
                break
            more = self.more(*best)
            better = self._added(*best, more) or self._flooded(*best, more) or self._replaced(*best)
            better = better or self._beside(*best)
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
            floor = got - spent * self._rate / made.prices[j]
            for new, more, gas, prices in self._ways(i, j, paid, floor, made.prices, free):
                over = (more - got) * made.prices[j] - (gas - spent) * self._rate
                if over > abs(made.net) * SURE:
                    found.append((-over, frozenset(old), frozenset(new), prices))
        for _, gone, come, prices in sorted(found, key=lambda one: (one[0], sorted(one[2])))[:_TRIED]:
            better = self._better(support - gone | come, {**made.prices, **prices}, made)
            if better is not None:
                return better
        return None

    def _beside(self, support: Support, made: Balanced) -> tuple[Support, Balanced] | None:
        """A way by hubs that are not there yet, through what is mispriced between them."""
        for side in sides(self, support, made):
            better = self._better(support | set(side.hops), {**made.prices, **side.prices}, made)
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
        self,
        i: AssetId,
        j: AssetId,
        paid: float,
        floor: float,
        prices: Mapping[AssetId, float],
        used: set[str],
    ) -> list[tuple[tuple[Hop, ...], float, float, dict[AssetId, float]]]:
        """Ways from an asset to another that give more than `floor` for `paid`: the legs, what comes of it, their gas, the price of what is between."""
        graph, least = self.problem.graph, max(floor, 1.0) / paid
        found: list[tuple[tuple[Hop, ...], float, float, dict[AssetId, float]]] = []

        def best(a: AssetId, b: AssetId, amount: float, need: float) -> tuple[float, Hop, Leg] | None:
            made: tuple[float, Hop, Leg] | None = None
            for pool in graph.between(a, b):
                hop = Hop(pool.id, a, b)
                if hop.id in used or graph.rate(hop) <= need or (leg := self.leg(hop)) is None:
                    continue
                out = leg.given(amount)[0]
                if made is None or out > made[0]:
                    made = out, hop, leg
            return made

        direct = best(i, j, paid, least)
        if direct is not None and direct[0] > floor:
            found.append(((direct[1],), direct[0], direct[2].gas, {}))
        near = {other for _, other in graph.edges[j]}
        for k in sorted({other for _, other in graph.edges[i]} & near - prices.keys()):
            on = graph.best_rate(k, j)
            one = best(i, k, paid, least / on) if graph.best_rate(i, k) * on > least else None
            two = best(k, j, one[0], max(floor, 1.0) / one[0]) if one is not None and one[0] > 0 else None
            if one is not None and two is not None and two[0] > floor and one[1].id != two[1].id:
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


__all__ = ["More", "Support", "Supports"]
