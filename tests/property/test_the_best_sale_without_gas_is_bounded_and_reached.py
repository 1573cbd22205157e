"""The solver of the continuous problem: its value is the least that any prices prove, flows reach it, and no exact plan gives more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from grown_markets import Grown, a_block_later, grown

from agent.domain.errors import Reject
from agent.market.view import MarketView
from agent.routing.dual import Dual
from agent.routing.engine import compile_searches
from agent.routing.greedy import best_plan
from agent.routing.gross import Best, Gross
from agent.routing.problem import pose
from agent.routing.tables import Floats, Tables, depth_prices


@pytest.fixture(autouse=True)
def sooner() -> Iterator[None]:
    compile_searches()
    yield
    compile_searches(False)


def _prices(view: MarketView, tables: Tables, market: Grown) -> Floats:
    found = depth_prices(view, tables, next(iter(market.dollars)))
    return np.array([found.get(node, 1e-30) for node in tables.nodes])


def _checked(seed: int, pools: int, tokens: int, count: int) -> None:
    market, draw = grown(pools, tokens, seed), Random(seed)
    free = {place: replace(gas, base_fee_wei=0) for place, gas in market.view.gas.items()}
    view = replace(market.view, gas=free)
    tables = Tables(view)
    gross, start = Gross(tables), _prices(view, tables, market)
    later = a_block_later(view, draw)
    moved = Gross(Tables(later))
    gaps, planned = [], 0
    for number in range(count):
        sell, buy, amount = market.order(draw)
        found = gross.best(sell, buy, amount, start)
        gaps.append(found.gap_bps)
        assert found.reached <= found.bound * (1 + 1e-9)
        _least(tables, found, (sell, buy, amount), draw)
        # What a block changes a little is found again from the prices before, as from the market's.
        again = moved.best(sell, buy, amount, found.prices)
        assert again.bound == pytest.approx(moved.best(sell, buy, amount, start).bound, rel=1e-6)
        if number % 6 == 0 and (out := _planned(view, (sell, buy, amount))) is not None:
            planned += 1
            assert out <= found.bound * (1 + 1e-9)
    assert planned
    assert sorted(gaps)[len(gaps) // 2] < 0.01


def _planned(view: MarketView, order: tuple[str, str, int]) -> int | None:
    """What a plan of no more legs than it may have gives; None where no such plan carries the order, which is said so."""
    try:
        return best_plan(pose(view, *order)).out
    except Reject as none:
        assert none.code == "NO_ROUTE" and "takes the whole amount" in none.message
        return None


def _least(tables: Tables, found: Best, order: tuple[str, str, int], draw: Random) -> None:
    """The bound is the dual's value as the certificate's search counts it, and no lower anywhere near."""
    source, target = (tables.number[asset] for asset in order[:2])
    dual = Dual(tables, frozenset(tables.nodes), [tables.nodes[source]], float(order[2]), {tables.nodes[target]: 1.0}, {}, circular=True)  # fmt: skip
    here = dual.value(found.prices, dual.edges, None, 0.0)
    assert here == pytest.approx(found.bound, rel=1e-9)
    for width in (1e-5, 1e-3, 0.1):
        other = found.prices * np.exp([draw.gauss(0, width) for _ in tables.nodes])
        other /= other[target]
        assert dual.value(other, dual.edges, None, 0.0) >= found.bound * (1 - 1e-6)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_small_web_of_pools(seed: int) -> None:
    _checked(seed, 60, 12, 6)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10, 30))
def test_a_larger_web_of_pools(seed: int) -> None:
    _checked(seed, 400, 60, 20)
