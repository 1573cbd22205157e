"""What the router's search believes: float curves beside the exact swaps, and places that must earn their transaction."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from mainnet_world import market
from markets import BASE_USDC, BASE_WETH, USDC, WETH, document, random_market, v3
from route_checks import check

from agent.amm import BalancerStablePool, CurvePool, Pool, Reverted, SolidlyPool, WeightedPool, swap_exact_in
from agent.app.overheads import overhead_gas
from agent.domain.instruments import AssetId, Place
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.buy import route_buy
from agent.routing.curves import curve_of
from agent.routing.greedy import route_sell

CHAINS = (Place("eip155:1"), Place("eip155:8453"))


def with_wallet(view: MarketView) -> MarketView:
    """The same market for a wallet whose transactions cost what a Safe's do."""
    once = overhead_gas(0)
    gas = {
        place: replace(state, tx_gas=once, tx_gas_per_leg=overhead_gas(1) - once)
        if place in CHAINS
        else state
        for place, state in view.gas.items()
    }
    return replace(view, gas=gas)


def follow(pool: Pool, draw: Random, whole: int) -> int:
    """Sells random amounts back and forth, exactly and on the curve at once; how many sales were compared."""
    curve, compared = curve_of(pool), 0
    state = curve.start
    # Integer curves end in a few units of their own; seen from a whole balance that is nothing.
    held = getattr(pool, "reserves", None) or getattr(pool, "balances", None)
    for _ in range(6):
        i, j = draw.choice(list(permutations(range(len(pool.assets)), 2)))
        amount = int(10 ** draw.uniform(whole - 4, whole))
        exact = swap_exact_in(pool, pool.assets[i], pool.assets[j], amount)
        sold = curve.sell(state, i, j, float(amount))
        if isinstance(exact, Reverted) or not exact.complete:
            break
        if min(amount, exact.amount_out) < 10**5:
            continue
        if sold is None:
            # A weighted pool's limit is kept over all the sales of a search, not sale by sale.
            assert isinstance(pool, WeightedPool), pool.id
            break
        noise = 10 + held[j] * 1e-15 if held else 10
        assert abs(sold[0] - exact.amount_out) <= exact.amount_out * 1e-4 + noise, pool.id
        assert abs(sold[2] - exact.ticks_crossed) <= 1
        pool, state, compared = exact.after, sold[1], compared + 1
    return compared


def test_the_float_curve_of_every_recorded_pool_follows_the_exact_swaps() -> None:
    draw = Random(7)
    compared = 0
    for pool in market().pools.values():
        held = getattr(pool, "reserves", None) or getattr(pool, "balances", None)
        if held and min(held) < 10**8:
            continue  # Of so few units, one is more than any tolerance.
        compared += follow(pool, draw, len(str(min(held))) - 2 if held else 15)
    assert compared > 1200, compared


@pytest.mark.parametrize("seed", range(20))
def test_the_stable_curves_follow_the_exact_swaps(seed: int) -> None:
    draw = Random(seed)
    ids = tuple(f"eip155:1/erc20:0x{k:040x}" for k in range(3))
    balances = tuple(int(10**24 * draw.uniform(0.3, 2)) for _ in ids)
    scaling, rates = (10**18,) * 3, (10**18,) * 3
    amp = draw.choice((50, 200, 2000))
    pools: list[Pool] = [
        CurvePool("c", ids, balances, amp * 100, 100, 4_000_000, 5 * 10**9, rates, scaling),
        BalancerStablePool("b", ids, balances, amp * 1000, 1000, 4 * 10**14, rates, scaling),
    ]
    for stable in (True, False):
        pools.append(SolidlyPool("s", ids[:2], (balances[0], balances[1]), 5, stable, (10**18, 10**18)))
    assert all(follow(pool, draw, 23) == 6 for pool in pools)


def places_of(view: MarketView, amount: int) -> set[str]:
    route = route_sell(view, WETH, USDC, amount, cross_domain=True)
    check(view, route, amount)
    return {str(leg.place) for leg in route.legs}


def twins() -> MarketView:
    """The same pool on two chains with the same dear gas."""
    gas = {"block": 1, "base_fee_wei": "20000000000", "priority_fee_wei": "1000000000"}
    at = {"eip155:1": {**gas, "native_as": WETH}, "eip155:8453": {**gas, "native_as": BASE_WETH}}
    pools = [
        v3("aa", USDC, WETH, 1 / 3000, 9_000_000_000_000_000),
        v3("bb", BASE_WETH, BASE_USDC, 3000, 9_000_000_000_000_000),
    ]
    return parse_market(document(pools, at=at))


def test_a_small_order_takes_one_place_and_a_large_one_several() -> None:
    view = with_wallet(twins())
    assert len(places_of(view, 10**16)) == 1
    assert len(places_of(view, 25 * 10**18)) == 2


def test_a_place_is_used_from_where_it_pays_its_transaction() -> None:
    """Between the two sizes there is one where the swap's own gas is earned and the wallet's transaction is not."""
    free, dear = twins(), with_wallet(twins())
    both = [size for size in range(1, 60) if len(places_of(free, size * 10**18 // 2)) == 2]
    paid = [size for size in range(1, 60) if len(places_of(dear, size * 10**18 // 2)) == 2]
    assert both and paid and both[0] < paid[0]


@pytest.mark.parametrize("seed", range(25))
def test_with_overheads_no_chain_alone_and_no_plan_without_them_is_worth_more(seed: int) -> None:
    view = random_market(seed)
    amount = 10 ** (15 + seed % 5) + seed

    def worth(of: MarketView) -> float:
        route = route_sell(of, WETH, USDC, amount, cross_domain=True)
        spent = 0.0
        for place in {leg.place for leg in route.legs} & set(CHAINS):
            legs = sum(leg.place == place for leg in route.legs)
            spent += overhead_gas(legs) * of.gas[place].price_wei * 1e-12 * 3000
        return route.net_out_raw - spent

    best = worth(with_wallet(view))
    assert best >= worth(view) - 2
    one = replace(view, inventory={**view.inventory, AssetId(BASE_WETH): 0})
    assert best >= worth(with_wallet(one)) - 2


@pytest.mark.parametrize("seed", range(8))
def test_a_purchase_with_overheads_still_pays_what_was_asked(seed: int) -> None:
    view = with_wallet(random_market(seed))
    wanted = 10 ** (7 + seed % 4) + seed
    route = route_buy(view, WETH, USDC, wanted, cross_domain=True)
    check(view, route, None)
    assert route.out_raw >= wanted
