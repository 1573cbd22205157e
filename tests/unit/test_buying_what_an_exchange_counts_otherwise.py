"""An exchange keeps eight decimals of a token the chain keeps six of: a purchase is guessed in whole units, not in either's."""

from __future__ import annotations

import json

import pytest

from agent.domain.instruments import AssetId
from agent.market.file import parse_text
from agent.routing.buy import route_buy

WETH, USDC = "eip155:1/erc20:0x" + "a1" * 20, "eip155:1/erc20:0x" + "b2" * 20
CEX_ETH, CEX_USDC = "cex:paper/ETH", "cex:paper/USDC"
MARKET = {
    "fairlead": "market/1",
    "at": {"eip155:1": {"block": 1, "base_fee_wei": "1", "priority_fee_wei": "1", "native_as": WETH}},
    "assets": [
        {"id": WETH, "symbol": "ETH", "decimals": 18},
        {"id": USDC, "symbol": "USDC", "decimals": 6},
        {"id": CEX_ETH, "symbol": "ETH", "decimals": 8},
        {"id": CEX_USDC, "symbol": "USDC", "decimals": 8},
    ],
    "equivalents": [[WETH, CEX_ETH], [USDC, CEX_USDC]],
    "inventory": {WETH: "60", CEX_ETH: "12"},
    "pools": [
        {"id": "eip155:1/0x" + "c3" * 20, "kind": "uniswap_v2", "assets": [WETH, USDC],
         "reserves_raw": [str(10_000 * 10**18), str(30_000_000 * 10**6)], "fee_pips": 3000, "gas": 90000}
    ],
    "books": [
        {"venue": "paper", "symbol": "ETH/USDC", "base": CEX_ETH, "quote": CEX_USDC, "taker_fee_bps": "10", "lot": "0.0001", "tick": "0.01",
         "min_notional": "5", "bids": [["2999.90", "100"]], "asks": [["3000.10", "100"]]}
    ],
}  # fmt: skip


@pytest.mark.parametrize("dollars", [10, 100, 3_000, 30_000])
@pytest.mark.parametrize("dearest", [True, False])
def test_small_purchases_find_their_route(dollars: int, dearest: bool) -> None:
    """Named by either of its places, the asset bought is the same and so is what is paid, within a hundredth."""
    view = parse_text(json.dumps(MARKET).encode())
    sell, buy, unit = (WETH, USDC, 10**6) if dearest else (CEX_ETH, CEX_USDC, 10**8)
    route = route_buy(view, AssetId(sell), AssetId(buy), dollars * unit, cross_domain=True)
    paid = route.in_raw / 10 ** (18 if dearest else 8) * 3000
    assert route.out_raw >= dollars * unit
    assert dollars <= paid <= dollars * 1.01
