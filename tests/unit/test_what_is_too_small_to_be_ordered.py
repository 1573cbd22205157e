"""Which slice no place takes because it is too small, and that buying exactly never buys more to reach a minimum."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.amm import ConstantProductPool
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId, cex_id, erc20_id
from agent.domain.orders import ChildOrder, Side
from agent.domain.units import quantize_up
from agent.market.book import Book, buy_base_exact
from agent.market.smallest import too_small
from agent.market.view import MarketView
from chains.types import Protection

D = Decimal
ETH, USDC = cex_id("paper", "ETH"), cex_id("paper", "USDC")
WETH, USD = erc20_id(1, "0x" + "11" * 20), erc20_id(1, "0x" + "22" * 20)
ASSETS = {
    ETH: Asset(ETH, "ETH", 8),
    USDC: Asset(USDC, "USDC", 8),
    WETH: Asset(WETH, "WETH", 18),
    USD: Asset(USD, "USDC", 6),
}
BASE, QUOTE = (WETH, ETH), (USD, USDC)
BOOK = Book(
    "paper", "ETH/USDC", ETH, USDC, D(10), D("0.0001"), D("0.01"), D(10), ((D(3000), D(5)),), ((D(3001), D(5)),)
)  # fmt: skip
POOL = ConstantProductPool("eip155:1/0xaa", (WETH, USD), (10**21, 3 * 10**12), 3000)
HELD = {ETH: 10**9, USDC: 10**12, WETH: 0, USD: 0}


def view(*books: Book, pools: bool = False, **held: int) -> MarketView:
    inventory = HELD | {AssetId(globals()[name]): raw for name, raw in held.items()}
    return MarketView(
        assets=ASSETS, pools={POOL.id: POOL} if pools else {}, gas={}, books=books, inventory=inventory
    )


def slice_of(qty: str, side: Side = Side.SELL, limit: str | None = None) -> ChildOrder:
    name = ClOrdId("fl-a")
    px = D(limit) if limit else None
    return ChildOrder(name, name, 0, side, "ETH", "USDC", D(qty), px, 50, Protection.PRIVATE, 0)


def said(seen: MarketView, child: ChildOrder) -> str:
    found = too_small(seen, child, BASE, QUOTE)
    assert found is None or found.code == "BELOW_MINIMUM"
    return found.message if found is not None else ""


def test_a_sale_below_the_least_notional_is_told_with_what_it_is_worth() -> None:
    told = said(view(BOOK), slice_of("0.0033"))
    assert told == "0.0033 ETH makes an order of 9.90 USDC, and the smallest at paper is 10 USDC"
    assert said(view(BOOK), slice_of("0.00335")) != "", "on the lot it makes an order of 9.9"
    assert said(view(BOOK), slice_of("0.0034")) == ""


def test_a_purchase_is_counted_with_its_fee() -> None:
    """0.0033 ETH that arrive are 0.0034 on the lot, which are ordered and are worth 10.2."""
    assert said(view(BOOK), slice_of("0.0033", Side.BUY)) == ""
    told = said(view(replace(BOOK, taker_fee_bps=D(0))), slice_of("0.0033", Side.BUY))
    assert told == "0.0033 ETH makes an order of 9.90 USDC, and the smallest at paper is 10 USDC"


def test_less_than_a_lot_is_told_as_that() -> None:
    coarse = replace(BOOK, lot=D("0.01"), min_notional=D(0))
    assert said(view(coarse), slice_of("0.009")) == "0.009 ETH is less than the lot of 0.01 at paper"
    assert said(view(coarse), slice_of("0.009", Side.BUY)) == "", "a purchase is rounded up by a lot"


def test_what_waits_for_a_better_price_is_counted_at_that() -> None:
    assert said(view(BOOK), slice_of("0.0033", limit="3100")) == ""
    assert said(view(BOOK), slice_of("0.0033", limit="2000")) != ""


def test_every_exchange_that_could_take_it_is_asked_and_no_other() -> None:
    other = replace(BOOK, venue="other", base=cex_id("other", "ETH"), min_notional=D(5))
    assert too_small(view(BOOK, other), slice_of("0.0033"), (*BASE, other.base), QUOTE) is None
    none_there = view(BOOK, other)
    held = replace(none_there, inventory={**none_there.inventory, other.base: 0})
    assert too_small(held, slice_of("0.0033"), (*BASE, other.base), QUOTE) is not None
    foreign = replace(BOOK, base=cex_id("paper", "BTC"))
    assert said(view(foreign), slice_of("0.0033")) == "", "that book trades something else"
    assert said(view(), slice_of("0.0033")) == ""


@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
def test_a_book_without_a_price_proves_nothing(side: Side) -> None:
    assert said(view(replace(BOOK, bids=(), asks=())), slice_of("0.0001", side)) == ""


def test_pools_may_take_it_where_as_much_is_held_beside_them() -> None:
    some = slice_of("0.001")
    assert said(view(BOOK, pools=True), some) != "", "nothing is held on the chain"
    assert said(view(BOOK, pools=True, WETH=10**15 - 1), some) != ""
    assert said(view(BOOK, pools=True, WETH=10**15), some) == ""
    assert said(view(BOOK, WETH=10**15), some) != "", "no pool is there"
    some = slice_of("0.001", Side.BUY)
    assert said(view(BOOK, pools=True, USD=3_000_999), some) != ""
    assert said(view(BOOK, pools=True, USD=3_001_000), some) == ""
    unlimited = view(BOOK, pools=True)
    unlimited = replace(unlimited, inventory={ETH: 10**9})
    assert said(unlimited, slice_of("0.001")) == ""


LOTS = st.sampled_from(["0.0001", "0.001", "0.01", "0.00000001"])


@given(
    raw=st.integers(1, 6 * 10**8), lot=LOTS, fee=st.sampled_from([0, 1, 7, 10, 45]), least=st.integers(0, 50)
)
def test_buying_exactly_is_never_rounded_up_by_more_than_a_lot(
    raw: int, lot: str, fee: int, least: int
) -> None:
    book = replace(BOOK, lot=D(lot), taker_fee_bps=D(fee), min_notional=D(least))
    fill = buy_base_exact(book, raw, 8, 8)
    wanted = D(raw).scaleb(-8) / (1 - D(fee) / 10_000)
    if fill is None:
        needed = quantize_up(wanted, book.lot)
        assert needed * 3001 < least or needed + book.lot > 5, "it could have been bought"
        return
    assert fill.out_raw >= raw and fill.qty % book.lot == 0 and fill.notional >= least
    assert fill.qty - wanted < book.lot + D("0.00000001")
