"""Several daemons with one hedge rule and one store, whichever it is: one of them opens the hedge, the others say whose it is, and one that died
over it keeps it from all others until its own journal has told what became of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hyper_rig import hyper_paper, hyper_session
from manual_clock import ManualClock
from memory_job_store import MemoryJobStore
from postgres import Server, postgres

from agent.app.jobs.postgres_store import PostgresStore
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import BEGUN, CLAIMED, DONE, JobStore
from agent.app.rescue.hedge import Crisis
from agent.app.rescue.hedge_keeper import HedgeKeeper
from agent.app.rescue.hedge_lease import PRICED_NS, HedgeLease, leased
from agent.app.settings_rescue import RescueTable
from agent.app.testvenue.futures import FuturesEngine
from agent.domain.errors import Denied, Retry
from agent.domain.orders import Side
from agent.transport.clock import SystemClock

RULE = RescueTable.model_validate(
    {
        "name": "house",
        "chain": "ethereum",
        "hedge_at": "paper",
        "hedge_with": "ETH-PERP",
        "hedge_most_usd": Decimal(9_000),
    }
)
JOB = "hedge:house"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], JobStore]:
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "jobs.db")
    if request.param == "postgres":
        database = request.getfixturevalue("server").database()
        return lambda: PostgresStore(database)
    shared = MemoryJobStore()
    return lambda: shared


class Daemon:
    """A journal of its own, of which only the orders of the rule matter here."""

    def __init__(self, store: JobStore, name: str) -> None:
        self.clock, self.journal, self.told = ManualClock(), self, list[str]()
        self.held = Decimal(0)
        self.book: Any = SimpleNamespace(parents={}, alarms=[], filled_base=lambda order: self.held)
        self.lease = HedgeLease(store, name, JOB)
        self.desk: Any = self

    async def record(self, event: Any) -> None:
        self.told.append(f"{event.code} {event.message}")

    def order(self, *, closed: bool) -> None:
        intent = SimpleNamespace(source=JOB, algo_params=())
        parent = SimpleNamespace(cl_ord_id="p-0", intent=intent, side=None, qty=Decimal(2))
        self.book.parents["p-0"] = SimpleNamespace(
            parent=parent, accepted_ns=1, closed=object() if closed else None
        )

    async def opens(self, does: Callable[[Any], Any]) -> Any:
        return await leased(self.lease, self.desk, RULE, does)


def state(daemon: Daemon) -> str:
    last = daemon.lease.last()
    return "" if last is None else last.state


async def test_of_two_that_want_it_one_opens_it(opened: Callable[[], JobStore]) -> None:
    one, other = Daemon(opened(), "one"), Daemon(opened(), "other")
    sent = list[str]()

    async def fills(begins: Any) -> None:
        assert state(one) == CLAIMED
        with pytest.raises(Denied) as taken:
            await other.opens(fills)
        assert taken.value.code == "HEDGE_ELSEWHERE" and "one's" in taken.value.message
        begins("p-0")
        sent.append("one")
        one.order(closed=True)
        one.held = Decimal("-2")

    await one.opens(fills)
    assert sent == ["one"] and state(one) == BEGUN
    await other.clock.sleep(10 * PRICED_NS / 1e9)
    with pytest.raises(Denied):
        await other.opens(fills)
    one.held = Decimal(0)
    one.lease.finish()
    assert state(other) == DONE

    async def again(begins: Any) -> None:
        begins("p-0")
        sent.append("other")
        other.order(closed=True)
        other.held = Decimal("-2")

    await other.opens(again)
    one.lease.finish()
    assert sent == ["one", "other"] and state(one) == BEGUN, "what is another's is not given back"


async def test_what_came_to_nothing_is_anybodys_and_what_may_stand_is_nobodys(
    opened: Callable[[], JobStore],
) -> None:
    one, other = Daemon(opened(), "one"), Daemon(opened(), "other")

    async def refused(begins: Any) -> None:
        raise Denied("HEDGE_TOO_LARGE", "no margin", "bring some")

    async def dies(begins: Any) -> None:
        begins("p-0")
        daemon.order(closed=False)
        raise asyncio.CancelledError

    async def nothing(begins: Any) -> None:
        begins("p-0")

    for daemon in (one, other, one):
        with pytest.raises(Denied) as no:
            await daemon.opens(refused)
        assert no.value.code == "HEDGE_TOO_LARGE" and state(daemon) == DONE
    await other.opens(nothing)
    assert state(one) == DONE, "an order that bought nothing leaves nothing"
    daemon = one
    with pytest.raises(asyncio.CancelledError):
        await one.opens(dies)
    assert state(one) == BEGUN
    await other.clock.sleep(10 * PRICED_NS / 1e9)
    with pytest.raises(Denied) as held:
        await other.opens(nothing)
    assert held.value.code == "HEDGE_ELSEWHERE"
    # A new life of it knows by its journal that the order is over and bought nothing.
    life = Daemon(opened(), "one")
    life.order(closed=True)
    await life.opens(nothing)
    assert state(other) == DONE


async def test_who_died_while_pricing_holds_it_for_a_minute_and_cannot_begin_after_it(
    opened: Callable[[], JobStore],
) -> None:
    one, other = Daemon(opened(), "one"), Daemon(opened(), "other")
    assert one.lease.claim(one.clock.now_ns()) == ""
    now_ns = other.clock.now_ns() + PRICED_NS
    assert other.lease.claim(now_ns - 1) == "one" and other.lease.claim(now_ns) == ""
    with pytest.raises(Denied) as late:
        one.lease.begin(now_ns + 1)
    assert late.value.code == "HEDGE_LEASE_LOST"
    other.lease.begin(now_ns + 1)


def test_eight_at_once_and_one_has_it(opened: Callable[[], JobStore]) -> None:
    found, ready = list[str](), threading.Barrier(8)

    def wants(name: str) -> None:
        lease = HedgeLease(opened(), name, JOB)
        ready.wait()
        for _ in range(20):
            try:
                found.append(lease.claim(10**18))
                return
            except Retry:
                continue

    threads = [threading.Thread(target=wants, args=(f"d{n}",)) for n in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    (winner,) = {whose for whose in found if whose}
    assert found.count("") == 1 and len(found) == 8 and winner.startswith("d")


async def test_a_keeper_that_has_it_not_says_so_and_goes_on_by_other_means(
    opened: Callable[[], JobStore],
) -> None:
    holder, daemon = HedgeLease(opened(), "holder", JOB), Daemon(opened(), "daemon")
    rule = RULE.model_copy(update={"hedge_first": True})
    symbols = {"cex:paper/ETH-PERP": "ETH-PERP", "cex:paper/USDC-PERPS": "USDC"}
    async with hyper_paper(FuturesEngine) as door:
        venue = hyper_session(door.url)
        try:
            await venue.start()
            app: Any = SimpleNamespace(
                venues={"paper": venue},
                unreachable={},
                directory=SimpleNamespace(symbols=symbols),
                clock=SystemClock(),
            )
            keeper = HedgeKeeper(app, daemon.desk, rule, Decimal(200), daemon.told.append, None, daemon.lease)
            now_ns = daemon.clock.now_ns()
            assert holder.claim(now_ns) == ""
            holder.begin(now_ns)
            assert keeper.comes_first
            keeper.wanted(Crisis(rule, "loan", Decimal(1_000)))
            await until(lambda: keeper.refused)
            assert not keeper.comes_first, "what it may not hedge it pays in for"
            (told,) = daemon.told
            assert told.startswith("HEDGE_IMPOSSIBLE HEDGE_ELSEWHERE") and "holder's" in told
            keeper.over("loan", "well")
            last = holder.last()
            assert last is not None and last.state == BEGUN and last.owner == "holder"
            await keeper.ended()
        finally:
            await venue.close()


async def test_what_stands_without_a_lease_is_leased_and_given_back_once_it_is_off(
    opened: Callable[[], JobStore],
) -> None:
    """As after an update: the journal has a hedge that the store knows nothing of."""
    daemon, other = Daemon(opened(), "daemon"), Daemon(opened(), "other")
    daemon.order(closed=True)
    daemon.held = Decimal(2)
    daemon.book.parents["p-0"].parent.side = Side.BUY
    app: Any = SimpleNamespace(venues={})
    keeper = HedgeKeeper(app, daemon.desk, RULE, Decimal(200), daemon.told.append, None, daemon.lease)
    assert state(other) == ""
    keeper.wanted(Crisis(RULE, "loan", Decimal(1_000)))
    assert state(other) == BEGUN and other.lease.claim(other.clock.now_ns()) == "daemon"
    daemon.held = Decimal(0)
    keeper.over("loan", "well")
    assert state(other) == DONE and other.lease.claim(other.clock.now_ns()) == ""
    await keeper.ended()


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(200):
        if happened():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")
