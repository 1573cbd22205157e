"""A tighter bound for plans of short chains: an asset has a price for each number of legs behind it, once before a hub and once after.

The bound of `bound` lets value pass through any number of mispriced pools, and around in circles. In a plan that goes forward and in which
no chain has more than H legs, every asset has one level, the legs of the longest chain from what is sold to it, and one side: after the hub where
some chain to it leads through the hub, before it otherwise. All that is held of an asset is sold at the price of its level and side. A leg leads
to a later level and to no earlier side, and is counted at the very next level on the side it comes from (a leg out of the hub: after it), which is
worth no less, because no price rises with the level or behind the hub. A circle through the hub is no chain. Of the ways in which one pair of a pool can be sold
(two directions, any level and side) a plan uses one, so only the best of them counts. An asset that is reached by no fewer than f legs and from which no
fewer than b lead to what is bought has the levels f to H - b alone: a leg to where no way on is short enough gives up all it takes in.

A pool whose pairs are counted together is used by one leg, or by more, which pay gas twice at least. Where one asset alone is sold to it, or one
alone is bought, some level and side part all its legs: what is sold stands at or before them, what is bought after. Each such cut is a sale of its own.
With four assets two may be sold and two bought without such a cut: then two cuts part one leg each. In pools of more, each division into
assets sold and bought is one, with every asset at the price that suits it best. Of all these only the best of a pool counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations, permutations
from typing import NamedTuple

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.routing.certificate.bound import Known, Setting
from agent.routing.certificate.crossings import pairs
from agent.routing.certificate.gains import Edge, Gain, Sale
from agent.routing.certificate.growth import Growth
from agent.routing.certificate.losses import Onward, both_ways, most_within
from agent.routing.certificate.passing import best_sums, joined
from agent.routing.certificate.sizes import Through, least_of
from agent.routing.certificate.units import unit_prices

MOST = 8
"""No more legs in a chain are told of."""
FURTHER = 7
"""No more sets of prices follow the first."""
_TWICE = 4
"""Assets of a pool that two cuts part."""


class Spot(NamedTuple):
    """Where an asset stands in a plan: how many legs its longest chain has, and whether one leads through the hub."""

    asset: AssetId
    level: int
    far: bool


def name_of(asset: AssetId, level: int, far: bool) -> AssetId:
    """The name of an asset where it stands there."""
    return AssetId(f"{asset}~{level}{'+' * far}")


def asset_of(name: AssetId) -> AssetId:
    """The asset that a name stands for."""
    return AssetId(name.partition("~")[0])


class Chains(Setting):
    """The setting of a bound for plans in which no chain has more than `hops` legs, and which have no more than `legs` in all. Raises Reject
    BAD_CERTIFICATE where `hops`, `hub` or `legs` makes no sense."""

    def __init__(
        self,
        whole: Setting,
        hops: int,
        hub: AssetId | None,
        known: Known | None = None,
        legs: int | None = None,
    ) -> None:
        """`known` is what a bound of the whole proved of plans better than the one at hand; no `hub`: all is before it; no `legs`: any number."""
        self.__dict__.update({name: held for name, held in whole.__dict__.items() if name != "idle"})
        ends = (whole.sources | whole.targets) & whole.nodes
        if not 1 <= hops <= MOST:
            raise Reject("BAD_CERTIFICATE", f"branches[0].hops: {hops} is not between 1 and {MOST}")
        if legs is not None and legs < 1:
            raise Reject("BAD_CERTIFICATE", f"branches[0].legs: {legs} is no number of legs")
        if hub is not None and (hub not in whole.nodes or hub in ends):
            raise Reject("BAD_CERTIFICATE", f"branches[0].hub: {hub} is on no way from what is sold to what is bought")  # fmt: skip
        sales = whole.sales if known is None else known.sales
        ways = whole.ways(sales)
        hither = _distances(whole.sources, ways)
        onward = _distances(whole.targets, [(b, a) for a, b in ways])
        behind = {} if hub is None or hub not in hither else _distances((hub,), ways)
        self.hops, self.hub, self.legs = hops, hub, legs
        self.places: dict[AssetId, Spot] = {n: Spot(n, 0, False) for n in whole.sources & ends}
        self.names: dict[AssetId, tuple[AssetId, ...]] = {node: (node,) for node in ends}
        for node in sorted(whole.nodes - ends):
            last = hops - onward.get(node, hops)
            near = [Spot(node, level, False) for level in range(hither.get(node, hops), last + 1)]
            first = hither[hub] + behind[node] if hub is not None and node in behind else hops
            far = [Spot(node, level, True) for level in range(first, last + 1)] if node != hub else []
            self.names[node] = tuple(name_of(*spot) for spot in (*near, *far))
            self.places |= {name_of(*spot): spot for spot in (*near, *far)}
        self.places |= {n: Spot(n, hops, True) for n in whole.targets & ends}
        self.nodes = frozenset(self.places)
        self.sales = _once(turned for sale in sales for turned in self._turned(sale))
        if known is not None:
            # What is sold of an asset is all sold where it stands.
            self.caps = {n: known.caps[s.asset] for n, s in self.places.items() if s.asset in known.caps}

    def _turned(self, sale: Sale) -> Iterator[Sale]:
        edge, i, j = sale
        if i != j:
            yield from self._pairs(edge, i, j)
            return
        size = len(edge.nodes)
        every = frozenset(range(size))
        for a, b in permutations(range(size), 2):
            if a not in edge.never_sold and b not in edge.never_bought:
                alone = replace(edge, never_sold=every - {a}, never_bought=every - {b})
                yield from self._pairs(alone, a, b)
        # More than one leg pays gas more than once.
        more = replace(edge, gas=2 * edge.gas)
        yield from self._cuts(more)
        if size == _TWICE:
            yield from self._two_cuts(more)
        elif size > _TWICE:
            yield from self._divided(more)

    def _pairs(self, edge: Edge, i: int, j: int) -> Iterator[Sale]:
        for given, got in self._turns(edge.nodes[i], edge.nodes[j]):
            nodes = list(edge.nodes)
            nodes[i], nodes[j] = given, got
            made = Edge(
                edge.pool,
                tuple(nodes),
                edge.gas,
                edge.per_tick,
                edge.never_sold,
                edge.never_bought,
                edge.bought,
            )
            yield Sale(made, i, j)

    def _at(self) -> list[tuple[int, bool]]:
        return [
            (level, far)
            for far in ((False, True) if self.hub is not None else (False,))
            for level in range(self.hops)
        ]

    def _cuts(self, edge: Edge) -> Iterator[Sale]:
        for level, far in self._at():
            sold = [self._standing(n, level, far) for n in edge.nodes]
            bought = [self._counted(n, level + 1, far) for n in edge.nodes]
            yield from self._joint(edge, sold, bought)

    def _two_cuts(self, edge: Edge) -> Iterator[Sale]:
        for (level, far), (later, beyond) in combinations(self._at(), 2):
            for a, b, c, d in permutations(range(_TWICE)):
                sold: list[AssetId | None] = [None] * _TWICE
                bought = list(sold)
                sold[a] = self._standing(edge.nodes[a], level, far)
                bought[b] = self._counted(edge.nodes[b], level + 1, far)
                sold[c] = self._standing(edge.nodes[c], later, beyond)
                bought[d] = self._counted(edge.nodes[d], later + 1, beyond)
                if sold[a] and bought[b] and sold[c] and bought[d]:
                    yield from self._joint(edge, sold, bought)

    def _standing(self, node: AssetId, level: int, far: bool) -> AssetId | None:
        """The last name of an asset that is sold at or before a cut: the cheapest."""
        if node in self.targets or (node == self.hub and not far):
            return None
        found = [
            n for n in self.names.get(node, ()) if self.places[n].level <= level and self.places[n].far <= far
        ]
        return found[-1] if found else None

    def _counted(self, node: AssetId, level: int, far: bool) -> AssetId | None:
        """The first name of an asset that is bought after a cut: the dearest."""
        if node in self.sources:
            return None
        if node in self.targets:
            return node if node in self.nodes else None
        found = (n for n in self.names.get(node, ()) if self.places[n].level >= level and self.places[n].far == far)  # fmt: skip
        return next(found, None)

    def _divided(self, edge: Edge) -> Iterator[Sale]:
        size = len(edge.nodes)
        names = [self.names.get(node, ()) for node in edge.nodes]
        for many in range(1, size):
            for taken in combinations(range(size), many):
                sold = [names[k][-1] if k in taken and names[k] else None for k in range(size)]
                bought = [names[k][0] if k not in taken and names[k] else None for k in range(size)]
                yield from self._joint(edge, sold, bought)

    def _joint(
        self, edge: Edge, sold: Sequence[AssetId | None], bought: Sequence[AssetId | None]
    ) -> Iterator[Sale]:
        never_sold = edge.never_sold | {k for k, name in enumerate(sold) if name is None}
        never_bought = edge.never_bought | {k for k, name in enumerate(bought) if name is None}
        if len(never_sold) < len(edge.nodes) and len(never_bought) < len(edge.nodes):
            nodes = tuple(a or b or n for a, b, n in zip(sold, bought, edge.nodes, strict=True))
            other = tuple(b or a or n for a, b, n in zip(sold, bought, edge.nodes, strict=True))
            made = replace(edge, nodes=nodes, bought=other, never_sold=never_sold, never_bought=never_bought)
            yield Sale(made, 0, 0)

    def _turns(self, given: AssetId, got: AssetId) -> list[tuple[AssetId, AssetId]]:
        found = []
        for name in self.names.get(given, ()) if given not in self.targets else ():
            spot = self.places[name]
            far = spot.far or given == self.hub
            if got in self.targets and got in self.nodes:
                found.append((name, got))
            elif got not in self.sources | self.targets:
                other = name_of(got, spot.level + 1, far)
                if other in self.nodes:
                    found.append((name, other))
        return found

    def _trades(self, given: AssetId, got: AssetId) -> bool:
        a, b = asset_of(given), asset_of(got)
        return self._leads(a, b) and (given, got) in self._turns(a, b)

    def _asset(self, node: AssetId) -> AssetId:
        return asset_of(node)

    @cached_property
    def later(self) -> dict[AssetId, list[AssetId]]:
        """By name, those under which an asset can be sold that was counted as bought under it."""
        found = {}
        for names in self.names.values():
            spots = [(name, self.places[name]) for name in names]
            for name, spot in spots:
                found[name] = [n for n, s in spots if s.level >= spot.level and s.far >= spot.far]
        return found

    def _sold_on(self, node: AssetId, caps: Mapping[AssetId, int]) -> int | None:
        most = [caps.get(name) for name in self.later[node]]
        return None if None in most else max(held for held in most if held is not None)

    def _passing(self, node: AssetId, through: Through) -> int | None:
        come: int | None = 0
        for name in self.names[asset_of(node)]:
            if node in self.later[name]:
                part = through.come(name)
                come = None if come is None or part is None else come + part
        return least_of(through.gone(node), come)

    def _loose(self) -> list[tuple[AssetId, ...]]:
        books = [self.names.get(a, ()) + self.names.get(b, ()) for a, b in pairs(self.order.view)]
        pools: dict[str, set[AssetId]] = {}
        for sale in self.sales:
            if sale.i == sale.j:
                pools.setdefault(sale.edge.pool.id, set()).update((*sale.edge.nodes, *sale.edge.outs))
        return [*books, *(tuple(sorted(names & self.nodes)) for names in pools.values())]

    @cached_property
    def idle(self) -> tuple[Onward, Onward]:
        on, back = super().idle
        later = both_ways({(node, name): 0 for node in self.nodes for name in self.later[node] if name != node})  # fmt: skip
        return joined(on, later[0]), joined(back, later[1])

    def _sums(self, gains: Sequence[Gain]) -> list[int]:
        return best_sums(gains, self.together, self.legs)

    @cached_property
    def together(self) -> frozenset[str]:
        """The pools whose pairs are counted together."""
        return frozenset(sale.edge.pool.id for sale in self.sales if sale.i == sale.j)

    def _growths(self, gains: Sequence[Gain], value: Mapping[AssetId, int]) -> list[Growth]:
        best: dict[tuple[str, int, int], Growth] = {}
        for gain in gains:
            edge, i, j = gain.sale
            if i != j:
                rate, held = self._rate(gain.sale, value), best.get((edge.pool.id, i, j))
                most, first = (0, rate) if held is None else (held.gross, held.first)
                highest = None if rate is None or first is None else max(rate, first)
                best[edge.pool.id, i, j] = Growth(max(gain.gross, most), asset_of(edge.nodes[i]), highest)
        return list(best.values())

    def _caps(
        self, base: int, room: int, gains: Sequence[Gain], value: Mapping[AssetId, int]
    ) -> dict[AssetId, int]:
        # Every way of selling gains once, under the name where it gains most: where it pays under one name, that may be another one.
        most: dict[tuple[str, int, int], Gain] = {}
        losing: dict[tuple[str, int, int], int] = {}
        for gain in gains:
            way = gain.sale.edge.pool.id, gain.sale.i, gain.sale.j
            if way not in most or gain.gross > most[way].gross:
                most[way] = gain
            losing[way] = min(losing.get(way, -gain.net), -gain.net)
        paying = {way: gain for way, gain in most.items() if losing[way] <= 0}
        everything = base + sum(gain.gross for gain in paying.values())
        everything += most_within([(loss, most[way].gross) for way, loss in losing.items() if loss > 0], room)
        own: dict[AssetId, int] = {}
        for gain in paying.values():
            if gain.out_of is not None:
                own[asset_of(gain.out_of)] = own.get(asset_of(gain.out_of), 0) + gain.gross
        caps = {n: -(-(everything - own.get(asset_of(n), 0)) // value[n]) for n in self.nodes}
        return {**caps, **{source: self.caps[source] for source in self.sources if source in self.caps}}

    def _values(self, name: str, prices: Mapping[AssetId, str]) -> dict[AssetId, int]:
        missing = self.nodes - prices.keys()
        if missing:
            raise Reject("BAD_CERTIFICATE", f"branches[0]: {min(missing)} has no price", "every level of an asset needs one")  # fmt: skip
        told: dict[tuple[int, bool], dict[AssetId, str]] = {}
        for node, spot in self.places.items():
            told.setdefault((spot.level, spot.far), {})[spot.asset] = prices[node]
        found = {where: unit_prices(self.order, texts) for where, texts in told.items()}
        value = {node: found[spot.level, spot.far][spot.asset] for node, spot in self.places.items()}
        for node in self.nodes:
            for later in self.later[node]:
                if value[later] > value[node]:
                    raise Reject("BAD_CERTIFICATE", f"branches[0]: {later} is worth more than {node}")
        return value


def _once(sales: Iterable[Sale]) -> list[Sale]:
    """Of the ways to take a pool's pairs together, those that are the same by other cuts are told once."""
    found: dict[object, Sale] = {}
    for number, sale in enumerate(sales):
        edge = sale.edge
        key: object = number
        if sale.i == sale.j:
            size = range(len(edge.nodes))
            sold = tuple(None if k in edge.never_sold else edge.nodes[k] for k in size)
            bought = tuple(None if k in edge.never_bought else edge.outs[k] for k in size)
            key = edge.pool.id, edge.gas, sold, bought
        found.setdefault(key, sale)
    return list(found.values())


def _distances(starts: Collection[AssetId], ways: Collection[tuple[AssetId, AssetId]]) -> dict[AssetId, int]:
    """How many legs lead from any of `starts` to an asset at least."""
    onward: dict[AssetId, list[AssetId]] = {}
    for a, b in ways:
        onward.setdefault(a, []).append(b)
    found, ring = dict.fromkeys(starts, 0), list(starts)
    while ring:
        near = list(dict.fromkeys(b for a in ring for b in onward.get(a, ()) if b not in found))
        found |= {b: found[ring[0]] + 1 for b in near}
        ring = near
    return found


__all__ = ["FURTHER", "MOST", "Chains", "Spot", "asset_of", "name_of"]
