"""This machine's clock is set back while a daemon runs, or between two runs: nothing is done twice, nothing falls silent, nothing old is young."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from manual_clock import START_NS, ManualClock
from memory_job_store import MemoryJobStore
from settings_values import parsed_with_jobs

from agent.app.escalation import Escalation
from agent.app.jobs import watched
from agent.app.jobs.guard import Fire, Guard
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.triggers import Condition, trigger_of
from agent.app.places import directory
from agent.app.scheduler import NAP_S, Scheduler, due, last_fire
from agent.app.settings_tree import Job
from agent.app.world import CLOCKS_S, behind
from agent.domain.events import Alarmed, Fired, Halted, Resumed, Scheduled
from agent.domain.instruments import Place
from agent.domain.risk import OraclePrice
from agent.journal.book import Book
from agent.journal.registry import event_codec
from agent.journal.store import Journal
from agent.market.view import AsOf

MINUTE, HOUR, YEAR = 60 * 10**9, 3_600 * 10**9, 365 * 86_400 * 10**9
DRIP = Job.model_validate({"name": "drip", "every": "10m", "side": "sell", "qty": "1", "base": "WETH", "quote": "USDC"})  # fmt: skip
DIP = Job.model_validate({"name": "dip", "price": "ETH below 2000", "again": "6h", "side": "buy", "qty": "1", "base": "WETH", "quote": "USDC"})  # fmt: skip


class SetClock(ManualClock):
    """`off_ns` is what somebody set it by; a sleep lasts as long as it was meant to."""

    off_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.off_ns


async def no_price(symbol: str) -> None:
    return None


class Daemon:
    """A scheduler whose trading is halted, so that each fire is an outcome of its own and no order."""

    def __init__(self, clock: SetClock, store: Any, book: Book) -> None:
        self.said, self.clock, self.events = list[str](), clock, list[Any]()

        async def record(event: Any) -> None:
            book.apply(event)
            self.events.append(event)

        desk: Any = SimpleNamespace(
            clock=clock, book=book, journal=SimpleNamespace(record=record, record_durably=record)
        )
        app: Any = SimpleNamespace(switch=SimpleNamespace(why=lambda: "this test gives no orders"))
        guard = Guard(store, "here", no_price)
        scheduler = Scheduler(app, desk, None, Decimal(1), self.said.append, guard=guard)  # type: ignore[arg-type]
        self.running = asyncio.ensure_future(scheduler.run(DRIP))

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    def carried(self) -> list[int]:
        return [int(e.key) for e in self.events if isinstance(e, Fired) and e.outcome != "MISSED"]

    def alarms(self) -> list[str]:
        return [e.code for e in self.events if isinstance(e, Alarmed)]


def first_fire() -> int:
    return (START_NS // (10 * MINUTE) + 1) * 10 * MINUTE


@pytest.mark.parametrize("between_runs", [False, True])
async def test_no_fire_is_carried_twice_it_is_told_and_goes_on(between_runs: bool) -> None:
    clock, store, book = SetClock(), MemoryJobStore(), Book()
    daemon = Daemon(clock, store, book)
    await clock.sleep(65 * 60)
    before = daemon.carried()
    assert before == [first_fire() + n * 10 * MINUTE for n in range(len(before))] and len(before) >= 6
    if between_runs:
        await daemon.end()
    clock.off_ns = -HOUR
    if between_runs:
        daemon = Daemon(clock, store, book)
    await clock.sleep(90 * 60)
    await daemon.end()
    every = before + daemon.carried() if between_runs else daemon.carried()
    assert every == [first_fire() + n * 10 * MINUTE for n in range(len(every))]
    assert every[-1] > before[-1] + 20 * MINUTE
    assert daemon.alarms() == ["CLOCK_BACK"] and sum("went back by" in one for one in daemon.said) == 1


async def test_a_clock_set_forward_is_found_within_a_nap() -> None:
    clock = SetClock()
    daemon = Daemon(clock, MemoryJobStore(), Book())
    await clock.sleep(61)
    clock.off_ns = first_fire() + 5 * 10**9 - clock.now_ns()  # as after a machine that slept
    await clock.sleep(NAP_S + 1)
    await daemon.end()
    assert daemon.carried() == [first_fire()] and daemon.alarms() == []


def test_an_order_of_a_year_that_has_not_come_keeps_no_fire_from_being_carried() -> None:
    orders = {
        name: SimpleNamespace(
            parent=SimpleNamespace(intent=SimpleNamespace(created_ns=at, source="job:drip"))
        )  # fmt: skip
        for name, at in (("wrong", START_NS + 4 * YEAR), ("last", first_fire()))
    }
    book: Any = SimpleNamespace(parents=orders)
    now = first_fire() + 10 * MINUTE
    assert last_fire(book, DRIP, now) == first_fire()
    rule: Any = trigger_of(DRIP)
    known = Scheduled("drip", rule.text, now, now - MINUTE)
    assert due(rule, known, last_fire(book, DRIP, now), now).fires == (now,)
    assert last_fire(book, DRIP, START_NS + 5 * YEAR) == START_NS + 4 * YEAR


@pytest.mark.parametrize("ahead_ns", [HOUR, 4 * YEAR])
async def test_a_condition_that_fired_in_a_time_to_come_fires_again_after_its_pause(
    ahead_ns: int, tmp_path: Path
) -> None:
    clock, trigger = SetClock(), trigger_of(DIP)
    assert isinstance(trigger, Condition) and trigger.again_ns == 6 * HOUR
    store: Any = SqliteStore(tmp_path / "jobs.db")
    guard = Guard(store, "here", no_price)
    first = Fire("first", clock.now_ns() + ahead_ns)
    assert guard.claim(DIP, first, first.at_ns, first.at_ns + MINUTE)
    assert store.begin("dip", "first", "here", first.at_ns)
    guard.finish(DIP, first)
    began = clock.now_ns()
    found: list[int] = []

    settings = parsed_with_jobs()

    async def prices() -> tuple[OraclePrice, ...]:
        return tuple(OraclePrice(who, "ETH", Decimal(1_500), clock.now_s) for who in ("one", "two"))

    app: Any = SimpleNamespace(settings=settings, directory=directory(settings, {}), oracles=SimpleNamespace(prices=prices), clock=clock)  # fmt: skip

    async def look() -> None:
        async for fire in watched.moments(app, clock, DIP, trigger, guard.quiet_until):
            if guard.claim(DIP, fire, fire.at_ns, fire.at_ns + MINUTE):
                assert store.begin("dip", fire.key, "here", fire.at_ns)
                guard.finish(DIP, fire)
                found.append(fire.at_ns - began)

    running = asyncio.ensure_future(look())
    await clock.sleep(8 * 3_600)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (again,) = found
    assert 6 * HOUR <= again <= 7 * HOUR + MINUTE


def test_an_alert_that_nobody_answered_is_told_further_all_the_same(tmp_path: Path) -> None:
    said: list[str] = []
    escalation = Escalation(tmp_path / "open.json", 900, ["HALTED"], said.append)
    escalation.saw({"code": "HALTED", "message": "squall"}, 4 * YEAR / 10**9)
    assert escalation.due(1_000.0) == []
    assert escalation.due(1_899.0) == []
    (told,) = Escalation(tmp_path / "open.json", 900, ["HALTED"], said.append).due(1_900.0)
    assert (told["message"], told["minutes"]) == ("squall", 15) and said == []
    assert escalation.due(9_999.0) == []


def test_what_a_chain_dated_later_than_now_tells_of_a_clock_behind() -> None:
    chain, now = Place("eip155:1"), 1_700_000_000
    view: Any = SimpleNamespace(as_of={chain: AsOf(now + 12), Place("cex:k"): AsOf(now)})
    feed = OraclePrice("chainlink:eip155:1/0xfeed", "ETH", Decimal(3_000), now - 3_000)
    assert behind(now, view, [feed]) == {}
    assert behind(now - 3_600, SimpleNamespace(as_of={chain: AsOf(now)}), []) == {str(chain): 3_600}  # type: ignore[arg-type]
    late = replace(feed, at_s=now + CLOCKS_S + 1)
    assert behind(now, view, [late, feed]) == {late.source: CLOCKS_S + 1}


async def test_a_journal_goes_on_and_is_read_again(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "journal.db"
    for off_ns in (0, -HOUR, -2 * YEAR):
        clock.off_ns = off_ns
        journal = Journal.open(path, clock=clock, environment="devnet", codec=event_codec(), emergency=tmp_path / "e")  # fmt: skip
        await journal.record_durably(Halted("person", "lunch", clock.now_ns()))
        clock.off_ns = off_ns - HOUR
        await journal.record_durably(Resumed("person", clock.now_ns()))
        journal.close()
    clock.off_ns = 0
    journal = Journal.open(path, clock=clock, environment="devnet", codec=event_codec(), emergency=tmp_path / "e")  # fmt: skip
    assert journal.head().seq == 6
    journal.close()
