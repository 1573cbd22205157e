"""The signer's file: what is wrong is named by its path, and a secret is never taken in person."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import custody as c
import pytest

from chains.errors import Usage
from keys.settings import NATIVE, environment_names, load, signer_settings

GOOD: dict[str, Any] = {
    "environment": "devnet",
    "ledger": "/tmp/x/ledger.jsonl",
    "keystore": "/tmp/x/keystore",
    "senders": [{"key": "agent", "password": "env:AGENT_PASSWORD"}],
    "owners": [{"key": "owner"}],
    "exchanges": {"paper": {"dialect": "binance", "api_key": "env:API", "secret": "file:/x"}},
    "chains": [c.chain_json()],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    place: Any = data
    *keys, last = path.split("/")
    for key in keys:
        place = place[int(key)] if key.isdigit() else place[key]
    place[last] = value
    return data


def test_a_right_file_is_read() -> None:
    settings = signer_settings(GOOD)
    policy = settings.chains[1]
    assert (
        policy.contracts[c.WETH] == "weth9"
        and policy.contracts[c.USDC] == "erc20"
        and policy.contracts[c.SAFE] == "safe"
    )
    assert policy.tokens[NATIVE].per_tx_raw == 10 * c.ETH
    assert settings.owners[0].password is None
    assert environment_names(settings) == ("AGENT_PASSWORD", "API")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("enviroment", "devnet", "enviroment is not a known key; did you mean environment?"),
        ("environment", "mainnet", "environment must be devnet, fork or live"),
        ("senders/0/password", "hunter2", "senders[0].password must be a secret reference"),
        ("exchanges/paper/secret", "hunter2", "exchanges.paper.secret must be a secret reference"),
        ("chains/0/max_gaz", 1, "chains[0].max_gaz is not a known key; did you mean max_gas?"),
        ("chains/0/threshold", 4, "chains[0].threshold of 4 does not fit 3 owners"),
        ("chains/0/threshold", 0, "does not fit 3 owners"),
        ("chains/0/safe", "0x12", "chains[0].safe is not an address"),
        ("chains/0/safe", c.SAFE.replace("F", "f", 1), "checksum"),
        ("chains/0/max_gas", 1.5, "chains[0].max_gas must be a non-negative integer"),
        ("chains/0/spenders", [c.THIEF], "which is not among the contracts"),
        ("chains/0/contracts", {c.THIEF: "multi_send"}, "is not an official MultiSendCallOnly"),
        ("chains/0/contracts", {c.THIEF: "safe"}, "is a Safe other than the configured one"),
        ("chains/0/contracts", {c.THIEF: "bank"}, "'bank' is no interface known here"),
        ("chains", [c.chain_json(), c.chain_json()], "names a chain id twice"),
        ("collateral", True, "collateral is not a known key"),
        ("chains/0/collateral_switch", "yes", "must be true or false"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, said: str) -> None:
    with pytest.raises(Usage) as refused:
        signer_settings(changed(path, value))
    assert said in refused.value.message and "hunter2" not in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="SIGNER_CONFIG_UNREADABLE"):
        load(tmp_path / "none")
    for text in ("", "[]", "{"):
        (tmp_path / "f").write_text(text)
        with pytest.raises(Usage, match="SIGNER_CONFIG_INVALID"):
            load(tmp_path / "f")
    (tmp_path / "f").write_text(json.dumps(GOOD))
    assert load(tmp_path / "f").environment.value == "devnet"
