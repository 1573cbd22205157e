"""A plan is at least what the greedy search alone finds, and no split of two candidate paths nets more than it."""

from __future__ import annotations

from itertools import combinations

import pytest
from markets import USDC, WETH, random_market

from agent.domain.instruments import AssetId
from agent.routing.greedy import best_plan, whole
from agent.routing.local import improved
from agent.routing.plan import make_plan
from agent.routing.problem import Problem, pose
from agent.routing.search import Search


def posed(seed: int, eth: float) -> Problem:
    return pose(random_market(seed), AssetId(WETH), AssetId(USDC), int(eth * 10**18) + seed)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("eth", [0.05, 3, 120])
def test_no_pair_nets_more(seed: int, eth: float) -> None:
    problem = posed(seed, eth)
    plan, search = best_plan(problem), Search(problem)
    for pair in combinations(range(len(problem.paths)), 2):
        split = search.run(problem.amount, 20, 0.0, only=frozenset(pair))
        other = whole(problem, make_plan(problem, split)) if not split.left else None
        assert other is None or other.worth <= plan.worth


def test_the_local_search_starts_from_any_plan_and_only_goes_up() -> None:
    from agent.routing.greedy import settled

    gained = 0
    for seed in range(12):
        problem = posed(seed, 60)
        search = Search(problem)
        for k in range(min(len(problem.paths), 4)):
            start = settled(search, search.run(problem.amount, 1, 1.0, only=frozenset((k,))))
            if start is None or start[1].left:
                continue
            better = improved(search, *start, settled, lambda: True)[0]
            assert better.worth >= start[0].worth
            gained += better.worth > start[0].worth
            # Out of time it answers what it was given.
            assert improved(search, *start, settled, lambda: False)[0] == start[0]
    assert gained > 10
