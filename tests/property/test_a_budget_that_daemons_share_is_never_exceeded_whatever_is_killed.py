"""Daemons of one store, each with a journal of its own, killed between any two of their steps: at no time do what their orders came to in 24
hours and what those under way may still come to exceed the job's budget; and what is left open in the end is only what may still be spent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from memory_job_store import MemoryJobStore

from agent.app.job_checks import LATE_NS
from agent.app.jobs.guard import Fire, Guard, Worth, source_of
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import JobStore
from agent.app.settings_tree import Job
from agent.domain.events import ParentClosed
from agent.domain.ids import ClOrdId

HOUR = 3600 * 10**9
DAY = 24 * HOUR
BUDGET = Decimal(1000)
JOB = Job.model_validate({"name": "drip", "every": "1h", "side": "sell", "qty": "1", "base": "ETH", "quote": "USDC", "budget_usd": str(BUDGET)})  # fmt: skip
NO_WAIT = Guard(MemoryJobStore(), "", lambda symbol: None)  # type: ignore[arg-type, return-value]


class Time:
    """In the test's hand."""

    at_ns = 1000 * DAY

    def now_ns(self) -> int:
        return self.at_ns


class Journal:
    """What survives of a daemon: its orders, one part each, in the words of the book."""

    def __init__(self) -> None:
        self.parents: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}

    def accept(self, name: str, usd: int, at_ns: int, now_ns: int) -> None:
        part = SimpleNamespace(authorized=None, ended=False, filled=Decimal(0))
        part.base_qty = lambda: part.filled
        intent = SimpleNamespace(
            source=source_of(JOB), created_ns=at_ns, qty=Decimal(usd), base="ETH", quote="USDC"
        )
        parent = SimpleNamespace(intent=intent, qty=Decimal(usd), cl_ord_id=name)
        self.parents[name] = SimpleNamespace(parent=parent, closed=None, accepted_ns=now_ns, part=part)

    def parts_of(self, name: str) -> list[Any]:
        return [self.parents[name].part]

    def filled_quote(self, name: str) -> Decimal:
        return Decimal(self.parents[name].part.filled)


class Daemon:
    """`at_work` is what dies with it; the journal does not."""

    def __init__(self, owner: str, store: JobStore, clock: Time) -> None:
        self.owner, self.store, self.clock, self.journal = owner, store, clock, Journal()
        self.begin()

    def begin(self) -> None:
        """As `run` does: what the journal knows is settled, and what is open goes on."""
        self.guard = Guard(self.store, self.owner, NO_WAIT)  # type: ignore[arg-type]
        book: Any = self.journal
        self.guard.budgets.settle(book)
        self.watch = self.guard.budgets.watcher(book, print)
        opened = [name for name, record in self.journal.parents.items() if record.closed is None]
        self.at_work: list[Iterator[None]] = [self.carry(name, random.Random(name)) for name in opened]

    def fire(self, key: int, usd: int, draw: random.Random) -> Iterator[None]:
        fire, name = Fire(str(key), key * HOUR, resume=True), f"p-{key}"
        if not self.guard.claim(JOB, fire, self.clock.now_ns(), self.clock.now_ns() + 3 * HOUR):
            return
        yield
        worth, book = Worth(Decimal(usd), {"ETH": Decimal(1), "USDC": Decimal(1)}), self.journal
        if self.guard.over_budget(JOB, worth, book, self.clock.now_ns()):  # type: ignore[arg-type]
            return
        yield
        now_ns = self.clock.now_ns()
        if self.guard.begin(JOB, fire, name, worth, book, now_ns) != "":  # type: ignore[arg-type]
            return
        if name in self.journal.parents or draw.random() < 0.15:
            return  # it was done, or this one dies before the journal has it
        self.journal.accept(name, usd, fire.at_ns, now_ns)
        yield
        yield from self.carry(name, draw)
        self.guard.finish(JOB, fire)

    def carry(self, name: str, draw: random.Random) -> Iterator[None]:
        record = self.journal.parents[name]
        part = record.part
        part.authorized = part.authorized or SimpleNamespace(at_ns=0)
        yield
        while part.filled < record.parent.qty and draw.random() < 0.7:
            part.filled = min(record.parent.qty, part.filled + draw.randrange(1, 300))
            yield
        part.ended = True
        yield
        record.closed = "FILLED"
        yield
        self.watch(ParentClosed(ClOrdId(name), "FILLED", "", 0))


def spent(daemons: list[Daemon], now_ns: int) -> Decimal:
    """The truth: what could still be filled whole, and what was filled of orders that are of the last 24 hours."""
    total = Decimal(0)
    for daemon in daemons:
        for record in daemon.journal.parents.values():
            if record.closed is None:
                total += record.parent.qty
            elif max(record.parent.intent.created_ns, record.accepted_ns - LATE_NS) >= now_ns - DAY:
                total += record.part.filled
    return total


def live(store: JobStore, draw: random.Random, steps: int) -> tuple[int, int, int]:
    """(orders, kills, refusals because of another's): what came of it."""
    clock, kills, full = Time(), 0, 0
    daemons = [Daemon(owner, store, clock) for owner in "abc"]
    for _ in range(steps):
        daemon = draw.choice(daemons)
        what = draw.random()
        if what < 0.08:
            daemon.begin()
            kills += 1
        elif what < 0.3:
            clock.at_ns += draw.randrange(HOUR)
            key = clock.now_ns() // HOUR - draw.choice((0, 0, 0, 1, 2))
            daemon.at_work.append(daemon.fire(key, draw.randrange(20, 500), draw))
        elif daemon.at_work:
            one = draw.choice(daemon.at_work)
            if next(one, StopIteration) is StopIteration:
                daemon.at_work.remove(one)
        assert spent(daemons, clock.now_ns()) <= BUDGET
        mine = sum(row.usd for row in store.reserved() if row.counts(clock.now_ns() - DAY))
        assert mine >= spent(daemons, clock.now_ns()), "what may be spent stands in the store"
        full += mine > BUDGET - 50
    for daemon in daemons:
        daemon.begin()
        for one in daemon.at_work:
            list(one)
        daemon.begin()
    assert not [row for row in store.reserved() if row.open], "each is settled once its daemon ran again"
    orders = sum(len(daemon.journal.parents) for daemon in daemons)
    return orders, kills, full


@pytest.mark.parametrize("runs", [12, pytest.param(1_000, marks=pytest.mark.full)])
def test_a_budget_holds_whatever_is_killed(runs: int) -> None:
    told = [live(MemoryJobStore(), random.Random(seed), 900) for seed in range(runs)]
    orders, kills, full = (sum(column) for column in zip(*told, strict=True))
    assert orders > 10 * runs and kills > 10 * runs and full > 10 * runs


def test_a_budget_of_the_file_holds_as_well(tmp_path: Path) -> None:
    orders, kills, _ = live(SqliteStore(tmp_path / "jobs.db"), random.Random(7), 250)
    assert orders > 5 and kills > 5
