"""What bounds need of a market whatever is sold is found once: block by block it is what would be found anew, and the ways it leaves are those of plain sets."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from markets import DAI, USDC, WETH, random_market
from small_markets import small_market

from agent.amm import ConstantProductPool
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.ground import Ground, between, bits, mask_of
from agent.routing.certificate.losses import Onward
from agent.routing.certificate.units import Order
from agent.routing.graph import Graph
from agent.routing.graphs import Graphs


def _later(view: MarketView, draw: Random) -> MarketView:
    moved = draw.choice([pool for pool in view.pools.values() if isinstance(pool, ConstantProductPool)])
    reserves = tuple(held * draw.randint(900, 1100) // 1000 for held in moved.reserves)
    return replace(view, pools={**view.pools, moved.id: replace(moved, reserves=reserves)})


def _told(ground: Ground) -> tuple[object, ...]:
    rates = {stand.pool.id: ground.rates_of(stand.pool) for stand in ground.stands}
    return ground.nodes, ground.number, ground.near, ground.stands, rates


@pytest.mark.parametrize("seed", [2, 20, 34])
def test_a_block_later_it_is_what_would_be_found_anew(seed: int) -> None:
    draw, graphs, view = Random(seed), Graphs(), random_market(seed)
    before = graphs.of(view).ground()
    _told(before)
    for _ in range(4):
        view = _later(view, draw)
        kept = graphs.of(view).ground()
        assert kept.near is before.near and _told(kept) == _told(Graph(view).ground())
        before = kept
    fewer = dict(list(view.pools.items())[1:])
    view = replace(view, pools=fewer)
    assert _told(graphs.of(view).ground()) == _told(Ground(view))


def test_of_another_market_it_is_not_taken() -> None:
    view = small_market(Random(1))
    moved = replace(view, pools=dict(list(view.pools.items())[1:]))
    order = Order(moved, AssetId(WETH), AssetId(USDC), 10**18, False, "0.0003")
    assert {s.edge.pool.id for s in Setting(order, Ground(view)).sales} <= set(moved.pools)


def _legs(onward: Onward) -> set[tuple[AssetId, AssetId, int]]:
    return {(one, *leg) for one, legs in onward.items() for leg in legs}


@pytest.mark.parametrize("seed", [2, 5, 20])
def test_sales_and_idle_pairs_of_an_order_are_those_found_without_what_was_kept(seed: int) -> None:
    view = random_market(seed)
    ground, found = Ground(view), set[str]()
    for sell, buy, px in ((WETH, USDC, "0.0003"), (DAI, USDC, "0.0003"), (WETH, DAI, "0.0004"), (WETH, USDC, "0.0005")):  # fmt: skip
        order = Order(view, AssetId(sell), AssetId(buy), 10**18, False, px)
        kept, new = Setting(order, ground), Setting(order)
        assert [(s.edge.pool.id, s.pair, s.i, s.j, s.edge.gas, s.edge.per_tick, s.edge.never_sold) for s in kept.sales] == [
            (s.edge.pool.id, s.pair, s.i, s.j, s.edge.gas, s.edge.per_tick, s.edge.never_sold) for s in new.sales
        ]  # fmt: skip
        found.add(repr(sorted(s.edge.gas for s in kept.sales)))
        # Of sales of its own it asks each.
        new.sales = list(new.sales)
        assert [_legs(side) for side in kept.idle] == [_legs(side) for side in new.idle]
        assert any(kept.idle)
    assert len(found) > 1


def _reached(near: dict[int, set[int]], starts: set[int], ends: set[int]) -> set[int]:
    found, ring = set(starts), list(starts)
    while ring:
        node = ring.pop()
        fresh = set[int]() if node in ends else near[node] - found
        found |= fresh
        ring += fresh
    return found


@pytest.mark.parametrize("seed", range(300))
def test_the_ways_it_leaves_are_those_of_plain_sets(seed: int) -> None:
    draw = Random(seed)
    count = draw.randint(2, 30)
    near: dict[int, set[int]] = {k: set() for k in range(count)}
    for _ in range(draw.randint(1, 3 * count)):
        a, b = draw.randrange(count), min(int(draw.expovariate(0.3)), count - 1)
        near[a] |= {b} - {a}
        near[b] |= {a} - {b}
    sources, *rest = draw.sample(range(count), 2)
    start, goal, hubs = {sources}, set(rest), draw.randint(0, 4)
    ground = Ground(small_market(Random(0)))
    ground.nodes = [AssetId(f"{k:02}") for k in range(count)]
    ground.near = [mask_of(sorted(near[k])) for k in range(count)]
    found = between(ground, mask_of(sorted(start)), mask_of(sorted(goal)), hubs)

    inside = _reached(near, start, goal) & _reached(near, goal, start)
    while ends := {k for k in inside - start - goal if len(near[k] & inside) < 2}:
        inside -= ends
    near = {k: near[k] & inside for k in near}
    assert set(bits(found.inside)) == inside
    ways = {(a, b) for a in inside - goal for b in inside - start if a != b}
    for hub in sorted(inside - start - goal, key=lambda k: (-len(near[k]), k))[:hubs]:
        onward = _reached(near, goal & inside, start | {hub})
        hither = _reached(near, start & inside, goal | {hub})
        ways = {(a, b) for a, b in ways if (a != hub or b in onward) and (b != hub or a in hither)}
    assert {(a, b) for a in range(count) for b in bits(found.leads[a])} == ways
