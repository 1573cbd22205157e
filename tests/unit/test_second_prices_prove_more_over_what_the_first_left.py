"""One branch that forbids no pair holds second prices: what the first ruled out stays out. And a search cut short proves less, never wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest
from markets import USDC, WETH, three_places
from small_markets import small_market

from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.check import check
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of


def answered(seed: int) -> tuple[Any, dict[str, Any]]:
    view = small_market(Random(seed))
    problem = pose(view, AssetId(WETH), AssetId(USDC), 10**18)
    return view, json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))


@pytest.mark.parametrize("seed", [1, 27, 44])
def test_second_prices_prove_more_and_the_check_follows(seed: int) -> None:
    view, route = answered(seed)
    proof = route["certificate"]
    assert [branch["off"] for branch in proof["branches"]] == [[]] and check(route, view).valid
    order = Order(view, AssetId(WETH), AssetId(USDC), 10**18, False, route["costs"]["native_px"])
    setting, net = Setting(order), int(route["net_out_raw"])
    first = setting.proof(proof["prices"], net)
    second = setting.proof(proof["branches"][0]["prices"], net, (), first.known)
    assert net <= int(proof["bound_raw"]) == second.bound_raw < first.bound_raw
    for change in ("gone", "swapped", "off"):
        other = copy.deepcopy(route)
        held = other["certificate"]
        if change == "gone":
            held["branches"] = []
        elif change == "swapped":
            held["prices"], held["branches"][0]["prices"] = held["branches"][0]["prices"], held["prices"]
        else:
            held["branches"][0]["off"] = [[WETH, USDC]]
        other["certificate"]["seal"] = seal_of(other)
        verdict = check(other, view)
        assert not verdict.valid or (change == "swapped" and verdict.bound_raw == int(proof["bound_raw"])), (
            change
        )


def answering(calls: int) -> Callable[[], bool]:
    """A clock that runs out after so many looks at it."""
    looks = count()
    return lambda: next(looks) < calls


def test_a_search_without_time_proves_a_bound_that_holds_and_is_wider() -> None:
    view = parse_market(three_places())
    problem = pose(view, WETH, USDC, 33 * 10**18, cross_domain=True)
    bounds = []
    for calls in (0, 3, 10**9):
        plan = best_plan(problem, answering(calls))
        route = certified(problem, route_of(problem, plan), answering(calls))
        assert check(json.loads(json.dumps(route_json(route))), view).valid
        assert route.certificate is not None
        bounds.append(route.certificate.bound_raw)
    assert bounds[0] >= bounds[-1]
