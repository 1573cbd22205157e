"""The compiled dual computes what the interpreted one does, up to rounding; routes certified by either are valid, and as closely."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from markets import USDC, WETH, random_market
from small_markets import small_market

from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.certificate.check import check
from agent.routing.certify import certified
from agent.routing.compiled_dual import CompiledDual
from agent.routing.dual import Dual, singles
from agent.routing.engine import compile_searches
from agent.routing.greedy import best_plan
from agent.routing.pricing import MarketPrices
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of
from agent.routing.tables import Floats

SELL, BUY = AssetId(WETH), AssetId(USDC)
STEPS = np.exp(np.array([0.0, 0.1, -0.1, 0.01, -0.01]))


@pytest.fixture(autouse=True)
def interpreted_again() -> Iterator[None]:
    yield
    compile_searches(False)


def _near(one: Floats, other: Floats, least: float = 0.0) -> bool:
    return bool(np.allclose(one, other, rtol=1e-7, atol=least))


@pytest.mark.parametrize("seed", range(12))
def test_the_compiled_dual_is_the_interpreted_one(seed: int) -> None:
    draw = Random(seed)
    view = small_market(draw) if seed % 2 else random_market(seed)
    market = MarketPrices(view)
    t = market.tables
    if not {SELL, BUY} <= t.number.keys():
        pytest.fail("the market trades neither what is sold nor what is bought")
    amount = 10 ** draw.uniform(17, 20)
    gas = {str(place): 10 ** draw.uniform(-4, 1) for place in view.gas}
    duals = [kind(t, frozenset(t.nodes), [SELL], amount, {BUY: 1.0}, gas) for kind in (Dual, CompiledDual)]
    base = market.values / market.values[t.number[BUY]]
    worth = amount * float(base[t.number[SELL]])
    paid = 0
    for spread, limited in ((0.001, False), (0.03, True), (0.3, True)):
        v = base * np.exp([draw.uniform(-spread, spread) for _ in t.nodes])
        v[t.number[BUY]] = 1.0
        cap = worth * draw.choice((0.01, 1.0)) / v if limited else None
        if limited:
            for dual in duals:
                dual.flow_of(worth)
                dual.sold_on(np.where(np.arange(len(v)) % 3 == 0, np.inf, worth / 50 / v))
        one, other = duals
        for tau in (0.0, worth * 1e-3, -worth * 1e-3):
            assert np.isclose(one.worth(v, cap, tau), other.worth(v, cap, tau), rtol=1e-9)
        edges = one.near(v, one.edges)
        mine, theirs = one.flows(v, edges, cap), other.flows(v, edges, cap)
        for name in ("paid", "got", "gain", "bend", "ticks"):
            scale = float(np.abs(getattr(mine, name)).max(initial=0.0))
            assert _near(getattr(mine, name), getattr(theirs, name), scale * 1e-9)
        (busy, gain), (busy_2, gain_2) = one.paying(v, cap), other.paying(v, cap)
        assert sorted(busy.tolist()) == sorted(busy_2.tolist()) and np.isclose(gain.sum(), gain_2.sum())
        paid += len(busy)
        for a, b in zip(one.onward(v, worth, (2, 4)), other.onward(v, worth, (2, 4)), strict=True):
            assert _near(a, b)
        blocks = [*singles(np.arange(len(v), dtype=np.int64)), np.arange(0, len(v), 2, dtype=np.int64)]
        assert _near(one.settle(v, cap, 0.0, blocks, STEPS), other.settle(v, cap, 0.0, blocks, STEPS))
        # Steps part ways by a rounding: what counts is where they lead.
        ends = [dual.solve(v, cap, (worth * 1e-3, worth * 1e-5), lambda: True) for dual in duals]
        least = [dual.worth(end, cap, 0.0) for dual, end in zip(duals, ends, strict=True)]
        assert np.isclose(*least, rtol=1e-4) and max(least) <= one.worth(v, cap, 0.0) * 1.001
        stopped = other.solve(v, cap, (worth,), lambda: False)
        assert _near(stopped, v)
    assert paid


def _certified(view: MarketView, amount: int) -> tuple[int, int]:
    problem = pose(view, SELL, BUY, amount)
    route = certified(problem, route_of(problem, best_plan(problem)))
    verdict = check(json.loads(json.dumps(route_json(route))), view)
    assert verdict.valid, verdict.why
    return verdict.bound_raw, verdict.net_out_raw


@pytest.mark.parametrize("seed", [1, 4, 9, 16])
def test_certificates_of_either_engine_are_valid_and_as_close(seed: int) -> None:
    draw = Random(seed)
    view, amount = small_market(draw), int(10 ** draw.uniform(17, 20))
    ours, net = _certified(view, amount)
    compile_searches()
    theirs, same_net = _certified(view, amount)
    assert net == same_net and abs(ours - theirs) <= net // 1000
