"""A book and an exchange that cannot both be right: no order goes there until the owner takes the account over as it is, and then nothing
of it is told again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desk import PAPER, Grave, Office, order
from start_app import SYMBOLS, start_app

from agent.app.adoption import missed
from agent.app.comparison import compare_venue
from agent.app.start_check import certify
from agent.domain.errors import Reconcile, Retry
from agent.domain.events import Adopted, Certified
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import Balance
from agent.domain.risk import OraclePrice
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.journal.book import Book

D = Decimal
ETH, USDC = cex_id("paper", "ETH"), cex_id("paper", "USDC")


class Other:
    """The exchange, which tells something else."""

    def __init__(self, venue: Any) -> None:
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)


class Forgetful(Other):
    """It has lost what was executed there."""

    async def fills(self, symbol: str, since_ns: int) -> tuple[()]:
        return ()


class Silent(Other):
    async def fills(self, symbol: str, since_ns: int) -> tuple[()]:
        raise Retry("VENUE_UNREACHABLE", "nobody is there", "later")


async def traded(office: Office, desk: Desk) -> str:
    """Two ether sold there, a while ago; the order's own name."""
    await start_app(office, office.venue, desk).adopt_balances()
    await work(order(office, "2"), desk)
    await desk.clock.sleep(120)
    (name,) = (n for n, part in desk.book.parts.items() if part.authorized is not None)
    return name


async def refused(app: Any, desk: Desk) -> Reconcile:
    with pytest.raises(Reconcile) as locked:
        await certify(app, desk)
    return locked.value


async def test_fills_that_the_exchange_does_not_have_lock_it_until_they_are_taken_over(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await start_app(office, office.venue, desk).adopt_balances()
        await work(order(office, "2"), desk)
        right: Any = office.venue
        wrong = Forgetful(right)
        assert await certify(start_app(office, wrong, desk), desk) == [], "it may only be slow to tell them"
        await desk.clock.sleep(120)
        assert await certify(start_app(office, right, desk), desk) == []
        locked = await refused(start_app(office, wrong, desk), desk)
        assert locked.code == "BOOKS_CONTRADICTED" and "reconcile --adopt" in locked.hint
        assert "the book has" in locked.message and "paper does not" in locked.message
        seen = await compare_venue(wrong, desk.book, SYMBOLS, desk.clock.now_ns())  # type: ignore[arg-type]
        assert seen and {d.kind for d in seen} == {"fill"}
        alarms = [a for a in desk.book.alarms if a.code == "PLACE_LOCKED"]
        assert len(alarms) == 1 and alarms[0].message.startswith(
            "paper gets no order of ours (BOOKS_CONTRADICTED)"
        )
        await desk.journal.record(Certified((), tuple(d.what for d in seen), "test", desk.clock.now_ns()))
        assert await certify(start_app(office, wrong, desk), desk) == []
        assert await compare_venue(wrong, desk.book, SYMBOLS, desk.clock.now_ns()) == []  # type: ignore[arg-type]
        assert await compare_venue(right, desk.book, SYMBOLS, desk.clock.now_ns()) == []


async def test_an_exchange_that_does_not_answer_gets_no_order_until_it_was_compared(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await traded(office, desk)
        app = start_app(office, Silent(office.venue), desk)
        (lock,) = await certify(app, desk)
        assert lock.code == "NOT_COMPARED" and lock.opens_itself
        parent = order(office, "1")
        await work(parent, desk)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert (
            closed is not None
            and closed.status == "FAILED"
            and "paper is locked (NOT_COMPARED)" in closed.why
        )


async def test_an_order_of_ours_that_stands_there_though_the_book_ended_it_does_too(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        name = await traded(office, desk)

        class Standing(Other):
            left = OrdStatus.NEW

            async def open_orders(self) -> tuple[Any, ...]:
                return (SimpleNamespace(cl_ord_id=name, symbol="ETHUSDC", side=Side.SELL, order_qty=D(2)),)

            async def query(self, cl_ord_id: str, symbol: str) -> Any:
                return SimpleNamespace(cl_ord_id=name, status=self.left)

        standing = Standing(office.venue)
        locked = await refused(start_app(office, standing, desk), desk)
        assert locked.code == "BOOKS_CONTRADICTED"
        assert f"is open at paper as {name}; the book says it ended" in locked.message
        standing.left = OrdStatus.FILLED  # its end was heard between the two questions
        assert await certify(start_app(office, standing, desk), desk) == []


@pytest.mark.parametrize("settings", ["alarm", "leave"])
@pytest.mark.parametrize(("name", "locks"), [("by-hand-1", False), ("fl-of-another-1", True)])
async def test_a_strangers_order_is_told_and_one_with_our_id_locks(
    tmp_path: Path, name: str, locks: bool, settings: str
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await traded(office, desk)

        class Strange(Other):
            async def open_orders(self) -> tuple[Any, ...]:
                return (SimpleNamespace(cl_ord_id=name, symbol="ETHUSDC", side=Side.BUY, order_qty=D(1)),)

        app = start_app(office, Strange(office.venue), desk, foreign=settings)
        (found,) = await compare_venue(
            app.venues["paper"], desk.book, SYMBOLS, desk.clock.now_ns(), settings == "leave"
        )
        assert found.kind == "foreign order" and (found.explained_by is None) is locks
        assert found.explained is (settings == "leave" and not locks)
        if locks:
            assert (await refused(app, desk)).code == "ORDERS_OPEN"
        else:
            assert "foreign_orders" in str(found.explained_by)
            assert await certify(app, desk) == []


class Poorer(Other):
    """Somebody took `gone` ether away."""

    gone = D(0)

    async def balances(self) -> Any:
        return [
            Balance(b.asset, b.free - (self.gone if b.asset == ETH else 0), b.locked)
            for b in await self._venue.balances()
        ]


async def test_what_is_gone_by_nothing_that_explains_it_locks_from_the_tolerance_on(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await traded(office, desk)
        poorer = Poorer(office.venue)
        app = start_app(office, poorer, desk)
        poorer.gone = D("0.016")  # 48 dollars
        assert await certify(app, desk) == []
        poorer.gone = D("-1")
        assert await certify(app, desk) == [], "money that came is told and taken in"
        poorer.gone = D("0.017")  # 51 dollars
        locked = await refused(app, desk)
        assert locked.code == "BALANCE_GONE" and "tolerance_usd is 50" in locked.message
        assert await certify(start_app(office, poorer, desk, tolerance="60"), desk) == []
        before = dict(desk.book.holdings)
        await app.adopt_balances()
        assert desk.book.holdings == before, "what is gone at a locked place is not taken over in passing"
        office.prices.pop("ETH")
        (lock,) = await certify(start_app(office, poorer, desk), desk)
        assert lock.opens_itself and "nothing prices it" in lock.why


async def test_what_an_exchange_tells_nothing_of_any_more_is_gone(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await traded(office, desk)

        class Emptied(Other):
            async def balances(self) -> Any:
                return [b for b in await self._venue.balances() if b.asset != ETH]

        emptied = Emptied(office.venue)
        assert (await refused(start_app(office, emptied, desk), desk)).code == "BALANCE_GONE"
        await start_app(office, emptied, desk).adopt_balances()  # by a command, where it is not locked
        assert desk.book.holdings[ETH] == 0


async def test_an_exchange_that_tells_a_balance_late_is_asked_again(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open(Grave()) as desk:
        await traded(office, desk)

        class Late(Poorer):
            async def balances(self) -> Any:
                found = await super().balances()
                self.gone = D(0)
                return found

        late = Late(office.venue)
        late.gone = D(1)
        assert await certify(start_app(office, late, desk), desk) == []


async def test_orders_by_hand_and_orders_in_flight_explain_what_they_took(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue: Any = office.venue
    async with office.open(Grave()) as desk:
        await traded(office, desk)
        venue.by_hand("SELL", "1.5")
        assert await certify(start_app(office, venue, desk), desk) == []
        poorer = Poorer(venue)
        poorer.gone = D(1)
        locked = await refused(start_app(office, poorer, desk), desk)
        assert (
            "1 of it is gone by nothing that explains it (besides: orders that are not Fairlead's"
            in locked.message
        )


async def test_our_own_order_filled_while_nobody_lived_is_booked_and_locks_nothing(tmp_path: Path) -> None:
    """The process dies as its order is authorised and filled: the next one books the fill before it compares."""
    office = Office(tmp_path, places=(PAPER,))
    venue: Any = office.venue
    grave = Grave(strike=lambda moment, event: moment == "before" and type(event).__name__ == "Submitted")
    async with office.open() as desk:
        await start_app(office, venue, desk).adopt_balances()
    with pytest.raises(BaseException):  # noqa: B017 - the death itself, in whatever group it comes
        async with office.open(grave) as desk:
            await work(order(office, "2"), desk)
    assert grave.dead
    await office.clock.sleep(120)
    async with office.open() as desk:
        app = start_app(office, venue, desk)
        assert await certify(app, desk) == []
        (part,) = desk.book.parts.values()
        assert part.sold_qty() == 2 and not desk.book.alarms


def test_what_an_exchange_holds_less_of_by_no_order_of_ours_is_told() -> None:
    named, prices = ((ETH, "ETH"), (USDC, "USDC")), (OraclePrice("a", "ETH", D(3000), 0), OraclePrice("a", "USDC", D(1), 0))  # fmt: skip
    book = Book()

    def holds(place: str, eth_qty: str, usdc_qty: str, px: tuple[OraclePrice, ...] = prices) -> Adopted:
        there = (Balance(ETH, D(eth_qty), D(0)), Balance(USDC, D(usdc_qty), D(0)))
        return Adopted(Place(place), there, named, px, 0)

    assert missed(holds("cex:paper", "5", "100"), book) == [], "never seen before"
    book.apply(holds("cex:paper", "5", "100"))
    assert missed(holds("cex:paper", "6", "99.5"), book) == [], "a deposit, and half a dollar"
    (line,) = missed(holds("cex:paper", "4.9", "101"), book)
    assert line.startswith("cex:paper holds 0.1 ETH less than the books say")
    assert len(missed(holds("cex:paper", "5", "99.5", ()), book)) == 1, "it has no price"
    assert missed(holds("eip155:1", "0", "0"), book) == []
