"""`scopes.account` and [chains.bundler]: what the settings take, and what each mistake is told as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from settings_values import values

from agent.app.settings import Settings, parse
from agent.app.template import render
from chains.errors import Usage

HERE = Path("/etc/fairlead.toml")
ACCOUNT = "0x3333333333333333333333333333333333333333"
POOL = "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"


def read(bundler: dict[str, Any] | None, wallet: str = "", **scope: Any) -> Settings:
    given = values()
    chain = given["chains"][0]
    table = {
        "chain": chain["name"], "per_day_usd": "60000", "burst_usd": "30000", "account": "safe_4337", "agent": ACCOUNT,
        "pairs": [{"a": "WETH", "b": "USDC", "source": POOL}],
        "tokens": [{"symbol": "WETH", "allowance": "1000"}, {"symbol": "USDC", "allowance": "1000000"}],
    }  # fmt: skip
    given["scopes"] = [{k: v for k, v in (table | scope).items() if v is not None}]
    if bundler is not None:
        chain["bundler"] = bundler
    return parse(render(given, HERE), HERE).settings


def test_a_bundler_is_not_private_and_of_0_7_unless_it_is_said() -> None:
    found = read({"url": "https://bundler.example"})
    assert found.scopes[0].account == "safe_4337" and found.chains[0].bundler is not None
    assert (found.chains[0].bundler.private, found.chains[0].bundler.entry_point) == (False, "0.7")


@pytest.mark.parametrize(
    ("bundler", "scope", "told"),
    [
        (None, {}, "scopes[0].account: takes user operations, and ethereum has no bundler"),
        ({"url": "https://b.example"}, {"agent": None}, "scopes[0].agent: is no account of its own"),
        ({"url": "https://b.example", "entry_point": "0.8"}, {}, "is a Safe of EntryPoint 0.7, and the bundler"),
        ({"url": "https://b.example", "entry_point": "0.6"}, {}, "chains[0].bundler.entry_point"),
        ({"url": "https://b.example"}, {"account": "erc4337"}, "scopes[0].account"),
        ({"url": "https://b.example"}, {"agent": values()["wallet"]["address"]}, "scopes[0].agent: is the wallet itself"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(bundler: Any, scope: dict[str, Any], told: str) -> None:
    with pytest.raises(Usage) as error:
        read(bundler, **scope)
    assert told in error.value.message, error.value.message
