"""A route with its certificate: prices sought by the dual, what they prove computed by the code that also checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.domain.routes import Certificate, Route
from agent.routing.certificate.bound import Setting, in_whole
from agent.routing.certificate.seal import gap_bps, seal_of
from agent.routing.certificate.units import Order
from agent.routing.pricing import order_prices
from agent.routing.problem import Problem
from agent.routing.report import route_json


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
    found = order_prices(
        problem.graph.prices(),
        setting.nodes,
        sources,
        float(order.amount),
        targets,
        problem.gas_rate,
        out,
        net,
        in_time,
    )
    prices = tuple(sorted((node, in_whole(order, node, found[node])) for node in setting.nodes))
    bound = setting.bound_raw(dict(prices), route.net_out_raw)
    proof = Certificate(
        prices, bound, gap_bps(bound, route.net_out_raw), route.market_digest, len(view.pools), len(view.books), cross
    )  # fmt: skip
    sealed = replace(route, certificate=proof)
    return replace(sealed, certificate=replace(proof, seal=seal_of(route_json(sealed))))


__all__ = ["certified"]
