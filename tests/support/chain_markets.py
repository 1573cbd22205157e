"""Small markets of pools that disagree, some of them of several assets, with plans and prices drawn over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from markets import DAI, USDC, WETH, document

from agent.amm import Reverted, swap_exact_in
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.chains import Chains, asset_of
from agent.routing.plan import gas_raw_up

ODD = "eip155:1/erc20:0x1111111111111111111111111111111111111111"
USDT = "eip155:1/erc20:0x2222222222222222222222222222222222222222"
NEAR = {WETH: 3000.0, DAI: 1.0, USDC: 1.0, USDT: 1.0, ODD: 2.0}
UNIT = {WETH: 18, DAI: 18, USDC: 6, USDT: 6, ODD: 18}
INNER = (DAI, USDT, ODD)


def pool(draw: Random, name: str, a: str, b: str, wild: float) -> dict[str, Any]:
    depth = 10 ** draw.uniform(3.5, 6.5)
    sizes = depth / NEAR[a] * 10 ** UNIT[a], depth / NEAR[b] * (1 + draw.uniform(-wild, wild)) * 10 ** UNIT[b]
    made = {"id": f"eip155:1/0x{name}", "assets": [a, b], "gas": draw.choice((0, 90_000))}
    raws = [str(int(size)) for size in sizes]
    if draw.random() < 0.3:
        return {**made, "kind": "balancer_v2_weighted", "balances_raw": raws, "weights_1e18": [str(5 * 10**17)] * 2, "fee_1e18": str(10**15)}  # fmt: skip
    return {**made, "kind": "uniswap_v2", "reserves_raw": raws, "fee_pips": draw.choice((100, 3000))}


def stable(draw: Random, name: str, assets: Sequence[str]) -> dict[str, Any]:
    balances = [str(int(10 ** draw.uniform(4.5, 6) / NEAR[a] * 10 ** UNIT[a])) for a in assets]
    rates = [str(int(NEAR[a] * 10**18)) for a in assets]
    return {"id": f"eip155:1/0x{name}", "assets": list(assets), "kind": "balancer_v2_stable", "balances_raw": balances, "a": "100", "a_precision": "1000",
            "fee_1e18": "400000000000000", "rates_1e18": rates, "gas": draw.choice((0, 90_000))}  # fmt: skip


def market(draw: Random) -> MarketView:
    pairs = [(WETH, DAI), (WETH, ODD), (DAI, ODD), (DAI, ODD), (USDT, ODD), (USDT, WETH), (ODD, USDC), (DAI, USDC), (USDT, USDC)]  # fmt: skip
    pools = [pool(draw, f"{k:02x}", *pair, draw.choice((0.01, 0.15))) for k, pair in enumerate(pairs)]
    joint = draw.choice(((DAI, USDC, ODD), (DAI, USDT, ODD), (DAI, USDC, USDT, ODD), (WETH, DAI, USDT, ODD)))
    made = document([*pools, stable(draw, "ee", joint)])
    made["assets"] = [a for a in made["assets"] if a["id"] not in (ODD, USDT)]
    made["assets"] += [{"id": ODD, "symbol": "ODD", "decimals": 18}, {"id": USDT, "symbol": "USDT", "decimals": 6}]  # fmt: skip
    return parse_market(json.loads(json.dumps(made)))


class Drawn(NamedTuple):
    """What a random plan nets and its legs: pool, sold, bought."""

    net: int
    legs: tuple[tuple[str, str, str], ...]


def drawn_plan(view: MarketView, draw: Random, amount: int, hops: int, native_px: str) -> Drawn | None:
    """A plan whose assets stand in one order, with chains of at most `hops` legs; None where it does not execute."""
    order = [WETH, *draw.sample(INNER, 3), USDC]
    states, held, gas = dict(view.pools), dict.fromkeys(order, 0), 0
    legs: list[tuple[str, str, str]] = []
    depth = {WETH: 0}
    used: dict[str, tuple[set[str], set[str]]] = {name: (set(), set()) for name in states}
    held[WETH] = amount
    for k, given in enumerate(order[:-1]):
        ways = [
            (name, got)
            for name, p in states.items()
            for got in order[k + 1 :]
            if {given, got} <= set(p.assets) and depth.get(given, hops) + 1 + (got != USDC) <= hops
        ]
        chosen = draw.sample(ways, min(draw.randint(1, 3), len(ways)))
        for n, (name, got) in enumerate(chosen):
            sold, bought = used[name]
            part = held[given] if n == len(chosen) - 1 else held[given] * draw.randint(0, 100) // 100
            if not part or given in bought or got in sold:
                continue
            swapped = swap_exact_in(states[name], given, got, part)
            if isinstance(swapped, Reverted) or not swapped.complete:
                return None
            held[given] -= part
            sold.add(given)
            bought.add(got)
            depth[got] = max(depth.get(got, 0), depth[given] + 1)
            states[name], gas = swapped.after, gas + swapped.gas
            legs.append((name, given, got))
            held[got] += swapped.amount_out
    net = held[USDC] - gas_raw_up(view, {next(iter(view.gas)): gas}, AssetId(USDC), native_px)
    return Drawn(net, tuple(legs))


def drawn_prices(of: Chains, draw: Random, wild: float) -> dict[AssetId, str]:
    """Prices around the true ones, none higher than where an asset can stand before."""
    near = {a: NEAR[a] * 2.718 ** draw.uniform(-wild, wild) for a in NEAR}
    found: dict[AssetId, float] = {}
    for names in of.names.values():
        for name in names:
            before = [found[n] for n in names if n in found and name in of.later[n]]
            found[name] = min([near[asset_of(name)], *before]) * 2.718 ** -abs(draw.uniform(0, wild / 3))
    return {name: repr(price) for name, price in found.items()}


__all__ = ["NEAR", "ODD", "UNIT", "USDT", "Drawn", "drawn_plan", "drawn_prices", "market"]
