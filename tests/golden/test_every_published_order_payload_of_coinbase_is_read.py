"""Coinbase's recorded orders, fills, accounts and products are read exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
from recordings import payloads

from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.venues.coinbase import codec

D = Decimal
FOUND = payloads("coinbase")


def told(name: str) -> Any:
    return codec.result(200, FOUND[name], name)


ROWS = orjson.loads(FOUND["http_products"])["products"]
ETH = ROWS[0] | {"product_id": "ETH-USD", "base_currency_id": "ETH"}
MARKETS = codec.markets({"products": [*ROWS, ETH, *told("http_products_future")["products"]]}, D(60), D(100))
READER = codec.Reader("coinbase", MARKETS)


def test_spot_products_are_markets_and_futures_are_not() -> None:
    assert set(MARKETS) == {"BTC-USD", "BTC-USDC", "ETH-USD"}
    at = MARKETS["BTC-USD"]
    assert (at.base, at.quote, at.tick, at.lot, at.min_notional) == ("BTC", "USD", D("0.01"), D("1e-8"), 1)
    shut = [row | {"cancel_only": True} for row in ROWS]
    assert codec.markets({"products": shut}, D(60), D(100)) == {}


def test_orders_are_read_and_one_for_an_amount_of_the_quote_is_what_was_filled_of_it() -> None:
    one = READER.order(told("http_order")["order"])
    assert (one.status, one.order_qty, one.cum_qty, one.px) == (OrdStatus.PARTIALLY_FILLED, D("0.001"), D("0.001"), 10_000)  # fmt: skip
    assert one.cl_ord_id == "coinbase-0000-000000-000000" and one.side is Side.BUY
    orders = [READER.order(row) for row in told("http_orders_list")["orders"] if READER.knows(row)]
    assert [(o.symbol, o.status, o.order_qty, o.px) for o in orders] == [
        ("BTC-USD", OrdStatus.NEW, D("0.01"), D(45_000)),
        ("ETH-USD", OrdStatus.FILLED, D("0.0325"), None),
    ]
    waits = told("http_orders_list")["orders"][1] | {"filled_size": "0", "status": "PENDING"}
    assert not READER.knows(waits)  # of no quantity yet


def test_fills_are_gross_and_their_commission_is_in_the_quote() -> None:
    read = [READER.fill(row) for row in told("http_fills")["fills"]]
    bought, sold = (one[1] for one in read if one is not None)
    assert (bought.qty_in, bought.qty_out, bought.fee_qty) == (D("225.61725"), D("0.005"), D("1.14"))
    assert (sold.asset_in, sold.qty_in, sold.qty_out) == ("cex:coinbase/ETH", D("0.0325"), D("99.9999"))
    assert {bought.fee_asset, sold.fee_asset} == {"cex:coinbase/USD"}
    assert bought.exec_id == "BTC-USD:22222-2222222-22222222" and bought.at_ns == 1_705_314_600_000_000_000
    in_quote = told("http_fills")["fills"][0] | {"size_in_quote": True, "size": "100", "price": "30000"}
    found = READER.fill(in_quote)
    assert found is not None and (found[1].qty_in, found[1].qty_out) == (100, D("0.003333333333333333"))
    assert READER.fill(in_quote | {"trade_type": "REVERSAL"}) is None


def test_accounts_are_read_to_the_last_digit() -> None:
    held = {one.asset: one for one in codec.balances(told("http_accounts")["accounts"], "coinbase")}
    btc, usd = held["cex:coinbase/BTC"], held["cex:coinbase/USD"]  # type: ignore[index]
    assert (btc.free, btc.locked) == (D("1.23456789"), D("0.005"))
    assert (usd.free, usd.locked) == (D("10000.50"), 450)
