"""With two prices for every asset, before and after a hub, the bound still holds for any plan that goes forward, whatever the prices."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from markets import DAI, USDC, WETH, document, v2

from agent.amm import Reverted, swap_exact_in
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.check import check
from agent.routing.certificate.passing import Passing, after
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.native import native_price
from agent.routing.plan import gas_raw_up
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of

ODD = "eip155:1/erc20:0x1111111111111111111111111111111111111111"
NEAR = {WETH: 3000.0, DAI: 1.0, USDC: 1.0, ODD: 2.0}
UNIT = {WETH: 18, DAI: 18, USDC: 6, ODD: 18}


def pool(draw: Random, name: str, a: str, b: str, wild: float) -> dict[str, Any]:
    depth = 10 ** draw.uniform(4, 6.5)
    sizes = (
        depth / NEAR[a] * 10 ** UNIT[a],
        depth / NEAR[b] * (1 + draw.uniform(-wild, wild)) * 10 ** UNIT[b],
    )
    made = {"id": f"eip155:1/0x{name}", "assets": [a, b], "gas": draw.choice((0, 90_000))}
    raws = [str(int(size)) for size in sizes]
    if draw.random() < 0.3:
        return {**made, "kind": "balancer_v2_weighted", "balances_raw": raws, "weights_1e18": [str(5 * 10**17)] * 2, "fee_1e18": str(10**15)}  # fmt: skip
    return {**made, "kind": "uniswap_v2", "reserves_raw": raws, "fee_pips": draw.choice((100, 3000))}


def stable(draw: Random) -> dict[str, Any]:
    balances = [str(int(10 ** draw.uniform(4.5, 6) * 10 ** UNIT[a])) for a in (DAI, USDC, ODD)]
    rates = [str(10**18), str(10**18), str(2 * 10**18)]
    return {"id": "eip155:1/0xee", "assets": [DAI, USDC, ODD], "kind": "balancer_v2_stable", "balances_raw": balances, "a": "100", "a_precision": "1000",
            "fee_1e18": "400000000000000", "rates_1e18": rates, "gas": 90_000}  # fmt: skip


def market(draw: Random) -> MarketView:
    pairs = [(WETH, USDC), (WETH, DAI), (WETH, ODD), (DAI, ODD), (DAI, ODD), (DAI, USDC), (ODD, USDC)]
    pools = [pool(draw, f"{k:02x}", *pair, draw.choice((0.01, 0.15))) for k, pair in enumerate(pairs)]
    made = document([*pools, stable(draw)])
    made["assets"].append({"id": ODD, "symbol": "ODD", "decimals": 18})
    return parse_market(json.loads(json.dumps(made)))


def drawn_net(view: MarketView, draw: Random, amount: int, native_px: str) -> int | None:
    """What a random plan nets whose assets all stand in one order, None where it does not execute."""
    order = [WETH, *draw.sample([DAI, ODD], 2), USDC]
    states, held, gas = dict(view.pools), dict.fromkeys(order, 0), 0
    held[order[0]] = amount
    for k, given in enumerate(order[:-1]):
        ways = [
            (name, got)
            for name, p in states.items()
            for got in order[k + 1 :]
            if {given, got} <= set(p.assets)
        ]
        chosen = draw.sample(ways, min(draw.randint(1, 3), len(ways)))
        for n, (name, got) in enumerate(chosen):
            part = held[given] if n == len(chosen) - 1 else held[given] * draw.randint(0, 100) // 100
            held[given] -= part
            if not part:
                continue
            swapped = swap_exact_in(states[name], given, got, part)
            if isinstance(swapped, Reverted) or not swapped.complete:
                return None
            states[name], gas = swapped.after, gas + swapped.gas
            held[got] += swapped.amount_out
    return held[USDC] - gas_raw_up(view, {next(iter(view.gas)): gas}, AssetId(USDC), native_px)


def holds(seed: int, plans: int) -> int:
    draw = Random(seed)
    view = market(draw)
    amount = int(10 ** draw.uniform(15, 21.5))
    native = native_price(view, AssetId(USDC))
    setting = Setting(Order(view, AssetId(WETH), AssetId(USDC), amount, False, native))
    nets = [net for _ in range(plans) if (net := drawn_net(view, draw, amount, native)) is not None]
    for hub in (DAI, ODD):
        sides = Passing(setting, AssetId(hub))
        for wild in (0.0, 0.01, 0.2):
            near = {AssetId(a): NEAR[a] * 2.718 ** draw.uniform(-wild, wild) for a in NEAR}
            prices = {a: repr(px) for a, px in near.items()}
            for node, name in sides.split.items():
                prices[name] = repr(near[node] * 2.718 ** -abs(draw.uniform(0, wild)))
            wide = sides.bound_raw(prices)
            assert all(net <= wide for net in nets)
            if nets:
                # Knowing the best of them tightens the bound, up to the two hundredth of the gap at which its rounds end.
                best = max(max(nets), 0)
                assert max(nets) <= sides.bound_raw(prices, best) <= wide + (wide - best) // 200
    return len(nets)


@pytest.mark.parametrize("seed", range(40))
def test_drawn_plans_never_net_more_than_the_bound_of_drawn_prices(seed: int) -> None:
    holds(seed, 40)


@pytest.mark.full
def test_drawn_plans_never_net_more_in_many_markets() -> None:
    assert sum(holds(seed, 60) for seed in range(1000, 3000)) > 50_000


def torn_route() -> tuple[MarketView, dict[str, Any]]:
    """ODD is worth 1 WETH in one pool and 1.1 in another: the circle back to WETH is no plan, and the hub proves that."""
    pools = [v2("aa", USDC, WETH, 3_000_000, 1_000), v2("bb", DAI, WETH, 3_000_000, 1_000)]
    for name, other, odd, size in (("cc", WETH, 1000, 1000), ("dd", WETH, 1000, 1100), ("ee", USDC, 100, 300_000), ("ff", DAI, 100, 300_000)):  # fmt: skip
        raws = [str(odd * 10**18), str(size * 10 ** UNIT[other])]
        pools.append({"id": f"eip155:1/0x{name}", "kind": "uniswap_v2", "assets": [ODD, other], "reserves_raw": raws, "fee_pips": 3000, "gas": 90_000})  # fmt: skip
    made = document(pools)
    made["assets"].append({"id": ODD, "symbol": "ODD", "decimals": 18})
    view = parse_market(json.loads(json.dumps(made)))
    # Of chains as long as these nothing shorter is proved: the hub has to.
    problem = pose(view, AssetId(USDC), AssetId(DAI), 20_000 * 10**6, max_hops=9)
    return view, json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))


def test_the_hub_proves_more_and_the_check_follows() -> None:
    view, route = torn_route()
    proof = route["certificate"]
    assert proof["branches"][0]["hub"] == WETH and check(route, view).valid
    order = Order(view, AssetId(USDC), AssetId(DAI), int(route["in_raw"]), False, route["costs"]["native_px"])
    assert int(proof["bound_raw"]) < Setting(order).bound_raw(proof["prices"], int(route["net_out_raw"]))


def test_a_hub_that_was_tampered_with_is_refused() -> None:
    view, route = torn_route()
    inner = next(iter(route["certificate"]["branches"][0]["after"]))
    for change in ("source", "none", "dearer", "missing", "gone", "text"):
        other = copy.deepcopy(route)
        passing = other["certificate"]["branches"][0]
        if change == "source":
            passing["hub"] = USDC
        elif change == "none":
            passing["hub"] = "nothing"
        elif change == "dearer":
            passing["after"] = {a: repr(float(px) * 2) for a, px in passing["prices"].items()}
        elif change == "missing":
            del passing["after"][inner]
        elif change == "gone":
            other["certificate"]["branches"] = []
        else:
            other["certificate"]["branches"] = ["WETH"]
        other["certificate"]["seal"] = seal_of(other)
        assert not check(other, view).valid, change


def test_a_hub_at_an_end_of_the_order_is_no_hub() -> None:
    view, route = torn_route()
    order = Order(view, AssetId(USDC), AssetId(DAI), int(route["in_raw"]), False, route["costs"]["native_px"])
    setting = Setting(order)
    for end in (USDC, DAI):
        with pytest.raises(Reject):
            Passing(setting, AssetId(end))
    assert after(AssetId(WETH)) not in Passing(setting, AssetId(WETH)).nodes
