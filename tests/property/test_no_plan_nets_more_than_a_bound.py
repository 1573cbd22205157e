"""A certificate's bound holds for any prices: whatever prices are drawn, no plan that executes exactly nets more.

Plans are drawn, not sought: one or two pools of any kind, shares of the amount, several legs, all executed by the exact pools.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from markets import DAI, USDC, WETH, book, document, random_market, v2
from small_markets import NEAR, small_market

from agent.amm import Reverted, swap_exact_in
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.native import native_price
from agent.routing.plan import gas_raw_up
from agent.routing.problem import pose
from agent.routing.report import route_of

ROUTES = (((WETH, USDC),), ((WETH, DAI), (DAI, USDC)))


def drawn_net(view: MarketView, draw: Random, amount: int, native_px: str) -> int | None:
    """What a random plan nets, None where it does not execute: the amount cut into parts, each over pools drawn at random."""
    states = dict(view.pools)
    out = gas = 0
    left = amount
    used: list[tuple[str, str]] = []
    for k in range(parts := draw.randint(1, 3)):
        held = left if k == parts - 1 else left * draw.randint(0, 100) // 100
        left -= held
        for given, got in draw.choice(ROUTES):
            pool = states[draw.choice([name for name, p in states.items() if {given, got} <= set(p.assets)])]
            swapped = swap_exact_in(pool, given, got, held)
            if isinstance(swapped, Reverted) or not swapped.complete:
                return None
            states[pool.id], held, gas = swapped.after, swapped.amount_out, gas + swapped.gas
            used.append((pool.id, given))
        out += held
    if len(set(used)) < len(used):
        # A plan sells each pair of a pool by one leg: rounding in our favour would else be had more than once.
        return None
    place = next(iter(view.gas))
    return out - gas_raw_up(view, {place: gas}, AssetId(USDC), native_px)


def holds(seed: int, plans: int) -> int:
    draw = Random(seed)
    view = small_market(draw)
    amount = int(10 ** draw.uniform(9, 21.5))
    native = native_price(view, AssetId(USDC))
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
            # Knowing one of them tightens the bound, up to where its rounds end, and not below the best of them.
            told = max(draw.choice(nets), 0)
            assert max(nets) <= setting.bound_raw(prices, told) <= wide + (wide - told) // 200
    return len(nets)


@pytest.mark.parametrize("seed", range(60))
def test_drawn_plans_never_net_more_than_the_bound_of_drawn_prices(seed: int) -> None:
    holds(seed, 25)


@pytest.mark.full
def test_drawn_plans_never_net_more_in_many_markets() -> None:
    assert sum(holds(seed, 60) for seed in range(1000, 4000)) > 60_000


@pytest.mark.parametrize("seed", range(12))
def test_gas_and_caps_never_push_the_bound_below_what_a_plan_nets(seed: int) -> None:
    """The issued certificate, at several prices of gas, beside the plans of every number of legs it speaks of."""
    view = random_market(seed)
    for wei in (0, 10**9, 10**11):
        dear = replace(view, gas={place: replace(gas, base_fee_wei=wei) for place, gas in view.gas.items()})
        problems = [pose(dear, WETH, USDC, 30 * 10**18, cross_domain=True, max_legs=legs) for legs in (1, 2, 3, 4, 12)]  # fmt: skip
        plans = [best_plan(problem) for problem in problems]
        for problem, plan in zip(problems, plans, strict=True):
            route = certified(problem, route_of(problem, plan))
            assert route.certificate is not None
            chains = route.certificate.chains
            limit = None if chains is None else chains.legs
            assert limit in (None, problem.max_legs)
            for other in plans:
                if plan.amount == other.amount and (limit is None or len(other.legs) <= limit):
                    assert other.net <= route.certificate.bound_raw


def test_a_single_pool_is_bounded_by_its_own_exact_output() -> None:
    """With one pool and no gas nothing is left to prove: the gap is the rounding alone."""
    view = parse_market(
        {**document([v2("aa", USDC, WETH, 3_000_000, 1_000)]), "reference_px_native": {USDC: "0.0003"}}
    )
    problem = pose(view, WETH, USDC, 25 * 10**18)
    route = certified(problem, route_of(problem, best_plan(problem)))
    assert route.certificate is not None and Decimal(str(route.certificate.gap_bps)) < Decimal("0.001")


def test_where_a_book_sells_at_the_margin_the_bound_is_met() -> None:
    """Prices are sought over books as over pools: split between the two, the plan is within a basis point."""
    deep = [[str(3000 - 2 * k), "2"] for k in range(40)]
    made = document([v2("aa", USDC, WETH, 30_000_000, 10_000)], books=[book() | {"bids": deep}])
    view = parse_market(made)
    problem = pose(view, WETH, USDC, 40 * 10**18, cross_domain=True)
    route = certified(problem, route_of(problem, best_plan(problem)))
    assert len(route.legs) == 2
    assert route.certificate is not None and route.certificate.gap_bps < 0.5


@pytest.mark.parametrize("stable", [False, True])
def test_a_fee_that_is_rounded_away_is_within_the_bound(stable: bool) -> None:
    """Of a coin without decimals Solidly takes no fee below a few hundred: the first unit pays more than the fee lets one think."""
    coin = AssetId("eip155:1/erc20:0x3333333333333333333333333333333333333333")
    reserves = [str(10**7), str(10**7 * 10**6)]
    made = document([{"id": "eip155:1/0xaa", "kind": "solidly_stable" if stable else "solidly_volatile", "assets": [coin, USDC], "reserves_raw": reserves,
                      "fee_1e4": "30", "gas": 0}])  # fmt: skip
    made["assets"].append({"id": coin, "symbol": "COIN", "decimals": 0})
    view = parse_market(made)
    for amount in (1, 100, 300, 333, 334, 1000):
        problem = pose(view, coin, AssetId(USDC), amount)
        route = certified(problem, route_of(problem, best_plan(problem)))
        assert route.certificate is not None
        order = Order(view, coin, AssetId(USDC), amount, False, problem.native_px)
        for price in (*dict(route.certificate.prices).values(), "0.997", "0.999", "1"):
            prices = {coin: price, AssetId(USDC): "1"}
            assert route.net_out_raw <= Setting(order).bound_raw(prices)
