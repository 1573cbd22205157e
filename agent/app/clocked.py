"""Routing with a clock beside it: the router is pure, so whoever may read a clock measures it and ends it in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypedDict

from agent.app.replanning import Starts
from agent.domain.instruments import AssetId
from agent.domain.routes import Certificate, Route
from agent.market.view import MarketView
from agent.routing.certificate.crossings import in_time
from agent.routing.certificate.data_fees import charged
from agent.routing.certify import certified
from agent.routing.graph import Graph
from agent.routing.greedy import best_plan
from agent.routing.problem import pose, stated
from agent.routing.report import route_of


class _Limits(TypedDict):
    max_legs: int
    max_hops: int
    cross_domain: bool
    never: frozenset[str]
    alone: frozenset[str]


_TO_SEARCH, _TO_PROVE, _TO_COUNT = 0.5, 0.8, 0.9
"""The parts of a deadline after which the plan, then its proof, then the market's own arbitrage is sought no further: all are made exact after that."""


def timed_route(
    view: MarketView,
    sell: AssetId,
    buy: AssetId,
    amount_raw: int,
    *,
    max_legs: int = 12,
    max_hops: int = 3,
    cross_domain: bool = False,
    never: frozenset[str] = frozenset(),
    alone: frozenset[str] = frozenset(),
    deadline_ms: int | None = None,
    proved: bool = True,
    circles: bool = False,
    max_seconds: int | None = None,
    starts: Starts | None = None,
    graph: Graph | None = None,
) -> Route:
    """`route_sell` (over the places that transfers join, where the market has some), certified, with `took_ms` filled in: search (candidates
    and split), exact (costs, certificate, report), total.

    `deadline_ms` bounds plan and certificate together; what was found by then is made exact, and its bound holds all the same. With
    `proved` False the certificate is left to `proof_of`; with `circles` the market's own arbitrage is told beside the route,
    while there is time. With `starts` the search begins at the pair's last plan. `graph` is that of the view and of what is left out, where
    it is made already. No transfers are used that take longer than `max_seconds`, ninety-nine times of a hundred.
    """
    started = time.perf_counter()

    def within(share: float) -> Callable[[], bool]:
        return lambda: deadline_ms is None or (time.perf_counter() - started) * 1e3 < deadline_ms * share

    limits: _Limits = {"max_legs": max_legs, "max_hops": max_hops, "cross_domain": cross_domain, "never": never, "alone": alone}  # fmt: skip
    digest, whole = view.digest, view
    view = charged(view)
    if view is not whole:
        graph = None
    if view.transfers:
        from agent.routing import across

        usable = replace(view, transfers=in_time(view, max_seconds))
        problem = stated(usable, sell, buy, amount_raw, max_seconds=max_seconds, **limits)
        plan = across.Across(problem, within(_TO_SEARCH), never, alone).best()
        prove = partial(across.proved, problem, plan)
    else:
        problem = pose(view, sell, buy, amount_raw, graph=graph, **limits)
        find = best_plan if starts is None else starts.plan
        plan = find(problem, within(_TO_SEARCH))
        prove = partial(certified, problem)
    searched = time.perf_counter()
    # Of a market it is a route, not of the part of it that is soon enough.
    route = replace(route_of(problem, plan), market_digest=digest)
    if proved:
        route = prove(route, within(_TO_PROVE))
    if circles:
        from agent.routing.circles import with_arbitrage

        route = with_arbitrage(problem, route, within(_TO_COUNT))
    ended = time.perf_counter()
    took = (
        ("search", round((searched - started) * 1e3, 3)),
        ("exact", round((ended - searched) * 1e3, 3)),
        ("total", round((ended - started) * 1e3, 3)),
    )
    return replace(route, took_ms=took)


def proof_of(
    view: MarketView,
    route: Route,
    *,
    max_legs: int,
    cross_domain: bool,
    never: frozenset[str],
    alone: frozenset[str],
    deadline_ms: int | None = None,
) -> Certificate:
    """The certificate that `timed_route` over the same view would have given the route. After `deadline_ms` it is as tight as it got."""
    problem = pose(
        charged(view),
        route.sell,
        route.buy,
        route.in_raw,
        max_legs=max_legs,
        cross_domain=cross_domain,
        never=never,
        alone=alone,
    )
    found = certified(problem, replace(route, took_ms=(), certificate=None), until(deadline_ms)).certificate
    assert found is not None
    return found


def until(deadline_ms: int | None) -> Callable[[], bool]:
    """Whether it is still before so many milliseconds from now, by this machine's clock; without a deadline it always is."""
    started = time.perf_counter()
    return lambda: deadline_ms is None or (time.perf_counter() - started) * 1e3 < deadline_ms
