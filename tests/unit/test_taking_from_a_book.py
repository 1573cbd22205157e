"""Fills of an order book: lots, minimum notional, depth and fees, always rounded against us."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent.domain.instruments import AssetId
from agent.market.book import Book, buy_base, buy_base_exact, sell_base

BOOK = Book(
    "paper", "ETH/USDC", AssetId("cex:paper/ETH"), AssetId("cex:paper/USDC"), Decimal(10), Decimal("0.01"), Decimal("0.01"),
    Decimal(10), ((Decimal("3000"), Decimal("1.005")), (Decimal("2990.55"), Decimal("2"))),
    ((Decimal("3001"), Decimal("0.5")), (Decimal("3010"), Decimal("4"))),
)  # fmt: skip
ETH, USDC = 10**18, 10**6


def test_selling_walks_the_bids_and_pays_the_fee_in_quote() -> None:
    fill = sell_base(BOOK, 2 * ETH, 18, 6)
    assert fill is not None
    gross = Decimal("1.005") * 3000 + Decimal("0.995") * Decimal("2990.55")
    assert fill.notional == gross and fill.px == Decimal("2990.55") and fill.qty == 2 and fill.complete
    assert fill.in_raw == 2 * ETH
    assert fill.out_raw == int(gross * Decimal("0.999") * USDC)
    assert 0 <= fill.out_raw + fill.fee_raw - int(gross * USDC) <= 1


def test_less_than_a_lot_stays_with_us() -> None:
    fill = sell_base(BOOK, ETH + 9 * 10**15, 18, 6)
    assert fill is not None and fill.qty == 1 and fill.in_raw == ETH and not fill.complete
    assert sell_base(BOOK, 9 * 10**15, 18, 6) is None


def test_the_end_of_the_book_fills_in_part_and_on_the_lot() -> None:
    fill = sell_base(BOOK, 50 * ETH, 18, 6)
    assert fill is not None and not fill.complete and fill.qty == Decimal("3")
    assert fill.qty % BOOK.lot == 0


def test_under_the_minimum_notional_there_is_no_order() -> None:
    assert buy_base(BOOK, 9 * USDC, 18, 6) is None
    assert buy_base(BOOK, 31 * USDC, 18, 6) is not None


@pytest.mark.parametrize(
    "budget", [31 * USDC, 1500 * USDC + 1, 1_500_500_000, 1_505_500_001, 4000 * USDC, 10**12]
)
def test_buying_never_spends_more_than_the_budget_and_is_on_the_lot(budget: int) -> None:
    fill = buy_base(BOOK, budget, 18, 6)
    assert fill is not None
    assert fill.in_raw <= budget and fill.qty % BOOK.lot == 0
    assert fill.out_raw + fill.fee_raw == int(fill.qty * ETH)
    if fill.complete:
        assert budget - fill.in_raw < int(BOOK.lot * fill.px * USDC) + 1


@pytest.mark.parametrize("wanted", [ETH // 10, ETH, 2 * ETH + 1])
def test_buying_an_exact_quantity_covers_the_fee_with_the_fewest_lots(wanted: int) -> None:
    fill = buy_base_exact(BOOK, wanted, 18, 6)
    assert fill is not None and fill.out_raw >= wanted
    assert int((fill.qty - BOOK.lot) * Decimal("0.999") * ETH) < wanted
    assert buy_base_exact(BOOK, 50 * ETH, 18, 6) is None
