"""Kraken's recorded orders, trades, accounts and pairs are read exactly, under the names that its answers mix."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from recordings import payloads

from agent.domain.errors import Halt
from agent.domain.ids import ClOrdId, as_uuid, in_16_bytes
from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.venues.kraken import codec

D = Decimal
FOUND = payloads("kraken")
OURS = ClOrdId("fl-xukefzbt73x7y7hptv2l")


def told(name: str) -> Any:
    return codec.result(FOUND[name], name)


MARKETS = codec.Markets()
MARKETS.read(told("http_asset_pairs"), D(40), D(80))
READER = codec.Reader("kraken", MARKETS)


def test_a_pair_is_called_as_on_the_socket_and_known_by_every_other_name() -> None:
    market = MARKETS.by_symbol["BTC/USDT"]
    at = market.instrument
    assert (market.pair, at.base, at.quote, at.tick, at.lot) == (
        "XBTUSDT",
        "BTC",
        "USDT",
        D("0.1"),
        D("1e-8"),
    )
    assert (at.taker_fee_bps, at.maker_fee_bps) == (40, 25) and at.min_qty > 0 and at.min_notional > 0
    assert MARKETS.by_name["XBT/USDT"] is MARKETS.by_name["XBTUSDT"] is market
    assert MARKETS.asset("XXBT") == "BTC" and MARKETS.asset("KFEE") == "KFEE"


def test_open_and_ended_orders_are_read() -> None:
    rows = told("http_open_orders")["open"]
    orders = {txid: READER.order(txid, row) for txid, row in rows.items() if READER.knows(row)}
    rests = orders["O26VBY-ISGAE-JP5TLU"]
    assert (rests.status, rests.px, rests.order_qty, rests.cum_qty) == (OrdStatus.NEW, 29_500, D("0.5"), 0)
    assert rests.cl_ord_id == "kraken-O26VBY-ISGAE-JP5TLU" and rests.at_ns == 1_688_583_840_864_800_000
    closed = told("http_closed_orders")["closed"]["O5KZFT-GH3AD-LP6TLU"]
    done = READER.order("O5KZFT-GH3AD-LP6TLU", closed)
    assert (done.status, done.cum_qty, done.at_ns) == (OrdStatus.FILLED, D("0.5"), 1_688_590_000_543_200_000)
    for form in (as_uuid(OURS), in_16_bytes(OURS).hex(), as_uuid(OURS).upper()):
        assert READER.order("O", closed | {"cl_ord_id": form}).cl_ord_id == OURS


def test_a_trade_is_what_the_venue_booked_and_its_number_is_its_name() -> None:
    rows = dict(codec.in_order(told("http_trades_history")["trades"]))
    read = READER.fill("TCCCTY-WJ6EO-4FP4VZ", rows["TCCCTY-WJ6EO-4FP4VZ"])
    assert read is not None
    txid, fill = read
    assert (txid, fill.exec_id) == ("O26VBY-ISGAE-JP5TLU", "BTC/USDT:TCCCTY-WJ6EO-4FP4VZ")
    assert (fill.qty_in, fill.qty_out, fill.fee_qty) == (D("14750.25"), D("0.5"), D("23.60"))
    assert (fill.asset_in, fill.fee_asset) == ("cex:kraken/USDT", "cex:kraken/USDT")
    rounded = rows["TCCCTY-WJ6EO-4FP4VZ"] | {"price": "0.333333", "vol": "0.1", "cost": "0.03333"}
    told_cost = READER.fill("T", rounded)
    assert told_cost is not None and told_cost[1].qty_in == D("0.03333")
    with pytest.raises(Halt):  # no rounding makes that of it
        READER.fill("T", rounded | {"cost": "0.05"})


def test_what_is_held_is_read_to_the_last_digit_and_what_orders_hold_is_locked() -> None:
    plain = {name: {"balance": qty, "hold_trade": "0"} for name, qty in told("http_spot_balance").items()}
    held = {one.asset: one for one in codec.balances(plain, MARKETS, "kraken")}
    assert held["cex:kraken/BTC"].free == D("0.5")  # type: ignore[index]
    two_names = {"XXBT": {"balance": "1.5", "hold_trade": "0.4"}, "XBT": {"balance": "1"}}
    (both,) = codec.balances(two_names, MARKETS, "kraken")
    assert (both.asset, both.free, both.locked) == ("cex:kraken/BTC", D("2.1"), D("0.4"))


def test_the_answers_to_orders_and_cancels_are_read() -> None:
    assert told("http_add_order_spot")["txid"] == ["OUF4EM-FRGI2-MQMWZD"]
    assert told("http_cancel_order_spot") == {"count": 1}
    assert codec.server_ms(told("http_server_time")) == 1_762_820_224_500
    assert READER.order("O", told("http_closed_orders")["closed"]["O5KZFT-GH3AD-LP6TLU"]).side is Side.BUY
