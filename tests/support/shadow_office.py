"""A shadow over the office of `desk`: the same chains, exchange, prices and clock, a journal of its own, and nothing that signs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from desk import DIRECTORY, MemoryMarket, Office

from agent.app.shadow.looking import MarketLooker
from agent.app.shadow.market import ShadowMarket
from agent.app.wiring import DEADLINE_S, algorithms
from agent.app.workshop import Workshop
from agent.app.world import World
from agent.execution.recorder import Recorder
from agent.execution.shadowing import ShadowDesk
from agent.journal.book import Book
from agent.journal.registry import event_codec
from agent.journal.store import Journal
from chains.ending import ended


@asynccontextmanager
async def shadow(office: Office, earlier: Book | None = None) -> AsyncIterator[ShadowDesk]:
    """One life of the shadow's process; its later looks are waited for. `earlier`: the real record as it found it."""
    clock = office.clock
    path = office.folder / "shadow" / "journal.db"
    journal = Journal.open(path, clock=clock, environment="devnet", codec=event_codec())
    try:
        book = Book()
        for event in journal.events():
            book.apply(event)
        chains = {chain_id: office.chain_desk(chain) for chain_id, chain in office.chains.items()}
        venues: dict[str, Any] = {"paper": office.venue} if office.venue is not None else {}
        if office.venue is not None:
            await office.venue.start()
        market = ShadowMarket(MemoryMarket(office), book)
        workshop = Workshop(clock, chains, venues, DEADLINE_S)

        async def ready(place: object) -> str:
            return ""

        desk = ShadowDesk(
            environment="devnet",
            clock=clock,
            journal=Recorder(journal, book),
            book=book,
            limits=office.limits,
            switch=office.switch,
            market=market,
            world=World(
                clock,
                DIRECTORY,
                chains,
                office.switch,
                office.oracle,
                ready,
                lambda: "",
                office.limits.ramp,
                earlier,
            ),
            workshop=workshop,
            algos=algorithms(),
            decimals=DIRECTORY.decimals,
            lots={"ETH": Decimal("0.000001"), "USDC": Decimal("0.01")},
            looker=MarketLooker(clock, market, workshop, chains, DIRECTORY.decimals),
        )
        yield desk
        while desk.looking:
            await clock.sleep(1)
        await ended(desk.looking)
    finally:
        journal.close()


def told(office: Office) -> list[object]:
    """The shadow's own record."""
    path = office.folder / "shadow" / "journal.db"
    journal = Journal.open(path, clock=office.clock, environment="devnet", codec=event_codec())
    try:
        return list(journal.events())
    finally:
        journal.close()
