"""The compiled search is the interpreted one, faster: curve by curve, path by path and plan by plan the same numbers to the last bit."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from markets import USDC, WETH, random_market

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    WeightedPool,
)
from agent.amm.ticks import TickTable
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.buy import route_buy
from agent.routing.compiled import CompiledSearch
from agent.routing.compiled_support import CompiledSupports
from agent.routing.curves import Curve, Depth, curve_of
from agent.routing.engine import compile_searches, compiled
from agent.routing.graph import Graph
from agent.routing.graphs import Graphs
from agent.routing.greedy import best_plan
from agent.routing.kernels.sales import NONE, sell
from agent.routing.kernels.whole import MOST, as_float, halved, less, minus, pair, plus
from agent.routing.knots import Knots
from agent.routing.plan import Plan
from agent.routing.problem import Problem, pose
from agent.routing.rows import Rows
from agent.routing.search import Asked, Floor, Search
from agent.routing.sides import sides
from agent.routing.support import Supports
from agent.routing.warm import warm

RECORDED = Path(os.environ.get("FAIRLEAD_DATA", "../shared/data")) / "markets"
SELL, BUY = AssetId(WETH), AssetId(USDC)


@pytest.fixture(autouse=True)
def interpreted_again() -> Iterator[None]:
    yield
    compile_searches(False)


def _pools(draw: Random) -> list[Pool]:
    def size(low: float = 18, high: float = 26) -> int:
        return int(10 ** draw.uniform(low, high))

    ticks = sorted(draw.sample(range(-3000, 3000), 12))
    nets = [size() for _ in range(6)]
    table = TickTable(tuple(ticks), (*nets, *(-net for net in nets)))
    tick = draw.randint(ticks[3], ticks[8])
    three = tuple(size(22, 24) for _ in range(3))
    weights = draw.choice(
        ((5 * 10**17, 5 * 10**17), (8 * 10**17, 2 * 10**17), (2 * 10**17, 3 * 10**17, 5 * 10**17))
    )
    return [
        ConstantProductPool("a", ("x", "y"), (size(), size()), draw.choice((100, 3000))),
        ConcentratedPool("b", ("x", "y"), 500, 1, int(1.0001 ** (tick / 2) * 2**96) + 7, tick, table.active_liquidity(tick), table),
        WeightedPool("c", tuple("xyz"[: len(weights)]), three[: len(weights)], weights, 3 * 10**15, (1,) * len(weights)),
        BalancerStablePool("d", ("x", "y", "z"), three, draw.choice((20, 700)), 1, 10**14, (10**18,) * 3, (10**18,) * 3),
        CurvePool("e", ("x", "y", "z"), three, 20_000, 100, 4 * 10**6, 5 * 10**9, (10**18,) * 3, (10**18,) * 3),
        SolidlyPool("f", ("x", "y"), (size(20, 24), size(20, 24)), 5, True, (10**18, 10**6)),
        SolidlyPool("g", ("x", "y"), (size(), size()), 30, False, (10**18, 10**18)),
    ]  # fmt: skip


def _walked(curve: Curve, assets: int, draw: Random) -> int:
    """Sales on one curve after each other, both ways of walking it side by side; how many it took."""
    rows = Rows()
    number = rows.number("it", curve)
    market, states = rows.laid()
    state, after, count = curve.start, np.zeros(64), 0
    for _ in range(40):
        i, j = draw.sample(range(assets), 2) if assets > 1 else (0, 1)
        amount = 10 ** draw.uniform(-3, 27)
        ours = curve.sell(state, i, j, amount)
        out, crossed = sell(market, number, i, j, amount, states, after, 0)
        assert (ours is None) == (out == NONE)
        if ours is not None:
            assert (ours[0], ours[2]) == (out, crossed)
            state, states[:] = ours[1], after[: len(states)]
            shown = (state[0], state[2]) if len(state) != len(states) else state
            assert shown == tuple(states)
            count += 1
    return count


def test_every_kind_of_curve_gives_and_becomes_the_same() -> None:
    draw, counts = Random(5), [0] * 8
    for _ in range(12):
        for k, pool in enumerate(_pools(draw)):
            counts[k] += _walked(curve_of(pool), len(pool.assets), draw)
        levels = tuple((int(10 ** draw.uniform(6, 20)), int(10 ** draw.uniform(6, 20))) for _ in range(6))
        counts[7] += _walked(Depth(levels), 1, draw)
    assert min(counts) > 50


def test_whole_numbers_of_two_parts_are_those_of_python() -> None:
    draw = Random(9)
    for _ in range(300):
        a, b = sorted(draw.getrandbits(draw.randint(1, 103)) for _ in range(2))
        assert a < MOST and as_float(*pair(a)) == float(a)
        assert (plus(*pair(a), *pair(b)), minus(*pair(b), *pair(a))) == (pair(a + b), pair(b - a))
        assert less(*pair(a), *pair(b)) == (a < b) and not less(*pair(b), *pair(a))
        assert [halved(*pair(b), n) for n in (0, 2, 3, 6)] == [pair(b >> n) for n in (0, 2, 3, 6)]


def _both(plan: Callable[[], Plan]) -> tuple[Plan, Plan]:
    compile_searches(False)
    ours = plan()
    compile_searches()
    return ours, plan()


def _posed(view: MarketView, seed: int) -> Problem:
    return pose(view, SELL, BUY, (1 + seed * 37 % 290) * 10**18 + seed, cross_domain=seed % 3 != 0)


def _same_plan(seed: int) -> None:
    ours, theirs = _both(lambda: best_plan(_posed(random_market(seed), seed)))
    assert ours == theirs


@pytest.mark.parametrize("seed", [0, 3, 7, 12, 18, 25, 31, 38])
def test_a_made_up_market_is_planned_the_same(seed: int) -> None:
    _same_plan(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40, 240))
def test_many_made_up_markets_are_planned_the_same(seed: int) -> None:
    _same_plan(seed)


def test_runs_with_caps_bans_and_a_base_that_is_refused_are_the_same() -> None:
    for seed in range(30):
        problem, draw = _posed(random_market(seed), seed), Random(seed)
        # A transaction that costs, legs that are few, an amount beyond most of the pools.
        problem = replace(
            problem, max_legs=draw.choice((2, 4, 12)), amount=problem.amount * draw.choice((1, 1, 40))
        )
        ours, theirs = Search(problem), CompiledSearch(problem)
        paths = range(len(problem.paths))
        base = {
            k: problem.amount // draw.choice((3, 30, 10**9)) for k in draw.sample(paths, min(2, len(paths)))
        }
        banned = frozenset(draw.sample(ours.hops, 1)) if len(ours.hops) > 1 else frozenset()
        for asked in (
            (problem.amount, 40, 1.0), (problem.amount, 100, 0.1, None, banned), (problem.amount // 2, 16, 0.0, base),
            (problem.amount // 7, 5, 1.0, base, banned, frozenset(draw.sample(paths, 1 + len(paths) // 2))), (0, 1, 0.0, base),
        ):  # fmt: skip
            one, other = ours.run(*asked), theirs.run(*asked)
            assert one == other and list(one.flows) == list(other.flows)
            assert list(one.amounts) == list(other.amounts)
        assert ours.margins(base, problem.amount // 32) == theirs.margins(base, problem.amount // 32)
        sizes = [problem.amount // 50, problem.amount]
        assert ours.nets(sizes) == theirs.nets(sizes)


def test_combinations_and_runs_asked_for_together_are_the_same() -> None:
    combined = 0
    for seed in range(24):
        problem, draw = replace(_posed(random_market(seed), seed), overheads={}), Random(seed)
        problem = replace(problem, max_legs=draw.choice((2, 4, 12)))
        ours, theirs = Search(problem), CompiledSearch(problem)
        broken = draw.sample(ours.hops, min(seed % 2, len(ours.hops)))
        parts = ours.gridded(broken)
        assert theirs.gridded(broken) == parts
        combined += parts is not None and len(parts) > 1
        paths = range(len(problem.paths))
        asked = [
            Asked(problem.amount // part, 9, share, {k: problem.amount // draw.choice((2, 10**9))}, frozenset(), frozenset((k, j)))
            for part in (2, 50) for share in (0.0, 1.0) for k in paths for j in draw.sample(paths, 1)
        ]  # fmt: skip
        every = [ours.run(*one) for one in asked]
        floor = Floor(sorted(split.worth for split in every)[len(every) // 2], 1e-3)
        wanted = [split for split in every if not split.left and not floor.above(split.worth)]
        found = list(theirs.runs(asked, floor))
        assert [split for split in found if not split.left and not floor.above(split.worth)] == wanted
        assert len(wanted) <= len(found) < len(every) or len(every) < 3
    assert combined > 3


def test_legs_are_balanced_and_offered_the_same() -> None:
    offered = beside = instead = 0
    for seed in range(24):
        view, draw = random_market(seed), Random(seed)
        problem = pose(view, SELL, BUY, (1 + seed * 37 % 290) * 10**18 + seed)
        supports = Supports(problem, lambda: True), CompiledSupports(problem, lambda: True)
        start = {asset: 10 ** draw.uniform(-9, 0) for asset in problem.graph.edges}
        for path in draw.sample(problem.paths, min(6, len(problem.paths))):
            other = draw.choice(problem.paths)
            for support in (frozenset(path.hops), frozenset((*path.hops, *other.hops))):
                ours, theirs = (of.worth(support, {**start, BUY: 1.0}) for of in supports)
                assert ours == theirs and list(ours.flows) == list(theirs.flows)
                if not ours.flows:
                    continue
                assert [supports[0].over(hop, ours.prices) for hop in sorted(support)] == [
                    supports[1].over(hop, ours.prices) for hop in sorted(support)
                ]
                found = [sorted(of.more(support, ours), key=lambda more: more.hops) for of in supports]
                assert found[0] == found[1]
                offered += sum(len(more.hops) == 2 for more in found[0])
                assert supports[0].halved(ours) == supports[1].halved(ours)
                around = [sides(of, support, ours) for of in supports]
                assert around[0] == around[1]
                beside += len(around[0])
                for old, paid, got in supports[0]._stretches(ours):
                    ends = old[0].asset_in, old[-1].asset_out
                    ways = [sorted(of._ways(*ends, paid, got * 0.9, ours.prices, {old[0].id}), key=lambda way: way[0]) for of in supports]  # fmt: skip
                    assert ways[0] == ways[1]
                    instead += len(ways[0])
    assert offered > 20 and beside > 5 and instead > 20


def test_an_amount_that_no_pair_of_words_holds_is_left_to_the_interpreted_search() -> None:
    view = random_market(7)
    problem = replace(_posed(replace(view, inventory={}), 7), amount=MOST * 3)
    assert CompiledSearch(problem).run(problem.amount, 10, 1.0) == Search(problem).run(
        problem.amount, 10, 1.0
    )


def test_a_purchase_is_planned_the_same() -> None:
    view = random_market(20)
    compile_searches(False)
    ours = route_buy(view, SELL, BUY, 40_000 * 10**6)
    compile_searches()
    assert route_buy(view, SELL, BUY, 40_000 * 10**6) == ours


def _laid(knots: Knots) -> list[object]:
    knots.ask(knots.hops)
    legs = knots.legs
    return [
        (hop, legs.rate[e], legs.keep[e], legs.spot[e], legs.gas[e], legs.tick[e], legs.knots[legs.knot[e] : legs.knot[e] + legs.size[e]].tolist())
        for e, hop in enumerate(knots.hops)
    ]  # fmt: skip


def test_a_graph_taken_over_from_the_block_before_plans_as_one_made_from_nothing() -> None:
    draw, graphs = Random(4), Graphs()
    for seed in (2, 20, 34):
        view = random_market(seed)
        for _ in range(4):
            moved = draw.choice(
                [pool for pool in view.pools.values() if isinstance(pool, ConstantProductPool)]
            )
            reserves = tuple(held * draw.randint(970, 1030) // 1000 for held in moved.reserves)
            view = replace(view, pools={**view.pools, moved.id: replace(moved, reserves=reserves)})
            kept, new = graphs.of(view), Graph(view)
            compile_searches()
            assert _laid(kept.knots()) == _laid(new.knots())
            plans = [best_plan(pose(view, SELL, BUY, 90 * 10**18, graph=graph)) for graph in (kept, new)]
            assert plans[0] == plans[1]


def test_compiled_searches_are_ready_before_the_first_order() -> None:
    compile_searches(False)
    warm()
    assert compiled()


def _recorded(count: int) -> None:
    view = parse_text(gzip.decompress((RECORDED / "ethereum-2023-09-12.market.json.gz").read_bytes()))
    orders = json.loads(gzip.decompress((RECORDED / "ethereum-2023-09-12.orders.json.gz").read_bytes()))[
        "orders"
    ]
    graph, planned = Graph(view), 0
    for order in Random(3).sample(orders, count):

        def plan(order: dict[str, str] = order) -> Plan:
            sell, buy = AssetId(order["sell"]), AssetId(order["buy"])
            return best_plan(pose(view, sell, buy, int(order["sell_raw"]), max_hops=4, graph=graph))

        try:
            ours, theirs = _both(plan)
        except Reject:
            continue
        assert ours == theirs
        planned += 1
    assert planned * 2 > count


def test_recorded_orders_over_the_recorded_market_are_planned_the_same() -> None:
    _recorded(5)


@pytest.mark.full
def test_every_recorded_order_is_planned_the_same() -> None:
    _recorded(522)
