"""What a bound needs of a market whatever is sold: pools by the nodes they trade, who trades with whom, rates of first units. Made once a state.

Sets of nodes are integers: bit k is node k. A market that moved by a block takes over all but the pools that did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

from agent.amm import BalancerStablePool, CurvePool, Pool
from agent.domain.instruments import AssetId, Place
from agent.market.view import MarketView
from agent.routing.certificate.crossings import pairs
from agent.routing.certificate.gains import Edge, Sale
from agent.routing.certificate.spots import Rates, first_rates
from agent.routing.certificate.units import gas_place, wrapped_names

_FREE = Fraction(0)
_KEPT = 16
"""Assets bought whose sales are kept."""
_BEST = 16
"""So many of the best connected nodes are gone through first: what they do not reach is little."""


class Stand(NamedTuple):
    """A pool where it stands: its nodes, their numbers, the chain its gas is paid on, and whether its pairs are counted together."""

    pool: Pool
    nodes: tuple[AssetId, ...]
    numbers: tuple[int, ...]
    place: Place
    together: bool


class Priced:
    """A market's pools with gas as values, and the sales to them, each made when first asked for: orders that buy the same asset share them."""

    def __init__(self, stands: Sequence[Stand], prices: Mapping[Place, Fraction]) -> None:
        self._gas = [_gas_of(stand, prices) for stand in stands]
        self._stands = stands
        self._least: list[tuple[int, int, tuple[AssetId, AssetId], int]] | None = None
        self._edges: list[Edge | None] = [None] * len(stands)
        self._sales: list[dict[tuple[int, int], Sale]] = [{} for _ in stands]

    def idle(self, leads: Sequence[int]) -> dict[tuple[AssetId, AssetId], int]:
        """By pair that may be traded (`leads` as of `Between`), what its use loses at least where it gains nothing; of pools whose pairs are counted
        together nothing is told."""
        if self._least is None:
            least: dict[tuple[int, int], int] = {}
            for number, stand in enumerate(self._stands):
                if not stand.together:
                    idle = Edge(stand.pool, stand.nodes, *self._gas[number]).idle
                    for pair in permutations(stand.numbers, 2):
                        if least.get(pair, idle) >= idle:
                            least[pair] = idle
            name = {
                k: node for stand in self._stands for k, node in zip(stand.numbers, stand.nodes, strict=True)
            }
            self._least = [(a, b, (name[a], name[b]), idle) for (a, b), idle in least.items()]
        return {pair: idle for a, b, pair, idle in self._least if leads[a] >> b & 1}

    def sales(self, number: int, ways: Sequence[tuple[int, int]]) -> list[Sale]:
        """The sales of a pool, by its number, one for each of `ways`; of one whose pairs are counted together the one that takes them all."""
        stand, held = self._stands[number], self._sales[number]
        if stand.together:
            sold, bought = {i for i, _ in ways}, {j for _, j in ways}
            every = frozenset(range(len(stand.nodes)))
            return [Sale(Edge(stand.pool, stand.nodes, *self._gas[number], every - sold, every - bought), 0, 0)]  # fmt: skip
        found = []
        for way in ways:
            sale = held.get(way)
            if sale is None:
                edge = self._edges[number] or Edge(stand.pool, stand.nodes, *self._gas[number])
                self._edges[number] = edge
                sale = held[way] = Sale(edge, *way)
            found.append(sale)
        return found


def _gas_of(stand: Stand, prices: Mapping[Place, Fraction]) -> tuple[int, int]:
    """What its use and a crossed tick cost, as values rounded down."""
    rate, pool = prices.get(stand.place, _FREE), stand.pool
    per_tick = pool.gas_per_tick * rate.numerator // rate.denominator if pool.gas_per_tick else 0
    return pool.gas * rate.numerator // rate.denominator, per_tick


class Ground:
    """One state of a market."""

    def __init__(self, view: MarketView, before: Ground | None = None) -> None:
        """`before` is the market earlier: of pools that are still the same objects everything is taken over."""
        self.view = view
        self.rates: Rates = {}
        """What was found of first units, by pool."""
        self._priced: dict[tuple[tuple[Place, Fraction], ...], Priced] = {}
        old: dict[str, Stand] = {}
        wrapped = wrapped_names(view)
        pools = view.pools.values()
        named = [tuple(wrapped.get(asset) or AssetId(asset) for asset in pool.assets) for pool in pools]
        self.groups: list[tuple[AssetId, ...]] = [*named, *pairs(view)]
        if before is not None:
            held = before.view.pools
            self.rates = {name: rates for name, rates in before.rates.items() if held[name] is view.pools.get(name)}  # fmt: skip
        if before is not None and before.groups == self.groups:
            nodes, number, near = before.nodes, before.number, before.near
            old = {stand.pool.id: stand for stand in before.stands}
        else:
            nodes = sorted({node for group in self.groups for node in group})
            number = {node: k for k, node in enumerate(nodes)}
            near = _neighbours([tuple(number[node] for node in group) for group in self.groups])
        self.nodes: list[AssetId] = nodes
        self.number: dict[AssetId, int] = number
        self.near: list[int] = near
        self.stands: list[Stand] = []
        for pool, held_as in zip(pools, named, strict=True):
            stand = old.get(pool.id)
            if stand is None or stand.nodes != held_as:
                numbers = tuple(number[node] for node in held_as)
                together = isinstance(pool, BalancerStablePool | CurvePool) and len(held_as) > 2
                stand = Stand(pool, held_as, numbers, gas_place(pool.id), together)
            elif stand.pool is not pool:
                together = isinstance(pool, BalancerStablePool | CurvePool) and len(held_as) > 2
                stand = stand._replace(pool=pool, together=together)
            self.stands.append(stand)

    def priced(self, prices: Mapping[Place, Fraction]) -> Priced:
        """Its pools where a unit of gas has these values, kept for the last few of them."""
        key = tuple(prices.items())
        found = self._priced.get(key)
        if found is None:
            found = self._priced[key] = Priced(self.stands, prices)
            if len(self._priced) > _KEPT:
                self._priced.pop(next(iter(self._priced)))
        return found

    def rates_of(self, pool: Pool) -> list[list[float]]:
        """`first_rates` of a pool, found once."""
        found = self.rates.get(pool.id)
        if found is None:
            found = self.rates[pool.id] = first_rates(pool)
        return found


def _neighbours(groups: Sequence[tuple[int, ...]]) -> list[int]:
    """By node, the others of all groups it is in."""
    near = [0] * (1 + max((k for group in groups for k in group), default=-1))
    for group in groups:
        mask = mask_of(group)
        for k in group:
            near[k] |= mask
    return [held & ~(1 << k) for k, held in enumerate(near)]


def mask_of(numbers: Sequence[int]) -> int:
    """A set of node numbers."""
    found = 0
    for k in numbers:
        found |= 1 << k
    return found


def bits(mask: int) -> Iterator[int]:
    """The numbers in a set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def reached(near: Sequence[int], best: int, starts: int, ends: int, inside: int) -> int:
    """What is reached from `starts` over `near` within `inside` without passing through `ends`. `near` says the same both ways; `best` are nodes
    with many neighbours: looked at first, they leave little."""
    found = starts & inside
    spent = 0
    while todo := found & (best | starts) & ~ends & ~spent:
        low = todo & -todo
        spent |= low
        found |= near[low.bit_length() - 1] & inside
    left = inside & ~found
    while left:
        # From the other side: which of those left have a neighbour among those that go on.
        goes, fresh = found & ~ends, 0
        for k in bits(left):
            if near[k] & goes:
                fresh |= 1 << k
                if not ends >> k & 1:
                    goes |= 1 << k
        if not fresh:
            break
        found |= fresh
        left &= ~fresh
    return found


class Between(NamedTuple):
    """Of an order: the nodes a plan can pass through, and by node sold the nodes that it can be sold for."""

    inside: int
    leads: list[int]


def between(ground: Ground, sources: int, targets: int, hubs: int) -> Between:
    """The nodes a plan can pass through: a dead end, or what no path reaches, is on no way from source to target. And the pairs on some way
    forward from source to target, as far as the `hubs` best connected assets tell: where all ways on lead back through one,
    selling it for the sake of that detour goes in a circle."""
    count, ends = len(ground.nodes), sources | targets
    best = mask_of(sorted(range(count), key=lambda k: (-ground.near[k].bit_count(), k))[:_BEST])
    every = (1 << count) - 1
    inside = reached(ground.near, best, sources, targets, every) & reached(ground.near, best, targets, sources, every)  # fmt: skip
    near = [held & inside for held in ground.near]
    waiting = [k for k in bits(inside & ~ends) if near[k].bit_count() < 2]
    while waiting:
        k = waiting.pop()
        inside &= ~(1 << k)
        for other in bits(near[k]):
            near[other] &= ~(1 << k)
            if near[other].bit_count() == 1 and (inside & ~ends) >> other & 1:
                waiting.append(other)
    leads = [0] * count
    for k in bits(inside & ~targets):
        leads[k] = inside & ~sources & ~(1 << k)
    ordered = sorted(bits(inside & ~ends), key=lambda k: (-near[k].bit_count(), k))
    best = mask_of(ordered[:_BEST]) & inside
    for hub in ordered[:hubs]:
        alone = 1 << hub
        leads[hub] &= reached(near, best, targets & inside, sources | alone, inside)
        hither = reached(near, best, sources & inside, targets | alone, inside)
        for k in bits(inside & ~hither):
            leads[k] &= ~alone
    return Between(inside, leads)


__all__ = ["Between", "Ground", "Priced", "Stand", "between", "bits", "mask_of", "reached"]
