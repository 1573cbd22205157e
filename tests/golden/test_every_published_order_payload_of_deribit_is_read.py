"""Deribit's recorded orders, refusals, accounts and instruments are read exactly; a fill of dollars of a coin is rounded against us."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from recordings import payloads

from agent.domain.errors import Retry
from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.venues.deribit import codec, combos

D = Decimal
FOUND = payloads("deribit")


def known(*names: str) -> dict[str, codec.Market]:
    found: dict[str, codec.Market] = {}
    for name in names:
        told = codec.result(FOUND[name], name)
        found |= codec.markets(told if isinstance(told, list) else [told], D(3), D(5))
    return found


MARKETS = known("http_get_instruments", "http_get_instrument_option")
PERP = codec.result(FOUND["http_get_instrument"], "x") | {"instrument_name": "ETH_USDC-PERPETUAL", "instrument_type": "linear", "settlement_currency": "USDC"}  # fmt: skip
READER = codec.Reader("deribit", MARKETS | codec.markets([PERP], D(3), D(5)))


def test_futures_and_options_are_markets_and_combos_are_not() -> None:
    perpetual, option = MARKETS["BTC-PERPETUAL"], MARKETS["BTC-27DEC24-100000-C"]
    assert perpetual.inverse and (perpetual.instrument.lot, perpetual.px_tick) == (10, D("0.5"))
    assert perpetual.instrument.tick == D("1e-18"), "dollars are priced in the coin"
    assert (perpetual.instrument.base, perpetual.settle) == ("BTC-PERPETUAL", "BTC")
    assert (perpetual.instrument.taker_fee_bps, perpetual.instrument.maker_fee_bps) == (5, 0)
    assert not option.inverse and (option.instrument.lot, option.instrument.tick) == (D("0.1"), D("0.0005"))
    assert known("http_get_instruments_option_combo", "http_get_instruments_future_combo") == {}


def combo_of(kind: str, name: str) -> codec.Market:
    """A recorded combo with its recorded legs, which are made of the recorded instrument of their kind."""
    (row,) = [
        r for r in codec.result(FOUND[f"http_get_instruments_{kind}"], "x") if r["instrument_name"] == name
    ]
    (details,) = [r for r in codec.result(FOUND["http_get_combos"], "x") if r["id"] == name]
    like = codec.result(FOUND["http_get_instrument" if kind == "future_combo" else "http_get_instrument_option"], "x")  # fmt: skip
    rows = [like | {"instrument_name": leg["instrument_name"], "settlement_currency": "BTC", "is_active": True} for leg in details["legs"]]  # fmt: skip
    LEGS.update(codec.markets(rows, D(3), D(5)))
    return combos.market(row, details, LEGS)


LEGS: dict[str, codec.Market] = {}


@pytest.mark.parametrize(
    ("kind", "name", "legs", "tick"),
    [
        ("option_combo", "BTC-CS-19MAY26-70000_75000", {"BTC-19MAY26-70000-C": 1, "BTC-19MAY26-75000-C": -1}, "0.0001"),
        ("future_combo", "BTC-FS-19MAY26_PERP", {"BTC-19MAY26": 1, "BTC-PERPETUAL": -1}, "0.5"),
    ],
)  # fmt: skip
def test_a_recorded_combo_is_its_legs(kind: str, name: str, legs: dict[str, int], tick: str) -> None:
    market = combo_of(kind, name)
    assert dict(market.legs) == legs and market.settle == "BTC"
    assert market.inverse == (kind == "future_combo") and market.instrument.tick == D(tick)
    recorded = codec.result(FOUND["http_get_combos"], "x")
    assert combos.listed(recorded)[name] == legs and len(combos.listed(recorded)) == len(recorded)
    assert combos.listed([{**row, "state": "inactive"} for row in recorded]) == {}
    assert combos.NAME.fullmatch(name) and not any(combos.NAME.fullmatch(leg) for leg in legs)


@pytest.mark.parametrize("trades", ["option_combo", "historical_combo", "future_combo"])
def test_a_recorded_trade_of_a_combo_is_filled_in_its_legs_at_prices_that_add_up(trades: str) -> None:
    rows = codec.result(FOUND[f"http_get_last_trades_{trades}"], "x")["trades"]
    like = {"fee": D("0.00003"), "fee_currency": "BTC"}
    for row in rows:
        for leg in row["legs"]:
            option = leg["instrument_name"].endswith("-C")
            LEGS.setdefault(leg["instrument_name"], MARKETS["BTC-27DEC24-100000-C" if option else "BTC-PERPETUAL"])  # fmt: skip
        known = {n: replace(m, instrument=replace(m.instrument, symbol=n, base=n)) for n, m in LEGS.items()}
        mine = row | {"order_id": "7", "label": "fl-x", "legs": [leg | like for leg in row["legs"]]}
        found = combos.fills(codec.Reader("deribit", known), mine)
        assert [(name, number) for name, number, _ in found] == [("fl-x", "7")] * 2
        assert {fill.exec_id for *_, fill in found} == {f"{leg['instrument_name']}:{leg['trade_id']}" for leg in row["legs"]}  # fmt: skip
        signs = {leg["instrument_name"]: 1 if leg["direction"] == row["direction"] else -1 for leg in row["legs"]}  # fmt: skip
        apart = sum(leg["price"] * signs[leg["instrument_name"]] for leg in row["legs"])
        assert abs(apart) == row["price"] or trades == "historical_combo"  # which was put together by hand
        assert all(combos.combo_of(leg) == (row["instrument_name"], row["trade_id"]) for leg in row["legs"])
        assert combos.combo_of(row) is None


def test_each_answer_to_an_order_is_read() -> None:
    for name in ("ws_order_buy_response", "ws_order_sell_response", "ws_order_edit_response"):
        placed = READER.placed(codec.result(FOUND[name], name, write=True))
        assert placed.status is OrdStatus.NEW and placed.fills == () and placed.cl_ord_id.startswith("O-")
        assert placed.side is (Side.SELL if "sell" in name else Side.BUY)
    edited = READER.placed(codec.result(FOUND["ws_order_edit_response"], "x", write=True))
    assert (edited.px, edited.order_qty) == (D("3067.2"), D("0.001"))
    ended = READER.order(codec.result(FOUND["ws_order_cancel_response"], "x", write=True))
    assert ended.status is OrdStatus.CANCELED and ended.cum_qty == 0
    for name in ("ws_order_stop_market_response", "ws_order_stop_market_no_filled_amount"):
        waiting = READER.placed(codec.result(FOUND[name], name, write=True))
        assert (waiting.px, waiting.cum_qty, waiting.status) == (None, 0, OrdStatus.NEW)
    with pytest.raises(Retry) as limited:
        codec.result(FOUND["ws_error"], "x", write=True)
    assert limited.value.code == "RATE_LIMITED"


def test_an_accounts_money_is_read_to_the_last_digit() -> None:
    for name in ("http_get_account_summaries", "http_get_account_summaries_cross_margin"):
        held = {b.asset: b for b in codec.balances(codec.result(FOUND[name], name), "deribit")}
        assert held and all(b.free >= 0 and b.free + b.locked > 0 for b in held.values())
    btc = {b.asset: b for b in codec.balances(codec.result(FOUND["http_get_account_summaries"], "x"), "deribit")}["cex:deribit/BTC"]  # type: ignore[index]  # fmt: skip
    assert (btc.free, btc.free + btc.locked) == (D("301.38059622"), D("302.60065765"))


@pytest.mark.parametrize(
    ("way", "rounded"), [("buy", D("0.000333333333333333")), ("sell", D("0.000333333333333334"))]
)
def test_dollars_of_a_coin_are_rounded_against_us_and_an_option_is_exact(way: str, rounded: Decimal) -> None:
    row = {"trade_id": "1", "order_id": "2", "label": "fl-x", "instrument_name": "BTC-PERPETUAL", "direction": way, "price": D(30_000), "amount": D(10), "fee": D("-1e-8"), "fee_currency": "BTC", "timestamp": 1_590_480_620_145}  # fmt: skip
    name, number_there, fill = READER.fill(row)
    # Who sells the contract buys dollars with coins.
    coins, dollars = (fill.qty_in, fill.qty_out) if way == "sell" else (fill.qty_out, fill.qty_in)
    assert (name, number_there, coins, dollars, fill.fee_qty) == ("fl-x", "2", rounded, 10, 0)
    option = row | {"instrument_name": "BTC-27DEC24-100000-C", "price": D("0.028"), "amount": D("1.5")}
    _, _, fill = READER.fill(option)
    assert {fill.qty_in, fill.qty_out} == {D("1.5"), D("0.042")}
    assert {fill.asset_in, fill.asset_out} == {"cex:deribit/BTC", "cex:deribit/BTC-27DEC24-100000-C"}
