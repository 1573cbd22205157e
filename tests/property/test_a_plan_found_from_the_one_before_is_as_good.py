"""An order that works on is planned again from its last plan: over random markets that others move, that costs next to nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from markets import USDC, WETH, random_market
from route_checks import check

from agent.amm import swap_exact_in
from agent.app.replanning import COLD_EVERY, Starts, again
from agent.market.view import MarketView
from agent.routing.greedy import best_plan, best_split
from agent.routing.plan import Plan
from agent.routing.problem import Problem, pose
from agent.routing.report import route_of

MOVES = 4


def always() -> bool:
    return True


def pools_alone(seed: int) -> MarketView:
    return replace(random_market(seed), books=())


def moved(view: MarketView, rng: Random) -> MarketView:
    """Others trade in two pools, up to a few hundredths of what stands in them."""
    pools = dict(view.pools)
    for name in rng.sample(sorted(pools), min(2, len(pools))):
        pool = pools[name]
        sold, bought = rng.sample(list(pool.assets), 2)
        amount = 10 ** rng.randint(9, 18) if view.assets[sold].decimals == 18 else 10 ** rng.randint(5, 9)
        done = swap_exact_in(pool, sold, bought, amount)
        if getattr(done, "complete", False):
            pools[name] = done.after  # type: ignore[union-attr]
    return replace(view, pools=pools)


def short_bps(warm: Plan, cold: Plan) -> float:
    return (cold.worth - warm.worth) / abs(cold.worth) * 1e4


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(n, marks=pytest.mark.full) for n in range(12, 100))]
)
def test_it_is_hardly_less_than_one_from_nothing(seed: int) -> None:
    rng, view, starts = Random(seed), pools_alone(seed), Starts()
    amount = (1 + seed * 37 % 29) * 10**18 + seed

    def question(amount: int) -> Problem:
        return pose(view, WETH, USDC, amount, cross_domain=seed % 3 != 0)

    starts.plan(question(amount), always)
    for _ in range(MOVES):
        view = moved(view, rng)
        size = amount * rng.randint(60, 140) // 100
        problem = question(size)
        warm = starts.plan(problem, always)
        route = route_of(problem, warm)
        check(view, route, size)
        assert short_bps(warm, best_plan(problem)) <= 2
    assert starts.warm >= 1


def test_a_market_that_stands_still_gives_the_same_plan() -> None:
    problem = pose(pools_alone(3), WETH, USDC, 7 * 10**18)
    starts = Starts()
    first = starts.plan(problem, always)
    assert starts.plan(problem, always).worth >= first.worth and starts.warm == 1


def test_now_and_then_and_after_a_poor_certificate_it_starts_from_nothing() -> None:
    problem = pose(pools_alone(3), WETH, USDC, 7 * 10**18)
    starts = Starts()
    for _ in range(COLD_EVERY + 2):
        starts.plan(problem, always)
    assert starts.warm == COLD_EVERY
    starts.told(WETH, USDC, 0.5)
    starts.plan(problem, always)
    assert starts.warm == COLD_EVERY + 1
    for unknown in (2.0, None):
        starts.told(WETH, USDC, unknown)
        starts.plan(problem, always)
        assert starts.warm == COLD_EVERY + 1


def test_where_an_order_book_trades_the_pair_every_search_is_from_nothing() -> None:
    view, starts = next(v for v in map(random_market, range(9)) if v.books), Starts()
    for _ in range(3):
        starts.plan(pose(view, WETH, USDC, 7 * 10**18, cross_domain=True), always)
    assert starts.warm == 0


def test_what_does_not_fit_any_more_is_not_begun_with() -> None:
    view = pools_alone(3)
    problem = pose(view, WETH, USDC, 7 * 10**18)
    searched, _, split = best_split(problem)
    sold = {searched.paths[k].hops: part for k, part in split.amounts.items()}
    assert again(problem, sold, always) is not None
    few = replace(problem, paths=problem.paths[:1])
    found = again(few, sold, always)
    assert found is not None and {p.hops for p in found[0].paths} >= sold.keys(), "paths it lacked come along"
    assert again(pose(view, WETH, USDC, 70 * 10**18), sold, always) is None, "another question"
    used = {hop.id for hops in sold for hop in hops}
    gone = replace(view, pools={n: p for n, p in view.pools.items() if n not in used})
    assert again(pose(gone, WETH, USDC, 7 * 10**18), sold, always) is None, "its pools are gone"
