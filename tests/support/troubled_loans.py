"""Aave V3 accounts with a health about one, drawn from a seed, and what their wallets hold: for tests and benchmarks of rescues."""

from __future__ import annotations

import random
from decimal import Decimal

from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_moves import ADD_COLLATERAL, REPAY
from agent.margin.ray import RAY
from agent.margin.rescue import Means

AT = 1_700_000_000
GAS = Decimal("3")


def account(seed: int) -> Account:
    """Two collaterals, two debts, interest on all of them, health anywhere about 1."""
    r = random.Random(seed)

    def row(asset: str, decimals: int, px: int, threshold: int, supply: int, debt: int) -> Reserve:
        index = RAY + r.randrange(RAY // 3)
        return Reserve(
            asset, decimals, px, threshold, threshold, threshold > 0, AT - r.randrange(1, 10**6), supply, index, RAY // 50,
            debt, index + r.randrange(RAY // 9), RAY // 20,
        )  # fmt: skip

    weth = row("weth", 18, r.randrange(1_500, 2_200) * 10**8 + 7, 8_250, r.randrange(10**18, 3 * 10**18), 0)
    wbtc = row("wbtc", 8, 60_000 * 10**8 + 3, 7_500, r.randrange(10**6), 0)
    usdc = row("usdc", 6, 10**8 - 5, 0, 0, r.randrange(1_500 * 10**6, 3_000 * 10**6))
    dai = row("dai", 18, 10**8 + 11, 0, 0, r.randrange(10**20))
    return Account((weth, wbtc, usdc, dai))


def means(r: random.Random) -> list[Means]:
    poor = r.choice((1, 1, 30))
    return [
        Means(REPAY, "usdc", r.randrange(3_000 * 10**6) // poor, GAS),
        Means(REPAY, "dai", r.randrange(10**20), GAS),
        Means(ADD_COLLATERAL, "weth", r.randrange(2 * 10**18) // poor, GAS),
        Means(REPAY, "usdc", r.randrange(3_000 * 10**6) // poor, 2 * GAS, 60, "wbtc"),
    ]
