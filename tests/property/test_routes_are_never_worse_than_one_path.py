"""The router over random markets: exact, within inventory and lots, and never worse than its best single path."""

from __future__ import annotations

import pytest
from markets import DAI, USDC, WETH, random_market
from route_checks import check

from agent.routing.buy import route_buy
from agent.routing.greedy import best_plan, route_sell, single_path, whole
from agent.routing.grid import grid_split
from agent.routing.plan import make_plan
from agent.routing.problem import pose
from agent.routing.search import Search
from chains.errors import Reject

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sale_is_exact_within_inventory_and_never_worse_than_the_best_path(seed: int) -> None:
    view = random_market(seed)
    amount = (1 + seed * 37 % 29) * 10**18 + seed
    route = route_sell(view, WETH, USDC, amount, cross_domain=seed % 3 != 0)
    check(view, route, amount)
    problem = pose(view, WETH, USDC, amount, cross_domain=seed % 3 != 0)
    search = Search(problem)
    for index in range(len(problem.paths)):
        split = single_path(search, index)
        plan = whole(problem, make_plan(problem, split)) if split else None
        assert plan is None or plan.net <= route.net_out_raw


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_never_worse_than_what_a_user_could_pick_instead(seed: int) -> None:
    """A hundred greedy chunks, and percentages of 5 % over paths that share no pool, both executed exactly."""
    view = random_market(seed)
    amount = (1 + seed * 41 % 300) * 10**18 + seed
    problem = pose(view, WETH, USDC, amount, cross_domain=seed % 3 != 0)
    search, best = Search(problem), best_plan(problem)
    grid = grid_split(search)
    assert grid is not None and not grid.left
    for split in (search.run(amount, 100, 1.0), grid):
        plan = whole(problem, make_plan(problem, split)) if not split.left else None
        assert plan is None or plan.worth <= best.worth


@pytest.mark.parametrize("seed", SEEDS)
def test_a_purchase_gives_at_least_what_was_asked_and_little_more(seed: int) -> None:
    view = random_market(seed)
    wanted = (500 + seed * 977 % 40_000) * 10**6 + seed
    route = route_buy(view, WETH, USDC, wanted, cross_domain=seed % 3 != 0)
    check(view, route, None)
    assert route.out_raw >= wanted
    # A book sells in lots; without one the last unit is met by an exact output.
    assert route.out_raw - wanted <= (
        4000 * 10**6 if any(leg.qty for leg in route.legs) else wanted // 10**5 + 5
    )
    sold = route_sell(view, WETH, USDC, route.in_raw, cross_domain=seed % 3 != 0)
    assert route.out_raw <= sold.out_raw * 1.002


@pytest.mark.parametrize("seed", range(12))
def test_more_liquidity_is_used_where_it_pays(seed: int) -> None:
    """A split over several pools beats the best path by more than its own gas, or the best path is the answer."""
    view = random_market(seed)
    large = 300 * 10**18
    route = route_sell(view, WETH, USDC, large)
    problem = pose(view, WETH, USDC, large)
    assert best_plan(problem).net == route.net_out_raw
    direct = [p for p in view.pools.values() if set(p.assets) == {WETH, USDC} and p.kind == "uniswap_v2"]
    if len({p.id for p in direct}) > 2:
        assert len(route.legs) > 1


def test_legs_are_no_more_than_allowed() -> None:
    for legs in (1, 2, 3):
        route = route_sell(random_market(3), WETH, USDC, 200 * 10**18, max_legs=legs)
        assert len(route.legs) <= legs


def test_more_than_the_inventory_is_refused() -> None:
    with pytest.raises(Reject) as caught:
        route_sell(random_market(1), WETH, USDC, 10_000 * 10**18, cross_domain=True)
    assert caught.value.code == "NO_INVENTORY"


def test_kinds_an_executor_cannot_trade_or_chain_are_kept_out_of_its_paths() -> None:
    view = random_market(2)
    free = route_sell(view, WETH, USDC, 100 * 10**18)
    assert any(leg.kind == "uniswap_v2" and DAI in (leg.asset_in, leg.asset_out) for leg in free.legs)
    alone = route_sell(view, WETH, USDC, 100 * 10**18, alone=frozenset({"uniswap_v2"}))
    assert not any(DAI in (leg.asset_in, leg.asset_out) for leg in alone.legs)
    never = route_sell(view, WETH, USDC, 100 * 10**18, never=frozenset({"uniswap_v3"}))
    assert not any(leg.kind == "uniswap_v3" for leg in never.legs)
    told = {
        kind: frozenset(p.id for p in view.pools.values() if p.kind == kind)
        for kind in ("uniswap_v2", "uniswap_v3")
    }
    assert route_sell(view, WETH, USDC, 100 * 10**18, alone=told["uniswap_v2"]).legs == alone.legs
    assert route_sell(view, WETH, USDC, 100 * 10**18, never=told["uniswap_v3"]).legs == never.legs
    assert max(alone.net_out_raw, never.net_out_raw) <= free.net_out_raw * 1.0001


@pytest.mark.parametrize(("seed", "eth"), [(32, 200), (3, 200), (14, 3), (45, 30), (55, 30)])
def test_a_much_finer_search_finds_little_more(seed: int, eth: int) -> None:
    """Places thinner than a chunk, starts with gas read heavily or lightly: cases where a coarse split goes wrong."""
    problem = pose(random_market(seed), WETH, USDC, eth * 10**18, cross_domain=True)
    found = best_plan(problem).net
    search = Search(problem)
    for share in (0.0, 0.1, 1.0):
        split = search.run(problem.amount, 1500, share)
        fine = whole(problem, make_plan(problem, split)) if not split.left else None
        assert fine is None or (fine.net - found) * 10_000 <= 5 * found
