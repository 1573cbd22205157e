"""Deribit's inverse contracts as dollars priced in the coin: each price finds its own tick again, and none is turned in the exchange's favour."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.ports import VenueBook, VenueInstrument
from agent.venues import PLAIN
from agent.venues.deribit.codec import Market, edit_params, new_order_params
from agent.venues.deribit.inverse import COIN_PLACES, coin_px, coins_down, coins_up, turned, venue_px

D = Decimal
ONE = D(1)


@given(st.integers(1, 10**7), st.sampled_from(["0.05", "0.5", "2.5"]))
def test_a_price_of_the_book_is_that_price_again_whichever_way_it_was_rounded(ticks: int, step: str) -> None:
    tick = D(step)
    px = ticks * tick
    for told in (coins_up(ONE, px), coins_down(ONE, px), coin_px(px)):
        for side in Side:
            assert venue_px(told, tick, side) == px


@given(st.decimals("0.0000005", "0.001", places=18))
def test_what_lies_between_two_ticks_is_sold_no_lower_and_bought_no_higher(px: Decimal) -> None:
    tick, slack = D("0.5"), Fraction(1, 2_000)
    exact = 1 / Fraction(px)
    assert 0 <= Fraction(venue_px(px, tick, Side.SELL)) - exact + slack < Fraction(1, 2) + 2 * slack
    assert 0 <= exact - Fraction(venue_px(px, tick, Side.BUY)) + slack < Fraction(1, 2) + 2 * slack


def test_what_is_bid_for_the_contract_is_where_dollars_are_bought() -> None:
    book = turned(
        VenueBook("BTC-PERPETUAL", ((D(60_000), D(10)), (D(59_000), D(20))), ((D(61_000), D(30)),), 7)
    )
    assert [qty for _, qty in book.asks] == [10, 20] and book.asks[0][0] < book.asks[1][0]
    assert book.bids == ((coins_down(ONE, D(61_000)), D(30)),) and book.bids[0][0] < book.asks[0][0]
    assert book.asks[0][0] * 60_000 > 1 > book.bids[0][0] * 61_000, "each a little against us"


@pytest.mark.parametrize("px", ["3", "60000", "1e11", "1e40"])
def test_a_price_that_is_none_in_dollars_is_told_and_never_sent_as_zero(px: str) -> None:
    """What somebody types who takes it for dollars a coin."""
    told = VenueInstrument(
        "BTC-PERPETUAL", "BTC-PERPETUAL", "BTC", COIN_PLACES, D(10), D(10), D(0), D(5), D(0), "inverse"
    )
    market = Market(told, "BTC", True, px_tick=D("0.5"))
    order = VenueOrder(
        ClOrdId("fl-x"), "BTC-PERPETUAL", Side.SELL, OrdType.LIMIT, TimeInForce.GTC, D(100), D(px)
    )
    for asked in (lambda: new_order_params(order, market, PLAIN, 1), lambda: edit_params(order, market, 1)):
        with pytest.raises(Usage) as no:
            asked()
        assert no.value.code == "OFF_GRID" and "BTC a dollar" in no.value.message
