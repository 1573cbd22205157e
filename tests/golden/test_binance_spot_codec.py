"""Payloads in the documented form, read into nouns, and orders written as the documented parameters."""

from __future__ import annotations

import os
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.domain.errors import Halt, Reconcile, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.ports import VenueInstrument
from agent.transport import binance
from agent.venues import number
from agent.venues.binance_spot import codec

D = Decimal
ETH = VenueInstrument("ETHUSDC", "ETH", "USDC", D("0.01"), D("0.0001"), D("0.0001"), D(5), D(10), D(10))
READER = codec.Reader("paper", {"ETHUSDC": ETH})

PLACED = {
    "symbol": "ETHUSDC",
    "orderId": 77,
    "orderListId": -1,
    "clientOrderId": "fl-abc",
    "transactTime": 1700000000123,
    "price": "0.00000000",
    "origQty": "1.50000000",
    "executedQty": "1.50000000",
    "origQuoteOrderQty": "0.00000000",
    "cummulativeQuoteQty": "4499.75000000",
    "status": "FILLED",
    "timeInForce": "GTC",
    "type": "MARKET",
    "side": "SELL",
    "workingTime": 1700000000123,
    "selfTradePreventionMode": "EXPIRE_MAKER",
    "fills": [
        {"price": "3000.00000000", "qty": "1.00000000", "commission": "3.00000000", "commissionAsset": "USDC", "tradeId": 8},
        {"price": "2999.50000000", "qty": "0.50000000", "commission": "0.00200000", "commissionAsset": "BNB", "tradeId": 9},
    ],
}  # fmt: skip
REPORT: dict[str, Any] = {
    "e": "executionReport",
    "E": 1700000000200,
    "s": "ETHUSDC",
    "c": "fl-abc",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "2.00000000",
    "p": "3000.00000000",
    "P": "0.00000000",
    "F": "0.00000000",
    "g": -1,
    "C": "",
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "r": "NONE",
    "i": 78,
    "l": "0.30000000",
    "z": "0.80000000",
    "L": "2999.99000000",
    "n": "0.00030000",
    "N": "ETH",
    "T": 1700000000199,
    "t": 12,
    "w": True,
    "m": False,
    "M": False,
    "O": 1700000000100,
    "Z": "2399.99000000",
    "Y": "899.99700000",
    "Q": "0.00000000",
    "W": 1700000000100,
    "V": "NONE",
}


def test_a_placed_order_with_its_fills() -> None:
    order = READER.placed(PLACED)
    assert (order.cl_ord_id, order.venue_order_id, order.status) == ("fl-abc", "77", OrdStatus.FILLED)
    assert (order.px, order.cum_qty, order.side) == (None, D("1.5"), Side.SELL)
    first, second = order.fills
    assert (first.exec_id, first.place) == ("ETHUSDC:8", "cex:paper")
    assert (first.asset_in, first.qty_in, first.asset_out, first.qty_out) == (
        "cex:paper/ETH",
        D(1),
        "cex:paper/USDC",
        D(3000),
    )
    assert (second.fee_asset, second.fee_qty, second.qty_out) == ("cex:paper/BNB", D("0.002"), D("1499.75"))
    assert first.at_ns == 1_700_000_000_123_000_000


def test_a_trade_report_of_a_purchase() -> None:
    report = READER.report(REPORT)
    assert report is not None and report.fill is not None
    assert (report.exec_type, report.cl_ord_id, report.venue_order_id) == (ExecType.TRADE, "fl-abc", "78")
    assert (report.fill.qty_in, report.fill.qty_out) == (D("899.997"), D("0.3"))
    assert (report.fill.fee_asset, report.fill.fee_qty) == ("cex:paper/ETH", D("0.0003"))


def test_a_cancel_report_carries_the_order_s_own_id_in_another_field() -> None:
    report = READER.report(
        {**REPORT, "x": "CANCELED", "X": "CANCELED", "c": "cancel-1", "C": "fl-abc", "t": -1}
    )
    assert report is not None and report.fill is None
    assert (report.exec_type, report.cl_ord_id) == (ExecType.CANCELED, "fl-abc")


@pytest.mark.parametrize(
    ("status", "ours"), [("EXPIRED_IN_MATCH", OrdStatus.EXPIRED), ("PENDING_NEW", OrdStatus.PENDING_NEW)]
)
def test_statuses_that_have_other_names_here(status: str, ours: OrdStatus) -> None:
    assert READER.placed({**PLACED, "status": status, "fills": []}).status is ours


def test_what_is_not_as_documented_is_never_guessed() -> None:
    with pytest.raises(Halt):
        READER.report({**REPORT, "X": "NEW", "S": "HOLD"})
    with pytest.raises(Reconcile):  # the answer to a write: the order may stand
        READER.placed({**PLACED, "status": "SOMETHING_NEW"})
    with pytest.raises(Reconcile):
        binance.load(b"<html>", "the answer to a new order", write=True)


@pytest.mark.parametrize(
    ("code", "msg", "write", "kind", "name"),
    [
        (-1013, "Filter failure: LOT_SIZE", True, Reject, "FILTER_FAILURE"),
        (-2010, "Account has insufficient balance for requested action.", True, Reject, "NEW_ORDER_REJECTED"),
        (-2010, "Duplicate order sent.", True, Reconcile, "DUPLICATE_CLIENT_ID"),
        (-1007, "Timeout waiting for response from backend server.", True, Reconcile, "UNKNOWN_OUTCOME"),
        (-1007, "Timeout waiting for response from backend server.", False, Retry, "VENUE_1007"),
        (-1021, "Timestamp for this request is outside of the recvWindow.", True, Reject, "REQUEST_EXPIRED"),
        (-1021, "Timestamp for this request is outside of the recvWindow.", False, Retry, "REQUEST_EXPIRED"),
        (-1015, "Too many new orders.", True, Retry, "RATE_LIMITED"),
        (-2015, "Invalid API-key, IP, or permissions for action.", False, Reject, "API_KEY_REFUSED"),
        (-9999, "something else", True, Reject, "VENUE_9999"),
    ],
)
def test_each_refusal_has_its_verb(
    code: int, msg: str, write: bool, kind: type[Exception], name: str
) -> None:
    error = binance.error_of(binance.VenueSays(code, msg), write=write)
    assert type(error) is kind and error.code == name and msg in error.message


def test_an_order_as_it_is_written() -> None:
    order = VenueOrder(
        ClOrdId("fl-1"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.IOC, D("1.5000"), D("3000.10")
    )
    text = binance.query_string(codec.new_order_params(order, ETH))
    assert text == (
        "symbol=ETHUSDC&side=BUY&type=LIMIT&quantity=1.5&newClientOrderId=fl-1&newOrderRespType=FULL"
        "&timeInForce=IOC&price=3000.1"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.00010000", "0.0001"), ("1E+3", "1000"), ("100", "100"), ("0.10", "0.1"), ("25", "25")],
)
def test_numbers_are_plain_digits(value: str, text: str) -> None:
    assert number(D(value)) == text


def recorded() -> Path:
    root = Path(
        os.environ.get("FAIRLEAD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
    )
    path = root / "exchange-payloads" / "nautilus-lgpl.tar.zst"
    if not path.exists():
        pytest.skip(f"the recorded payloads are not here: {path}")
    return path


def test_recorded_payloads_are_understood() -> None:
    import zstandard

    quotes = ("USDT", "BTC", "USDC")
    files: dict[str, Any] = {}
    with recorded().open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if "/binance/spot/" in member.name and member.name.endswith(".json"):
                    data = archive.extractfile(member)
                    assert data is not None
                    files[member.name.rpartition("/")[2]] = orjson.loads(data.read())
    known: dict[str, VenueInstrument] = {}
    for symbol in ("BTCUSDT", "ETHUSDT", "LTCBTC", "ETHBTC", "BNBBTC"):
        quote = next(q for q in quotes if symbol.endswith(q))
        known[symbol] = VenueInstrument(
            symbol, symbol.removesuffix(quote), quote, D(1), D(1), D(0), D(0), D(0), D(0)
        )
    reader, read = codec.Reader("x", known), 0
    for name, data in files.items():
        if name.startswith("execution_report") and "metadata" not in name:
            report = reader.report(data.get("event", data))
            assert report is not None and (report.fill is None) is (report.exec_type is not ExecType.TRADE)
        elif name == "new_order_full_response.json":
            assert sum((f.qty_in for f in reader.placed(data).fills), D(0)) == D(data["executedQty"])
        elif name in ("open_orders_response.json", "all_orders_response.json"):
            assert reader.order(data[0]).cl_ord_id == data[0]["clientOrderId"]
        elif name == "cancel_order_response.json":
            assert reader.cancelled(data).cl_ord_id == data["origClientOrderId"]
        elif name == "account_trades_response.json":
            assert reader.trade(data[0])[2].fee_qty == D("10.1")
        elif name == "account_response.json":
            assert len(codec.balances(data, "x")) == 2 and codec.commission_bps(data) == (15, 15)
        elif name == "exchange_info_response.json":
            with_steps = [
                row["symbol"]
                for row in data["symbols"]
                if {"PRICE_FILTER", "LOT_SIZE"} <= {rule["filterType"] for rule in row["filters"]}
            ]
            assert list(codec.instruments(data, D(10), D(10))) == with_steps
        else:
            continue
        read += 1
    assert read >= 10
