"""What Deribit tells under one label: a condition, the order that came of it, or two that are alike; and its spot pairs, which are of coins."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from agent.domain.errors import Reconcile, Retry
from agent.domain.instruments import cex_id
from agent.venues.deribit import codec
from agent.venues.deribit.stops import one_of

WAITS: dict[str, Any] = {"order_id": "ETH-SLTS-1", "order_type": "stop_limit", "order_state": "untriggered"}
GONE = WAITS | {"order_state": "triggered", "triggered": True}
CAME = {"order_id": "ETH-7", "order_type": "limit", "order_state": "open", "trigger_order_id": "ETH-SLTS-1"}
KEPT_ITS_TYPE = CAME | {"order_type": "stop_limit"}
PLAIN = {"order_id": "ETH-8", "order_type": "limit", "order_state": "open"}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], None),
        ([PLAIN], PLAIN),
        ([PLAIN, PLAIN], PLAIN),
        ([WAITS], WAITS),
        ([GONE, CAME], CAME),
        ([CAME, GONE], CAME),
        ([KEPT_ITS_TYPE, GONE], KEPT_ITS_TYPE),
        ([CAME], CAME),
    ],
)
def test_one_order_is_told_by_the_row_that_says_how_it_stands(rows: list[Any], told: Any) -> None:
    assert one_of(rows, "there", "fl-a") == told


@pytest.mark.parametrize(
    "rows",
    [
        [PLAIN, PLAIN | {"order_id": "ETH-9"}],
        [WAITS, PLAIN],
        [WAITS, WAITS | {"order_id": "ETH-SLTS-2"}],
        [GONE, CAME, PLAIN],
        [GONE, CAME | {"trigger_order_id": "ETH-SLTS-5"}],
    ],
)
def test_two_that_are_alike_are_told_as_such(rows: list[Any]) -> None:
    with pytest.raises(Reconcile) as two:
        one_of(rows, "there", "fl-a")
    assert two.value.code == "MORE_THAN_ONE_LIKE_IT"


def test_what_was_triggered_and_became_nothing_yet_is_no_answer() -> None:
    with pytest.raises(Retry) as unsaid:
        one_of([GONE], "there", "fl-a")
    assert unsaid.value.code == "TRIGGERED_NOT_TOLD"


SPOT = {
    "kind": "spot", "instrument_name": "ETH_USDC", "base_currency": "ETH", "quote_currency": "USDC", "counter_currency": "USDC",
    "tick_size": "0.1", "contract_size": "0.0001", "min_trade_amount": "0.001", "taker_commission": "0.0005", "maker_commission": "0",
    "is_active": True,
}  # fmt: skip
TRADE = {
    "trade_id": "ETH_USDC-5", "order_id": "ETH_USDC-9", "label": "fl-a", "instrument_name": "ETH_USDC", "direction": "buy",
    "price": "3000.5", "amount": "0.2", "fee": "0.0001", "fee_currency": "ETH", "timestamp": "1700000000000",
}  # fmt: skip


def test_a_spot_pair_is_of_coins_and_a_position_in_it_is_none() -> None:
    rows = codec.result(orjson.dumps({"result": [SPOT]}), "get_instruments")
    known = codec.markets(rows, Decimal(3), Decimal(5))
    market = known["ETH_USDC"]
    one = market.instrument
    assert (one.base, one.quote, one.contract, one.lot, one.taker_fee_bps) == (
        "ETH",
        "USDC",
        "",
        Decimal("0.001"),
        5,
    )
    assert market.currencies == ("USDC", "ETH")
    _, number, fill = codec.Reader("there", known).fill(
        TRADE
        | {
            "price": Decimal("3000.5"),
            "amount": Decimal("0.2"),
            "fee": Decimal("0.0001"),
            "timestamp": 1700000000000,
        }
    )
    assert (number, fill.asset_in, fill.asset_out) == (
        "ETH_USDC-9",
        cex_id("there", "USDC"),
        cex_id("there", "ETH"),
    )
    assert (fill.qty_in, fill.qty_out, fill.fee_asset) == (
        Decimal("600.10"),
        Decimal("0.2"),
        cex_id("there", "ETH"),
    )
