"""A route with its certificate: prices sought by the dual, what they prove computed by the code that also checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from agent.domain.instruments import AssetId
from agent.domain.routes import Certificate, ProofBranch, Route
from agent.routing.certificate.bound import MAX_PAIRS, Branch, Gain, Setting, in_whole
from agent.routing.certificate.seal import gap_bps, seal_of
from agent.routing.certificate.units import Order
from agent.routing.pricing import order_prices
from agent.routing.problem import Problem
from agent.routing.report import route_json

Way: TypeAlias = tuple[AssetId, AssetId]

_TIGHT = 10_000
"""A gap of a basis point is not branched for."""
_WORTH = 20


def _way(gain: Gain | None, chosen: list[Way]) -> Way | None:
    """The pair whose trading gains most at the prices: a plan trades it one way or the other, and bounds are sought for both."""
    if gain is None or gain.net <= 0 or gain.sale.i == gain.sale.j:
        return None
    way = gain.sale.pair
    return None if way in chosen or way[::-1] in chosen else way


def _always() -> bool:
    return True


def certified(problem: Problem, route: Route, in_time: Callable[[], bool] = _always) -> Route:
    """The route with a certificate over everything its market holds. Past `in_time` the prices are what was found so far."""
    view = problem.view
    cross = problem.cross_domain
    order = Order(view, problem.sell, problem.buy, route.in_raw, cross, problem.native_px)
    setting = Setting(order)
    finest = view.assets[problem.sell].decimals
    sources = {
        asset: (float(most), 10.0 ** (finest - view.assets[asset].decimals))
        for asset, most in setting.caps.items()
        if asset in setting.nodes
    }
    targets = {asset: float(order.par(asset)) for asset in order.targets if asset in setting.nodes}
    out, net = float(route.out_raw), float(max(route.net_out_raw, 0))

    ways = setting.ways

    def proved(off: tuple[Way, ...]) -> tuple[int, Branch, Gain | None]:
        """The least bound of the prices tried, with them, and the sale that gains most at them."""
        best: tuple[int, Branch, Gain | None] | None = None
        for together in (False, True):
            found = order_prices(
                problem.graph.prices(), setting.nodes, sources, float(order.amount), targets, problem.gas_rate, out, net, in_time,
                ways - set(off), together,
            )  # fmt: skip
            prices = {node: in_whole(order, node, found[node]) for node in sorted(setting.nodes)}
            bound = setting.bound_raw(prices, route.net_out_raw, off)
            if best is None or bound < best[0]:
                best = bound, Branch(off, prices), setting.widest
            if (best[0] - route.net_out_raw) * _TIGHT <= best[0] or not in_time():
                break
        assert best is not None
        return best

    bound, root, widest = proved(())
    branches = [root]
    chosen: list[Way] = []
    while len(chosen) < MAX_PAIRS and in_time() and (bound - route.net_out_raw) * _TIGHT > bound:
        way = _way(widest, chosen)
        if way is None:
            break
        tried = [proved((*branch.off, one)) for branch in branches for one in (way, way[::-1])]
        most, _, wider = max(tried, key=lambda leaf: leaf[0])
        if (bound - most) * _WORTH < bound - route.net_out_raw:
            break
        bound, branches, widest = most, [branch for _, branch, _ in tried], wider
        chosen.append(way)
    proof = Certificate(
        tuple(root.prices.items()), bound, gap_bps(bound, route.net_out_raw), route.market_digest, len(view.pools), len(view.books), cross,
        tuple(ProofBranch(branch.off, tuple(branch.prices.items())) for branch in branches) if chosen else (),
    )  # fmt: skip
    sealed = replace(route, certificate=proof)
    return replace(sealed, certificate=replace(proof, seal=seal_of(route_json(sealed))))


__all__ = ["certified"]
