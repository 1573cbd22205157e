"""Contracts: what the signer's judge lets through, how it counts an order, an amendment and a condition, and what it never signs."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlencode

import pytest

from chains.errors import Denied
from keys.settings import signer_settings
from keys.signer import binance_usdm, exchange, exchange_orders
from keys.signer.exchange_orders import SymbolLimit

NOW_MS = 1_800_000_000_000
LIMITS = {"ETHUSDT": SymbolLimit(Decimal(6_000), Decimal(15_000), Decimal(1_000), Decimal(10_000))}
ORDER = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTX", "quantity": "1", "price": "3000", "newClientOrderId": "fl-a", "newOrderRespType": "RESULT", "reduceOnly": "true"}  # fmt: skip


def asked(endpoint: str, fields: dict[str, str]) -> str:
    """What it costs, "" for what is no order. Raises Denied."""
    method, _, path = endpoint.partition(" ")
    query = urlencode({**{k: v for k, v in fields.items() if v}, "timestamp": NOW_MS})
    values = exchange.check(
        binance_usdm.DIALECT, (), method, path, query, now_ms=NOW_MS, symbols=frozenset(LIMITS)
    )
    if not exchange_orders.is_order(values):
        return ""
    return f"{exchange_orders.judge(binance_usdm.plain(values), LIMITS, {}, NOW_MS).cost:f}"


@pytest.mark.parametrize(
    ("endpoint", "changes", "cost"),
    [
        ("POST /fapi/v1/order", {}, "3000"),
        ("POST /fapi/v1/order", {"side": "SELL", "quantity": "0.5"}, "5000.0"),
        ("PUT /fapi/v1/order", {"type": "", "newClientOrderId": "", "origClientOrderId": "fl-a", "quantity": "0.5"}, "5000.0"),
        ("PUT /fapi/v1/order", {"type": "", "newClientOrderId": "", "orderId": "7", "side": "SELL", "quantity": "0.5"}, "5000.0"),
        ("POST /fapi/v1/algoOrder", {"type": "STOP", "algoType": "CONDITIONAL", "triggerPrice": "2900"}, "3000"),
        ("POST /fapi/v1/algoOrder", {"type": "TAKE_PROFIT", "algoType": "CONDITIONAL", "triggerPrice": "2900", "side": "SELL", "quantity": "0.1"}, "1000.0"),
    ],
)  # fmt: skip
def test_an_order_counts_as_all_that_can_be_lost_by_it(
    endpoint: str, changes: dict[str, str], cost: str
) -> None:
    assert asked(endpoint, ORDER | changes) == cost


@pytest.mark.parametrize(
    ("endpoint", "changes", "code"),
    [
        ("POST /fapi/v1/order", {"quantity": "2.1"}, "EXCHANGE_PER_ORDER"),
        ("POST /fapi/v1/order", {"price": "10001", "quantity": "0.1"}, "EXCHANGE_COLLAR"),
        ("POST /fapi/v1/order", {"type": "MARKET", "price": "", "timeInForce": ""}, "EXCHANGE_MARKET"),
        ("POST /fapi/v1/algoOrder", {"type": "STOP_MARKET", "price": "", "triggerPrice": "2900"}, "EXCHANGE_MARKET"),
        # said to be a purchase for nothing, and the order that it changes may be a sale of two
        ("PUT /fapi/v1/order", {"type": "", "newClientOrderId": "", "origClientOrderId": "fl-a", "price": "0.01", "quantity": "2"}, "EXCHANGE_COLLAR"),
        ("PUT /fapi/v1/order", {"type": "", "newClientOrderId": "", "origClientOrderId": "fl-a", "quantity": "2"}, "EXCHANGE_PER_ORDER"),
        ("POST /fapi/v1/order", {"type": "STOP"}, "EXCHANGE_ORDER"),
        ("POST /fapi/v1/order", {"type": ""}, "EXCHANGE_ORDER"),
        ("POST /fapi/v1/order", {"closePosition": "true"}, "EXCHANGE_PARAMETER"),
        ("POST /fapi/v1/order", {"priceMatch": "OPPONENT"}, "EXCHANGE_PARAMETER"),
        ("POST /fapi/v1/order", {"positionSide": "LONG"}, "EXCHANGE_PARAMETER"),
        ("POST /fapi/v1/order", {"symbol": "DOGEUSDT"}, "EXCHANGE_SYMBOL"),
        ("GET /fapi/v1/userTrades", {"quantity": "9"}, "EXCHANGE_PER_ORDER"),  # an order's words open the door to trade
    ],
)  # fmt: skip
def test_what_is_no_plain_order_within_its_limits_is_refused(
    endpoint: str, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(Denied) as refused:
        asked(endpoint, ORDER | changes)
    assert refused.value.code == code and refused.value.hint


NEVER = (
    "POST /fapi/v1/leverage", "POST /fapi/v1/marginType", "POST /fapi/v1/positionMargin", "POST /fapi/v1/positionSide/dual",
    "POST /fapi/v1/multiAssetsMargin", "POST /fapi/v1/batchOrders", "POST /sapi/v1/futures/transfer", "POST /sapi/v1/asset/transfer",
    "POST /sapi/v1/capital/withdraw/apply", "POST /sapi/v1/sub-account/futures/transfer", "POST /fapi/v1/feeBurn", "POST /api/v3/order",
)  # fmt: skip


@pytest.mark.parametrize("endpoint", NEVER)
def test_leverage_margin_modes_transfers_and_withdrawals_are_never_signed(endpoint: str) -> None:
    for fields in ({}, {"symbol": "ETHUSDT"}):
        with pytest.raises(Denied) as refused:
            asked(endpoint, fields)
        assert refused.value.code in ("EXCHANGE_UNLISTED", "EXCHANGE_WITHDRAWAL")


@pytest.mark.parametrize("name", "leverage marginType amount asset type2 dualSidePosition multiAssetsMargin toEmail address network orderList batchOrders".split())  # fmt: skip
def test_no_parameter_of_theirs_is_signed_under_another_name(name: str) -> None:
    with pytest.raises(Denied) as refused:
        asked("GET /fapi/v1/order", {"symbol": "ETHUSDT", name: "1"})
    assert refused.value.code == "EXCHANGE_PARAMETER"


def test_the_settings_know_the_dialect_and_how_often_a_signature_is_good() -> None:
    of = {"api_key": "env:K", "secret": "env:S"}
    base = {"environment": "devnet", "ledger": "/x/l", "keystore": "/x/k", "chains": []}
    for dialect, repeats in (("binance", 200), ("binance_usdm", binance_usdm.REPEATS)):
        read = signer_settings(base | {"exchanges": {"x": {"dialect": dialect, **of}}})  # type: ignore[arg-type]
        assert read.exchanges["x"].repeats == repeats
