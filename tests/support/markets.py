"""Small made-up markets for tests: pools of every kind, books, and whole random views, all deterministic in their inputs."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import Any

from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.market.write import plain

WETH = "eip155:1/erc20:0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
USDC = "eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
DAI = "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f"
BASE_WETH = "eip155:8453/erc20:0x4200000000000000000000000000000000000006"
BASE_USDC = "eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
CEX_ETH, CEX_USDC = "cex:paper/ETH", "cex:paper/USDC"
DECIMALS = {WETH: 18, USDC: 6, DAI: 18, BASE_WETH: 18, BASE_USDC: 6, CEX_ETH: 18, CEX_USDC: 6}
SYMBOLS = {
    WETH: "WETH",
    USDC: "USDC",
    DAI: "DAI",
    BASE_WETH: "WETH",
    BASE_USDC: "USDC",
    CEX_ETH: "ETH",
    CEX_USDC: "USDC",
}
Q96 = 1 << 96


def v2(
    name: str, a: str, b: str, whole_a: float, whole_b: float, fee_pips: int = 3000, gas: int = 90_000
) -> dict[str, Any]:
    reserves = [str(int(whole_a * 10 ** DECIMALS[a])), str(int(whole_b * 10 ** DECIMALS[b]))]
    place = a.partition("/")[0]
    return {"id": f"{place}/0x{name}", "kind": "uniswap_v2", "assets": [a, b], "reserves_raw": reserves, "fee_pips": fee_pips, "gas": gas}  # fmt: skip


def v3(
    name: str, a: str, b: str, px: float, liquidity: int, fee_pips: int = 500, spacing: int = 10
) -> dict[str, Any]:
    """`px` is whole `b` per whole `a`, `a` being token0; three nested positions around it."""
    from agent.amm.ticks import tick_at_sqrt_price

    raw = px * 10.0 ** (DECIMALS[b] - DECIMALS[a])
    price = int(raw**0.5 * Q96)
    tick = tick_at_sqrt_price(price)
    nets: dict[int, int] = {}
    for width, part in ((20_000, 2), (2_000, 3), (300, 5)):
        low = (tick - width) // spacing * spacing
        high = (tick + width) // spacing * spacing + spacing
        nets[low] = nets.get(low, 0) + liquidity * part // 10
        nets[high] = nets.get(high, 0) - liquidity * part // 10
    active = sum(net for at, net in nets.items() if at <= tick)
    return {
        "id": f"{a.partition('/')[0]}/0x{name}", "kind": "uniswap_v3", "assets": [a, b], "fee_pips": fee_pips,
        "tick_spacing": spacing, "sqrt_price_x96": str(price), "tick": tick, "liquidity": str(active),
        "ticks": [[at, str(nets[at])] for at in sorted(nets)], "gas": 110_000, "gas_per_tick": 31_000,
    }  # fmt: skip


def book(
    px: str = "3000", size: str = "2", levels: int = 10, lot: str = "0.001", min_notional: str = "5"
) -> dict[str, Any]:
    mid, tick = Decimal(px), Decimal("0.01")
    return {
        "venue": "paper", "symbol": "ETH/USDC", "base": CEX_ETH, "quote": CEX_USDC, "taker_fee_bps": "10", "lot": lot,
        "tick": "0.01", "min_notional": min_notional,
        "bids": [[plain(mid - tick * (10 + 30 * k)), size] for k in range(levels)],
        "asks": [[plain(mid + tick * (10 + 30 * k)), size] for k in range(levels)],
    }  # fmt: skip


def document(pools: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    gas = {"block": 1, "base_fee_wei": "10000000000", "priority_fee_wei": "1000000000"}
    return {
        "fairlead": "market/1",
        "at": {"eip155:1": {**gas, "native_as": WETH}, "eip155:8453": {**gas, "base_fee_wei": "10000000", "native_as": BASE_WETH}},
        "reference_px_native": {USDC: "0.000333333333", WETH: "1"},
        "assets": [{"id": a, "symbol": SYMBOLS[a], "decimals": d} for a, d in DECIMALS.items()],
        "equivalents": [[WETH, BASE_WETH, CEX_ETH], [USDC, BASE_USDC, CEX_USDC]],
        "pools": pools,
        **more,
    }  # fmt: skip


def three_places(**more: Any) -> dict[str, Any]:
    """Two pools and a detour over DAI on chain 1, one pool on Base, a book at an exchange."""
    pools = [
        v2("aa", USDC, WETH, 3_001_200, 1_000),
        v3("bb", USDC, WETH, 1 / 3000, 20_000_000_000_000_000),
        v2("cc", DAI, WETH, 900_000, 300),
        v2("dd", DAI, USDC, 2_000_000, 2_000_000, fee_pips=500),
        v3("ee", BASE_WETH, BASE_USDC, 3000.4, 8_000_000_000_000_000),
    ]
    return document(pools, books=[book()], **more)


def random_market(seed: int) -> MarketView:
    """A few pools of several kinds and depths around one price, perhaps a book, no place twice the same."""
    draw = Random(seed)
    pools: list[dict[str, Any]] = []
    for k in range(draw.randint(1, 7)):
        px = 3000 * (1 + draw.uniform(-0.004, 0.004))
        depth = 10 ** draw.uniform(1, 4)
        kind = draw.choice(("v2", "v3", "dai", "base"))
        if kind == "v2":
            pools.append(v2(f"{k:02x}", USDC, WETH, depth * px, depth, draw.choice((500, 3000, 10_000))))
        elif kind == "v3":
            pools.append(
                v3(f"{k:02x}", USDC, WETH, 1 / px, int(depth * 10**13), draw.choice((100, 500, 3000)))
            )
        elif kind == "base":
            pools.append(v3(f"{k:02x}", BASE_WETH, BASE_USDC, px, int(depth * 10**13), 500))
        else:
            pools.append(v2(f"{k:02x}a", DAI, WETH, depth * px, depth))
            pools.append(v2(f"{k:02x}b", DAI, USDC, depth * px, depth * px, 100))
    pools.append(v2("ff", USDC, WETH, 3_000_000, 1_000))
    books = (
        [book(size=str(round(draw.uniform(0.1, 5), 3)), lot=draw.choice(("0.0001", "0.01", "1")))]
        if draw.random() < 0.7
        else []
    )
    inventory = {WETH: "400", BASE_WETH: str(draw.randint(0, 20)), CEX_ETH: str(draw.randint(0, 15))}
    return parse_market(json.loads(json.dumps(document(pools, books=books, inventory=inventory))))
