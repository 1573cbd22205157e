"""Whatever an order book answers, an order never accepts less than the plan's floor, nor asks more than the plan itself gives; and a
purchase never gives more than its ceiling, nor less than the plan itself does."""

from __future__ import annotations

from typing import Any

import custody as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.errors import Halt, Reject
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, erc20_id
from agent.domain.orders import Part
from agent.execution.offers import check_offer, check_quote, least_raw, most_raw
from chains.intents.cow import Quote
from chains.types import Address, CowOrder
from keys import cow_order

SETTLEMENT = Address("0x9008D19f58AAbD9eD0D60971565AA8510560ab41")
amounts = st.integers(1, 2**128)


def part(in_raw: int = 5 * c.ETH, out_raw: int = 15_000, floor_raw: int = 14_900) -> Part:
    name = ClOrdId("fl-x")
    weth, usdc = erc20_id(1, c.WETH), erc20_id(1, c.USDC)
    return Part(name, name, Place("eip155:1"), 1, weth, usdc, in_raw, out_raw, floor_raw, ())


def order_for(p: Part, **fields: Any) -> CowOrder:
    made = {
        "chain_id": 1, "settlement": SETTLEMENT, "owner": c.SAFE, "receiver": c.SAFE, "sell_token": c.WETH, "buy_token": c.USDC,
        "sell_raw": p.in_raw, "buy_raw": p.floor_raw, "valid_to": c.DEADLINE, "app_data": cow_order.APP_DATA_HASH,
    }  # fmt: skip
    return CowOrder(**{**made, **fields})


@given(
    out=amounts, below=st.integers(0, 10_000), quoted=st.integers(0, 2**130), slippage=st.integers(0, 10_000)
)
def test_the_limit_stays_between_floor_and_plan(out: int, below: int, quoted: int, slippage: int) -> None:
    floor = max(1, out * (10_000 - below) // 10_000)
    p = part(out_raw=out, floor_raw=floor)
    if quoted < floor:
        with pytest.raises(Reject, match="QUOTE_BELOW_FLOOR"):
            least_raw(p, quoted, slippage)
        return
    limit = least_raw(p, quoted, slippage)
    assert floor <= limit <= max(out, floor)
    assert limit <= max(floor, quoted), "nobody is asked for more than he quoted"


@given(
    plain=amounts, over=st.integers(0, 10_000), quoted=st.integers(0, 2**130), slippage=st.integers(0, 10_000)
)
def test_what_a_purchase_gives_stays_between_plan_and_ceiling(
    plain: int, over: int, quoted: int, slippage: int
) -> None:
    ceiling = plain * (10_000 + over) // 10_000
    p = part(in_raw=ceiling, floor_raw=15_000)
    if quoted > ceiling:
        with pytest.raises(Reject, match="QUOTE_ABOVE_CEILING"):
            most_raw(p, quoted, slippage, plain)
        return
    most = most_raw(p, quoted, slippage, plain)
    assert plain <= most <= ceiling
    assert most >= quoted, "nobody is given less than he asked"


FIELDS = {
    "sellToken": c.WETH,
    "buyToken": c.USDC,
    "receiver": c.SAFE,
    "kind": "sell",
    "sellTokenBalance": "erc20",
    "buyTokenBalance": "erc20",
    "partiallyFillable": False,
}


def quote(fields: dict[str, Any], sell: int, fee: int, buy: int = 14_950) -> Quote:
    return Quote(sell, fee, buy, None, fields)


HOSTILE = {
    "sellToken": c.USDC, "buyToken": c.USDT, "receiver": c.THIEF, "kind": "buy", "sellTokenBalance": "internal",
    "buyTokenBalance": "internal", "partiallyFillable": True,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("gone", [False, True])
def test_a_quote_with_an_altered_or_missing_field_is_named(name: str, gone: bool) -> None:
    order = order_for(part())
    fields = {**FIELDS, name: HOSTILE[name]}
    if gone:
        del fields[name]
    with pytest.raises(Reject, match=f"QUOTE_ALTERED.*{name}"):
        check_quote(quote(fields, order.sell_raw - 7, 7), order)


def test_a_sound_quote_passes_in_any_spelling_of_addresses() -> None:
    order = order_for(part())
    check_quote(quote({**FIELDS, "receiver": c.SAFE.lower()}, order.sell_raw - 7, 7), order)


def test_a_purchases_quote_names_exactly_what_comes() -> None:
    order, told = order_for(part(), kind="buy", buy_raw=15_000), {**FIELDS, "kind": "buy"}
    check_quote(quote(told, 4 * c.ETH, 7, 15_000), order)
    for wrong in (14_999, 15_001):
        with pytest.raises(Reject, match="QUOTE_ALTERED.*buyAmount"):
            check_quote(quote(told, 4 * c.ETH, 7, wrong), order)
    with pytest.raises(Reject, match="QUOTE_ALTERED.*kind"):
        check_quote(quote(FIELDS, 4 * c.ETH, 7, 15_000), order)


@given(sell=amounts, fee=amounts)
def test_amount_and_fee_add_up_to_what_was_offered(sell: int, fee: int) -> None:
    order = order_for(part(in_raw=sell + fee))
    check_quote(quote(FIELDS, sell, fee), order)
    for wrong in (sell + 1, sell - 1):
        with pytest.raises(Reject, match="QUOTE_ALTERED.*sellAmount"):
            check_quote(quote(FIELDS, wrong, fee), order)


@pytest.mark.parametrize(
    "field,value",
    [
        ("owner", c.THIEF), ("receiver", c.THIEF), ("sell_token", c.USDT), ("buy_token", c.USDT), ("sell_raw", 1),
        ("buy_raw", 14_899), ("fee_raw", 1),
    ],
)  # fmt: skip
def test_an_order_that_is_not_the_plans_halts_before_anybody_is_asked(field: str, value: Any) -> None:
    p = part()
    check_offer(p, order_for(p), Address(c.SAFE))
    with pytest.raises(Halt, match=f"OFFER_DIFFERS.*{field}"):
        check_offer(p, order_for(p, **{field: value}), Address(c.SAFE))


@pytest.mark.parametrize(
    "field,value", [("sell_raw", 5 * c.ETH + 1), ("sell_raw", 0), ("buy_raw", 14_999), ("buy_raw", 15_001)]
)
def test_a_purchase_that_is_not_the_plans_halts_too(field: str, value: int) -> None:
    p = part(floor_raw=15_000)
    sound = order_for(p, kind="buy", sell_raw=p.in_raw - 1)
    check_offer(p, sound, Address(c.SAFE))
    with pytest.raises(Halt, match=f"OFFER_DIFFERS.*{field}"):
        check_offer(p, order_for(p, **{"kind": "buy", field: value}), Address(c.SAFE))
