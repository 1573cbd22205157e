"""What a search over sets of legs finds beside the paths a plan was made of, by either engine."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.amm import ConstantProductPool
from agent.amm.constant_product import exact_in
from agent.domain.instruments import Asset, AssetId, Place
from agent.market.view import GasState, MarketView
from agent.routing.compiled_support import CompiledSupports
from agent.routing.depths import Depths, fed_by, fitted
from agent.routing.graph import Graph, Hop, Path
from agent.routing.greedy import best_plan, best_split, exact
from agent.routing.plan import make_plan
from agent.routing.problem import Problem, pose
from agent.routing.rebuild import rebuilt
from agent.routing.search import Search, Split, order_of
from agent.routing.sides import sides
from agent.routing.support import Supports

PLACE = Place("eip155:1")
A, B, C, D, E, RARE = (AssetId(f"{PLACE}/erc20:0x{k:040x}") for k in range(1, 7))
WAD = 10**18
ENGINES = (Supports, CompiledSupports)


def pool(name: int, a: AssetId, b: AssetId, of_a: float, of_b: float, fee: int = 3000) -> ConstantProductPool:
    return ConstantProductPool(
        f"{PLACE}/0x{name:02x}", (a, b), (int(of_a * WAD), int(of_b * WAD)), fee, 100_000
    )


def market(*pools: ConstantProductPool, gwei: int = 10) -> MarketView:
    """Every asset is worth one of the chain's coin."""
    assets = (A, B, C, D, E, RARE)
    return MarketView(
        assets={a: Asset(a, a[-1], 18) for a in assets}, pools={p.id: p for p in pools},
        gas={PLACE: GasState(1, gwei * 10**9, 0, A)}, reference_px_native=dict.fromkeys(assets, Decimal(1)),
    )  # fmt: skip


def posed(view: MarketView, whole: float, max_hops: int = 4) -> Problem:
    return pose(view, A, B, int(whole * WAD), graph=Graph(view), max_hops=max_hops)


def hop(problem: Problem, name: int, given: AssetId, got: AssetId) -> Hop:
    assert f"{PLACE}/0x{name:02x}" in problem.view.pools
    return Hop(f"{PLACE}/0x{name:02x}", given, got)


def mispriced(gwei: int = 10) -> Problem:
    """The rare asset is cheap for A and dear for the hub C, to which no pool of the plan leads: C leads on to B alone."""
    return posed(
        market(
            pool(1, A, B, 1e6, 1e6), pool(2, A, RARE, 1, 30_000), pool(3, RARE, C, 10_000, 1), pool(4, C, B, 1e5, 1e5, 500),
            pool(5, A, C, 1e5, 1e5, 10_000), gwei=gwei,
        ),
        50,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_way_through_what_is_mispriced_between_hubs_is_found_beside_a_plan(engine: type[Supports]) -> None:
    problem = mispriced()
    supports, plan = engine(problem, lambda: True), frozenset((hop(problem, 1, A, B),))
    made = supports.worth(plan, dict.fromkeys((A, B), 1.0))
    (way,) = [side for side in sides(supports, plan, made) if side.hops[0].asset_out == RARE]
    assert [at.asset_out for at in way.hops] == [RARE, C, B]
    beside = supports.worth(plan | set(way.hops), {**made.prices, **way.prices})
    assert 0 < way.over == pytest.approx(beside.net - made.net, rel=0.02)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("problem", [replace(mispriced(), max_hops=2), mispriced(gwei=10_000)])
def test_no_such_way_is_longer_than_ways_may_be_nor_dearer_than_what_it_gains(
    engine: type[Supports], problem: Problem
) -> None:
    supports, plan = engine(problem, lambda: True), frozenset((hop(problem, 1, A, B),))
    made = supports.worth(plan, dict.fromkeys((A, B), 1.0))
    assert not [side for side in sides(supports, plan, made) if RARE in {at.asset_out for at in side.hops}]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_leg_that_gives_less_takes_the_place_of_two_whose_gas_is_more(engine: type[Supports]) -> None:
    problem = posed(market(pool(1, A, C, 1e6, 1e6, 100), pool(2, C, B, 1e6, 1e6, 100), pool(3, A, B, 1e6, 1e6, 500)), 1)  # fmt: skip
    supports = engine(problem, lambda: True)
    two = frozenset((hop(problem, 1, A, C), hop(problem, 2, C, B)))
    one = frozenset((hop(problem, 3, A, B),))
    start = dict.fromkeys((A, B, C), 1.0)
    gives = [sum(supports.worth(each, start).flows.values()) for each in (two, one)]
    assert gives[0] > gives[1]
    assert supports.improved(two, start)[0] == one


@pytest.mark.parametrize("engine", ENGINES)
def test_legs_beyond_the_limit_go_by_what_each_of_them_is_worth(engine: type[Supports]) -> None:
    """Two shallow legs make room for the two of one deep way; leaving that out would be one step instead of two."""
    problem = replace(
        posed(market(pool(1, A, C, 1e6, 1e6, 100), pool(2, C, B, 1e6, 1e6, 100), pool(3, A, B, 30, 30), pool(4, A, B, 30, 30)), 1_000),
        max_legs=2,
    )  # fmt: skip
    supports, two = engine(problem, lambda: True), {hop(problem, 1, A, C), hop(problem, 2, C, B)}
    wide = frozenset({*two, hop(problem, 3, A, B), hop(problem, 4, A, B)})
    made = supports.worth(wide, dict.fromkeys((A, B, C), 1.0))
    assert set(made.flows) == wide and supports.thinned(wide, made)[0] == two


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("deep", [1e6, 1e8, 1e10])
def test_what_goes_best_through_legs_in_a_row_is_found_where_a_little_tells_nothing(
    engine: type[Supports], deep: float
) -> None:
    """Of a little in deep pools floats give noise: which way it leads must not be asked there alone."""
    problem = posed(
        market(pool(1, A, C, deep, deep * 1.0004, 100), pool(2, C, B, deep, deep, 100)), deep / 100
    )
    supports = engine(problem, lambda: True)
    way = (hop(problem, 1, A, C), hop(problem, 2, C, B))
    most = float(problem.amount)
    for least in (1e8, 1e10, 1e12):
        amounts = [least * (most / least) ** (k / 400) for k in range(401)]
        best = max(supports.given(way[1], supports.given(way[0], x)) - x for x in amounts)
        assert best > 0 and supports.through(way, 1.0, 1.0, least, most) >= best * 0.999


def test_a_pair_sells_no_more_than_its_reserve_can_hold() -> None:
    """Reserves are of 112 bits (UniswapV2Pair._update): the rest of the sale goes where it is worth less."""
    full = 2**112 - 1
    near, other = (
        replace(pool(n, A, B, 1, 1), reserves=reserves)
        for n, reserves in ((1, (full // 2, 10**20)), (2, (full // 100, 10**18)))
    )
    view, most = market(near, other, gwei=0), full - full // 2
    whole = full * 6 // 10
    plan = best_plan(pose(view, A, B, whole, graph=Graph(view)))
    assert sum(leg.in_raw for leg in plan.legs) == whole
    grid = (
        exact_in(near, 0, 1, most * k // 1000).amount_out
        + exact_in(other, 0, 1, whole - most * k // 1000).amount_out
        for k in range(990, 1001)
    )
    assert plan.out >= max(grid) * (1 - 1e-9)


def test_what_makes_a_way_too_long_is_left_out_by_its_least_leg() -> None:
    names = [(A, C), (C, D), (D, E), (E, B), (A, B)]
    legs = [Hop(f"{PLACE}/0x{k:02x}", *ends) for k, ends in enumerate(names)]
    worth = {leg: float(10 - k) for k, leg in enumerate(legs)}
    assert Depths([A, C, D, E, B], legs).longest == 4
    assert fitted(frozenset(legs), (A, B), 4, worth) == frozenset(legs)
    # Without the last of the four the three before it lead nowhere.
    assert fitted(frozenset(legs), (A, B), 3, worth) == {legs[4]}
    again = Hop(legs[0].id, C, B)
    assert fitted(frozenset((legs[0], again, legs[4])), (A, B), 4, {**worth, again: 1.0}) == {legs[4]}
    across = Hop(f"{PLACE}/0x09", C, B)
    assert fitted(frozenset((*legs, across)), (A, B), 3, worth) == {legs[0], across, legs[4]}


def test_where_nothing_else_sells_an_asset_less_of_it_is_brought() -> None:
    names = [(A, C), (C, D), (D, B), (A, B), (A, E), (E, B), (E, B)]
    legs = [Hop(f"{PLACE}/0x{k:02x}", *ends) for k, ends in enumerate(names)]
    assert fed_by({legs[2]}, legs) == {legs[0], legs[1], legs[2]}
    assert fed_by({legs[6]}, legs) == {legs[6]} and fed_by({legs[3]}, legs) == {legs[3]}


def test_a_plan_whose_paths_go_on_together_for_too_long_is_rebuilt_all_the_same() -> None:
    """Two paths of three hops meet at D and may go on together, four hops; the pool from A to B itself is in no path."""
    problem = posed(
        market(
            pool(1, A, C, 1e4, 1e4, 100), pool(2, C, D, 1e4, 1e4, 100), pool(3, A, D, 1e3, 1e3, 100), pool(4, D, E, 1e4, 1e4, 100),
            pool(5, E, B, 1e4, 1e4, 100), pool(6, D, B, 1e3, 1e3, 100), pool(7, A, B, 1e5, 1e5, 100),
        ),
        20, max_hops=3,
    )  # fmt: skip
    ways = [
        [(1, A, C), (2, C, D), (6, D, B)],
        [(3, A, D), (4, D, E), (5, E, B)],
    ]
    paths = tuple(Path(tuple(hop(problem, *step) for step in way)) for way in ways)
    problem = replace(problem, paths=paths, extra=0)
    search = Search(problem)
    split = search.placed({0: problem.amount // 2, 1: problem.amount - problem.amount // 2})
    assert split is not None
    plan = make_plan(problem, split)
    assert plan is not None
    legs = {Hop(leg.id, leg.asset_in, leg.asset_out) for leg in plan.legs}
    order = order_of(sorted(legs))
    assert order is not None and Depths(order, legs).longest == 4
    better = rebuilt(search, plan, exact, lambda: True)
    assert better is not None and better[1].net > plan.net
    legs = {Hop(leg.id, leg.asset_in, leg.asset_out) for leg in better[1].legs}
    order = order_of(sorted(legs))
    assert order is not None and Depths(order, legs).longest <= 3


def test_a_pool_that_refuses_what_floats_promise_is_asked_for_a_little_less() -> None:
    """Refused here is what is above a share of what the floats would have: the pool's own numbers decide that elsewhere."""
    problem = posed(market(*(pool(k, A, B, 1e3, 1e3) for k in (1, 2))), 20)
    only = replace(problem, paths=problem.paths[:1], extra=0)
    search = Search(only)
    plan = make_plan(only, search.run(only.amount, 1, 1.0))
    assert plan is not None and len(plan.legs) == 1
    asked: list[dict[Hop, int]] = []

    def strict(at: Search, split: Split, refused: set[Hop]) -> object:
        asked.append(dict(split.flows))
        first = min(split.flows)
        if split.flows[first] > asked[0][first] * 0.99995:
            refused.add(first)
            return None
        return exact(at, split, refused)

    better = rebuilt(search, plan, strict, lambda: True)  # type: ignore[arg-type]
    assert better is not None and better[1].net > plan.net
    assert len(asked) == 4 and all(flows.keys() == asked[0].keys() for flows in asked)
    sold = {leg.id: leg.in_raw for leg in better[1].legs}
    assert sum(sold.values()) == problem.amount and len(set(sold.values())) == 2


def test_the_answer_has_the_mispriced_way() -> None:
    problem = mispriced()
    legs = best_split(problem)[1].legs
    assert {leg.asset_out for leg in legs} == {B, C, RARE}
