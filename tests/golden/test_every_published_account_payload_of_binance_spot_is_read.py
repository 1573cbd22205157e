"""Binance Spot's published examples of an account's life: each is read by the codec that trades there, or is named as something else."""

from __future__ import annotations

from decimal import Decimal

import orjson
from recordings import payloads

from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side
from agent.ports import VenueInstrument
from agent.venues.binance_spot import codec

D = Decimal


class Pairs(dict[str, VenueInstrument]):
    """Any symbol, its last three or four letters the quote."""

    def __missing__(self, symbol: str) -> VenueInstrument:
        base, quote = symbol[:-3], symbol[-3:]
        if symbol.endswith("USDT"):
            base, quote = symbol[:-4], "USDT"
        return VenueInstrument(symbol, base, quote, D(0), D(0), D(0), D(0), D(0), D(0))


READER = codec.Reader("binance", Pairs())
MARKET = {"depth_response", "exchange_info_response", "trades_response", "book_ticker_response", "ticker_24hr_response", "ticker_price_response"}  # fmt: skip
NEITHER = {"avg_price_response", "klines_response", "ping_response", "server_time_response"}
"""An average, candles, nothing, the time."""


def test_each_answer_of_rest_is_read() -> None:
    found = payloads("binance/spot/http_json")
    read = set()
    for name, body in found.items():
        data = orjson.loads(body)
        if name in ("all_orders_response", "open_orders_response"):
            orders = [READER.order(row) for row in data]
            assert [o.status for o in orders] == [OrdStatus.NEW] and orders[0].cum_qty == 0
        elif name == "order_response":
            order = READER.order(data)
            assert (order.side, order.order_qty, order.px) == (Side.BUY, D("1.0"), D("0.1"))
        elif name == "new_order_full_response":
            placed = READER.placed(data)
            assert placed.cum_qty == sum(READER.base_qty(fill) for fill in placed.fills) == 10
        elif name == "cancel_order_response":
            assert READER.cancelled(data).status is OrdStatus.CANCELED
        elif name == "cancel_open_orders_response":
            ended = [READER.cancelled(row) for row in data if "origClientOrderId" in row]
            assert ended and {o.status for o in ended} == {OrdStatus.CANCELED}
        elif name == "account_trades_response":
            number, _, fill = READER.trade(data[0])
            assert number == "100234" and fill.qty_out == 12 and fill.qty_in == D("48.000012")
        elif name == "account_response":
            held = {b.asset: b.free for b in codec.balances(data, "binance")}
            assert held["cex:binance/BTC"] == D("4723846.89208129")  # type: ignore[index]
            assert codec.commission_bps(data) == (15, 15)
        else:
            continue
        read.add(name)
    assert set(found) == read | MARKET | NEITHER


def test_each_event_of_the_user_stream_is_read() -> None:
    found = payloads("binance/spot/user_data_json")
    told: dict[str, ExecType] = {}
    for name, body in found.items():
        data = orjson.loads(body)
        event = data.get("event", data)
        if event["e"] == "executionReport":
            report = READER.report(event)
            assert report is not None
            told[name] = report.exec_type
            assert (report.fill is not None) is (report.exec_type is ExecType.TRADE)
        else:  # balances are read over REST, order lists are not placed
            assert event["e"] in ("outboundAccountPosition", "balanceUpdate", "listStatus")
    assert told == {
        "execution_report_new": ExecType.NEW,
        "execution_report_stop_loss": ExecType.NEW,
        "execution_report_trade": ExecType.TRADE,
        "execution_report_canceled": ExecType.CANCELED,
        "execution_report_expired": ExecType.EXPIRED,
        "execution_report_wrapped": ExecType.NEW,
    }
