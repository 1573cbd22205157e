"""The amounts by the legs of a plan are as good as any on a fine grid where ticks cost gas, and a leg goes whose ticks cost more than it brings."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent.amm import ConcentratedPool, ConstantProductPool, Pool, swap_exact_in
from agent.amm.ticks import TickTable
from agent.domain.instruments import Asset, AssetId, Place
from agent.market.view import GasState, MarketView
from agent.routing.compiled_support import CompiledSupports
from agent.routing.engine import search_over
from agent.routing.graph import Graph, Hop
from agent.routing.greedy import best_plan, exact
from agent.routing.plan import Plan, gas_raw_up, make_plan
from agent.routing.polish import polished
from agent.routing.problem import Problem, pose
from agent.routing.search import Split
from agent.routing.support import Supports

PLACE = Place("eip155:1")
A, B, C = (AssetId(f"{PLACE}/erc20:0x{k:040x}") for k in range(1, 4))
WAD, GRID = 10**18, 4_000


def ranges(name: int, liquidity: int, most: int = 400) -> ConcentratedPool:
    """A and B at one to one; a tick every tenth, each of which changes next to nothing and costs the gas of a crossing."""
    ticks = tuple(range(-most * 10, most * 10 + 1, 10))
    nets = (liquidity - most, *([1] * (most - 1)), 1, *([-1] * (most - 1)), -(liquidity - most + 1))
    table = TickTable(ticks, nets)
    return ConcentratedPool(
        f"{PLACE}/0x{name:02x}", (A, B), 500, 10, 2**96, 0, table.active_liquidity(0), table, 100_000, 31_000
    )


def pair(name: int, a: AssetId, b: AssetId, deep: float, fee: int = 500) -> ConstantProductPool:
    return ConstantProductPool(f"{PLACE}/0x{name:02x}", (a, b), (int(deep * WAD),) * 2, fee, 100_000)


def posed(gwei: int, whole: int, *pools: Pool) -> Problem:
    view = MarketView(
        assets={a: Asset(a, a[-1], 18) for a in (A, B, C)}, pools={p.id: p for p in pools},
        gas={PLACE: GasState(1, gwei * 10**9, 0, A)}, reference_px_native=dict.fromkeys((A, B, C), Decimal(1)),
    )  # fmt: skip
    return pose(view, A, B, whole, graph=Graph(view), max_hops=2)


def shared(problem: Problem, part: int) -> int:
    """What A brings where so many of GRID parts go by the first pool and the rest by the second, gas off; a leg that is sold nothing costs nothing."""
    view, out, gas = problem.view, 0, 0
    first = problem.amount * part // GRID
    for pool, amount in zip(view.pools.values(), (first, problem.amount - first), strict=True):
        if amount:
            told = swap_exact_in(pool, A, B, amount)
            out, gas = out + told.amount_out, gas + told.gas  # type: ignore[union-attr]
    return out - gas_raw_up(view, {PLACE: gas}, problem.buy, problem.native_px)


@pytest.mark.parametrize("gwei", [1, 200, 2_000, 20_000])
def test_a_plan_is_as_good_as_any_on_a_fine_grid_of_parts(gwei: int) -> None:
    problem = posed(gwei, 60 * WAD, ranges(1, 2_000 * WAD), pair(2, A, B, 2_000))
    best = max(shared(problem, part) for part in range(GRID + 1))
    assert best_plan(problem).net >= best


@pytest.mark.parametrize("engine", [Supports, CompiledSupports])
def test_where_marginal_rates_agree_is_not_the_best_where_ticks_cost(engine: type[Supports]) -> None:
    problem = posed(2_000, 60 * WAD, ranges(1, 2_000 * WAD), pair(2, A, B, 2_000))
    hops = frozenset(Hop(name, A, B) for name in problem.view.pools)
    balanced = engine(problem, lambda: True).worth(hops, dict.fromkeys((A, B), 1.0))
    flows = {hop: int(flow) for hop, flow in balanced.flows.items()}
    found = changed(problem, flows)
    assert found is not None
    before, after = found
    assert sum(leg.ticks_crossed for leg in after.legs) < sum(leg.ticks_crossed for leg in before.legs)
    # The best part of the grid is no better, and the worst of the way there is: it is no slope that was gone down.
    parts = [shared(problem, part) for part in range(GRID + 1)]
    assert after.net >= max(parts) > before.net


def test_a_leg_whose_ticks_cost_more_than_it_brings_goes() -> None:
    """A shallow pool in which any part of use crosses many ticks, beside a deep pair."""
    problem = posed(4_000, 60 * WAD, ranges(1, 2_000 * WAD), pair(2, A, B, 20_000, 400))
    first, second = (Hop(name, A, B) for name in problem.view.pools)
    found = changed(problem, {first: 12 * WAD, second: 48 * WAD})
    assert found is not None and [leg.id for leg in found[1].legs] == [second.id]
    assert found[1].net >= max(shared(problem, part) for part in range(GRID + 1))


def test_a_plan_of_one_leg_or_of_rates_that_agree_stays_as_it_is() -> None:
    alone = posed(5, WAD, pair(1, A, C, 1_000), pair(2, C, B, 1_000))
    one, two = (Hop(name, *ends) for name, ends in zip(alone.view.pools, ((A, C), (C, B)), strict=True))
    assert changed(alone, {one: WAD, two: WAD}) is None
    even = posed(0, 2 * WAD, pair(1, A, B, 1_000), pair(2, A, B, 1_000))
    assert changed(even, {Hop(name, A, B): WAD for name in even.view.pools}) is None


def changed(problem: Problem, flows: dict[Hop, int]) -> tuple[Plan, Plan] | None:
    """The plan of those flows, and what it was changed to; None where it was not."""
    search = search_over(problem)
    numbers = {path.hops: k for k, path in enumerate(search.paths)}
    whole = tuple(flows) if len({hop.asset_in for hop in flows}) > 1 else None
    amounts = (
        {numbers[whole]: problem.amount} if whole else {numbers[hop,]: flow for hop, flow in flows.items()}
    )
    left = problem.amount - sum(amounts.values())
    amounts[next(iter(amounts))] += left
    split = Split(amounts, flows, 0, 0.0)
    plan = make_plan(problem, split)
    assert plan is not None
    found = polished(search, plan, split, exact, lambda: True)
    if found is None:
        return None
    assert found[1].worth > plan.worth and found[1].amount == problem.amount
    return plan, found[1]
