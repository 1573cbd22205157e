"""The process dies at every single event of an order, just before and just after it is written; the next one finishes it.

Exactly the quantity is sold, whatever was under way; every part acted once; the books of the dead and the living agree with
what the chains and the exchange say.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from desk import BASE, HERE, PAPER, Grave, Killed, Office, order

from agent.domain.events import Authorized
from agent.domain.instruments import Place
from agent.domain.order_state import TERMINAL
from agent.domain.orders import Side
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.book import Book

QTY = Decimal(4)


async def lives(office: Office, grave: Grave, side: Side) -> bool:
    """One process life: a new order, or what an earlier one left. True when it came to the end."""
    survived = True
    try:
        async with office.open(grave) as desk:
            if desk.book.parents:
                await resume(desk)
            else:
                await work(order(office, str(QTY), side, life_s=7200), desk)
    except* Killed:
        survived = False
    return survived


def check(office: Office, before: tuple[Decimal, Decimal], side: Side) -> Book:
    book = office.read_book()
    (parent,) = book.parents.values()
    assert parent.closed is not None and parent.closed.status == "FILLED", parent.closed
    eth, usdc = office.held()
    bought = eth - before[0]
    if side is Side.SELL:
        assert bought == -QTY
    else:
        assert QTY <= bought < QTY * Decimal("1.01")
    assert book.filled_base(parent.parent.cl_ord_id) == abs(bought)
    assert book.positions["ETH"].qty == bought and book.positions["USDC"].qty == usdc - before[1]
    for chain_id, chain in office.chains.items():
        mine = [
            p for p in book.parts.values() if p.on_chain and p.fills and p.part.place == f"eip155:{chain_id}"
        ]
        assert chain.swaps() == len(mine)
        assert book.gas_wei.get(Place(f"eip155:{chain_id}"), 0) == chain.gas_spent()
    if office.venue is not None:
        ids = [
            order.cl_ord_id for order in office.venue.venue.engine.orders.values() if order.account == "owner"
        ]
        assert len(ids) == len(set(ids))
    for part in book.parts.values():
        assert part.ended and (part.status is None or part.status in TERMINAL), part
    assert not list(book.reservations())
    return book


async def sweep(folder: Path, places: tuple[Place, ...], side: Side, deaths: int = 1, step: int = 1) -> int:
    office = Office(folder / "whole", places=places)
    before = office.held()
    whole = Grave()
    assert await lives(office, whole, side)
    check(office, before, side)
    count = len(whole.seen)
    for at in range(0, count, step):
        for first in (True, False):
            office = Office(folder / f"{at}-{first}", places=places)
            before = office.held()
            for _ in range(deaths):
                if await lives(office, Grave(at=at, before=first), side):
                    break
            while not await lives(office, Grave(), side):
                raise AssertionError("died without being killed")
            check(office, before, side)
    return count


@pytest.mark.parametrize("place", [HERE, PAPER])
@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
async def test_one_place(tmp_path: Path, place: Place, side: Side) -> None:
    assert await sweep(tmp_path, (place,), side) > 12


async def test_three_places_at_once(tmp_path: Path) -> None:
    assert await sweep(tmp_path, (HERE, BASE, PAPER), Side.SELL, step=3) > 30


@pytest.mark.full
@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
@pytest.mark.parametrize("deaths", [1, 2, 3])
async def test_three_places_and_every_event(tmp_path: Path, side: Side, deaths: int) -> None:
    assert await sweep(tmp_path, (HERE, BASE, PAPER), side, deaths) > 30


@pytest.mark.parametrize("place", [HERE, PAPER])
async def test_killed_on_the_way_back_too(tmp_path: Path, place: Place) -> None:
    """Dead when signed; then dead at every event of the recovery as well."""
    at = 0
    while True:
        office = Office(tmp_path / str(at), places=(place,))
        before = office.held()
        signed = Grave(strike=lambda moment, event: moment == "durable" and isinstance(event, Authorized))
        assert not await lives(office, signed, Side.SELL)
        again = await lives(office, Grave(at=at), Side.SELL)
        if not again:
            assert await lives(office, Grave(), Side.SELL)
        check(office, before, Side.SELL)
        if again:
            break
        at += 1
    assert at > 5
