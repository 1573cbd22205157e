"""Arbitrage traded out by exact swaps: no circle of pools earns more than dust afterwards, and what was earned is accounted for."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from markets import DAI, USDC, WETH, document, v2

from agent.amm import Swapped
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.arbitrage import traded_out
from agent.routing.graph import swap

CIRCLES = ((WETH, USDC, WETH), (WETH, DAI, WETH), (WETH, USDC, DAI, WETH), (WETH, DAI, USDC, WETH))


def torn(seed: int) -> MarketView:
    draw = Random(seed)
    pools: list[dict[str, Any]] = []
    for k, (a, b, px) in enumerate(
        [(WETH, USDC, 3000), (WETH, USDC, 3000), (WETH, DAI, 3000), (DAI, USDC, 1), (DAI, USDC, 1)]
    ):
        size = 10 ** draw.uniform(4, 6) / px
        pools.append(
            v2(f"{k:02x}", a, b, size, size * px * (1 + draw.uniform(-0.1, 0.1)), draw.choice((100, 3000)))
        )
    return parse_market(json.loads(json.dumps(document(pools))))


def most(view: MarketView) -> float:
    """The best share that any circle earns on a small amount."""
    best = 0.0
    for circle in CIRCLES:
        ways: list[tuple[int, dict[str, Any]]] = [(10**15, dict(view.pools))]
        for given, got in zip(circle, circle[1:], strict=False):
            found = []
            for held, states in ways:
                for name, pool in states.items():
                    if {given, got} <= set(pool.assets):
                        swapped = swap(pool, given, got, held)
                        if isinstance(swapped, Swapped):
                            found.append((swapped.amount_out, {**states, name: swapped.after}))
            ways = found
        best = max([best, *(held / 10**15 - 1 for held, _ in ways)])
    return best


@pytest.mark.parametrize("seed", range(15))
def test_no_circle_earns_anything_afterwards(seed: int) -> None:
    view = torn(seed)
    done = traded_out(view)
    # A circle on 0.001 WETH moves these pools by less than that itself.
    assert most(done.view) < 2e-6
    if most(view) > 1e-4:
        assert done.trades and done.gain > 0 and done.view.digest != view.digest
        for asset, raw in done.got.items():
            before = sum(_held(pool, asset) for pool in view.pools.values())
            assert before - sum(_held(pool, asset) for pool in done.view.pools.values()) == raw
    again = traded_out(done.view)
    assert again.gain <= 1e-4 * max(done.gain, 1e12)


def test_a_weighted_pool_many_times_off_is_sold_to_until_it_agrees() -> None:
    """It takes three tenths of a balance at once; the other pool hardly moves."""
    odd = {
        **v2("bb", USDC, WETH, 30_000, 100),
        "kind": "balancer_v2_weighted",
        "weights_1e18": [str(5 * 10**17)] * 2,
    }
    odd = {key: held for key, held in odd.items() if key not in ("reserves_raw", "fee_pips")}
    odd |= {"balances_raw": [str(30_000 * 10**6), str(100 * 10**18)], "fee_1e18": str(10**15)}
    view = parse_market(json.loads(json.dumps(document([v2("aa", USDC, WETH, 3e9, 1e6, 100), odd]))))
    done = traded_out(view)
    usdc, weth = next(p for p in done.view.pools.values() if p.id.endswith("bb")).balances
    # 300 at first; the fee of a tenth of a per cent keeps it that far from 3000.
    assert abs(usdc / 10**6 / (weth / 10**18) / 3000 - 1) < 1.2e-3 and done.trades > 3


def _held(pool: Any, asset: str) -> int:
    return sum(raw for held, raw in zip(pool.assets, pool.reserves, strict=True) if held == asset)
