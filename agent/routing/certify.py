"""A route with its certificate: prices sought by the dual, what they prove computed by the code that also checks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from agent.domain.instruments import AssetId
from agent.domain.routes import Certificate, PassingProof, ProofBranch, Route
from agent.routing.certificate.bound import MAX_PAIRS, Branch, Known, Proof, Setting, in_whole
from agent.routing.certificate.gains import Gain
from agent.routing.certificate.passing import AFTER, Passing, sides_of
from agent.routing.certificate.seal import gap_bps, seal_of
from agent.routing.certificate.units import Order
from agent.routing.layers import layered
from agent.routing.pricing import MarketPrices, order_prices
from agent.routing.problem import Problem
from agent.routing.report import route_json
from agent.routing.tables import Ints

Way: TypeAlias = tuple[AssetId, AssetId]

_TIGHT = 20_000
"""A gap of half a basis point is not worth more search."""
_WORTH = 20
_AGAIN = 1


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


def _always() -> bool:
    return True


def certified(problem: Problem, route: Route, in_time: Callable[[], bool] = _always) -> Route:
    """The route with a certificate over everything its market holds. Past `in_time` the prices are what was found so far."""
    view = problem.view
    cross = problem.cross_domain
    order = Order(view, problem.sell, problem.buy, route.in_raw, cross, problem.native_px)
    setting = Setting(order, problem.graph.first_rates)
    finest = view.assets[problem.sell].decimals
    sources = {
        asset: (float(most), 10.0 ** (finest - view.assets[asset].decimals))
        for asset, most in setting.caps.items()
        if asset in setting.nodes
    }
    targets = {asset: float(order.par(asset)) for asset in order.targets if asset in setting.nodes}
    out, net = float(route.out_raw), float(max(route.net_out_raw, 0))
    market = problem.graph.prices()

    latest: dict[AssetId, float] = {}

    def proved(
        of: Setting,
        tables: MarketPrices,
        ways: frozenset[Way],
        off: tuple[Way, ...] = (),
        far: Ints | None = None,
        together: bool = False,
        begin: Mapping[AssetId, float] | None = None,
        known: Known | None = None,
    ) -> tuple[int, Branch, Proof]:
        """The bound of the prices found, with them, and all that they prove."""
        found = order_prices(
            tables, of.nodes, sources, float(order.amount), targets, problem.gas_rate, out, net, in_time, ways - set(off), together, far, begin, net / _TIGHT
        )  # fmt: skip
        latest.clear()
        latest.update(found)
        prices = _written(order, found)
        proof = of.proof(prices, route.net_out_raw, off, known)
        return proof.bound_raw, Branch(off, prices), proof

    def least(off: tuple[Way, ...]) -> tuple[int, Branch, Proof]:
        first = proved(setting, market, ways, off, known=whole.known)
        if (first[0] - route.net_out_raw) * _TIGHT <= first[0] or not in_time():
            return first
        return min(
            first,
            proved(setting, market, ways, off, together=True, known=whole.known),
            key=lambda leaf: leaf[0],
        )

    def wide() -> bool:
        return in_time() and (bound - route.net_out_raw) * _TIGHT > bound

    ways = setting.ways
    bound, root, whole = proved(setting, market, ways)
    passed: tuple[AssetId, Branch] | None = None
    hub = _hub(problem, setting) if wide() else None
    if hub is not None:
        sides = Passing(setting, hub, whole.known)
        twice = layered(market, {hub, *order.targets})
        numbers = twice.tables.number
        behind = np.array([numbers[n] for n in sides.split.values() if n in numbers], dtype=np.int64)
        begin = {**latest, **{name: latest[node] for node, name in sides.split.items()}}
        found, sold, _ = proved(sides, twice, sides.ways, (), behind, begin=begin)
        for _ in range(_AGAIN):
            if (found - route.net_out_raw) * _TIGHT <= found or not in_time():
                break
            again, better, _ = proved(sides, twice, sides.ways, (), behind, begin=dict(latest))
            before, (found, sold) = found, min((found, sold), (again, better), key=lambda leaf: leaf[0])
            if (before - found) * _WORTH < before - route.net_out_raw:
                break
        if (bound - found) * _WORTH >= bound - route.net_out_raw:
            bound, passed = found, (hub, sold)
    if passed is None and wide():
        bound, root, whole = min(
            (bound, root, whole), proved(setting, market, ways, together=True), key=lambda leaf: leaf[0]
        )
    branches, chosen, widest = [root], list[Way](), whole.widest
    while len(chosen) < MAX_PAIRS and passed is None and wide():
        way = _way(widest, chosen)
        if way is None:
            break
        tried = [least((*branch.off, one)) for branch in branches for one in (way, way[::-1])]
        most, _, wider = max(tried, key=lambda leaf: leaf[0])
        if (bound - most) * _WORTH < bound - route.net_out_raw:
            break
        bound, branches, widest = most, [branch for _, branch, _ in tried], wider.widest
        chosen.append(way)
    proof = Certificate(
        tuple(root.prices.items()), bound, gap_bps(bound, route.net_out_raw), route.market_digest, len(view.pools), len(view.books), cross,
        tuple(ProofBranch(branch.off, tuple(branch.prices.items())) for branch in branches) if chosen else (),
        "", passed and PassingProof(passed[0], *(tuple(side.items()) for side in sides_of(passed[1].prices))),
    )  # fmt: skip
    sealed = replace(route, certificate=proof)
    return replace(sealed, certificate=replace(proof, seal=seal_of(route_json(sealed))))


__all__ = ["certified"]
