"""A Compound III market counts in what its feeds say: dollars at one, ether at another. Limits are dollars, so its unit is priced by our own sources."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest

from agent.app.lenders.lender import SeenLoan
from agent.app.rescue.sight import Sight
from agent.margin.compound_v3 import MODEL, Account

BASE = "eip155:1/erc20:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"


def sight(base_price_1e8: int, prices: dict[str, Decimal]) -> Sight:
    account = Account(BASE, 18, base_price_1e8, -(10**18), 10**15, 10**15, 0, 0, ())
    one = SeenLoan("loan", cast(Any, None), None, account, MODEL, None, {BASE: "WETH"})
    nothing = cast(Any, None)
    return Sight(nothing, nothing, nothing, one, {}, {}, nothing, 0, prices, ())


@pytest.mark.parametrize(
    ("base_price_1e8", "own", "unit"),
    [(10**8, "3000", "3000"), (3_000 * 10**8, "3000", "1"), (2 * 10**8, "3000", "1500")],
)
def test_the_unit_is_our_own_price_over_the_markets(base_price_1e8: int, own: str, unit: str) -> None:
    assert sight(base_price_1e8, {"WETH": Decimal(own)}).unit_usd == Decimal(unit)


def test_without_a_price_nothing_is_paid() -> None:
    assert sight(10**8, {}).unit_usd is None
    assert sight(0, {"WETH": Decimal(3_000)}).unit_usd is None
