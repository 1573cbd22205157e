"""A certificate's bound holds for any prices: whatever prices are drawn, no plan that executes exactly nets more.

Plans are drawn, not sought: one or two pools of any kind, shares of the amount, several legs, all executed by the exact pools.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from markets import DAI, USDC, WETH, document, random_market, v2, v3

from agent.amm import Reverted, swap_exact_in
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.graph import Graph
from agent.routing.greedy import best_plan
from agent.routing.plan import gas_raw_up
from agent.routing.problem import native_price, pose
from agent.routing.report import route_of

ROUTES = (((WETH, USDC),), ((WETH, DAI), (DAI, USDC)))
NEAR = {WETH: 3000.0, DAI: 1.0, USDC: 1.0}


def any_kind(draw: Random, name: str, a: str, b: str) -> dict[str, Any]:
    """A pool of two of the three assets of a kind drawn at random, around their usual prices."""
    depth = 10 ** draw.uniform(4, 7)
    off = 1 + draw.uniform(-0.01, 0.01)
    in_a, in_b = depth / NEAR[a], depth / NEAR[b] * off
    plain = v2(name, a, b, in_a, in_b, draw.choice((100, 3000, 10_000)), draw.choice((0, 90_000)))
    balances = plain["reserves_raw"]
    kinds = ["v2", "v3", "weighted", "solidly_volatile"]
    if {a, b} == {DAI, USDC}:
        kinds += ["curve", "balancer", "solidly_stable"] * 2
    kind = draw.choice(kinds)
    base = {"id": plain["id"], "assets": [a, b], "gas": plain["gas"]}
    if kind == "v2":
        return plain
    if kind == "v3":
        # Token 0 is the one whose price is told per unit.
        return v3(name, a, b, NEAR[a] / NEAR[b] * off, int(depth * 10**9), draw.choice((100, 500, 3000)))
    if kind == "weighted":
        w = draw.choice((5, 8, 2, 1)) * 10**17
        low = str(int(int(balances[1]) * (10**18 - w) // w))
        return {**base, "kind": "balancer_v2_weighted", "balances_raw": [balances[0], low], "weights_1e18": [str(w), str(10**18 - w)], "fee_1e18": "1000000000000000"}  # fmt: skip
    if kind in ("solidly_volatile", "solidly_stable"):
        return {**base, "kind": kind, "reserves_raw": balances, "fee_1e4": str(draw.choice((0, 1, 30)))}
    skew = [str(int(int(balances[0]) * draw.uniform(0.2, 1))), balances[1]]
    amp = {
        "balances_raw": skew,
        "a": str(draw.choice((1, 50, 2000))),
        "a_precision": "100",
        "rates_1e18": [str(10**18)] * 2,
    }
    if kind == "curve":
        return {
            **base,
            **amp,
            "kind": "curve_stableswap",
            "fee_1e10": "4000000",
            "admin_fee_1e10": "5000000000",
        }
    return {**base, **amp, "kind": "balancer_v2_stable", "a_precision": "1000", "fee_1e18": "400000000000000"}


def small_market(draw: Random) -> MarketView:
    pairs = [(USDC, WETH), (USDC, WETH), (WETH, DAI), (DAI, USDC), (DAI, USDC)]
    return parse_market(document([any_kind(draw, f"{k:02x}", *pair) for k, pair in enumerate(pairs)]))


def drawn_net(view: MarketView, draw: Random, amount: int, native_px: str) -> int | None:
    """What a random plan nets, None where it does not execute: the amount cut into parts, each over pools drawn at random."""
    states = dict(view.pools)
    out = gas = 0
    left = amount
    for k in range(parts := draw.randint(1, 3)):
        held = left if k == parts - 1 else left * draw.randint(0, 100) // 100
        left -= held
        for given, got in draw.choice(ROUTES):
            pool = states[draw.choice([name for name, p in states.items() if {given, got} <= set(p.assets)])]
            swapped = swap_exact_in(pool, given, got, held)
            if isinstance(swapped, Reverted) or not swapped.complete:
                return None
            states[pool.id], held, gas = swapped.after, swapped.amount_out, gas + swapped.gas
        out += held
    place = next(iter(view.gas))
    return out - gas_raw_up(view, {place: gas}, AssetId(USDC), native_px)


def holds(seed: int, plans: int) -> int:
    draw = Random(seed)
    view = small_market(draw)
    amount = int(10 ** draw.uniform(9, 21.5))
    native = native_price(view, Graph(view), AssetId(USDC))
    setting = Setting(Order(view, AssetId(WETH), AssetId(USDC), amount, False, native))
    nets = [net for _ in range(plans) if (net := drawn_net(view, draw, amount, native)) is not None]
    for _ in range(4):
        wild = draw.choice((0.0, 1e-3, 0.02, 1.0))
        prices = {
            AssetId(a): repr(NEAR[a] * 2.718 ** draw.uniform(-wild, wild)) for a in NEAR if a in setting.nodes
        }
        wide = setting.bound_raw(prices)
        for net in nets:
            assert net <= wide
        if nets:
            # Knowing one of them tightens the bound, and not below the best of them.
            assert max(nets) <= setting.bound_raw(prices, max(draw.choice(nets), 0)) <= wide
    return len(nets)


@pytest.mark.parametrize("seed", range(60))
def test_drawn_plans_never_net_more_than_the_bound_of_drawn_prices(seed: int) -> None:
    holds(seed, 25)


@pytest.mark.full
def test_drawn_plans_never_net_more_in_many_markets() -> None:
    assert sum(holds(seed, 60) for seed in range(1000, 4000)) > 60_000


@pytest.mark.parametrize("seed", range(12))
def test_gas_and_caps_never_push_the_bound_below_what_a_plan_nets(seed: int) -> None:
    """The issued certificate, at several prices of gas, beside the plans of every number of legs allowed."""
    view = random_market(seed)
    for wei in (0, 10**9, 10**11):
        dear = replace(view, gas={place: replace(gas, base_fee_wei=wei) for place, gas in view.gas.items()})
        best = best_plan(pose(dear, WETH, USDC, 30 * 10**18, cross_domain=True))
        for legs in (1, 3):
            problem = pose(dear, WETH, USDC, 30 * 10**18, cross_domain=True, max_legs=legs)
            plan = best_plan(problem)
            route = certified(problem, route_of(problem, plan))
            assert route.certificate is not None
            if plan.amount == best.amount:
                assert best.net <= route.certificate.bound_raw


def test_a_single_pool_is_bounded_by_its_own_exact_output() -> None:
    """With one pool and no gas nothing is left to prove: the gap is the rounding alone."""
    view = parse_market(
        {**document([v2("aa", USDC, WETH, 3_000_000, 1_000)]), "reference_px_native": {USDC: "0.0003"}}
    )
    problem = pose(view, WETH, USDC, 25 * 10**18)
    route = certified(problem, route_of(problem, best_plan(problem)))
    assert route.certificate is not None and Decimal(str(route.certificate.gap_bps)) < Decimal("0.001")
