"""What circles through a market would give is printed beside a route, in no figure of it; a market whose prices agree holds none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.amm import ConstantProductPool, Swapped, swap_exact_in
from agent.app.cli.route import command
from agent.market.view import MarketView
from agent.market.write import market_json
from agent.routing.certificate.check import check
from agent.routing.circles import circles
from agent.routing.warm import market

DEEP = 10**24


def pools(view: MarketView, reserves: list[tuple[int, int]]) -> MarketView:
    made = [
        replace(pool, reserves=r)
        for pool, r in zip(view.pools.values(), reserves, strict=True)
        if isinstance(pool, ConstantProductPool)
    ]
    return replace(view, pools={pool.id: pool for pool in made})


def best_circle(view: MarketView, sold: str, bought: str) -> int:
    """The most that buying in one pool and selling in the other gives, by trying amounts a hundredth apart."""
    one, two = view.pools.values()
    best, amount = 0, 10**17
    while amount < DEEP:
        there = swap_exact_in(one, sold, bought, amount)
        assert isinstance(there, Swapped)
        back = swap_exact_in(two, bought, sold, there.amount_out)
        assert isinstance(back, Swapped)
        best, amount = max(best, back.amount_out - amount), amount * 101 // 100
    return best


def test_what_two_pools_apart_hold_is_what_the_best_circle_gives() -> None:
    view, sold, bought = market()
    apart = pools(view, [(DEEP, DEEP * 11 // 10), (DEEP, DEEP)])
    found = circles(apart, sold)
    most = best_circle(apart, sold, bought)
    assert found is not None and found.trades == 2 and found.asset == sold
    assert 0.97 * most < found.worth_raw < 1.03 * most


@pytest.mark.parametrize(
    ("reserves", "gas"),
    [
        ([(DEEP, DEEP), (DEEP // 3, DEEP // 3)], 10**9),  # the same price
        ([(DEEP, DEEP * 1004 // 1000), (DEEP, DEEP)], 10**9),  # apart by less than two fees
        ([(DEEP, DEEP * 11 // 10), (DEEP, DEEP)], 10**17),  # gas eats it
    ],
)
def test_a_market_whose_prices_agree_holds_none(reserves: list[tuple[int, int]], gas: int) -> None:
    view, sold, _ = market()
    even = pools(view, reserves)
    even = replace(even, gas={place: replace(held, base_fee_wei=gas) for place, held in even.gas.items()})
    assert circles(even, sold) is None


@pytest.mark.parametrize("apart", [True, False])
def test_route_prints_it_and_its_certificate_is_judged_without_it(tmp_path: Path, apart: bool) -> None:
    view, sold, bought = market()
    view = pools(view, [(DEEP, DEEP * 11 // 10 if apart else DEEP), (DEEP, DEEP)])
    file = tmp_path / "market.json"
    file.write_text(json.dumps(market_json(view)))
    words = [str(file), "--sell", sold, "--qty", "10", "--buy", bought]
    told = CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False)
    route = json.loads(told.output)
    assert ("arbitrage" in route) is apart
    plain = {key: value for key, value in route.items() if key != "arbitrage"}
    assert check(route, view).valid and check(plain, view).valid
    lines = CliRunner().invoke(command, words, catch_exceptions=False).output
    assert ("none of it is in the figures above" in lines) is apart
