"""The recorded mainnet market: all of it is read, written back the same, and routed over; figures pinned by digest."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from time import perf_counter

import pytest
from mainnet_world import market, recorded
from route_checks import check

from agent.amm import ConcentratedPool, Reverted, Swapped, swap_exact_in
from agent.market.file import parse_text
from agent.market.write import market_json
from agent.routing.certificate.check import check as judged
from agent.routing.certify import certified
from agent.routing.greedy import best_plan, route_sell
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of

DIGEST = "07aa13042b2689b589436693d6cdb8aca1425629c62d21b327336855458de925"


def test_every_pool_is_read_and_the_whole_file_is_written_back_the_same() -> None:
    text = gzip.decompress(recorded("markets/ethereum-2023-09-12.market.json.gz").read_bytes())
    view = parse_text(text)
    kinds = Counter(pool.kind for pool in view.pools.values())
    assert kinds == {
        "uniswap_v2": 351,
        "uniswap_v3": 299,
        "balancer_v2_weighted": 185,
        "balancer_v2_stable": 7,
    }
    assert sum(len(p.table.ticks) for p in view.pools.values() if isinstance(p, ConcentratedPool)) == 15_153
    assert market_json(view) == json.loads(text)
    assert view.digest == DIGEST


def test_every_pool_answers_every_pair_with_a_swap_or_a_reason() -> None:
    swaps = reasons = 0
    for pool in market().pools.values():
        for sold in pool.assets:
            for bought in pool.assets:
                if sold == bought:
                    continue
                for amount in (1, 10**6, 10**18, 10**30, (1 << 255) - 1, 1 << 300):
                    got = swap_exact_in(pool, sold, bought, amount)
                    if isinstance(got, Reverted):
                        assert got.reason
                        reasons += 1
                    else:
                        assert isinstance(got, Swapped) and 0 <= got.amount_in <= amount
                        swaps += 1
    assert swaps > 4000 and reasons > 2000


@pytest.mark.parametrize("qty", [1, 25, 1000])
def test_weth_is_sold_over_it_in_good_time(qty: int) -> None:
    view = market()
    weth, usdc = view.asset("WETH").id, view.asset("USDC").id
    amount = qty * 10**18
    started = perf_counter()
    route = route_sell(view, weth, usdc, amount)
    took = perf_counter() - started
    check(view, route, amount)
    direct = [
        swap_exact_in(p, weth, usdc, amount) for p in view.pools.values() if {weth, usdc} <= set(p.assets)
    ]
    best = max(s.amount_out for s in direct if isinstance(s, Swapped) and s.complete)
    assert route.net_out_raw + route.costs.gas_raw >= best
    assert took < 4, "ten times what it takes on a slow machine"


def test_a_quote_of_a_busy_pool_is_quick() -> None:
    """Few ticks: well under a millisecond even where the machine is busy."""
    view = market()
    pool = max(
        (p for p in view.pools.values() if isinstance(p, ConcentratedPool)), key=lambda p: len(p.table.ticks)
    )
    sold, bought = pool.assets[1], pool.assets[0]
    started = perf_counter()
    for k in range(300):
        swap_exact_in(pool, sold, bought, (k + 1) * 10**17)
    assert (perf_counter() - started) / 300 < 1e-3


def test_short_ways_are_candidates_where_all_the_best_go_through_a_mispriced_pool() -> None:
    """ALI for LINK: a mispriced pool led from WETH on to USDC, and most of the sale had to go from USDC to WETH; so it gave 19,709 LINK."""
    view = market()
    view = replace(
        view, gas={p: replace(g, base_fee_wei=50 * 10**9, priority_fee_wei=0) for p, g in view.gas.items()}
    )
    ali, link = view.asset("ALI").id, view.asset("LINK").id
    plan = best_plan(pose(view, ali, link, 115_996_947_105922218501079040, max_hops=4))
    assert plan.net > 20_760 * 10**18
    assert not {(leg.asset_out, leg.asset_in) for leg in plan.legs} & {
        (leg.asset_in, leg.asset_out) for leg in plan.legs
    }


def test_what_two_beginnings_bring_goes_on_through_the_best_pool_there_is() -> None:
    """Silo comes to USDC by two pools; of the pools from there to DAI another one than the first that was chosen nets 14.6 bps more."""
    view = market()
    problem = pose(view, view.asset("Silo").id, view.asset("DAI").id, 48_222 * 10**18, max_hops=4)
    plan = best_plan(problem)
    assert len(plan.legs) == 5 and plan.net >= 1473_837573301168486429


def test_two_legs_take_the_place_of_one_where_neither_earns_its_gas_beside_it() -> None:
    """EURT for CVX by way of USDT: to USDC and on nets 0.6 bps more than straight to WETH, which a convex solver found first."""
    view = market()
    problem = pose(view, view.asset("EURT").id, view.asset("CVX").id, 18_610_000_000, max_hops=4)
    plan = best_plan(problem)
    assert len(plan.legs) == 6 and plan.net >= 7916_146254243919372738


@pytest.mark.parametrize(
    ("sell", "buy", "amount", "gwei", "least"),
    [
        # With amounts by chunks on paths the first netted 2,980,909,715, 151 bps less, and the second 256 bps less.
        ("SNX", "WBTC", 1872265117211890479529984, 50, 3_025_952_842),
        ("LUSD", "WETH", 3595336864003456877199360, 5, 489_927231940377551756),
    ],
)
def test_many_legs_are_changed_at_once_where_twelve_are_all_there_may_be(
    sell: str, buy: str, amount: int, gwei: int, least: int
) -> None:
    view = market()
    view = replace(
        view, gas={p: replace(g, base_fee_wei=gwei * 10**9, priority_fee_wei=0) for p, g in view.gas.items()}
    )
    plan = best_plan(pose(view, view.asset(sell).id, view.asset(buy).id, amount, max_hops=4))
    assert plan.net >= least and len(plan.legs) <= 12


def test_an_order_that_nets_nothing_is_certified_too() -> None:
    """Its unit is so small that a program's numbers leave the solver's range."""
    view = market()
    order = json.loads(gzip.decompress(recorded("markets/ethereum-2023-09-12.orders.json.gz").read_bytes()))[
        "orders"
    ][60]
    problem = pose(view, order["sell"], order["buy"], int(order["sell_raw"]), max_hops=4)
    route = certified(problem, route_of(problem, best_plan(problem)))
    assert route.net_out_raw <= 0
    found = judged(json.loads(json.dumps(route_json(route))), view)
    assert found.valid, found.why


def test_a_program_whose_prices_fall_below_nought_still_gives_a_certificate() -> None:
    """63 OHM for BAND at 5 gwei: the solver keeps a price's bound to within its tolerance, which was more than the bound."""
    view = market()
    view = replace(
        view, gas={p: replace(g, base_fee_wei=5 * 10**9, priority_fee_wei=0) for p, g in view.gas.items()}
    )
    problem = pose(view, view.asset("OHM").id, view.asset("BAND").id, 63_076136271, max_hops=4)
    route = certified(problem, route_of(problem, best_plan(problem)))
    found = judged(json.loads(json.dumps(route_json(route))), view)
    assert found.valid and found.gap_bps is not None and found.gap_bps < 100, found
