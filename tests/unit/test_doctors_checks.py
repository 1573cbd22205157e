"""The doctor's checks of this machine: each one healthy, and each one ill, with the remedy it names."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from journal_events import CountingClock
from settings_values import values

import agent
from agent.app.cli import run
from agent.app.cli.doctor import quieted
from agent.app.settings import Settings, load
from agent.app.template import write
from agent.app.watching import installation
from agent.app.watching.check import Level, fail, ok
from agent.app.watching.ramp_check import ramp_checks
from agent.app.watching.words import age, amount, quantity, usd
from agent.domain import events as ev
from agent.execution.halt import Switch
from agent.journal.registry import event_codec
from agent.journal.store import Journal

AT = 1_700_000_000_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write(values(journal__path="journal.db", journal__emergency_path="emergency.bin"), tmp_path / "f.toml")
    return load(tmp_path / "f.toml")


def recorded(path: Path, environment: str = "devnet") -> None:
    async def live() -> None:
        journal = Journal.open(path, clock=CountingClock(AT), environment=environment, codec=event_codec())
        for why in ("lunch", "tea"):
            await journal.record_durably(ev.Halted("person", why, AT))
        journal.close()

    asyncio.run(live())


def test_our_packages_come_from_one_folder() -> None:
    (told,) = installation.packages(())
    assert told.level is Level.OK and str(Path(agent.__file__).parents[1]) in told.message


@pytest.mark.parametrize("name", ["contracts", "keys", "tests"])
def test_a_namesake_on_the_search_path_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert len(installation.packages((str(tmp_path),))) == 1
    (tmp_path / name / "__init__.py").touch()
    _, told = installation.packages((str(tmp_path),))
    assert (
        told.level is Level.WARN
        and f"'{name}'" in told.message
        and str(tmp_path) in told.message
        and told.remedy
    )


@pytest.mark.parametrize(
    ("mode", "open_to_others"), [(0o600, False), (0o644, False), (0o664, True), (0o602, True)]
)
def test_settings_that_others_may_write_are_told(tmp_path: Path, mode: int, open_to_others: bool) -> None:
    file = tmp_path / "fairlead.toml"
    file.touch()
    file.chmod(mode)
    told = installation.writable(file)
    assert [(c.level, c.remedy) for c in told] == (
        [(Level.WARN, f"chmod go-w {file}")] if open_to_others else []
    )


def test_a_journal_is_verified(settings: Settings) -> None:
    assert installation.journal(settings).level is Level.SKIP
    recorded(settings.journal.path)
    told = installation.journal(settings)
    assert told.level is Level.OK and told.message.startswith("2 entries verified")


def test_an_altered_journal_fails_and_halts(settings: Settings) -> None:
    recorded(settings.journal.path)
    db = sqlite3.connect(settings.journal.path)
    payload = db.execute("SELECT payload FROM entries WHERE seq = 1").fetchone()[0]
    text = payload if isinstance(payload, bytes) else str(payload).encode()
    changed = text.replace(b"lunch", b"lunck")
    assert changed != text
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {trigger}")
    db.execute(
        "UPDATE entries SET payload = ? WHERE seq = 1",
        (changed if isinstance(payload, bytes) else changed.decode(),),
    )
    db.commit()
    db.close()
    told = installation.journal(settings)
    assert (told.level, told.exit_status) == (Level.FAIL, 6) and "journal verify" in told.remedy


def test_a_journal_of_another_environment_fails(settings: Settings) -> None:
    recorded(settings.journal.path, "fork")
    told = installation.journal(settings)
    assert (told.level, told.exit_status) == (Level.FAIL, 3) and "fork" in told.message


def test_the_kill_switch_is_told_with_its_reason(settings: Settings) -> None:
    assert installation.switch(settings).level is Level.OK
    Switch(settings.journal.path.parent / "HALTED.json").set("a strange fill")
    told = installation.switch(settings)
    assert told.level is Level.WARN and "a strange fill" in told.message and "resume" in told.remedy


def test_room_on_the_disk_is_told(settings: Settings) -> None:
    assert all("GiB free" in check.message for check in installation.disk(settings))
    assert installation.python().level is Level.OK


def test_what_follows_from_a_dead_chain_is_not_told_again() -> None:
    found = [
        fail("rpc base", "gone", "x"), ok("rpc ethereum", "there"), fail("rpc ethereum", "gone", "x"),
        fail("wallet base", "gone", "x"), fail("wallet ethereum", "other owners", "x"), ok("gas base", "enough"),
    ]  # fmt: skip
    assert [check.level for check in quieted(found)] == [
        Level.FAIL, Level.OK, Level.FAIL, Level.SKIP, Level.FAIL, Level.OK,
    ]  # fmt: skip


def test_settings_that_are_wrong_are_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f.toml").write_text("environment = 1")
    assert run(["--settings", str(tmp_path / "f.toml"), "doctor", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False and told["checks"][-1]["check"] == "settings"
    assert run(["--settings", str(tmp_path / "none.toml"), "doctor"]) == 2
    assert "fairlead init" in capsys.readouterr().out


def test_nothing_reachable_is_a_report_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every endpoint of these settings is a closed port, and no signer runs."""
    told = values(journal__path="journal.db")
    for chain in told["chains"]:
        chain["rpc"] = ["http://127.0.0.1:9/secret-key"]
        for relay in chain.get("relays", ()):
            relay["url"] = "http://127.0.0.1:9/secret-key"
    told["venues"][0] |= {"base_url": "http://127.0.0.1:9"}
    del told["venues"][0]["api_key"], told["venues"][0]["ws_url"]
    told["signer"] = {"socket": "no.sock"}
    write(told, tmp_path / "f.toml")
    assert run(["--settings", str(tmp_path / "f.toml"), "doctor", "--json"]) == 4
    said = capsys.readouterr()
    found: dict[str, set[str]] = {}
    for check in json.loads(said.out)["checks"]:
        found.setdefault(check["check"], set()).add(check["level"])
    assert {n for n, levels in found.items() if "fail" in levels} >= {
        "rpc ethereum", "rpc base", "relay ethereum", "signer", "venue paper",
    }  # fmt: skip
    assert (
        found["wallet base"] == {"skip"}
        and "secret-key" not in said.out + said.err
        and "Traceback" not in said.err
    )


def test_figures_are_cut_against_us() -> None:
    assert (amount(123_456_789_999, 6), amount(1, 18), amount(-1_500_000_1, 6)) == (
        "123,456.789999",
        "<0.000001",
        "-15.000001",
    )
    assert (usd(Decimal("1234.999")), usd(Decimal("-0.001")), usd(None)) == ("1,234.99", "-0.01", "UNKNOWN")
    assert quantity(Decimal("5000.00")) == "5,000"
    assert (age(-3), age(119), age(120), age(7_300), age(3 * 86_400)) == (
        "0 s",
        "119 s",
        "2 min",
        "2 h 1 min",
        "3 d",
    )


def test_what_is_new_is_told_with_what_raises_its_cap(settings: Settings, tmp_path: Path) -> None:
    (told,) = ramp_checks(settings, None)
    assert told.level is Level.SKIP and "none" in told.message
    file = tmp_path / "r.toml"
    write(values(ramp={"start_usd": "250", "known": ["base"]}), file)
    found = {check.name: check.message for check in ramp_checks(load(file), None)}
    raised = "3 more settled orders and 250.00 USD more of them raise it to 1000 USD"
    assert found["ramp paper"].startswith("new: at most 250 USD open at once; 0 settled")
    assert found["ramp ethereum"].endswith(raised)
    assert found["ramp base"] == "known: the limits alone hold"
    assert found["ramp pools"] == "1 of 1 are new, 250 USD open at once in the newest"
