"""A book of our orders and an exchange that cannot both be right: nothing new is traded until the owner takes the account over as it is,
and then nothing of it is told again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desk import PAPER, Grave, Office, order

from agent.app.adoption import missed
from agent.app.certifying import contradicted, refuse_uncertified
from agent.app.comparison import compare_venue, contradictions
from agent.domain.errors import Reconcile, Retry
from agent.domain.events import Adopted, Certified
from agent.domain.instruments import Place, cex_id
from agent.domain.reports import Balance
from agent.domain.risk import OraclePrice
from agent.execution.spine import work
from agent.journal.book import Book

D = Decimal
SYMBOLS = ("ETHUSDC",)


class Forgetful:
    """The exchange, which has lost what was executed there."""

    def __init__(self, venue: Any) -> None:
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def fills(self, symbol: str, since_ns: int) -> tuple[()]:
        return ()


class Silent(Forgetful):
    async def fills(self, symbol: str, since_ns: int) -> tuple[()]:
        raise Retry("VENUE_UNREACHABLE", "nobody is there", "later")


def app_of(office: Office, venue: Any) -> Any:
    settings = SimpleNamespace(venues=[SimpleNamespace(name=venue.name, symbols=SYMBOLS)])
    return SimpleNamespace(venues={venue.name: venue}, settings=settings, clock=office.clock)


async def test_fills_that_the_exchange_does_not_have_lock_it_until_they_are_taken_over(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await work(order(office, "2"), desk)
        right: Any = office.venue
        wrong = Forgetful(right)
        assert await contradicted(app_of(office, wrong), desk.book) == (), "it may only be slow to tell them"
        await desk.clock.sleep(120)
        await refuse_uncertified(app_of(office, right), desk.book)
        await refuse_uncertified(app_of(office, Silent(right)), desk.book)
        with pytest.raises(Reconcile, match=r"the book has .* paper does not") as locked:
            await refuse_uncertified(app_of(office, wrong), desk.book)
        assert locked.value.code == "BOOKS_CONTRADICTED" and "reconcile --adopt" in str(locked.value)
        seen = await compare_venue(wrong, desk.book, SYMBOLS, desk.clock.now_ns())  # type: ignore[arg-type]
        assert seen and {d.kind for d in seen} == {"fill"}
        await desk.journal.record(Certified((), tuple(d.what for d in seen), "test", desk.clock.now_ns()))
        await refuse_uncertified(app_of(office, wrong), desk.book)
        assert await compare_venue(wrong, desk.book, SYMBOLS, desk.clock.now_ns()) == []  # type: ignore[arg-type]
        assert await compare_venue(right, desk.book, SYMBOLS, desk.clock.now_ns()) == []


async def test_an_order_of_ours_that_stands_there_though_the_book_ended_it_does_too(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await work(order(office, "2"), desk)
        (name,) = (n for n, part in desk.book.parts.items() if part.authorized is not None)

        class Standing(Forgetful):
            async def open_orders(self) -> tuple[Any, ...]:
                return (SimpleNamespace(cl_ord_id=name),)

            async def fills(self, symbol: str, since_ns: int) -> Any:
                return await self._venue.fills(symbol, since_ns)

        (found,) = await contradictions(Standing(office.venue), desk.book, SYMBOLS, desk.clock.now_ns())  # type: ignore[arg-type]
        assert found.what == f"{name} is open at paper; the book says it ended"


def test_what_an_exchange_holds_less_of_by_no_order_of_ours_is_told() -> None:
    eth, usdc = cex_id("paper", "ETH"), cex_id("paper", "USDC")
    named, prices = ((eth, "ETH"), (usdc, "USDC")), (OraclePrice("a", "ETH", D(3000), 0), OraclePrice("a", "USDC", D(1), 0))  # fmt: skip
    book = Book()

    def holds(place: str, eth_qty: str, usdc_qty: str, px: tuple[OraclePrice, ...] = prices) -> Adopted:
        there = (Balance(eth, D(eth_qty), D(0)), Balance(usdc, D(usdc_qty), D(0)))
        return Adopted(Place(place), there, named, px, 0)

    assert missed(holds("cex:paper", "5", "100"), book) == [], "never seen before"
    book.apply(holds("cex:paper", "5", "100"))
    assert missed(holds("cex:paper", "6", "99.5"), book) == [], "a deposit, and half a dollar"
    (line,) = missed(holds("cex:paper", "4.9", "101"), book)
    assert line.startswith("cex:paper holds 0.1 ETH less than the books say")
    assert len(missed(holds("cex:paper", "5", "99.5", ()), book)) == 1, "it has no price"
    assert missed(holds("eip155:1", "0", "0"), book) == []
