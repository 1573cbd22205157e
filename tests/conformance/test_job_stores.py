"""Every job store keeps the same promises: one that several hosts share has to pass this as it stands."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from memory_job_store import MemoryJobStore
from postgres import PASSWORD, Server, postgres

from agent.app.jobs.postgres_store import Database, PostgresStore
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import ALL, BEGUN, CLAIMED, DONE, Held, JobStore, Reserved, Room, StoredJob
from agent.domain.errors import Denied, Retry, Usage
from chains.devnet.supervisor import free_port

Open = Callable[[], JobStore]
"""One more daemon at the same store."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "deep" / "jobs.db")
    if request.param == "postgres":
        database = request.getfixturevalue("server").database()
        return lambda: PostgresStore(database)
    shared = MemoryJobStore()
    return lambda: shared


def test_jobs_are_added_once_and_removed_once(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.jobs() == () and not one.remove("a")
    job = StoredJob("a", "jobs", '{"every": "4h"}', 5)
    assert one.add(job) and not other.add(StoredJob("a", "hedges", "{}", 6))
    assert other.add(StoredJob("b", "hedges", "{}", 7))
    assert [j.name for j in one.jobs()] == ["a", "b"] and other.jobs()[0] == job
    assert other.remove("a") and not one.remove("a")
    assert [j.name for j in one.jobs()] == ["b"]


def test_a_stop_is_seen_by_every_daemon(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.stopped() == {} and not one.start("a")
    one.stop("a", "too dear"), other.stop(ALL, "night"), one.stop("a", "dearer")
    assert other.stopped() == {"a": "dearer", ALL: "night"}
    assert other.start("a") and one.stopped() == {ALL: "night"}


def test_a_fire_is_one_daemons_until_its_lease_lapses(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.claim("a", "k", 100, "x", 100, 200)
    assert not other.claim("a", "k", 100, "y", 199, 300)
    assert one.claim("a", "k", 100, "x", 150, 200), "whoever holds it may ask again"
    assert other.claim("b", "k", 100, "y", 100, 200), "another job's fires are its own"
    assert other.claim("a", "k", 100, "y", 200, 300), "the lease has lapsed"
    assert not one.begin("a", "k", "x", 210), "whoever lost the lease must do nothing"
    assert other.begin("a", "k", "y", 210)
    (found,) = one.leases("a")
    assert (found.owner, found.state, found.at_ns) == ("y", BEGUN, 100)


def test_a_lease_that_lapsed_cannot_begin_even_where_nobody_else_asked(opened: Open) -> None:
    store = opened()
    assert store.claim("a", "k", 100, "x", 100, 200)
    assert not store.begin("a", "k", "x", 200)
    assert not store.begin("a", "other", "x", 100) and not store.begin("a", "k", "y", 150)


def test_what_was_begun_is_nobody_elses_for_ever(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.claim("a", "k", 100, "x", 100, 200) and one.begin("a", "k", "x", 150)
    assert not other.claim("a", "k", 100, "y", 10**18, 2 * 10**18, resume=True)
    assert not one.claim("a", "k", 100, "x", 160, 300), "unless it says that its journal knows"
    assert one.claim("a", "k", 100, "x", 10**18, 2 * 10**18, resume=True)
    assert one.begin("a", "k", "x", 3 * 10**18), "begun stays begun"
    one.finish("a", "k", "y")
    assert one.leases("a")[0].state == BEGUN, "only its owner ends it"
    one.finish("a", "k", "x")
    assert one.leases("a")[0].state == DONE
    assert not one.claim("a", "k", 100, "x", 300, 400, resume=True)


def test_fires_of_a_condition_keep_their_distance_whoever_saw_it(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.claim("a", "1000", 1000, "x", 1000, 1100, spacing_ns=500)
    assert not other.claim("a", "1003", 1003, "y", 1003, 1100, spacing_ns=500), "it is being priced"
    assert other.claim("a", "1101", 1101, "y", 1101, 1200, spacing_ns=500), (
        "who priced it is gone and did nothing"
    )
    assert other.begin("a", "1101", "y", 1150)
    assert not one.claim("a", "1600", 1600, "x", 1600, 1700, spacing_ns=500)
    assert one.claim("a", "1601", 1601, "x", 1601, 1700, spacing_ns=500)
    assert [lease.key for lease in one.leases("a", 2)] == ["1601", "1101"]


def test_removing_a_job_forgets_no_fire(opened: Open) -> None:
    store = opened()
    store.add(StoredJob("a", "jobs", "{}", 0))
    assert store.claim("a", "k", 1, "x", 1, 9) and store.begin("a", "k", "x", 2)
    store.finish("a", "k", "x")
    store.remove("a"), store.add(StoredJob("a", "jobs", "{}", 1))
    assert not store.claim("a", "k", 1, "x", 3, 9)


@pytest.mark.parametrize("fires", [25, pytest.param(400, marks=pytest.mark.full)])
def test_daemons_that_race_begin_each_fire_once(opened: Open, fires: int) -> None:
    """Four at once, each killed now and then between its claim and its beginning; the clock only grows."""
    begun: list[tuple[str, str]] = []
    lock, tick = threading.Lock(), [0]

    def now() -> int:
        with lock:
            tick[0] += 1
            return tick[0]

    def daemon(name: str) -> None:
        chance, store = random.Random(name), opened()
        for number in range(fires):
            for _ in range(3):
                at = now()
                if store.claim("a", str(number), number, name, at, at + 5) and chance.random() < 0.7:
                    if store.begin("a", str(number), name, now()):
                        begun.append((str(number), name))
                        store.finish("a", str(number), name)

    daemons = [threading.Thread(target=daemon, args=(name,)) for name in "wxyz"]
    for one in daemons:
        one.start()
    for one in daemons:
        one.join()
    keys = [key for key, _ in begun]
    assert len(keys) == len(set(keys)) > fires // 2
    assert sum(lease.state == CLAIMED for lease in opened().leases("a", fires)) <= fires - len(keys)


def order(name: str, usd: str, owner: str = "x", at_ns: int = 100) -> Reserved:
    return Reserved("job:a", owner, name, at_ns, Decimal(usd))


def test_a_budget_is_one_for_all_daemons(opened: Open) -> None:
    one, other, limit = opened(), opened(), Decimal(1000)
    assert one.reserved() == () and not one.settle("job:a", "x", "1", Decimal(5))
    assert one.reserve(order("1", "600.000001"), limit, 0) == Room(True, Decimal(0), {})
    full = other.reserve(order("2", "400", "y"), limit, 0)
    assert full == Room(False, Decimal("600.000001"), {"x": Decimal("600.000001")})
    assert other.reserve(replace(order("2", "400", "y"), budget="job:b"), limit, 0), (
        "another job's is its own"
    )
    assert one.reserve(order("1", "650"), limit, 0) == Room(True, Decimal(0), {}), "it stands as asked last"
    assert not other.settle("job:a", "y", "1", Decimal(0)), "only whose it is settles it"
    assert one.settle("job:a", "x", "1", Decimal("123.45")) and not one.settle("job:a", "x", "1", Decimal(0))
    assert one.reserve(order("1", "1"), limit, 0) is None, "what is over is not begun again"
    assert other.reserve(order("2", "876.55", "y"), limit, 0) == Room(True, Decimal("123.45"), {})
    (first, second) = one.reserved("job:a")
    assert (first.usd, first.open, second.usd, second.open) == (
        Decimal("123.45"), False, Decimal("876.55"), True,
    )  # fmt: skip
    assert other.settle("job:a", "y", "2", Decimal(0)), "it never left"
    assert one.reserved("job:a") == (first,) and len(one.reserved()) == 2


def test_what_is_open_counts_however_old_it_is_and_what_is_over_for_as_long_as_it_is_recent(
    opened: Open,
) -> None:
    store, limit, day = opened(), Decimal(1000), 86_400 * 10**9
    assert store.reserve(order("open", "300"), limit, 0) and store.reserve(order("over", "300"), limit, 0)
    assert store.settle("job:a", "x", "over", Decimal(300))
    now = 5 * day
    assert store.reserve(order("big", "701", at_ns=now), limit, 100) == Room(False, Decimal(600), {})
    assert store.reserve(order("big", "701", at_ns=now), limit, 101) == Room(False, Decimal(300), {})
    assert store.reserve(order("new", "700", at_ns=now), limit, now - day) == Room(True, Decimal(300), {})
    assert [row.name for row in store.reserved("job:a") if row.counts(now - day)] == ["open", "new"]
    assert store.settle("job:a", "x", "open", Decimal(300), now + 1), "somebody says that it is over, today"
    assert store.reserve(order("more", "1", at_ns=now), limit, now - day) == Room(False, Decimal(1000), {})


def test_a_reservation_begins_its_fire_or_is_not_made(opened: Open) -> None:
    one, other, limit = opened(), opened(), Decimal(1000)
    assert one.claim("a", "k", 100, "x", 100, 200)
    assert other.reserve(order("k", "5", "y"), limit, 0, Held("a", "k", 150)) is None, "not its lease"
    assert one.reserve(order("k", "5"), limit, 0, Held("a", "k", 200)) is None, "the lease has lapsed"
    assert one.reserved() == () and one.leases("a")[0].state == CLAIMED
    assert one.reserve(order("k", "1001"), limit, 0, Held("a", "k", 150)) == Room(False, Decimal(0), {})
    assert one.leases("a")[0].state == CLAIMED, "an order that is not let through is not begun"
    assert one.reserve(order("k", "5"), limit, 0, Held("a", "k", 150)) == Room(True, Decimal(0), {})
    assert one.leases("a")[0].state == BEGUN and [row.name for row in other.reserved()] == ["k"]


@pytest.mark.parametrize("orders", [15, pytest.param(300, marks=pytest.mark.full)])
def test_daemons_that_race_never_reserve_more_than_there_is(opened: Open, orders: int) -> None:
    """Four at once, each with orders that are filled in part, or never left, or stay open; a day's window over a clock that only grows."""
    limit, lock, tick = Decimal(100), threading.Lock(), [0]
    seen: list[Decimal] = []

    def daemon(name: str) -> None:
        chance, store = random.Random(name), opened()
        for number in range(orders):
            with lock:
                tick[0] += 1
                now = tick[0]
            usd = chance.randrange(1, 60)
            room = store.reserve(Reserved("job:a", name, str(number), now, Decimal(usd)), limit, now - 10)
            assert room is not None
            if room.granted:
                seen.append(room.counted_usd + usd)
                if chance.random() < 0.97:
                    assert store.settle("job:a", name, str(number), Decimal(chance.randrange(usd + 1)))

    daemons = [threading.Thread(target=daemon, args=(name,)) for name in "wxyz"]
    for one in daemons:
        one.start()
    for one in daemons:
        one.join()
    assert max(seen) <= limit and len(seen) > orders / 2
    assert sum(row.usd for row in opened().reserved() if row.open) <= limit


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_only_the_newest_of_what_is_done_are_kept(tmp_path: Path, kind: str, server: Server) -> None:
    store = (
        SqliteStore(tmp_path / "jobs.db", kept=3)
        if kind == "sqlite"
        else PostgresStore(server.database(), kept=3)
    )
    assert store.claim("a", "open", 0, "x", 0, 100) and store.begin("a", "open", "x", 1)
    for n in range(1, 8):
        assert store.claim("a", str(n), n, "x", n, 100) and store.begin("a", str(n), "x", n)
        store.finish("a", str(n), "x")
    assert [lease.key for lease in store.leases("a")] == ["7", "6", "5", "open"], "what is not over is kept"


def test_a_file_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SqliteStore(path)
    store.stop("a", "why")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o620)
    with pytest.raises(Denied) as refused:
        store.jobs()
    assert refused.value.code == "JOBS_STORE_OPEN" and "chmod" in refused.value.hint


def test_a_store_that_is_no_store_is_said(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("this is a letter, and by no means a database of anything at all" * 20)
    with pytest.raises(Retry) as refused:
        SqliteStore(path).jobs()
    assert refused.value.code == "JOBS_STORE" and str(path) in refused.value.message


def test_a_database_that_is_down_or_lets_nobody_in_is_said_and_not_asked_again_at_once(
    server: Server,
) -> None:
    database = server.database()
    wrong = Database(database.host, database.port, database.name, database.user, "another")
    with pytest.raises(Retry) as refused:
        PostgresStore(wrong).jobs()
    assert refused.value.code == "JOBS_STORE" and "password authentication failed" in refused.value.message
    gone = PostgresStore(Database("127.0.0.1", free_port(), "jobs", "fairlead", PASSWORD))
    for why in ("", "a moment ago"):
        with pytest.raises(Retry) as refused:
            gone.stop("a", "b")
        assert refused.value.code == "JOBS_STORE" and why in refused.value.message
    for told in (repr(database), repr(wrong), refused.value.message):
        assert PASSWORD not in told and "another" not in told


def test_what_was_written_while_it_waited_for_the_lock_is_seen_whatever_the_databases_own_isolation_is(
    server: Server,
) -> None:
    database = server.database()
    one, other = PostgresStore(database), PostgresStore(database)
    with one._writing() as db:
        db.change(f"ALTER DATABASE {database.name} SET default_transaction_isolation TO 'repeatable read'")
    assert other.jobs() == (), "connected since"
    told: list[bool] = []
    waits = threading.Thread(target=lambda: told.append(other.claim("a", "second", 6, "b", 6, 100, 50)))
    with one._writing() as db:
        waits.start()
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not db.rows(waiting):
            pass
        words = "INSERT INTO fires VALUES (?, ?, ?, ?, ?, ?)"
        db.change(words, "a", "first", 5, "a", 100, BEGUN)
    waits.join()
    assert told == [False], "the first fire is too near"


def test_outside_this_host_a_database_is_spoken_to_over_tls_alone(server: Server) -> None:
    """The same server by an address that is not the loopback's: it has no TLS, and is not asked in the clear."""
    database = server.database()
    assert database.here and Database.of("postgresql://u:p@localhost/x").here
    far = Database("db.example.org", 5432, "jobs", "fairlead", PASSWORD)
    assert not far.here and not Database.of("postgresql://u@10.0.0.7/jobs").here

    class Elsewhere(Database):
        here = False

    with pytest.raises(Retry) as refused:
        PostgresStore(Elsewhere(database.host, database.port, database.name, database.user, PASSWORD)).jobs()
    assert "SSL" in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jobs.db",
        "mysql://u:p@host/jobs",
        "postgresql://host/jobs",
        "postgresql://u:p@host",
        "postgresql://u:p@host:port/jobs",
        "postgresql://u:p@host/jobs?sslmode=disable",
        "postgresql://u:p@host/jobs/more",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(Usage) as refused:
        Database.of(url)
    assert refused.value.code == "BAD_DATABASE_URL" and refused.value.hint
    assert "u:p" not in str(refused.value)


def test_a_url_says_where_and_as_whom() -> None:
    found = Database.of("postgresql://fair%40lead:p%2Fw@db.example.org/jobs")
    assert found == Database("db.example.org", 5432, "jobs", "fair@lead", "p/w")
    assert found.shown == "fair@lead@db.example.org:5432/jobs"
