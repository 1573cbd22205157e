"""`[venues.fix]`: what it may say, what the signer's file gets of it, and that a rehearsal's orders end at the paper exchange's own door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from settings_values import values

from agent.app.fix_doors import doors, signer_entries
from agent.app.local_proof import _beside
from agent.app.settings import parse
from agent.app.settings_fix import Fix
from agent.app.template import render
from agent.domain.errors import Usage
from agent.transport.fix.line import address
from agent.venues.binance_spot.by_fix import ENTRY_URL
from chains.rpc import SecretUrl

HERE = Path("/etc/fairlead.toml")
FIX = {
    "url": "tcp://127.0.0.1:9100",
    "api_key": "env:FIX_K",
    "api_secret": "env:FIX_S",
    "senders": ["FL1", "FL2"],
}
COPY = {"drop_copy_senders": ["FC1"], "drop_copy_url": "tcp://127.0.0.1:9100"}


def read(module: str = "binance_spot", **fields: Any) -> Fix:
    given = values()
    given["venues"][0] |= {"fix": FIX | fields, "module": module}
    fix = parse(render(given, HERE), HERE).settings.venues[0].fix
    assert fix is not None
    return fix


def test_the_signers_file_gets_the_keys_under_names_of_their_own() -> None:
    entry = {"dialect": "binance-fix", "api_key": "env:FIX_K", "secret": "env:FIX_S"}
    assert signer_entries("paper", read()) == {"paper-fix": entry | {"senders": ["FL1", "FL2"]}}
    assert signer_entries("paper", read(**COPY)) == {"paper-fix": entry | {"senders": ["FL1", "FL2", "FC1"]}}
    apart = read(**COPY, drop_copy_api_key="env:RO_K", drop_copy_api_secret="env:RO_S")
    assert signer_entries("paper", apart)["paper-dropcopy"] == {
        "dialect": "binance-fix", "api_key": "env:RO_K", "secret": "env:RO_S", "senders": ["FC1"]}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"senders": []}, "venues[0].fix.senders"),
        ({"senders": ["TOOLONG89"]}, "venues[0].fix.senders[0]"),
        ({"senders": ["FL1", "FL1"]}, "venues[0].fix.senders: 'FL1' stands twice"),
        ({"drop_copy_senders": ["FL2"]}, "venues[0].fix.senders: 'FL2' stands twice"),
        ({"url": "https://fix-oe.binance.com"}, "venues[0].fix.url"),
        ({"api_key": "plain-text-key"}, "venues[0].fix.api_key"),
        ({"module": "kraken"}, "venues[0].fix: module kraken has no FIX sessions"),
    ],
)
def test_each_mistake_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(Usage) as wrong:
        read(**fields)
    assert told in wrong.value.message


def test_where_none_is_named_it_is_the_venues_own_and_signed_for_by_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("the-key\n")
    (tmp_path / "k").chmod(0o600)
    asked: list[str] = []

    def sign_for(name: str) -> Any:
        asked.append(name)
        return None

    fix = read(**COPY, url=None, api_key=f"file:{tmp_path / 'k'}", drop_copy_api_key=f"file:{tmp_path / 'k'}")
    found = doors("paper", fix, sign_for)
    assert (found.entry.url, found.entry.api_key) == (ENTRY_URL, "the-key") and found.copy is not None
    assert asked == ["paper-fix", "paper-dropcopy"]


@pytest.mark.parametrize(
    ("fields", "port", "local"),
    [
        ({}, "9100", True),
        ({}, "", False),
        ({}, "9101", False),
        ({"url": None}, "9100", False),
        (COPY, "9100", True),
        (COPY | {"drop_copy_url": "tcp://127.0.0.1:9200"}, "9100", False),
        (COPY | {"drop_copy_url": None}, "9100", False),
    ],
)
def test_a_rehearsal_goes_to_the_door_the_paper_exchange_names(
    fields: dict[str, Any], port: str, local: bool
) -> None:
    """A tunnel to the venue itself would listen on this machine, too."""
    assert _beside(read(**fields), SecretUrl("http://127.0.0.1:9000"), port) is local


@pytest.mark.parametrize(
    "url", ["tcp://fix-oe.binance.com:9000", "https://x:1", "tcp+tls://x", "tcp+tls://u@x:1", "tcp://[::2]:1", "tcp+tls://x:99999"]
)  # fmt: skip
def test_a_session_is_read_by_nobody_on_the_way(url: str) -> None:
    with pytest.raises(Usage) as refused:
        address(url)
    assert refused.value.code == "FIX_ADDRESS"
