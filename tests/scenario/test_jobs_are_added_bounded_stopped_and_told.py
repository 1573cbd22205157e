"""Jobs added by command beside a running daemon: shadows, hedges, conditions, budgets and stops, and what the journal tells of each fire."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from home_fixture import Home, another_machine
from postgres import PASSWORD, postgres

from agent.app.jobs.postgres_store import PostgresStore
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import DONE, JobStore
from agent.journal.book import Book

pytestmark = pytest.mark.devnet
RUN = "run --live --yes --max-loss 50"
CALM = "--hedge delta --with base=ETH --with quote=USDC --with risk_aversion=0.001 --with cost_bps=5"


def outcomes(book: Book, job: str) -> list[str]:
    return [fire.outcome for fire in book.fired.get(job, [])]


def settings_of(home: Home, name: str, more: str = "") -> Path:
    path = home.settings_path.with_name(f"{name}.toml")
    path.write_text(home.settings_path.read_text() + f'\n[daemon]\njobs_store = "{name}.db"\n{more}')
    return path


def add(home: Home, settings: Path, words: list[str]) -> Any:
    """Arguments with blanks in them, as a shell would give them."""
    from forked import fairlead

    return fairlead(["--settings", str(settings), "jobs", "add", *words], home.env(), 60)


def test_what_is_added_beside_a_running_daemon_fires_within_its_bounds(home: Home) -> None:
    settings = settings_of(home, "bounded", "port = 0\n")
    daemon = home.start(RUN, settings)
    assert home.run("jobs add ghost sell 0.05 ETH --for USDC --every 1s", settings).status == 0
    assert (
        home.run("jobs add trickle sell 0.05 ETH --for USDC --every 1s --budget 200 --live", settings).status
        == 0
    )
    calm = [
        *CALM.split(),
        "--with",
        "target=100",
        "--with",
        "gamma=-9000",
        "--blocks",
        "base 1",
        "--live",
    ]
    assert add(home, settings, ["calm", *calm]).status == 0
    high = ["high", "sell", "0.01", "ETH", "--for", "USDC", "--price", "ETH above 1", "--live"]
    assert add(home, settings, high).status == 0
    daemon.says("running:")
    shadow = home.start("run --shadow", settings)

    def all_fired() -> bool:
        book = home.book()
        return (
            "SHADOW" in outcomes(book, "ghost")
            and {"ORDER", "SKIPPED"} <= set(outcomes(book, "trickle"))
            and "NOTHING" in outcomes(book, "calm")
            and "ORDER" in outcomes(book, "high")
        )

    home.wait_for(lambda: all_fired() or daemon.process.poll() is not None)
    url = re.search(r"http://127\.0\.0\.1:\d+", daemon.err)
    assert url is not None
    with urllib.request.urlopen(f"{url[0]}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert 'fairlead_job_fires_total{job="trickle",outcome="ORDER"} 1' in metrics
    assert 'fairlead_up{environment="devnet"} 1' in metrics
    with urllib.request.urlopen(f"{url[0]}/health", timeout=10) as answer:
        assert json.load(answer)["ok"]
    watched = home.run("health --watch --every 0.2 --count 2", settings)
    assert watched.status == 0 and watched.out.count("Ctrl-C ends it") == 2 and "\033" not in watched.out
    assert home.run("jobs stop ghost --why noisy", settings).status == 0
    home.wait_for(lambda: "SKIPPED" in outcomes(home.book(), "ghost"))
    shadow.says("would have been filled")
    assert shadow.end(signal.SIGTERM).status == 0, shadow.err
    assert home.run("jobs remove calm", settings).status == 0
    daemon.says("job calm is gone")
    assert daemon.end(signal.SIGTERM).status in (0, 5), daemon.err

    book = home.book()
    assert outcomes(book, "trickle").count("ORDER") == 1, "a second one would be over the budget"
    assert any("over its budget of 200" in fire.told for fire in book.fired["trickle"])
    assert outcomes(book, "high") == ["ORDER"], "quiet for an hour after its fire"
    assert "the band is" in book.fired["calm"][0].told
    sources = {record.parent.intent.source for record in book.parents.values()}
    assert {"job:trickle", "job:high"} <= sources and not {"job:ghost", "job:calm"} & sources

    compared = home.run("report shadow --json", settings).json
    assert compared["filled"] >= 1 and compared["slippage_bps"]["median"] is not None
    assert not {one["parent"] for one in compared["orders"]} & set(book.parents), "ids of its own"
    store = SqliteStore(home.settings_path.with_name("bounded.db"))
    owners = {lease.owner for name in ("ghost", "trickle", "high") for lease in store.leases(name)}
    assert len(owners) == 1, "the shadow took a lease of the daemon's"
    (held,) = store.reserved("job:trickle")
    assert not held.open and 0 < held.usd <= 200 and {held.owner} == owners, "settled to what it came to"
    said = home.run("report shadow", settings).out
    assert "would have sent" in said and "worse bps" in said

    told = home.run("jobs history trickle --json", settings).json["fires"]
    order = next(row for row in told if row["outcome"] == "ORDER")
    assert order["order"] in book.parents and order["fire"].endswith("Z")


@pytest.mark.full
@pytest.mark.parametrize("kind", ["file", "database"])
def test_two_daemons_with_one_store_run_each_fire_once(home: Home, tmp_path: Path, kind: str) -> None:
    """Two machines with journals of their own, one of them killed on the way: no fire is in both journals."""
    with another_machine(home, tmp_path) as second, ExitStack() as held:
        if kind == "file":
            path = tmp_path / "shared.db"
            store: JobStore = SqliteStore(path)
            shared = f'\n[daemon]\njobs_store = "{path}"\n'
        else:
            database = held.enter_context(postgres()).database()
            store, url = PostgresStore(database), tmp_path / "url"
            url.write_text(
                f"postgresql://{database.user}:{quote(PASSWORD, safe='')}@127.0.0.1:{database.port}/{database.name}"
            )
            url.chmod(0o600)
            shared = f'\n[daemon]\njobs_database = "file:{url}"\n'
        job = '\n[[jobs]]\nname = "one"\nevery = "3s"\nside = "sell"\nqty = "0.01"\nbase = "ETH"\nquote = "USDC"\n'
        job += job.replace('"one"', f'"capped_{kind}"').replace("[[jobs]]", '[[jobs]]\nbudget_usd = "100"')
        first = home.settings_path.with_name("first.toml")
        first.write_text(home.settings_path.read_text() + shared + job)
        second.write_text(second.read_text() + shared + job)
        adopted = home.run("reconcile --adopt --at-once", second)
        assert adopted.status == 0, adopted.out + adopted.err
        a, b = home.start(RUN, first), home.start(RUN, second)

        def done() -> int:
            return sum(lease.state == DONE for lease in store.leases("one", 1_000))

        home.wait_for(lambda: done() >= 6)
        a.end(signal.SIGKILL)
        before = done()
        home.wait_for(lambda: done() >= before + 2)
        assert b.end(signal.SIGTERM).status in (0, 5), b.err
        from agent.app.readonly import read_book
        from agent.app.settings import load

        keys, capped = [], 0
        for path in (first, second):
            book = read_book(load(path))
            assert book is not None
            capped += sum(f.outcome == "ORDER" for f in book.fired.get(f"capped_{kind}", []))
            keys += [f.key for f in book.fired.get("one", []) if f.outcome == "ORDER"]
        assert len(keys) == len(set(keys)) >= 6
        assert 1 <= capped <= 3, (
            "three orders of thirty dollars are what the budget holds, on both machines together"
        )
        assert sum(row.usd for row in store.reserved(f"job:capped_{kind}")) <= 100
