"""What is held and what was made of it: the journal's average cost against fresh prices, and nothing silent counted as zero."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from fake_venue import FakeVenue
from settings_values import values

from agent.app.places import directory
from agent.app.settings import Settings, load
from agent.app.template import write
from agent.app.watching.positions import Prices, Profit, _profits, balances_of_venues
from agent.domain import events as ev
from agent.domain.instruments import AssetId, Place
from agent.domain.reports import Balance
from agent.domain.risk import OraclePrice
from agent.journal.book import Book
from agent.transport.clock import SystemClock

NOW_S = 1_700_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write(values(), tmp_path / "f.toml")
    return load(tmp_path / "f.toml")


def price(source: str, symbol: str, px: str, old_s: int = 0) -> OraclePrice:
    return OraclePrice(source, symbol, Decimal(px), NOW_S - old_s)


def prices(settings: Settings, *told: OraclePrice) -> Prices:
    return Prices(settings, directory(settings, {}), told, NOW_S * 10**9)


def test_a_price_takes_two_fresh_sources(settings: Settings) -> None:
    old = settings.limits.max_price_age_s + 1
    assert prices(settings, price("a", "ETH", "3000")).px("ETH") is None
    assert prices(settings, price("a", "ETH", "3000"), price("b", "ETH", "3010", old)).px("ETH") is None
    both = prices(settings, price("a", "ETH", "3000"), price("b", "ETH", "3010"))
    assert both.px("ETH") == 3005 and len(both.fresh("ETH")) == 2
    weth = next(AssetId(a) for a in settings.assets["WETH"])
    assert both.px("WETH", weth) == 3005 and both.px("WETH") is None


def test_profit_is_told_against_average_cost(settings: Settings) -> None:
    book, asset = Book(), AssetId("cex:paper/ETH")
    for held, px in (("2", "2000"), ("6", "3000")):
        balance, told = Balance(asset, Decimal(held)), price("a", "ETH", px)
        book.apply(ev.Adopted(Place("cex:paper"), (balance,), ((asset, "ETH"),), (told,), NOW_S * 10**9))
    known = prices(settings, price("a", "ETH", "2900"), price("b", "ETH", "2900"))
    (profit,) = _profits(book, known)
    # 2 at 2000 and 4 more at 3000: 16,000 for 6.
    assert profit.qty == 6 and profit.avg_px is not None and round(profit.avg_px, 2) == Decimal("2666.67")
    assert profit.unrealised is not None and round(profit.unrealised, 6) == 6 * 2900 - 16_000
    (unknown,) = _profits(book, prices(settings))
    assert unknown.unrealised is None and unknown.px_usd is None
    assert Profit("ETH", Decimal(0), None, Decimal(5), Decimal(1)).unrealised is None


async def test_a_venue_that_does_not_answer_says_why() -> None:
    there, away = FakeVenue(SystemClock()), FakeVenue(SystemClock(), "away")
    await there.start()
    found = await balances_of_venues({"paper": there, "away": away})
    assert isinstance(found["paper"], list) and dict(found["paper"])[AssetId("cex:paper/ETH")] > 0
    assert isinstance(found["away"], str) and found["away"]
    await there.close()
