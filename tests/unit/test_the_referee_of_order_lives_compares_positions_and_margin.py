"""What the referee of `fairlead chaos exchange` says of an account of contracts: of a sound one nothing, of each difference its name."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from agent.app.chaos.exchange.referee import Judge

ORDER = {"clientOrderId": "USDC-1 fl-a", "orderId": 1, "executedQty": "2", "status": "EXPIRED"}
TRADE = {
    "orderId": 1,
    "id": 7,
    "symbol": "ETHUSDC",
    "qty": "2",
    "price": "3000",
    "isBuyer": False,
    "commission": "6",
}
TRUTH: dict[str, Any] = {
    "orders": [ORDER],
    "trades": [TRADE],
    "balances": {"k": [{"asset": "USDC", "free": "9994", "locked": "0"}]},
    "margin": {"k": {"positions": {"ETHUSDC": ["-2", "-6000"]}, "available": {"USDC": "9694"}}},
}
NAME = "ETH_USDC-PERPETUAL"
TOLD: dict[str, Any] = {
    "dialect": "deribit",
    "parents": [{"case": 4, "id": "p", "qty": "2.0", "status": "FILLED", "why": ""}],
    "parts": [
        {
            "id": "fl-a",
            "parent": "p",
            "status": "CANCELED",
            "sent": True,
            "fills": [[f"{NAME}:USDC-7", "2", "6000", "6"]],
        }
    ],
    "holdings": {"cex:paper/USDC": "5994", f"cex:paper/{NAME}": "-2"},
    "deposits": {"USDC": "10000"},
    "read": {"balances": {"cex:paper/USDC": ["9694", "300"]}, "positions": {NAME: ["-2", "3000"]}},
}


def rules(told: dict[str, Any], truth: dict[str, Any]) -> list[str]:
    judge = Judge()
    judge.lane(told, truth)
    return [found["rule"] for found in judge.violations]


def test_a_short_position_that_is_told_as_it_stands_is_sound() -> None:
    assert rules(TOLD, TRUTH) == []


@pytest.mark.parametrize(
    ("where", "value", "rule"),
    [
        (("holdings", f"cex:paper/{NAME}"), "2", "other-balance"),
        (("holdings", "cex:paper/USDC"), "-6", "other-balance"),
        (("read", "positions"), {}, "other-position"),
        (("read", "positions"), {NAME: ["-2", "3000.01"]}, "other-position"),
        (("read", "balances"), {"cex:paper/USDC": ["9994", "0"]}, "other-margin"),
        (("read",), None, "not-read"),
        (("dialect",), "binance_usdm", "sent-elsewhere"),
    ],
)
def test_each_difference_is_named(where: tuple[str, ...], value: object, rule: str) -> None:
    told = deepcopy(TOLD)
    last = told
    for name in where[:-1]:
        last = last[name]
    last[where[-1]] = value
    found = rules(told, TRUTH)
    if rule == "sent-elsewhere":  # by another exchange's words nothing of it is known
        assert {"unknown-order", "no-such-order"} <= set(found)
    else:
        assert found == [rule]


def test_a_coin_of_a_spot_account_is_no_position() -> None:
    told: dict[str, Any] = {
        "dialect": "binance_spot", "parents": [], "parts": [], "holdings": {}, "deposits": {"ETH": "5"},
        "read": {"balances": {"cex:paper/ETH": ["4", "1"]}, "positions": {}},
    }  # fmt: skip
    truth = {"orders": [], "trades": [], "balances": {"k": [{"asset": "ETH", "free": "5", "locked": "0"}]}}
    assert rules(told, truth) == ["other-margin"]
    told["read"]["balances"] = {"cex:paper/ETH": ["5", "0"]}
    assert rules(told, truth) == []
