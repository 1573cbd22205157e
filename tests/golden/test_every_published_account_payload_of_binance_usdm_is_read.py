"""Binance USD-M's published examples of an account's life: each is read by the codec that trades there, or is named as something else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from recordings import payloads

from agent.domain.errors import Halt
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side
from agent.ports import VenueInstrument
from agent.venues.binance_usdm import codec, stops

D = Decimal
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ETHUSDT_230630", "BTCUSDT_230630", "BTCUSDT_210326")
READER = codec.Reader("usdm", {s: VenueInstrument(s, s, "USDT", *[D(0)] * 6) for s in SYMBOLS})
OTHERS = {"account_update", "account_update_bnfcr", "algo_update_canceled", "algo_update_new", "trade_lite"}
"""Balances and positions, which are asked for; a condition's life; a fill told early and without its fee."""
OURS_BY_THE_EXCHANGE = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")


def test_each_answer_of_rest_is_read() -> None:
    found = payloads("binance/futures/http_json")
    order = READER.order(orjson.loads(found.pop("order_response")))
    assert (order.side, order.order_qty, order.px, order.status) == (
        Side.BUY,
        D("0.001"),
        D(50_000),
        OrdStatus.NEW,
    )
    (wallet,) = codec.balances(orjson.loads(found.pop("balance")), "usdm")
    assert (wallet.asset, wallet.free, wallet.locked) == ("cex:usdm/USDT", D("122.12345678"), 0)
    rows = [row | {"marginAsset": "USDT"} for row in orjson.loads(found.pop("position_risk"))]
    (held,) = codec.positions(rows, {"BTCUSDT": (D(20), False)}, "usdm")
    assert (held.qty, held.cost, held.entry_px, held.mark_px) == (D("0.001"), 50, 50_000, 51_000)
    (waiting,) = [stops.condition(row) for row in orjson.loads(found.pop("open_algo_orders"))]
    assert (waiting.waits, waiting.trigger_px, waiting.px) == (True, 45_000, None)
    assert set(found) == {"account_info_v2"}  # the older page: balances and positions in one


def test_each_event_of_the_account_is_read_and_the_exchanges_own_trades_are_fills() -> None:
    found = payloads("binance/futures/user_data_json")
    traded = {}
    for name, body in found.items():
        event = orjson.loads(body)
        if name in OTHERS:
            assert event["e"] != "ORDER_TRADE_UPDATE"
            continue
        report = READER.report(event)
        told = event["o"]
        if report is None:
            # a liquidation that has not traded yet, and a contract margined in the coin, which this interface does not have
            assert told["s"] not in SYMBOLS or (D(told["l"]) == 0 and told["x"] == "CALCULATED"), name
            continue
        assert report.cl_ord_id == told["c"] and report.venue_order_id == str(told["i"])
        if report.fill is None:
            assert report.exec_type is ExecType.NEW
            continue
        traded[name] = report.fill
        contracts = {report.fill.qty_in, report.fill.qty_out}
        assert contracts == {D(told["l"]), D(told["l"]) * D(told["L"])} and report.fill.fee_qty == D(
            told["n"]
        )
        assert report.fill.exec_id == f"{told['s']}:{told['t']}"
        if told["x"] == "CALCULATED":
            assert told["c"].startswith(OURS_BY_THE_EXCHANGE)
    assert {"order_update_trade", "order_update_calculated", "order_update_adl"} <= set(traded)


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({}, "sell 0.01 BNBUSDT once 750 is reached"),
        ({"orderType": "STOP_MARKET", "closePosition": True, "quantity": "0.00", "price": "0.000"}, "sell the whole position of BNBUSDT once 750 is reached"),
        ({"orderType": "TRAILING_STOP_MARKET", "triggerPrice": "0.000", "price": "0.000", "callbackRate": "1.0"}, "sell 0.01 BNBUSDT behind the market"),
    ],
)  # fmt: skip
def test_whatever_waits_for_a_price_is_read_also_where_it_has_no_quantity_or_price(
    changes: dict[str, Any], about: str
) -> None:
    """The documented answer of openAlgoOrders, and the kinds of it that others place."""
    row = {"algoId": 2148627, "clientAlgoId": "MRumok0dkhrP4kCm12AHaB", "algoType": "CONDITIONAL", "orderType": "TAKE_PROFIT", "symbol": "BNBUSDT", "side": "SELL", "positionSide": "BOTH", "timeInForce": "GTC", "quantity": "0.01", "algoStatus": "NEW", "actualOrderId": "", "actualPrice": "0.00000", "triggerPrice": "750.000", "price": "750.000", "workingType": "CONTRACT_PRICE", "closePosition": False, "priceProtect": False, "reduceOnly": False, "createTime": 1750485492076, "updateTime": 1750485492076, "triggerTime": 0, "goodTillDate": 0}  # fmt: skip
    found = stops.condition(row | changes)
    assert found.waits and (found.held().about, found.held().venue_order_id) == (about, "2148627")
    with pytest.raises(Halt):
        stops.condition(row | changes | {"algoStatus": "PENDING"})
    with pytest.raises(Halt):
        stops.condition(row | {"quantity": "0.00"})
