"""The settings file: read whole, written back the same, explained key by key."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from settings_values import OWNER_A, SAFE, VALUES, values

from agent.app.jobs.guard import store_of
from agent.app.jobs.postgres_store import Database, PostgresStore
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.settings import load, load_with_sources, parse, risk_limits
from agent.app.settings_explain import explain, schema
from agent.app.settings_tree import Settings
from agent.app.template import render, toml, write
from chains.errors import Usage
from chains.types import Environment, Protection


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fairlead.toml"
    write(VALUES, path, note="Made by a test.")
    return path


def test_what_the_template_writes_loads_back(file: Path) -> None:
    settings = load(file)
    assert settings.environment is Environment.DEVNET and settings.live
    assert settings.wallet.address == SAFE and settings.wallet.owners[1].label == 'the "blue" one'
    assert [chain.name for chain in settings.chains] == ["ethereum", "base"]
    assert (
        settings.chains[0].protection is Protection.PRIVATE
        and settings.chains[0].relays[0].name == "flashbots"
    )
    assert settings.limits.per_order_usd == Decimal("250000.50") and settings.limits.max_slippage_bps == 50
    assert settings.oracles["ETH"][1].chain == "base"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().count("\n# ") > 60, "every key is explained where it stands"


def test_the_template_loses_nothing(file: Path) -> None:
    assert tomllib.loads(file.read_text()) == VALUES


def test_a_minimal_file_is_enough_to_watch(tmp_path: Path) -> None:
    minimal = {
        "environment": "live",
        "wallet": {"address": SAFE},
        "chains": [{"name": "ethereum", "chain_id": 1, "rpc": ["env:RPC"]}],
    }
    settings = parse(render(minimal, tmp_path / "f.toml"), tmp_path / "f.toml").settings
    assert settings.watch_only and not settings.live


def test_an_existing_file_is_never_overwritten(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(Usage) as error:
        write(VALUES, file)
    assert error.value.code == "SETTINGS_EXISTS" and file.read_bytes() == before


def test_values_that_are_not_valid_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(Usage) as error:
        write(values(wallet__threshold=3), tmp_path / "f.toml")
    assert error.value.code == "SETTINGS_INVALID" and not (tmp_path / "f.toml").exists()


def test_paths_are_absolute_and_say_where_they_start(file: Path, tmp_path: Path) -> None:
    settings = load(file)
    assert settings.wallet.owners[0].keystore == tmp_path / "keys/a.json"
    assert settings.journal.emergency_path == tmp_path / "second/emergency.bin"
    assert settings.journal.path.is_absolute() and settings.journal.path.parent.name == "devnet"
    assert settings.journal.path.parent != tmp_path


def test_the_limits_reach_the_risk_rules(file: Path) -> None:
    limits = risk_limits(load(file))
    assert limits.allow_venues == ("eip155:1", "eip155:8453", "cex:paper")
    assert dict(limits.min_gas_reserve_wei) == {"eip155:1": 5 * 10**16, "eip155:8453": 10**15}
    assert dict(limits.counterparty_cap_usd) == {"cex:paper": Decimal(100000)}


def test_nothing_starts_small_unless_the_settings_say_so(file: Path, tmp_path: Path) -> None:
    assert risk_limits(load(file)).ramp is None
    write(values(ramp={"start_usd": "250", "known": ["base", "paper"]}), tmp_path / "r.toml")
    ramp = risk_limits(load(tmp_path / "r.toml")).ramp
    assert ramp is not None and (ramp.start_usd, ramp.factor, ramp.settled) == (250, 4, 3)
    assert ramp.most_usd == 10_000 and ramp.known == ("eip155:8453", "cex:paper")
    with pytest.raises(Usage) as error:
        write(values(ramp={"start_usd": "250", "known": ["bse"]}), tmp_path / "w.toml")
    assert "ramp.known[0]" in str(error.value) and "did you mean 'base'" in str(error.value)


def test_every_key_is_explained_with_its_source(file: Path) -> None:
    rows = {row.key: row for row in explain(load_with_sources(file))}
    assert all(row.meaning for row in rows.values())
    assert all(meaning for _, meaning in schema())
    assert (rows["limits.price_collar_bps"].value, rows["limits.price_collar_bps"].source) == ("150", "file")
    assert (rows["limits.max_slippage_bps"].value, rows["limits.max_slippage_bps"].source) == (
        "50",
        "default",
    )
    assert rows["wallet.owners[0].address"].value == OWNER_A
    assert rows["wallet.owners[1].keystore"].value is None


def test_one_key_a_table_or_a_key_that_is_not_set_can_be_asked_for(file: Path) -> None:
    loaded = load_with_sources(file)
    assert [row.key for row in explain(loaded, "limits.per_day_usd")] == ["limits.per_day_usd"]
    assert {row.key for row in explain(loaded, "chains.name")} == {"chains[0].name", "chains[1].name"}
    assert len(explain(loaded, "signer")) == 3
    unwritten = {row.key for row in explain(loaded, "rescues")}
    assert {"rescues", "rescues.trigger", "rescues.per_day_usd"} <= unwritten, "what hints send people for"
    with pytest.raises(Usage, match="per_dya") as error:
        explain(loaded, "limits.per_dya_usd")
    assert "limits.per_day_usd" in error.value.hint


def test_keys_inside_urls_are_not_shown(tmp_path: Path) -> None:
    secret = "https://mainnet.example/v3/0123456789abcdef"
    text = render(
        values(
            chains=[{"name": "base", "chain_id": 8453, "rpc": [secret], "protection": "PUBLIC"}],
            assets={},
            equivalents={},
            oracles={},
            limits={},
        ),
        tmp_path / "f.toml",
    )
    rows = explain(parse(text, tmp_path / "f.toml"))
    assert not any("0123456789abcdef" in str(row) for row in rows)
    assert next(row.value for row in rows if row.key == "chains[0].rpc") == "https://mainnet.example/…"


@pytest.mark.parametrize(
    "value",
    ["", 'a"b\\c', "line\nbreak\ttab\x00\x7f", "ünï 🚢", True, 10**30, ["a", ["b"]], {"a b": "c", "d": [1]}],
)
def test_every_value_written_is_read_back(value: Any) -> None:
    assert tomllib.loads(f"x = {toml(value)}") == {"x": value}


def test_settings_do_not_change_once_loaded(file: Path) -> None:
    settings = load(file)
    with pytest.raises(ValueError, match="frozen"):
        settings.live = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("seconds", "taken"), [(0, True), (1, False), (9, False), (10, True), (3600, True), (-1, False)]
)
def test_a_switch_leaves_time_for_its_renewal(tmp_path: Path, seconds: int, taken: bool) -> None:
    (venue,) = values()["venues"]
    file = tmp_path / "f.toml"
    if taken:
        text = render(values(venues=[venue | {"cancel_after_s": seconds}]), file)
        assert parse(text, file).settings.venues[0].cancel_after_s == seconds
        return
    text = render(values(), file)
    assert "# cancel_after_s = 60" in text
    with pytest.raises(Usage, match="cancel_after_s"):
        parse(text.replace("# cancel_after_s = 60", f"cancel_after_s = {seconds}"), file)


def test_jobs_are_in_a_file_or_in_a_database_and_never_in_both(file: Path, tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text("postgresql://fairlead:p%40ss@db.example.org/jobs\n")
    url.chmod(0o600)

    def read(values: dict[str, Any]) -> Settings:
        return parse(render(values, file), file).settings

    in_file = read(VALUES)
    assert isinstance(store_of(in_file), SqliteStore)
    found = store_of(read(VALUES | {"daemon": {"jobs_database": f"file:{url}"}}))
    assert isinstance(found, PostgresStore)
    assert found.database == Database("db.example.org", 5432, "jobs", "fairlead", "p@ss")
    with pytest.raises(Usage) as both:
        read(VALUES | {"daemon": {"jobs_database": f"file:{url}", "jobs_store": "jobs.db"}})
    assert "daemon.jobs_database" in str(both.value)
    with pytest.raises(Usage) as itself:
        read(VALUES | {"daemon": {"jobs_database": url.read_text().strip()}})
    assert "daemon.jobs_database" in str(itself.value) and "p%40ss" not in str(itself.value)
