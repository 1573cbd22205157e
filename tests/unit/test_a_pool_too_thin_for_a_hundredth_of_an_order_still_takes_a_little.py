"""A large order pushes the deep pools far: then a pool that can hardly take a three-hundredth of it is worth its gas."""

from __future__ import annotations

from markets import DAI, USDC, WETH, document, v2, v3

from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.routing.greedy import best_plan
from agent.routing.problem import pose

SOLD = 1_000 * 10**18
"""A third of what the deep pool holds."""
LIQUIDITY = 5 * 10**21


def market(gas: int = 90_000) -> dict[str, object]:
    """One deep pool, and a way round through a range that ends after some three WETH."""
    thin = v3("bb", DAI, WETH, 1 / 3000, 1)
    low, high = thin["tick"] // 10 * 10 - 600, thin["tick"] // 10 * 10 + 600
    thin |= {
        "ticks": [[low, str(LIQUIDITY)], [high, str(-LIQUIDITY)]],
        "liquidity": str(LIQUIDITY),
        "gas": gas,
    }
    return document([v2("aa", USDC, WETH, 9_000_000, 3_000), thin, v2("cc", DAI, USDC, 5e6, 5e6, 500)])


def test_the_way_through_it_is_taken_beside_the_deep_pool() -> None:
    view = parse_market(market())
    problem = pose(view, AssetId(WETH), AssetId(USDC), SOLD)
    plan = best_plan(problem)
    alone = best_plan(pose(view, AssetId(WETH), AssetId(USDC), SOLD, never=frozenset(("uniswap_v3",))))
    part = [leg.in_raw for leg in plan.legs if leg.kind == "uniswap_v3"]
    assert len(part) == 1 and 0 < part[0] < SOLD // 100
    assert plan.net > alone.net and len(alone.legs) == 1


def test_it_is_left_out_where_its_gas_is_more_than_it_gives() -> None:
    plan = best_plan(pose(parse_market(market(10**9)), AssetId(WETH), AssetId(USDC), SOLD))
    assert len(plan.legs) == 1
