"""What the referee of `fairlead chaos exchange` says of an account of contracts: of a sound one nothing, of each difference its name."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from agent.app.chaos.exchange.referee import Judge
from agent.app.testvenue.dydx_wire import fill_number
from agent.domain.ids import ClOrdId, as_uuid, part_id
from agent.venues.dydx.codec import client_id

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
NAME_OF_OURS = part_id(ClOrdId("c-a"), "cex:paper", 1)
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


@pytest.mark.parametrize(
    ("dialect", "number", "exec_id", "ended"),
    [
        ("kraken", as_uuid(NAME_OF_OURS), "ETH/USDC:T00007-SELLS-EXCHNG", "CANCELED"),
        ("coinbase", as_uuid(NAME_OF_OURS), "ETH-USDC:00000007-5555-4000-8000-000000000000", "CANCELED"),
        ("dydx", f"uuid {client_id(NAME_OF_OURS)} 0 9 1", f"ETH-USD:{fill_number(1, 7)}", "CANCELED"),
    ],
)
def test_an_order_and_its_fill_are_known_by_what_each_exchange_calls_them(
    dialect: str, number: str, exec_id: str, ended: str
) -> None:
    told, truth = deepcopy(TOLD), deepcopy(TRUTH)
    truth["orders"][0]["clientOrderId"] = number
    part = told["parts"][0] | {"id": NAME_OF_OURS, "status": ended, "fills": [[exec_id, "2", "6000", "6"]]}
    told |= {"dialect": dialect, "parts": [part]}
    if dialect == "dydx":
        told["holdings"] = {"cex:paper/USDC": "5994", "cex:paper/ETH-USD": "-2"}
        told["read"]["positions"] = {"ETH-USD": ["-2", "3000"]}
        # what is told of a position by its price of entry alone may be off by half of that price's last place for each contract
        told["read"]["balances"] = {"cex:paper/USDC": ["9694", "300.00000002"]}
    else:
        del truth["margin"]
        truth["balances"] = {"k": [{"asset": a, "free": q, "locked": "0"} for a, q in (("USDC", "15994"), ("ETH", "8"))]}  # fmt: skip
        told["deposits"]["ETH"] = "10"
        told["holdings"] = {"cex:paper/USDC": "5994", "cex:paper/ETH": "-2"}
        told["read"] = {"balances": {"cex:paper/USDC": ["15994", "0"], "cex:paper/ETH": ["8", "0"]}, "positions": {}}  # fmt: skip
    assert rules(told, truth) == []
    told["parts"][0]["id"] = "fl-another"
    assert {"unknown-order", "no-such-order"} <= set(rules(told, truth))


def test_where_the_fee_comes_on_top_no_more_is_bought_for_it() -> None:
    told, truth = deepcopy(TOLD), deepcopy(TRUTH)
    told["parents"][0]["qty"] = "1.9985"  # and 2 were traded
    assert rules(told, truth) == ["too-much"]


def test_a_coin_of_a_spot_account_is_no_position() -> None:
    told: dict[str, Any] = {
        "dialect": "binance_spot", "parents": [], "parts": [], "holdings": {}, "deposits": {"ETH": "5"},
        "read": {"balances": {"cex:paper/ETH": ["4", "1"]}, "positions": {}},
    }  # fmt: skip
    truth = {"orders": [], "trades": [], "balances": {"k": [{"asset": "ETH", "free": "5", "locked": "0"}]}}
    assert rules(told, truth) == ["other-margin"]
    told["read"]["balances"] = {"cex:paper/ETH": ["5", "0"]}
    assert rules(told, truth) == []


# ---------------------------------------------------------------------- exits, which a journal has as one order

PAIR = part_id(ClOrdId("c-exits"), "cex:paper", 1)


def of_a_list(sold: str, ends: tuple[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An entry of 2 that was filled, and its exits, of which the first sold `sold`."""
    entry = {"clientOrderId": NAME_OF_OURS, "orderId": 1, "executedQty": "2", "status": "FILLED"}
    exits = [
        {"clientOrderId": f"{PAIR}{leg}", "orderId": number, "executedQty": done, "status": end}
        for number, leg, done, end in ((2, "-a", sold, ends[0]), (3, "-b", "0", ends[1]))
    ]
    bought = TRADE | {"isBuyer": True, "commission": "0"}
    trade = TRADE | {"orderId": 2, "id": 8, "qty": sold, "commission": "0"}
    left, money = str(7 - Decimal(sold)), str(4000 + 3000 * Decimal(sold))
    rows = [{"asset": a, "free": q, "locked": "0"} for a, q in (("USDC", money), ("ETH", left))]
    truth = {"orders": [entry, *exits], "trades": [bought, trade], "balances": {"k": rows}}
    worth = str(3000 * Decimal(sold))
    parts = [
        {"id": NAME_OF_OURS, "parent": "p", "status": "FILLED", "sent": True, "fills": [["ETHUSDC:7", "6000", "2", "0"]]},
        {"id": PAIR, "parent": "q", "status": "FILLED", "sent": True, "fills": [["ETHUSDC:8", sold, worth, "0"]]},
    ]  # fmt: skip
    parents = [
        {"case": 4, "id": "p", "qty": "2", "status": "FILLED", "why": ""},
        {"case": 4, "id": "q", "qty": sold, "status": "FILLED", "why": "", "exits_of": "p"},
    ]
    told = {
        "dialect": "binance_spot",
        "parents": parents,
        "parts": parts,
        "holdings": {"cex:paper/USDC": str(Decimal(money) - 10_000), "cex:paper/ETH": str(Decimal(left) - 5)},
        "deposits": {"USDC": "10000", "ETH": "5"},
        "read": {"balances": {"cex:paper/USDC": [money, "0"], "cex:paper/ETH": [left, "0"]}, "positions": {}},
    }
    return told, truth


def test_exits_are_one_order_of_which_one_trades_and_no_more_than_came() -> None:
    told, truth = of_a_list("2", ("FILLED", "EXPIRED"))
    assert rules(told, truth) == []
    for status in ("CANCELED", "EXPIRED"):
        other = deepcopy(told)
        other["parts"][1]["status"] = status
        assert rules(other, truth) == ["other-end"]
    assert rules(*of_a_list("3", ("FILLED", "EXPIRED"))) == ["more-than-came"]
    told, truth = of_a_list("2", ("FILLED", "NEW"))
    assert rules(told, truth) == ["other-end"], "the other stands there still, and could sell a second time"
    truth["orders"][2]["status"] = "EXPIRED"
    truth["orders"].append(truth["orders"][2] | {"orderId": 9})
    assert rules(told, truth) == ["sent-twice"]
