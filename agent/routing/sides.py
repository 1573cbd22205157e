"""Ways beside a plan through pools that are mispriced against each other, of three legs and more: from one of the plan's assets to a hub, by a rare
asset on to another hub, and back to the plan.

`Supports.more` sees one asset between two of the plan's. What a rare asset's pools offer stands as a rule between hubs that the plan need not go by,
though a leg leads there. So hubs take part with a price of their own, what the plan's best legs buy and sell them for, and whatever gains there
more than its gas and that of the legs to it and on from it is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from agent.domain.instruments import AssetId, place_of
from agent.routing.balance import Balanced
from agent.routing.depths import Depths
from agent.routing.graph import Hop
from agent.routing.search import order_of

if TYPE_CHECKING:
    from agent.routing.support import More, Support, Supports

TRIED, _WAYS = 16, 24
"""Pairs of legs looked at by asset between them: hubs' prices are nobody's offer, and what seems good at them crowds out what is."""
_MUCH, _PART, _LITTLE, _SURE = (32, 1024), 1 / 64, 1e-4, 1e-9


class Side(NamedTuple):
    """`over` is what it may gain beyond its gas, raw units of the bought asset; `prices` are those of the assets it is the first to have."""

    over: float
    hops: tuple[Hop, ...]
    prices: Mapping[AssetId, float]


class _Links:
    """The best leg between each of the plan's assets and each hub, where so much goes by that its gas is a `much`-th of it.

    What a dust of a pool offers is no price, so no less than that is asked of it."""

    def __init__(self, supports: Supports, order: Sequence[AssetId], used: set[str], prices: Mapping[AssetId, float], much: int) -> None:  # fmt: skip
        self._supports, self._used, self._much = supports, used, much
        problem = supports.problem
        self._whole = problem.amount * prices[problem.sell]
        self.into: dict[AssetId, list[tuple[float, Hop]]] = {}
        self.onto: dict[AssetId, list[tuple[float, Hop]]] = {}
        """By hub what a unit of it costs by the best leg from each asset, the least first, and what it brings by that to each, the most first."""
        for hub in problem.graph.hubs(place_of(problem.sell)):
            if hub in prices:
                continue
            costs = [
                (1 / rate, hop) for asset in order for rate, hop in self._best(asset, hub, prices[asset])
            ]
            if not costs:
                continue
            costs.sort()
            self.into[hub] = costs
            cost = costs[0][0]
            brings = [(rate * prices[asset] * cost, hop) for asset in order for rate, hop in self._best(hub, asset, cost)]  # fmt: skip
            self.onto[hub] = sorted(brings, key=lambda one: (-one[0], one[1]))

    def _best(self, given: AssetId, got: AssetId, price: float) -> list[tuple[float, Hop]]:
        """How many units of the second a unit of worth gives, where a unit of the first is worth `price`, by the best leg between them; nothing
        where none is."""
        problem, found = self._supports.problem, list[tuple[float, Hop]]()
        for pool in problem.graph.between(given, got):
            if pool.id in self._used:
                continue
            hop = Hop(pool.id, given, got)
            worth = min(self._much * pool.gas * self._supports.gas_price, self._whole) or self._whole * _PART
            out = self._supports.given(hop, worth / price)
            if out > 0:
                found.append((out / worth, hop))
        return sorted(found, key=lambda one: (-one[0], one[1]))[:1]


def sides(supports: Supports, support: Support, made: Balanced) -> list[Side]:
    """What is worth trying beside a support at its prices, the best first."""
    problem, order = supports.problem, order_of(sorted(support)) or []
    prices = {asset: made.prices[asset] for asset in order}
    used, depths = {hop.id for hop in support}, Depths(order, support)
    links = [_Links(supports, order, used, prices, much) for much in _MUCH]
    little = links[0]
    if not little.into:
        return []
    # What begins at a hub pays what it costs there, what ends there gets what it brings.
    bought = prices | {hub: costs[0][0] for hub, costs in little.into.items()}
    sold = bought | {hub: brings[0][0] for hub, brings in little.onto.items() if brings}
    begun = supports.more(support, Balanced(made.net, made.flows, bought), _WAYS)
    ended = supports.more(support, Balanced(made.net, made.flows, sold), _WAYS)
    offered = [one for one in begun if one.hops[0].asset_in not in prices]
    offered += [one for one in ended if one.hops[-1].asset_out not in prices and one.hops[0].asset_in in prices]  # fmt: skip
    # Through an asset that the plan has already, by other pools of it.
    kept = {*problem.graph.hubs(place_of(problem.sell)), problem.sell, problem.buy}
    again = supports.more(support, Balanced(made.net, made.flows, {a: price for a, price in bought.items() if a in kept}), _WAYS)  # fmt: skip
    offered += [one for one in again if one.hops[0].asset_out in prices]
    found = dict[tuple[Hop, ...], Side]()
    for one in offered:
        # What does not pay for its own legs pays for no more.
        for ends in links if one.gain > one.gas else ():
            side = _joined(supports, one, depths, ends, prices)
            if side is not None and side.over > abs(made.net) * _SURE:
                found[side.hops] = side
    return sorted(found.values(), key=lambda side: (-side.over, side.hops))[:TRIED]


def _joined(supports: Supports, one: More, depths: Depths, links: _Links, prices: Mapping[AssetId, float]) -> Side | None:  # fmt: skip
    """The legs with those that lead to them and on from them, where the plan's assets at both ends come one after the other."""
    first, last = one.hops[0].asset_in, one.hops[-1].asset_out
    problem, best, new = supports.problem, None, dict[AssetId, float]()
    for paid, before in [(prices[first], None)] if first in prices else links.into.get(first, []):
        for got, after in [(prices[last], None)] if last in prices else links.onto.get(last, []):
            hops = (*((before,) if before else ()), *one.hops, *((after,) if after else ()))
            forward = depths.place[hops[0].asset_in] < depths.place[hops[-1].asset_out]
            if not forward or depths.through(hops) > problem.max_hops or len({hop.id for hop in hops}) < len(hops):  # fmt: skip
                continue
            if best is None or (got / paid, hops) > best:
                best, new = (got / paid, hops), {first: paid, last: got, **one.prices}
    if best is None:
        return None
    hops = best[1]
    first_at, last_at = prices[hops[0].asset_in], prices[hops[-1].asset_out]
    gas = sum(problem.view.pools[hop.id].gas for hop in hops) * supports.gas_price
    most = max(problem.amount * prices[problem.sell] / first_at, 1.0)
    # Of much less than the gas no float could tell what it gains.
    least = min(max((gas / first_at or most) * _LITTLE, 1.0), most)
    return Side(supports.through(hops, first_at, last_at, least, most) - gas, hops, new)


__all__ = ["Side", "sides"]
