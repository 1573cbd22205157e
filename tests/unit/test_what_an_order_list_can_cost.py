"""The signer counts a list as the orders it can become, and refuses what could be read as something else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from chains.errors import Denied
from keys.signer import exchange
from keys.signer.exchange_orders import SymbolLimit, is_order, judge

NOW_MS = 1_700_000_000_000
LIMITS = {"ETHUSDC": SymbolLimit(Decimal(30_000), Decimal(100_000), Decimal(1_500), Decimal(6_000))}
PAIR = (
    "aboveType=LIMIT_MAKER&abovePrice=3300&aboveClientOrderId=a"
    "&belowType=STOP_LOSS_LIMIT&belowStopPrice=2900&belowPrice=2890&belowTimeInForce=GTC&belowClientOrderId=b"
)
OCO = f"symbol=ETHUSDC&listClientOrderId=l&side=SELL&quantity=2&{PAIR}"
WORKING = "workingType=LIMIT&workingSide=BUY&workingPrice=3000&workingQuantity=2&workingTimeInForce=GTC"
OTOCO = f"symbol=ETHUSDC&{WORKING}&pendingSide=SELL&pendingQuantity=2&" + PAIR.replace(
    "above", "pendingAbove"
).replace("below", "pendingBelow")
OTO = f"symbol=ETHUSDC&{WORKING}&pendingType=STOP_LOSS_LIMIT&pendingSide=SELL&pendingQuantity=2&pendingStopPrice=2900&pendingPrice=2890&pendingTimeInForce=GTC"


def checked(path: str, query: str) -> dict[str, str]:
    dated = f"{query}&timestamp={NOW_MS}"
    return exchange.check("binance", (), "POST", f"/api/v3/orderList/{path}", dated, now_ms=NOW_MS)


def cost(path: str, query: str, spent: str = "0") -> Decimal:
    values = checked(path, query)
    assert is_order(values)
    return judge(values, LIMITS, {"ETHUSDC": Decimal(spent)}, NOW_MS).cost


def test_of_a_pair_the_dearer_counts_and_of_what_follows_an_entry_besides() -> None:
    assert cost("oco", OCO) == 12_000  # two ETH given away while they are worth px_to
    assert cost("oto", OTO) == 18_000
    assert cost("otoco", OTOCO) == 18_000
    assert cost("oco", OCO.replace("SELL", "BUY").replace("abovePrice=3300", "abovePrice=5000")) == 10_000


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (OCO.replace("quantity=2", "quantity=6"), "EXCHANGE_PER_ORDER"),
        (OCO.replace("belowPrice=2890", "belowPrice=1"), "EXCHANGE_COLLAR"),
        (OCO.replace("STOP_LOSS_LIMIT", "STOP_LOSS").replace("&belowPrice=2890", ""), "EXCHANGE_MARKET"),
        (OCO.replace("belowType=STOP_LOSS_LIMIT", "belowType=MARKET"), "EXCHANGE_LIST"),
        (OCO.replace("&belowStopPrice=2900", ""), "EXCHANGE_LIST"),
        (OCO + "&type=LIMIT&price=2000&timeInForce=GTC", "EXCHANGE_LIST"),
        (OCO + "&" + WORKING, "EXCHANGE_LIST"),
        (OCO.replace("&side=SELL", ""), "EXCHANGE_LIST"),
        (OTOCO + "&side=SELL", "EXCHANGE_LIST"),
        (OCO + "&stopPrice=3", "EXCHANGE_LIST"),
        (OCO + "&trailingDelta=3", "EXCHANGE_ORDER"),
        ("symbol=ETHUSDC&quantity=1&side=SELL&aboveType=LIMIT_MAKER&abovePrice=3300", "EXCHANGE_LIST"),
        (OCO.replace("symbol=ETHUSDC", "symbol=BTCUSDC"), "EXCHANGE_LIMITS"),
    ],
)
def test_what_costs_too_much_or_is_no_list_is_refused(query: str, code: str) -> None:
    with pytest.raises(Denied) as refused:
        cost("oco", query)
    assert refused.value.code == code


def test_lists_count_against_the_day() -> None:
    with pytest.raises(Denied, match="24 hours"):
        cost("oco", OCO, "90000")


def test_a_list_may_be_cancelled_and_no_parameter_of_it_opens_a_way_out() -> None:
    query = f"symbol=ETHUSDC&listClientOrderId=l&timestamp={NOW_MS}"
    found = exchange.check("binance", (), "DELETE", "/api/v3/orderList", query, now_ms=NOW_MS)
    assert not is_order(found)
    with pytest.raises(Denied, match="parameter"):
        checked("oco", OCO + "&address=0x00")
