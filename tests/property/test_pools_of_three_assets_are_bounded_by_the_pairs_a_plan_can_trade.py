"""A pool whose pairs are counted together: no drawn plan through it nets more than the bound, and what no plan trades with it counts nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from markets import DAI, USDC, WETH, document, v2

from agent.amm import Reverted, swap_exact_in
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.units import Order
from agent.routing.plan import gas_raw_up

COIN = "eip155:1/erc20:0x1111111111111111111111111111111111111111"
NEAR = {WETH: 3000.0, DAI: 1.0, USDC: 1.0, COIN: 1.0}
NATIVE = "0.000333333333"
WAYS = (
    ((WETH, USDC),),
    ((WETH, DAI), (DAI, USDC)),
    ((WETH, COIN), (COIN, USDC)),
    ((WETH, COIN), (COIN, DAI), (DAI, USDC)),
    ((WETH, DAI), (DAI, COIN), (COIN, USDC)),
)


def market(draw: Random) -> MarketView:
    """A Curve pool of three dollars, each of which some pool of WETH may trade too."""
    pools: list[dict[str, Any]] = []
    for k, asset in enumerate((USDC, DAI, COIN)):
        if asset == USDC or draw.random() < 0.7:
            size = 10 ** draw.uniform(4, 7)
            pool = v2(f"{k:02x}", DAI if asset == COIN else asset, WETH, size, size / 3000)
            pool["assets"] = [asset, WETH]
            pools.append(pool)
    held = [10 ** draw.uniform(4, 6) for _ in range(3)]
    pools.append(
        {
            "id": "eip155:1/0xcc", "kind": "curve_stableswap", "assets": [DAI, USDC, COIN], "a": "200", "a_precision": "100",
            "balances_raw": [str(int(held[0] * 10**18)), str(int(held[1] * 10**6)), str(int(held[2] * 10**18))],
            "rates_1e18": [str(10**18), str(10**30), str(10**18)], "fee_1e10": "4000000", "admin_fee_1e10": "0", "gas": 150_000,
        }
    )  # fmt: skip
    made = document(pools)
    made["assets"].append({"id": COIN, "symbol": "COIN", "decimals": 18})
    return parse_market(made)


def drawn_net(view: MarketView, draw: Random, amount: int) -> int | None:
    """What a plan of one or two ways nets that goes forward, None where it does not execute."""
    states, used, turns, out, gas, left = dict(view.pools), set[Any](), set[Any](), 0, 0, amount
    for k in range(parts := draw.randint(1, 2)):
        held = left if k == parts - 1 else left * draw.randint(1, 99) // 100
        left -= held
        for given, got in draw.choice(WAYS):
            both = [n for n, p in states.items() if {given, got} <= set(p.assets)]
            if not both:
                return None
            pool = states[draw.choice(both)]
            swapped = swap_exact_in(pool, given, got, held)
            twice = (pool.id, given, got) in used or (got, given) in turns
            mixed = any(n == pool.id and (a == got or b == given) for n, a, b in used)
            if twice or mixed or isinstance(swapped, Reverted) or not swapped.complete:
                return None
            used.add((pool.id, given, got))
            turns.add((given, got))
            states[pool.id], held, gas = swapped.after, swapped.amount_out, gas + swapped.gas
        out += held
    return out - gas_raw_up(view, {next(iter(view.gas)): gas}, AssetId(USDC), NATIVE)


def holds(seed: int, plans: int) -> int:
    draw = Random(seed)
    view = market(draw)
    amount = int(10 ** draw.uniform(16, 21.5))
    setting = Setting(Order(view, AssetId(WETH), AssetId(USDC), amount, False, NATIVE))
    nets = [net for _ in range(plans) if (net := drawn_net(view, draw, amount)) is not None]
    for wild in (1e-4, 0.02, 1.0):
        prices = {
            AssetId(a): repr(NEAR[a] * 2.718 ** draw.uniform(-wild, wild)) for a in NEAR if a in setting.nodes
        }
        bound = setting.bound_raw(prices)
        told = setting.bound_raw(prices, max([0, *nets]))
        for net in nets:
            assert net <= min(bound, told)
    return len(nets)


@pytest.mark.parametrize("seed", range(20))
def test_no_drawn_plan_through_the_pool_nets_more_than_the_bound(seed: int) -> None:
    assert holds(seed, 60)


@pytest.mark.full
def test_no_drawn_plan_nets_more_in_many_such_markets() -> None:
    assert sum(holds(seed, 60) for seed in range(1000, 2500)) > 6_000


def test_what_is_sold_is_never_bought_from_the_pool_and_what_is_bought_never_sold_to_it() -> None:
    draw = Random(7)
    view = market(draw)
    while len(view.pools) < 4:
        view = market(draw)
    setting = Setting(Order(view, AssetId(DAI), AssetId(USDC), 10**21, False, NATIVE))
    sale = next(sale for sale in setting.sales if sale.edge.pool.id.endswith("cc"))
    names = {k: sale.edge.nodes[k] for k in range(3)}
    assert {names[k] for k in sale.edge.never_bought} >= {DAI}
    assert {names[k] for k in sale.edge.never_sold} >= {USDC}
