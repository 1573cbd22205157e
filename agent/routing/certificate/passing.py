"""A tighter bound: every asset has two prices, one for plans that come to it before a chosen asset (the hub), one for after.

Plans go forward: assets stand in an order. Seen from the hub each other asset is sold either before the hub is or after it, never
both, and a circle through the hub is no plan at all. So a sale of the hub leads to assets that count at their prices after it,
a sale for the hub leaves assets that count at their prices before it, and what other pools do happens on one side. A leg from
an asset before to one after is counted as one on the near side, which is worth no less because no price rises on passing the hub. A plan that
leaves the hub out has all its assets before it. The bound is the sum of `bound`, over both sides; of the ways in which one pair of a pool can be
sold (two directions, two sides) a plan uses one, so only the best of them counts.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.routing.certificate.bound import Known, Setting
from agent.routing.certificate.gains import Gain, Sale
from agent.routing.certificate.losses import Onward, both_ways
from agent.routing.certificate.sizes import Through, least_of
from agent.routing.certificate.units import unit_prices

AFTER = "~after"


def after(node: AssetId) -> AssetId:
    """The name of an asset where it counts at its price after the hub."""
    return AssetId(node + AFTER)


def sides_of(prices: Mapping[AssetId, str]) -> tuple[dict[AssetId, str], dict[AssetId, str]]:
    """Prices by the names of both sides as two sets by asset: before the hub, and after it."""
    near = {node: text for node, text in prices.items() if not node.endswith(AFTER)}
    return near, {AssetId(n.removesuffix(AFTER)): text for n, text in prices.items() if n.endswith(AFTER)}


class Passing(Setting):
    """The setting of a bound with a hub. Raises Reject BAD_CERTIFICATE where `hub` is no asset in between."""

    def __init__(self, whole: Setting, hub: AssetId, known: Known | None = None) -> None:
        """`known` is what a bound of the whole proved of plans better than the one at hand."""
        self.__dict__.update({name: held for name, held in whole.__dict__.items() if name != "idle"})
        self.hub = hub
        if hub not in whole.nodes or hub in whole.sources or hub in whole.targets:
            raise Reject("BAD_CERTIFICATE", f"passing.asset: {hub} is on no way from what is sold to what is bought")  # fmt: skip
        self.split = {n: after(n) for n in whole.nodes - whole.sources - whole.targets - {hub}}
        self.nodes = whole.nodes | frozenset(self.split.values())
        sales = whole.sales if known is None else known.sales
        self.sales = [turned for sale in sales for turned in self._turned(sale)]
        if known is not None:
            # What is sold of an asset is all sold on one side of the hub.
            self.caps = {
                **known.caps,
                **{name: known.caps[n] for n, name in self.split.items() if n in known.caps},
            }

    def _turned(self, sale: Sale) -> list[Sale]:
        edge, i, j = sale
        if i == j:
            if len(edge.nodes) == 3:
                # Without both a leg among assets before and one among assets after, four in all, either everything bought
                # counts as before or everything sold as after, and that is worth no less.
                far = tuple(self.split.get(node, node) for node in edge.nodes)
                return [sale, Sale(replace(edge, nodes=far), i, j)]
            names = [(n, self.split[n]) if n in self.split else (n,) for n in edge.nodes]
            return [Sale(replace(edge, nodes=tuple(held)), i, j) for held in product(*names)]  # fmt: skip
        there = tuple(self.split.get(node, node) for node in edge.nodes)
        found = []
        for given, got in self._turns(*sale.pair):
            near = (given, got) == sale.pair and given != self.hub
            found.append(sale if near else Sale(replace(edge, nodes=there), i, j))
        return found

    def _turns(self, given: AssetId, got: AssetId) -> list[tuple[AssetId, AssetId]]:
        if not {given, got} <= self.nodes:
            return []
        found = [(given, got)] if given != self.hub else []
        if got != self.hub and given not in self.sources:
            found.append((self.split.get(given, given), self.split.get(got, got)))
        return found

    def _trades(self, given: AssetId, got: AssetId) -> bool:
        a, b = (AssetId(name.removesuffix(AFTER)) for name in (given, got))
        return self._leads(a, b) and (given, got) in self._turns(a, b)

    def _asset(self, node: AssetId) -> AssetId:
        return AssetId(node.removesuffix(AFTER))

    def _sold_on(self, node: AssetId, caps: Mapping[AssetId, int]) -> int | None:
        # What is bought before the hub may be sold after it.
        near, far = caps.get(node), caps.get(self.split.get(node, node))
        return None if near is None or far is None else max(near, far)

    def _passing(self, node: AssetId, through: Through) -> int | None:
        before = node.removesuffix(AFTER)
        come = through.come(node)
        if before != node and come is not None:
            # What came before the hub may be sold after it.
            near = through.come(AssetId(before))
            come = None if near is None else come + near
        return least_of(through.gone(node), come)

    def _loose(self) -> list[tuple[AssetId, ...]]:
        far = [tuple(self.split.get(node, node) for node in group) for group in super()._loose()]
        return [*super()._loose(), *far]

    @cached_property
    def idle(self) -> tuple[Onward, Onward]:
        on, back = super().idle
        sides = both_ways({(node, name): 0 for node, name in self.split.items()})
        return joined(on, sides[0]), joined(back, sides[1])

    def _sums(self, gains: Sequence[Gain]) -> list[int]:
        return best_sums(gains)

    def _values(self, name: str, prices: Mapping[AssetId, str]) -> dict[AssetId, int]:
        near, far = sides_of(prices)
        value, later = unit_prices(self.order, near), unit_prices(self.order, far)
        for node, named in self.split.items():
            if node not in later or node not in value:
                raise Reject("BAD_CERTIFICATE", f"passing: {node} has no price", "every asset that a plan can pass through needs two")  # fmt: skip
            if later[node] > value[node]:
                raise Reject("BAD_CERTIFICATE", f"passing: {node} is worth more after than before")
            value[named] = later[node]
        missing = self.nodes - value.keys()
        if missing:
            raise Reject("BAD_CERTIFICATE", f"passing: {min(missing)} has no price")
        return value


def best_sums(gains: Sequence[Gain], together: Collection[str] = (), most: int | None = None) -> list[int]:
    """What the first one, two, three … of the gains can earn where a plan uses one way of selling each pair of a pool, one of all
    ways of using a pool in `together`, and of all these no more than `most`."""
    best: dict[tuple[str, int, int], int] = {}
    total, sums, ranked = 0, list[int](), list[int]()
    for gain in gains:
        pool, i, j = gain.sale.edge.pool.id, gain.sale.i, gain.sale.j
        pair = (pool, 0, 0) if pool in together else (pool, i, j) if i < j else (pool, j, i)
        before = best.get(pair, 0)
        if gain.net > before:
            total += gain.net - before
            best[pair] = gain.net
            if most is not None:
                if before:
                    ranked.remove(before)
                insort(ranked, gain.net)
                total = sum(ranked[-most:])
        sums.append(total)
    return sums


def joined(one: Onward, other: Onward) -> Onward:
    """Both sets of legs."""
    return {node: (*one.get(node, ()), *other.get(node, ())) for node in one.keys() | other.keys()}


__all__ = ["AFTER", "Passing", "after", "best_sums", "joined", "sides_of"]
