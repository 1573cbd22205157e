"""The signer's own limits on orders at an exchange: what is counted of an order, what is refused, and that a day is any 24 hours."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from chains.errors import Denied, Halt, Usage
from keys.settings import signer_settings
from keys.signer import exchange
from keys.signer.exchange_orders import SymbolLimit, day_usd_up, is_order, judge
from keys.signer.ledger import SpendLedger

NOW_MS = 1_800_000_000_000
LIMIT = SymbolLimit(Decimal(6_000), Decimal(15_000), Decimal(1_000), Decimal(10_000))
LIMITS = {"ETHUSDC": LIMIT}


def order(**changes: str) -> dict[str, str]:
    fields = {"symbol": "ETHUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "1", "price": "3000"}  # fmt: skip
    fields |= {"timestamp": str(NOW_MS)} | changes
    return {name: value for name, value in fields.items() if value}


def refused(values: dict[str, str], limits: dict[str, SymbolLimit] = LIMITS, spent: str = "0") -> str:
    with pytest.raises(Denied) as error:
        judge(values, limits, {"ETHUSDC": Decimal(spent)}, NOW_MS)
    assert error.value.hint
    return error.value.code


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({}, "3000"),
        ({"price": "5999.99"}, "5999.99"),
        ({"side": "SELL", "quantity": "0.6"}, "6000"),
        ({"side": "SELL", "quantity": "0.3", "price": "20000"}, "6000"),
        (
            {"type": "LIMIT_MAKER", "timeInForce": "", "quantity": "0.00000001", "price": "0.01"},
            "0.0000000001",
        ),
    ],
)
def test_an_order_counts_as_all_that_can_be_lost_by_it(changes: dict[str, str], cost: str) -> None:
    assert judge(order(**changes), LIMITS, {}, NOW_MS).cost == Decimal(cost)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "BTCUSDC"}, "EXCHANGE_LIMITS"),
        ({"symbol": ""}, "EXCHANGE_LIMITS"),
        ({"quantity": "2.01"}, "EXCHANGE_PER_ORDER"),
        ({"side": "SELL", "quantity": "0.61"}, "EXCHANGE_PER_ORDER"),
        ({"side": "SELL", "price": "999.99", "quantity": "0.1"}, "EXCHANGE_COLLAR"),
        ({"price": "10000.01", "quantity": "0.1"}, "EXCHANGE_COLLAR"),
        ({"type": "MARKET", "price": ""}, "EXCHANGE_MARKET"),
        ({"type": "STOP_LOSS_LIMIT"}, "EXCHANGE_ORDER"),
        ({"stopPrice": "1"}, "EXCHANGE_ORDER"),
        ({"newQty": "1"}, "EXCHANGE_ORDER"),
        ({"quoteOrderQty": "1"}, "EXCHANGE_ORDER"),
        ({"side": "S"}, "EXCHANGE_ORDER"),
        ({"quantity": "1e9"}, "EXCHANGE_ORDER"),
        ({"quantity": "0"}, "EXCHANGE_ORDER"),
        ({"price": ""}, "EXCHANGE_ORDER"),
        ({"price": "-1"}, "EXCHANGE_ORDER"),
        ({"recvWindow": "5001"}, "EXCHANGE_WINDOW"),
        ({"recvWindow": "5000.5"}, "EXCHANGE_WINDOW"),
        ({"timestamp": str(NOW_MS + 1_001)}, "EXCHANGE_AHEAD"),
    ],
)
def test_what_has_no_bound_or_is_beyond_it_is_refused(changes: dict[str, str], code: str) -> None:
    assert refused(order(**changes)) == code


def test_market_orders_pass_only_where_allowed_and_bounded() -> None:
    allowed = {"ETHUSDC": SymbolLimit(Decimal(6_000), Decimal(15_000), Decimal(1_000), Decimal(10_000), market=True)}  # fmt: skip
    sale = order(type="MARKET", side="SELL", price="", timeInForce="", quantity="0.5")
    assert judge(sale, allowed, {}, NOW_MS).cost == 5_000
    purchase = order(type="MARKET", price="", timeInForce="", quantity="", quoteOrderQty="6000")
    assert judge(purchase, allowed, {}, NOW_MS).cost == 6_000
    for unbounded in (purchase | {"side": "SELL"}, sale | {"side": "BUY"}, sale | {"quoteOrderQty": "1"}):
        assert refused(unbounded, allowed) == "EXCHANGE_MARKET"
    assert refused(sale) == "EXCHANGE_MARKET"


def test_an_order_is_one_wherever_it_says_it_goes() -> None:
    query = "&".join(f"{name}={value}" for name, value in order().items())
    for method, path in (("GET", "/api/v3/account"), ("POST", "/api/v3/order/test"), ("WS", "order.test")):
        assert is_order(exchange.check("binance", (), method, path, query, now_ms=NOW_MS))
    plain = f"symbol=ETHUSDC&orderId=1&recvWindow=60000&timestamp={NOW_MS}"
    assert not is_order(exchange.check("binance", (), "DELETE", "/api/v3/order", plain, now_ms=NOW_MS))


def test_a_day_is_any_24_hours_and_outlives_the_process(tmp_path: Path) -> None:
    path, at = tmp_path / "ledger.jsonl", 1_000_000
    ledger = SpendLedger(path)
    for n, (venue, cost, when) in enumerate(
        [("paper", "6000", at), ("paper", "6000.5", at + 50_000), ("other", "7", at + 50_000)]
    ):
        facts = {"venue": venue, "endpoint": "POST /api/v3/order", "symbol": "ETHUSDC", "cost": cost}
        ledger.record("exchange", f"o{n}", f"d{n}", when, facts)
    ledger.record("exchange", "cancel", "d", at, {"venue": "paper", "endpoint": "DELETE /api/v3/order"})
    ledger.close()
    again = SpendLedger(path)
    assert again.ordered("paper", at) == {"ETHUSDC": Decimal("12000.5")}
    assert again.ordered("paper", at + 1) == {"ETHUSDC": Decimal("6000.5")}
    assert refused(order(), spent="12000.5") == "EXCHANGE_PER_DAY"
    assert judge(order(quantity="0.9"), LIMITS, again.ordered("paper", at), NOW_MS).cost == 2_700
    facts = {"venue": "paper", "endpoint": "POST /api/v3/order", "symbol": "ETHUSDC", "cost": "much"}
    again.head = "0" * 64
    again.close()
    lines = path.read_text().splitlines()
    bad = json.loads(lines[-1]) | facts
    path.write_text("\n".join([*lines[:-1], json.dumps(bad)]) + "\n")
    with pytest.raises(Halt, match="does not follow"):
        SpendLedger(path)


def test_the_days_cost_is_told_in_dollars_rounded_up() -> None:
    other = SymbolLimit(Decimal(1), Decimal("10.001"), Decimal(1), Decimal(2), Decimal("1.1"))
    assert day_usd_up({"ETHUSDC": LIMIT, "ETHEUR": other}) == Decimal("15011.01")
    assert day_usd_up({}) == 0


def test_limits_are_read_from_the_signers_file_and_mistakes_are_named() -> None:
    one = {"per_order": "6000", "per_day": "15000", "px_from": "1000", "px_to": "10000"}
    door = {"dialect": "binance", "api_key": "env:K", "secret": "env:S", "symbols": ["ETHUSDC"]}

    def read(limits: object, **more: object) -> object:
        venue = door | {"limits": limits} | more
        data = {
            "environment": "devnet",
            "ledger": "l",
            "keystore": "k",
            "chains": [],
            "exchanges": {"paper": venue},
        }
        return signer_settings(data).exchanges["paper"].limits

    assert read({"ETHUSDC": one}) == LIMITS
    for limits, more, words in (
        ({"ETHUSDC": one | {"px_to": "1000"}}, {}, "px_to must be above px_from"),
        ({"ETHUSDC": one | {"per_day": 15_000}}, {}, "per_day must be a decimal number as a text"),
        ({"ETHUSDC": one | {"per_dey": "1"}}, {}, "did you mean per_day"),
        ({"BTCUSDC": one}, {}, "is not among the symbols"),
        ({"ETHUSDC": one}, {"repeats": 0}, "repeats must be 1 or more"),
    ):
        with pytest.raises(Usage, match=words):
            read(limits, **more)
