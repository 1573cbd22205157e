"""A route with its certificate: prices sought by the dual, what they prove computed by the code that also checks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from agent.domain.instruments import AssetId
from agent.domain.routes import (
    CaseProof,
    CaseSplit,
    Certificate,
    ChainProof,
    GasMove,
    PassingProof,
    ProofBranch,
    Route,
)
from agent.routing.certificate.bound import Known, Proof, Setting
from agent.routing.certificate.branches import MAX_PAIRS, Branch
from agent.routing.certificate.cases import Traded
from agent.routing.certificate.chains import FURTHER, MOST, Chains, asset_of
from agent.routing.certificate.gains import Gain
from agent.routing.certificate.passing import AFTER, Passing, sides_of
from agent.routing.certificate.seal import gap_bps, seal_of
from agent.routing.certificate.units import Order, in_whole
from agent.routing.chained import ChainSearch
from agent.routing.divided import Case, Proved, Terms, divided, priced
from agent.routing.engine import dual_over
from agent.routing.layers import layered
from agent.routing.moves import Move
from agent.routing.pricing import MarketPrices, order_prices
from agent.routing.problem import Problem
from agent.routing.report import route_json
from agent.routing.tables import Ints

Way: TypeAlias = tuple[AssetId, AssetId]

_TIGHT = 20_000
"""A gap of half a basis point is not worth more search; where no gas is paid, a fiftieth of one."""
_TIGHTER = 500_000
_WORTH = 20
_AGAIN = 1
_LOOSE = 50
"""A bound further off than one part in so many is compared with that of the market's own prices."""


def _way(gain: Gain | None, chosen: list[Way]) -> Way | None:
    """The pair whose trading gains most at the prices: a plan trades it one way or the other, and bounds are sought for both."""
    if gain is None or gain.net <= 0 or gain.sale.i == gain.sale.j:
        return None
    way = gain.sale.pair
    return None if way in chosen or way[::-1] in chosen else way


def _hub(problem: Problem, setting: Setting) -> AssetId | None:
    """The asset in between that circles would go through: a gas token, else the one most pools trade."""
    inner = setting.nodes - setting.sources - setting.targets
    natives = [gas.native_as for gas in problem.view.gas.values() if gas.native_as in inner]
    if natives:
        return natives[0]
    trades = Counter(node for sale in setting.sales for node in set(sale.pair) if node in inner)
    return max(sorted(trades), key=lambda node: trades[node], default=None)


def _written(order: Order, prices: Mapping[AssetId, float]) -> dict[AssetId, str]:
    """Prices as a certificate writes them; none is higher after a hub than before it."""
    found = {}
    for name in sorted(prices):
        node = AssetId(name.removesuffix(AFTER))
        found[name] = in_whole(order, node, min(prices[name], prices[node]))
    return found


def _placed(order: Order, prices: Mapping[AssetId, float], of: Chains) -> dict[AssetId, str]:
    """The same for the places of `of`: none is higher than one that an asset can have before it."""
    found = {}
    for node in of.targets & of.nodes:
        found[node] = "1"
    least = dict(prices)
    for names in of.names.values():
        for name in names:
            if name not in of.targets:
                for later in of.later[name]:
                    least[later] = min(least[later], least[name])
                found[name] = in_whole(order, asset_of(name), least[name])
    return found


def _chain(route: Route) -> int:
    """The legs of the longest chain of a route; legs stand in an order in which they execute."""
    behind: dict[AssetId, int] = {}
    for leg in route.legs:
        behind[leg.asset_out] = max(behind.get(leg.asset_out, 0), behind.get(leg.asset_in, 0) + 1)
    return max(behind.values(), default=1)


def _always() -> bool:
    return True


class _Found(NamedTuple):
    """Prices found, what they prove, and the same prices by node as floats: where to search on from."""

    branch: Branch
    proof: Proof
    values: Mapping[AssetId, float]

    @property
    def bound(self) -> int:
        return self.proof.bound_raw


class _Prover:
    """The search for prices around one route, step by step while it pays."""

    def __init__(self, problem: Problem, route: Route, in_time: Callable[[], bool]) -> None:
        self.problem, self.net, self.out, self._in_time = problem, route.net_out_raw, route.out_raw, in_time
        self.hops = max(problem.max_hops, _chain(route))
        # A plan that has all the legs it may have is compared with those that have no more.
        self.legs = len(route.legs) if len(route.legs) >= problem.max_legs else None
        view = problem.view
        self.order = Order(
            view, problem.sell, problem.buy, route.in_raw, problem.cross_domain, problem.native_px
        )
        self.setting = setting = Setting(self.order, problem.graph.ground())
        finest = view.assets[problem.sell].decimals
        self._sources = {
            asset: (float(most), 10.0 ** (finest - view.assets[asset].decimals))
            for asset, most in setting.caps.items()
            if asset in setting.nodes
        }
        self._targets = {a: float(self.order.par(a)) for a in self.order.targets if a in setting.nodes}
        self._market = problem.graph.prices()
        self._tight = _TIGHT if any(problem.gas_rate.values()) else _TIGHTER

    def wide(self, bound: int) -> bool:
        """Whether the gap is worth more search, and there is time for it."""
        return self._in_time() and (bound - self.net) * self._tight > bound

    def find(
        self,
        off: tuple[Way, ...] = (),
        after: _Found | None = None,
        known: Known | None = None,
        sides: tuple[Passing, MarketPrices, Ints] | None = None,
        plain: bool = False,
        brief: bool = False,
    ) -> _Found:
        """Prices sought from those of `after` on, over what is `known` to matter, for both sides of a hub where they are given.

        `plain`: those of the market, scaled to the order, and no search; `brief`: only the first steps of it."""
        of: Setting = sides[0] if sides else self.setting
        ways = of.ways(known.sales if known is not None and not sides else None) - set(off)
        found = order_prices(
            sides[1] if sides else self._market, of.nodes, self._sources, float(self.order.amount), self._targets, self.problem.gas_rate,
            float(self.out), float(max(self.net, 0)), self._in_time, ways, after is not None and not sides,
            sides[2] if sides else None, after and after.values, max(self.net, 0) / self._tight, None if known is None else known.caps, plain, brief,
        )  # fmt: skip
        prices = _written(self.order, found)
        return _Found(Branch(off, prices), of.proof(prices, self.net, off, None if sides else known), found)

    def passed(self, first: _Found) -> tuple[AssetId, _Found] | None:
        """The best bound with a hub, None where there is none."""
        hub = _hub(self.problem, self.setting)
        if hub is None:
            return None
        sides = Passing(self.setting, hub, first.proof.known)
        twice = layered(self._market, {hub, *self.order.targets})
        numbers = twice.tables.number
        behind = np.array([numbers[n] for n in sides.split.values() if n in numbers], dtype=np.int64)
        doubled = {**first.values, **{name: first.values[node] for node, name in sides.split.items()}}
        best = self.find((), first._replace(values=doubled), None, (sides, twice, behind))
        for _ in range(_AGAIN):
            if not self.wide(best.bound):
                break
            again = self.find((), best, None, (sides, twice, behind))
            if (best.bound - again.bound) * _WORTH < best.bound - self.net:
                break
            best = again
        return hub, best

    def chained(self, first: _Found, starts: Sequence[_Found]) -> Case:
        """Bounds for plans with no longer chains than paths may have hops, or than the route's own: each over what the one before leaves."""
        problem, known = self.problem, first.proof.known
        of = Chains(self.setting, self.hops, _hub(problem, self.setting), known, self.legs)
        t = self._market.tables
        gas = {str(place): rate for place, rate in problem.gas_rate.items()}
        targets = [node for node in self._targets if node in t.number]
        sources = [node for node in self._sources if node in t.number]
        ways = self.setting.ways(known.sales)
        dual = dual_over(t, self.setting.nodes, sources, 0.0, dict.fromkeys(targets, 1.0), gas, ways)
        legs = ChainSearch(
            dual, of, [start.values for start in starts], known.caps, float(self.order.amount), {a: par for a, (_, par) in self._sources.items()}, float(self.out), self._in_time
        )  # fmt: skip
        terms = Terms(self.net, partial(_placed, self.order), self._tight, self._in_time, self._moves)
        root = divided(priced(Case(of, legs, legs.start, None), terms, 1 + FURTHER), terms)
        room = 1 + FURTHER - len(root.sets)
        if not terms.wide(root.worst) or not room or root.known is None:
            return root
        # Where cases do not close it, gas moved from leg to leg may; and cases of that.
        other = Case(of, copy(legs), root.logs, root.known, root.bound)
        other.sets, other.legs.moving = list(root.sets), True
        return min(root, divided(priced(other, terms, room), terms), key=lambda case: case.worst)

    def _moves(self, moves: Sequence[Move]) -> tuple[GasMove, ...]:
        unit = 10.0 ** self.problem.view.assets[self.order.buy].decimals
        return tuple(GasMove(m.sells, m.pool, m.given, m.got, repr(m.gas / unit)) for m in moves)

    def branched(self, whole: _Found, best: _Found) -> list[_Found]:
        """`best` split by the ways pairs are traded, for as long as that tightens the bound."""
        leaves, chosen, widest = [best], list[Way](), best.proof.widest
        while len(chosen) < MAX_PAIRS and self.wide(bound := _most(leaves)):
            way = _way(widest, chosen)
            if way is None:
                break
            tried: list[_Found] = []
            for leaf in leaves:
                for one in (way, way[::-1]):
                    tried.append(self.find((*leaf.branch.off, one), leaf, whole.proof.known))
                    if (bound - tried[-1].bound) * _WORTH < bound - self.net:
                        # No better than before: the other ways need not be tried.
                        return leaves
            leaves, widest = tried, max(tried, key=lambda leaf: leaf.bound).proof.widest
            chosen.append(way)
        return leaves


def _most(leaves: Sequence[_Found]) -> int:
    return max(leaf.bound for leaf in leaves)


def _chain_proof(case: Case) -> ChainProof:
    """What bounds of short chains prove: sets of prices up to the last that counts, or all of them where cases build on them."""
    sets, least = case.sets, case.worst
    last = len(sets) if case.split else 1 + next(k for k, each in enumerate(sets) if each.bound <= least)
    first, *then = (_told(case.of, each) for each in sets[:last])
    return replace(first, then=tuple(then), legs=case.of.legs, split=_split(case))


def _split(case: Case) -> CaseSplit | None:
    if case.split is None:
        return None
    by, *cases = case.split
    one, other = (CaseProof(tuple(_told(each.of, one) for one in each.sets), _split(each)) for each in cases)  # fmt: skip
    if isinstance(by, Traded):
        return CaseSplit(by.pool, by.pair, None, (), (one, other))
    return CaseSplit(None, None, by.asset, by.at, (one, other))


def _told(of: Chains, proved: Proved) -> ChainProof:
    prices = proved.prices
    told: dict[tuple[int, bool], list[tuple[AssetId, str]]] = {}
    for name in sorted(of.nodes):
        spot = of.places[name]
        told.setdefault((spot.level, spot.far), []).append((spot.asset, prices[name]))
    ends = [(node, prices[node]) for node in sorted(of.sources | of.targets) if node in of.nodes]
    before, after = (
        tuple(tuple(told.get((level, far), ())) for level in range(1, of.hops)) for far in (False, True)
    )
    return ChainProof(of.hops, of.hub, tuple(ends), before, after, moves=proved.moves)


def certified(problem: Problem, route: Route, in_time: Callable[[], bool] = _always) -> Route:
    """The route with a certificate over everything its market holds. Past `in_time` the prices are what was found so far."""
    prover = _Prover(problem, route, in_time)
    # What steps further would gain is mostly what the proof rules out anyway.
    whole = prover.find(brief=True)
    leaves: list[_Found] = []
    bound, passed = whole.bound, None
    best = whole
    if prover.wide(bound) and (bound - route.net_out_raw) * _LOOSE > bound:
        # Prices sought for one order may let value grow in circles; those of the market hold it down.
        whole = min(whole, prover.find(plain=True), key=lambda found: found.bound)
        bound, best = whole.bound, whole
    # Where gas or circles weigh more, prices by places are needed anyway, and begin as well without further ones of this kind.
    loose = (bound - route.net_out_raw) * _LOOSE > bound
    if prover.wide(bound) and not loose:
        best = min(whole, prover.find((), whole, whole.proof.known), key=lambda found: found.bound)
        bound, leaves = best.bound, [best]
    chained: Case | None = None
    if prover.wide(bound) and prover.hops <= MOST:
        short = prover.chained(whole, [whole] if best is whole else [whole, best])
        if (bound - short.worst) * _WORTH >= bound - route.net_out_raw:
            bound, chained = short.worst, short
    if chained is None and prover.wide(bound):
        through = prover.passed(whole)
        if through is not None and (bound - through[1].bound) * _WORTH >= bound - route.net_out_raw:
            bound, passed = through[1].bound, through
    if passed is None and chained is None and prover.wide(bound):
        if loose:
            best = min(whole, prover.find((), whole, whole.proof.known), key=lambda found: found.bound)
            bound = best.bound
        leaves = prover.branched(whole, best)
        bound = min(bound, _most(leaves))
    view = problem.view
    plain = passed is not None or chained is not None or bound == whole.bound
    proof = Certificate(
        tuple(whole.branch.prices.items()), bound, gap_bps(bound, route.net_out_raw), route.market_digest, len(view.pools), len(view.books),
        problem.cross_domain,
        () if plain else tuple(ProofBranch(leaf.branch.off, tuple(leaf.branch.prices.items())) for leaf in leaves),
        "", passed and PassingProof(passed[0], *(tuple(side.items()) for side in sides_of(passed[1].branch.prices))),
        _chain_proof(chained) if chained else None, len(view.transfers), problem.max_seconds,
    )  # fmt: skip
    sealed = replace(route, certificate=proof)
    return replace(sealed, certificate=replace(proof, seal=seal_of(route_json(sealed))))


__all__ = ["certified"]
