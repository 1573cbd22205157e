"""A shadow of the daemon: its settings, its jobs, the live market, a folder of its own; nothing of the daemon's is written or locked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.app.cli.common import first_error
from agent.app.jobs.facts import confirmed_px
from agent.app.jobs.guard import Guard, owner_of, store_of
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.supervisor import Supervisor
from agent.app.readonly import read_book
from agent.app.scheduler import Scheduler
from agent.app.settings import Settings, risk_limits
from agent.app.shadow.jobs import ShadowStore
from agent.app.shadow.looking import MarketLooker
from agent.app.shadow.market import ShadowMarket
from agent.app.workshop import Workshop
from agent.app.world import World
from agent.domain.errors import FairleadError
from agent.domain.events import Alarmed, Shadowed, ShadowSeen
from agent.domain.orders import ParentOrder
from agent.execution.reconcile import close_what_never_left
from agent.execution.recorder import Recorder
from agent.execution.shadowing import ShadowDesk, work
from agent.journal.book import Book
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from chains.ending import ended
from chains.types import Environment

if TYPE_CHECKING:
    from agent.app.wiring import App

Tell = Callable[[str], None]


def folder_of(settings: Settings) -> Path:
    return settings.journal.path.parent / "shadow"


def journal_of(settings: Settings) -> Path:
    return folder_of(settings) / settings.journal.path.name


async def open_shadow(app: App, stack: AsyncExitStack) -> ShadowDesk:
    """Raises Retry JOURNAL_LOCKED where another shadow of these settings runs, Halt as `Journal.open` does."""
    from agent.app.wiring import DEADLINE_S, algorithms, journal_trouble, wallet_ready

    settings, limits = app.settings, risk_limits(app.settings)
    journal = Journal.open(
        journal_of(settings),
        clock=app.clock,
        environment=settings.environment.value,
        codec=event_codec(),
        emergency=folder_of(settings) / settings.journal.emergency_path.name,
        derisking=is_derisking,
    )
    stack.callback(journal.close)
    book = Book()
    for event in journal.events():
        book.apply(event)
    journal.remember("book", book.state_hash)
    for chain in app.chains.values():
        if chain.simulator is not None:
            await stack.enter_async_context(chain.simulator)
    app.pretended = book.holdings
    market = ShadowMarket(app.market, book)
    workshop = Workshop(app.clock, app.chains, app.venues, DEADLINE_S)
    world = World(
        app.clock, app.directory, app.chains, app.switch, app.oracles.prices, wallet_ready(app),
        lambda: journal_trouble(journal), limits.ramp, read_book(settings) if limits.ramp is not None else None,
        real_time=settings.environment is Environment.LIVE,
    )  # fmt: skip
    desk = ShadowDesk(
        environment=settings.environment.value,
        clock=app.clock,
        journal=Recorder(journal, book),
        book=book,
        limits=limits,
        switch=app.switch,
        market=market,
        world=world,
        workshop=workshop,
        algos=algorithms(),
        decimals=app.directory.decimals,
        lots={symbol: Decimal("0.000001") for symbol in app.directory.groups},
        looker=MarketLooker(app.clock, market, workshop, app.chains, app.directory.decimals),
    )
    stack.push_async_callback(_end_looks, desk)
    return desk


async def _end_looks(desk: ShadowDesk) -> None:
    """A look that is still to come is given up; one that failed is raised."""
    for outcome in await ended([*desk.looking]):
        if isinstance(outcome, Exception):
            raise outcome


class ShadowCarrier:
    """Works the orders that the jobs begin, each beside the others; `async with` it."""

    def __init__(self, desk: ShadowDesk, tell: Tell) -> None:
        self._desk, self._tell = desk, tell
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, parent: ParentOrder) -> None:
        task = asyncio.create_task(self._work(parent), name=parent.cl_ord_id)
        self._tasks[parent.cl_ord_id] = task

    async def go_on(self) -> int:
        """Takes up what an earlier shadow left open; how many orders that are. What it was just looking at is decided anew."""
        await close_what_never_left(self._desk)
        left = [r.parent for r in self._desk.book.parents.values() if r.closed is None]
        for parent in left:
            self.start(parent)
        return len(left)

    async def _work(self, parent: ParentOrder) -> None:
        name = parent.cl_ord_id
        try:
            await self._to_its_end(parent)
            closed = self._desk.book.parents[name].closed
            self._tell(f"order {name} would have closed: {closed.why if closed else ''}")
        except FairleadError as error:
            if error.verb == "HALT":
                self.failed.set_exception(error)
                return
            self._tell(f"order {name} stopped: {error}")
            now = self._desk.clock.now_ns()
            await self._desk.journal.record(Alarmed(error.code, f"{name} stopped: {error.message}", now))
        finally:
            self._tasks.pop(name, None)

    async def _to_its_end(self, parent: ParentOrder) -> None:
        try:
            await work(parent, self._desk)
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def __aenter__(self) -> ShadowCarrier:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.failed.done():
            self.failed.cancel()
        for outcome in await ended([*self._tasks.values()]):
            if isinstance(outcome, Exception):
                raise outcome


def supervisor_of(
    app: App, desk: ShadowDesk, carrier: ShadowCarrier, max_loss_usd: Decimal, tell: Tell
) -> Supervisor:
    """The daemon's own scheduler over the shadow's desk, with leases in the shadow's own file."""
    store = ShadowStore(SqliteStore(folder_of(app.settings) / "jobs.db"), store_of(app.settings))
    guard = Guard(store, f"shadow of {owner_of(app.settings)}", partial(confirmed_px, app))
    scheduler = Scheduler(app, desk, carrier, max_loss_usd, tell, guard=guard, salt="shadow ")
    return Supervisor(app.settings, store, scheduler, app.clock, tell, store.known)


def tell_looks(tell: Tell) -> Callable[[object], None]:
    """A watcher that says each decision, and what the market gave for it at the first moment."""

    def saw(event: object) -> None:
        match event:
            case Shadowed():
                tell(f"would have signed {event.part.cl_ord_id} at {event.part.place}; nothing was")
            case ShadowSeen(decides=True):
                filled = "would have been filled" if event.fill is not None else "would not have been filled"
                tell(f"{event.cl_ord_id} {filled}{f': {event.told}' if event.told else ''}")

    return saw
