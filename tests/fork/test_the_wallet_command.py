"""`fairlead wallet show` against a genuine Safe on the devnet: what the chain says, and where the settings differ."""

from __future__ import annotations

import json
import os
from pathlib import Path

import custody as c
import pytest
from forked import Ran, fairlead

from chains.devnet.funding import create_safe
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet

SETTINGS = """
environment = "devnet"
live = false

[wallet]
address = "{wallet}"
threshold = {threshold}
owners = [{{ address = "{owner}" }}, {{ address = "{other}" }}]

[[chains]]
name = "ethereum"
chain_id = 1
rpc = ["{url}"]
protection = "PUBLIC"

[assets]
WETH = ["eip155:1/erc20:{weth}"]
"""


def show(folder: Path, settings: str, *argv: str) -> Ran:
    path = folder / "fairlead.toml"
    path.write_text(settings)
    return fairlead(
        ["--settings", str(path), "wallet", "show", *argv], {**os.environ, "FAIRLEAD_HOME": str(folder)}, 60
    )


def test_a_safe_is_shown_as_the_chain_has_it(devnet: Status, tmp_path: Path) -> None:
    url = devnet.cheat_urls[1]
    owners = [o.address for o in c.OWNERS]
    wallet = create_safe(url, owners, 2, 5)
    values = {
        "wallet": wallet,
        "threshold": 2,
        "owner": owners[0],
        "other": owners[1],
        "url": url,
        "weth": c.WETH,
    }
    done = show(tmp_path, SETTINGS.format(**values), "--json")
    assert done.status == 0, done.out + done.err
    (chain,) = json.loads(done.out)["chains"]
    assert (chain["kind"], chain["version"], chain["owners"], chain["threshold"]) == (
        "SAFE",
        "1.4.1",
        owners,
        2,
    )
    assert (chain["nonce"], chain["modules"], chain["guard"], chain["remarks"]) == (0, [], None, [])
    text = show(tmp_path, SETTINGS.format(**values)).out
    assert text.startswith(f"devnet · {wallet} · ethereum ") and "2 of 3" in text

    wrong = values | {"threshold": 1, "owner": c.AGENT.address}
    (chain,) = json.loads(show(tmp_path, SETTINGS.format(**wrong), "--json").out)["chains"]
    assert len(chain["remarks"]) == 2

    (chain,) = json.loads(show(tmp_path, SETTINGS.format(**values), owners[0], "--json").out)["chains"]
    assert chain["kind"] == "EOA"
    dead = values | {"url": "http://127.0.0.1:9"}
    (chain,) = json.loads(show(tmp_path, SETTINGS.format(**dead), "--json").out)["chains"]
    assert chain["error"]["verb"] == "RETRY"
    bad = show(tmp_path, SETTINGS.format(**values), "0x12", "--json")
    assert bad.status == 2 and json.loads(bad.out)["error"]["code"] == "BAD_ADDRESS"
