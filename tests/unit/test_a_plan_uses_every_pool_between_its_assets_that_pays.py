"""The beam keeps a few ways to each asset; a plan that goes by an asset still spreads over all the pools that lead there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markets import DAI, USDC, WETH, document, v2

from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.graph import Hop, Path
from agent.routing.greedy import best_split, settled
from agent.routing.problem import pose
from agent.routing.search import Search
from agent.routing.widen import widened

POOLS = 7


def spread_out(gas: int = 90_000) -> MarketView:
    """WETH trades for DAI in seven pools of one depth; only DAI leads on."""
    pools = [v2(f"{k:02x}", DAI, WETH, 300_000, 100, 3000, gas) for k in range(POOLS)]
    return parse_market(document([*pools, v2("ff", DAI, USDC, 1e9, 1e9, 100, gas)]))


def test_all_seven_carry_a_part() -> None:
    problem = pose(spread_out(), AssetId(WETH), AssetId(USDC), 70 * 10**18)
    given, plan, split = best_split(problem)
    parts = [leg.in_raw for leg in plan.legs if leg.asset_in == WETH]
    assert len(parts) == POOLS and max(parts) - min(parts) < max(parts) // 50
    assert {given.paths[k].hops[0].id for k in split.amounts} == {
        leg.id for leg in plan.legs if leg.asset_in == WETH
    }


def test_a_pool_whose_gas_is_more_than_it_gives_is_left_out() -> None:
    """A tenth of a WETH moves no pool by what a second leg costs."""
    _, plan, _ = best_split(pose(spread_out(), AssetId(WETH), AssetId(USDC), 10**17))
    assert len(plan.legs) == 2


def test_beginnings_are_joined_to_other_paths_ends_and_never_longer_than_the_longest() -> None:
    problem = pose(spread_out(0), AssetId(WETH), AssetId(USDC), 70 * 10**18)
    few = replace(problem, paths=problem.paths[:1], extra=0)
    search = Search(few)
    made = settled(search, search.run(few.amount, 10, 0.0))
    assert made is not None
    wider = widened(search, made[1])
    assert wider is not None and wider.paths[0] == problem.paths[0]
    assert {path.hops[0].id for path in wider.paths} == {f"eip155:1/0x{k:02x}" for k in range(POOLS)}
    assert wider.problem.extra == len(wider.paths) - 1 == POOLS - 1
    for path in wider.paths:
        assert len(path.hops) == 2 and path.hops[1] == Hop("eip155:1/0xff", AssetId(DAI), AssetId(USDC))
        assert isinstance(path, Path)


@pytest.mark.parametrize("legs", [2, 4])
def test_the_limit_on_legs_holds_for_what_was_added(legs: int) -> None:
    problem = pose(spread_out(0), AssetId(WETH), AssetId(USDC), 70 * 10**18, max_legs=legs)
    assert len(best_split(problem)[1].legs) == legs
