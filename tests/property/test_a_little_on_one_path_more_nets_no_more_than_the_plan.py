"""A pool that takes a thousandth of an order may still be worth its gas: no path beside a plan's own nets more with a little of the order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markets import USDC, WETH, random_market

from agent.domain.instruments import AssetId
from agent.routing.greedy import best_split, whole
from agent.routing.plan import make_plan
from agent.routing.problem import pose
from agent.routing.search import Search

PARTS = (128, 512, 2048)


def tried(seed: int) -> int:
    """How many plans with one path more were executed, none of which nets a hundredth of a basis point more."""
    view = replace(random_market(seed), books=())
    amount = (1 + seed * 41 % 300) * 10**18 + seed
    problem, plan, split = best_split(pose(view, AssetId(WETH), AssetId(USDC), amount))
    search, count = Search(problem), 0
    for k in range(len(problem.paths)):
        for part in PARTS if k not in split.amounts else ():
            little = amount // part
            amounts = {n: held - held * little // amount for n, held in split.amounts.items()}
            amounts[k] = amount - sum(amounts.values())
            other = search.placed(amounts)
            made = whole(problem, make_plan(problem, other)) if other is not None else None
            if made is not None:
                count += 1
                assert (made.net - plan.net) * 1_000_000 <= plan.net
    return count


@pytest.mark.parametrize("seed", [2, 20, 34, 36, 39, 44])
def test_a_little_elsewhere_is_no_gain(seed: int) -> None:
    tried(seed)


def test_there_is_something_to_try() -> None:
    assert sum(tried(seed) for seed in (2, 5, 20)) > 0


@pytest.mark.full
@pytest.mark.parametrize("first", range(100, 400, 20))
def test_nor_in_many_markets(first: int) -> None:
    for seed in range(first, first + 20):
        tried(seed)
