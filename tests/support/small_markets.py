"""Markets of five pools of any kind between three assets, around their usual prices."""

from __future__ import annotations

from random import Random
from typing import Any

from markets import DAI, USDC, WETH, document, v2, v3

from agent.market.file import parse_market
from agent.market.view import MarketView

NEAR = {WETH: 3000.0, DAI: 1.0, USDC: 1.0}


def any_kind(draw: Random, name: str, a: str, b: str) -> dict[str, Any]:
    """A pool of two of the three assets of a kind drawn at random, around their usual prices."""
    depth = 10 ** draw.uniform(4, 7)
    off = 1 + draw.uniform(-0.01, 0.01)
    in_a, in_b = depth / NEAR[a], depth / NEAR[b] * off
    plain = v2(name, a, b, in_a, in_b, draw.choice((100, 3000, 10_000)), draw.choice((0, 90_000)))
    balances = plain["reserves_raw"]
    kinds = ["v2", "v3", "weighted", "solidly_volatile"]
    if {a, b} == {DAI, USDC}:
        kinds += ["curve", "balancer", "solidly_stable"] * 2
    kind = draw.choice(kinds)
    base = {"id": plain["id"], "assets": [a, b], "gas": plain["gas"]}
    if kind == "v2":
        return plain
    if kind == "v3":
        # Token 0 is the one whose price is told per unit.
        return v3(name, a, b, NEAR[a] / NEAR[b] * off, int(depth * 10**9), draw.choice((100, 500, 3000)))
    if kind == "weighted":
        w = draw.choice((5, 8, 2, 1)) * 10**17
        low = str(int(int(balances[1]) * (10**18 - w) // w))
        return {**base, "kind": "balancer_v2_weighted", "balances_raw": [balances[0], low], "weights_1e18": [str(w), str(10**18 - w)], "fee_1e18": "1000000000000000"}  # fmt: skip
    if kind in ("solidly_volatile", "solidly_stable"):
        return {**base, "kind": kind, "reserves_raw": balances, "fee_1e4": str(draw.choice((0, 1, 30)))}
    skew = [str(int(int(balances[0]) * draw.uniform(0.2, 1))), balances[1]]
    amp = {
        "balances_raw": skew,
        "a": str(draw.choice((1, 50, 2000))),
        "a_precision": "100",
        "rates_1e18": [str(10**18)] * 2,
    }
    if kind == "curve":
        return {
            **base,
            **amp,
            "kind": "curve_stableswap",
            "fee_1e10": "4000000",
            "admin_fee_1e10": "5000000000",
        }
    return {**base, **amp, "kind": "balancer_v2_stable", "a_precision": "1000", "fee_1e18": "400000000000000"}


def small_market(draw: Random) -> MarketView:
    pairs = [(USDC, WETH), (USDC, WETH), (WETH, DAI), (DAI, USDC), (DAI, USDC)]
    return parse_market(document([any_kind(draw, f"{k:02x}", *pair) for k, pair in enumerate(pairs)]))
