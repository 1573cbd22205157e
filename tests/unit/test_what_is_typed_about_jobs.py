"""`fairlead jobs` by its words: what is added, refused with a remedy, previewed, stopped; and the pure rules behind it."""

from __future__ import annotations

import json
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from settings_values import parsed_with_jobs, values

from agent.app import template
from agent.app.cli import run
from agent.app.job_rules import SECOND
from agent.app.jobs.guard import store_of
from agent.app.jobs.store import Reserved
from agent.app.jobs.triggers import Blocks, Condition, jitter_ns, trigger_of
from agent.app.settings import load
from agent.app.settings_jobs import Timing
from chains.errors import Usage

HEDGE = "--hedge delta --with base=WETH --with quote=USDC --with risk_aversion=0.001 --with cost_bps=5"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "fairlead.toml"
    template.write(values(journal__path=str(tmp_path / "journal.db")), path)
    path.write_text(
        path.read_text()
        + '\n[[jobs]]\nname = "own"\nevery = "4h"\nside = "sell"\nqty = "1"\nbase = "WETH"\nquote = "USDC"\n'
    )
    return path


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def said(settings: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, Any]:
    status = run(["--settings", str(settings), "jobs", *words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_added_previewed_stopped_and_removed(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def do(text: str) -> Any:
        status, told = said(settings, capsys, text.split())
        assert status == 0, told
        return told

    do("add drip sell 0.1 WETH --for USDC --every 10m --jitter 2m")
    do(f"add calm {HEDGE} --every 1h --live")
    listed = {row["name"]: row for row in do("list")["jobs"]}
    assert listed.keys() == {"own", "drip", "calm"}
    assert (listed["drip"]["shadow"], listed["calm"]["shadow"]) == (True, False), (
        "live only where it was said"
    )
    assert (listed["own"]["source"], listed["calm"]["source"]) == ("settings", "added")
    coming = do("next drip --count 4")["next"]
    assert [row["due"] for row in coming] == sorted(row["due"] for row in coming)
    waits = [when(row["begins"]) - when(row["due"]) for row in coming]
    assert all(0 <= wait.total_seconds() < 120 for wait in waits) and len(set(waits)) > 1
    again = {row["due"]: row["begins"] for row in do("next drip --count 4")["next"]}
    assert all(again.get(row["due"], row["begins"]) == row["begins"] for row in coming), (
        "asked again it is the same"
    )
    do("stop --all --why night"), do("stop own")
    assert do("list")["stopped"] == {"*": "night", "own": "by hand"}
    do("start --all"), do("start own"), do("remove drip")
    assert {row["name"] for row in do("list")["jobs"]} == {"own", "calm"} and do("list")["stopped"] == {}
    assert do("history")["fires"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("remove nobody", "UNKNOWN_JOB"),
        ("remove own", "JOB_OF_SETTINGS"),
        ("add own sell 1 WETH --for USDC --every 4h", "JOB_EXISTS"),
        ("add odd sell 1 WETH --for USDC", "BAD_JOB"),
        ("add odd sell 1 WETH --for USDC --every 4h --cron * ", "BAD_JOB"),
        ("add odd sell 1 WETHH --for USDC --every 4h", "BAD_JOB"),
        ("add odd sell much WETH --for USDC --every 4h", "BAD_JOB"),
        ("add odd keep 1 WETH --for USDC --every 4h", "BAD_JOB"),
        ("add odd sell --for USDC --every 4h", "BAD_JOB"),
        ("add Odd! sell 1 WETH --for USDC --every 4h", "BAD_JOB"),
        ("add odd --hedge deltta --every 4h", "BAD_JOB"),
        ("add odd --hedge policy --every 4h", "BAD_JOB"),
        ("add odd --hedge delta --every 4h", "BAD_JOB"),
        ("add odd --hedge delta --with base --every 4h", "BAD_USAGE"),
        ("add odd sell 1 WETH --for USDC --with a=b --every 4h", "BAD_USAGE"),
        (f"add odd sell 1 WETH {HEDGE} --every 4h", "HEDGE_AND_ORDER"),
        ("add odd sell 1 WETH --for USDC --every 10s --jitter 9s", "BAD_JOB"),
        ("add odd sell 1 WETH --for USDC --every 10s --budget -5", "BAD_JOB"),
        ("stop", "BAD_USAGE"),
        ("stop own --all", "BAD_USAGE"),
        ("start nobody", "UNKNOWN_JOB"),
        ("history nobody", "UNKNOWN_JOB"),
        ("next nobody", "UNKNOWN_JOB"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    settings: Path, capsys: pytest.CaptureFixture[str], words: str, code: str
) -> None:
    status, told = said(settings, capsys, words.split())
    assert status == 2 and told["error"]["code"] == code, told
    assert told["error"]["hint"] and "Traceback" not in told["error"]["message"]


def test_settings_that_are_not_live_add_nothing_live(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fairlead.toml"
    template.write(values(live=False, journal__path=str(tmp_path / "journal.db")), path)
    status, told = said(path, capsys, "add a sell 1 WETH --for USDC --every 4h --live".split())
    assert status == 3 and told["error"]["code"] == "NOT_LIVE"


# ---------------------------------------------------------------------- the rules behind


def timing(**given: str) -> Timing:
    return Timing.model_validate({"name": "j", **given})


def test_triggers_say_what_they_are() -> None:
    blocks = trigger_of(timing(blocks="ethereum 10"))
    assert isinstance(blocks, Blocks) and [blocks.passed(n) for n in (9, 10, 19, 20)] == [0, 10, 10, 20]
    price = trigger_of(timing(price="ETH below 2900.50", again="10m"))
    assert isinstance(price, Condition) and price.again_ns == 600 * SECOND
    assert price.holds(price.level - 1) and not price.holds(price.level) and "ETH below 2900.5" in price.text
    above = trigger_of(timing(price="ETH above 4000"))
    assert isinstance(above, Condition) and above.holds(above.level + 1) and not above.holds(above.level)


@pytest.mark.parametrize(
    "given",
    [
        {"blocks": "ethereum"}, {"blocks": "ethereum 0"}, {"blocks": "ethereum ten"}, {"price": "ETH 2900"}, {"price": "ETH under 2900"},
        {"price": "ETH below -1"}, {"price": "ETH below nan"}, {"health": "ethereum above 1.5"}, {"price": "ETH below 1", "again": "soon"},
    ],
)  # fmt: skip
def test_a_trigger_that_means_nothing_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Usage) as refused:
        trigger_of(timing(**given))
    assert refused.value.code in ("BAD_TRIGGER", "BAD_AMOUNT", "BAD_DURATION") and refused.value.hint


def test_jitter_is_derived_spread_and_below_its_most() -> None:
    job = timing(every="10m", jitter="60s")
    drawn = [jitter_ns(job, str(n)) for n in range(600)]
    assert drawn == [jitter_ns(job, str(n)) for n in range(600)] and len(set(drawn)) == 600
    assert all(0 <= d < 60 * SECOND for d in drawn)
    thirds = [sum(low <= d // (20 * SECOND) < low + 1 for d in drawn) for low in range(3)]
    assert min(thirds) > 150, thirds
    assert jitter_ns(timing(every="10m"), "1") == 0


def test_hedges_in_the_settings_are_checked_with_the_jobs() -> None:
    base = {"name": "j", "side": "sell", "qty": "1", "base": "WETH", "quote": "USDC"}
    for wrong, says in (
        ({"price": "WETH below 1"}, "no oracles for"),
        ({"blocks": "etherium 5"}, "did you mean 'ethereum'"),
        ({"health": "mars below 2"}, "no chain"),
        ({"every": "4h", "price": "ETH below 1"}, "either `every` or `cron`"),
        ({"every": "10s", "jitter": "6s"}, "more than half"),
    ):
        with pytest.raises(Usage, match=says):
            parsed_with_jobs({**base, **wrong})
    assert parsed_with_jobs({**base, "price": "ETH below 1"}).jobs[0].price == "ETH below 1"


def test_what_a_daemon_that_is_gone_left_open_counts_as_spent_once_somebody_says_so(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(load(settings))
    limit, now = Decimal(1000), time.time_ns()
    assert said(settings, capsys, ["budgets"]) == (0, {"budgets": []})
    for name, at_ns, usd in (("p-1", 5, "300"), ("p-2", now, "200.5")):
        assert store.reserve(Reserved("job:own", "far:1", name, at_ns, Decimal(usd)), limit, 0)
    assert store.reserve(Reserved("rescue:house", "far:1", "p-3@7", now, Decimal(10)), limit, 0)
    assert store.settle("rescue:house", "far:1", "p-3@7", Decimal(9))
    status, told = said(settings, capsys, ["budgets"])
    assert status == 0 and {(r["order"], r["usd"], r["open"]) for r in told["budgets"]} == {
        ("p-1", "300", True), ("p-2", "200.5", True), ("p-3", "9", False),
    }  # fmt: skip
    for wrong in (["job:own", "--of", "near:2"], ["rescue:house", "--of", "far:1"]):
        status, told = said(settings, capsys, ["settle", *wrong])
        assert status == 2 and told["error"]["code"] == "NOTHING_OPEN" and "budgets" in told["error"]["hint"]
    status, told = said(settings, capsys, ["settle", "job:own", "--of", "far:1"])
    assert (status, told["settled"]) == (0, ["p-1", "p-2"])
    full = store.reserve(Reserved("job:own", "here", "p-4", now, Decimal(500)), limit, now - 10**9)
    assert full is not None and not full.granted and full.counted_usd == Decimal("500.5"), "spent now, whole"
