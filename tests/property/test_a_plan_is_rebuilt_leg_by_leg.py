"""What a set of legs is worth is solved for, the prices found bound what a leg more or less changes, and plans rebuilt so are worth more, never less."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from chain_markets import DAI, ODD, USDC, USDT, WETH, market

from agent.amm import Swapped
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.balance import Balanced
from agent.routing.graph import Graph, Hop, swap
from agent.routing.greedy import exact, single_path
from agent.routing.problem import Problem, pose
from agent.routing.rebuild import rebuilt
from agent.routing.search import Search, order_of
from agent.routing.support import Support, Supports

LIMIT = 1e-5
"""Between two knots of a weighted or stable pool its curve is an interpolation."""


def posed(view: MarketView, amount: int) -> Problem:
    return pose(view, AssetId(WETH), AssetId(USDC), amount, max_hops=4, graph=Graph(view))


def start(view: MarketView) -> dict[AssetId, float]:
    usd = {WETH: 3000.0, ODD: 2.0, DAI: 1.0, USDT: 1.0, USDC: 1.0}
    return {AssetId(a): px / 10 ** view.assets[AssetId(a)].decimals * 10**6 for a, px in usd.items()}


def supports_of(problem: Problem, draw: Random) -> list[Support]:
    """Sets of legs of the problem's own paths whose assets have an order."""
    paths = [path.hops for path in problem.paths]
    found = []
    for _ in range(12):
        hops = frozenset(
            hop for path in draw.sample(paths, min(len(paths), draw.randint(1, 4))) for hop in path
        )
        if order_of(sorted(hops)) is not None:
            found.append(hops)
    return found


def gross(supports: Supports, made: Balanced) -> float:
    rate = supports.problem.gas_rate[next(iter(supports.problem.gas_rate))]
    legs = [supports.leg(hop) for hop in made.flows]
    return made.net + sum(leg.gas for leg in legs if leg is not None) * rate


def bound(supports: Supports, support: Support, made: Balanced) -> float:
    """What no sale over the legs can give more than, by the prices found."""
    held = supports.problem.amount * made.prices[supports.problem.sell]
    return held + sum(gain(supports, hop, made) for hop in support)


def gain(supports: Supports, hop: Hop, made: Balanced) -> float:
    leg = supports.leg(hop)
    assert leg is not None
    return leg.gain(made.prices[hop.asset_in], made.prices[hop.asset_out])


def test_prices_bound_what_a_leg_less_is_worth_and_flows_reach_what_they_bound() -> None:
    reached = list[bool]()
    for seed in range(25):
        draw = Random(seed)
        view = market(draw)
        supports = Supports(posed(view, int(10 ** draw.uniform(17, 20))), lambda: True)
        for support in supports_of(supports.problem, draw):
            made = supports.worth(support, start(view))
            if made.net == -inf:
                continue
            whole = bound(supports, support, made)
            # A pool that takes no more at any price holds flows back from where prices would have them.
            reached.append(gross(supports, made) > whole * (1 - LIMIT))
            assert gross(supports, made) <= whole * (1 + LIMIT)
            for hop in support:
                less = supports.worth(support - {hop}, start(view))
                if less.net > -inf:
                    assert gross(supports, less) <= whole * (1 + LIMIT) - gain(supports, hop, made)
    assert len(reached) > 100 and sum(reached) > 0.8 * len(reached), (sum(reached), len(reached))


@pytest.mark.parametrize("seed", range(12))
def test_no_other_division_of_two_legs_is_worth_more(seed: int) -> None:
    """The whole solved for two pools side by side, against a hundred divisions executed exactly."""
    draw = Random(100 + seed)
    view = market(draw)
    problem = posed(view, int(10 ** draw.uniform(17, 19.5)))
    supports = Supports(problem, lambda: True)
    hops = [Hop(f"eip155:1/0x{k:02x}", AssetId(DAI), AssetId(ODD)) for k in (2, 3)]
    first, last = (
        Hop("eip155:1/0x00", AssetId(WETH), AssetId(DAI)),
        Hop("eip155:1/0x06", AssetId(ODD), AssetId(USDC)),
    )
    made = supports.worth(frozenset((first, *hops, last)), start(view))

    def sold(hop: Hop, amount: int) -> int:
        done = swap(view.pools[hop.id], hop.asset_in, hop.asset_out, amount)
        return done.amount_out if isinstance(done, Swapped) else 0

    held = sold(first, problem.amount)
    best = max(sold(last, sold(hops[0], held * k // 100) + sold(hops[1], held - held * k // 100)) for k in range(101))  # fmt: skip
    assert gross(supports, made) >= best * (1 - 1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_a_plan_rebuilt_is_worth_more_in_exact_execution(seed: int) -> None:
    """From the worst single path there is, and its split makes the plan that is told."""
    draw = Random(200 + seed)
    view = market(draw)
    problem = posed(view, int(10 ** draw.uniform(18, 20)))
    search = Search(problem)
    plans = [(plan, k) for k in range(len(problem.paths)) if (split := single_path(search, k)) is not None and (plan := exact(search, split)) is not None]  # fmt: skip
    plan, _ = min(plans, key=lambda tried: tried[0].worth)
    made = rebuilt(search, plan, exact, lambda: True)
    assert made is not None
    wider, better, split = made
    assert better.worth > plan.worth and sum(split.amounts.values()) == problem.amount
    assert {hop for k in split.amounts for hop in wider.paths[k].hops} == set(split.flows)
    assert exact(wider, split) == better
