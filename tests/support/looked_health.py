"""What `fairlead health --alert` shows, alerts and ends with over JSON-RPC nodes of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comet_node import beside
from node_support import Node
from settings_values import values

from agent.app import template
from agent.app.cli import run

BASE_CHAIN, ARBITRUM = 8453, 42161
NAME = {BASE_CHAIN: "base", ARBITRUM: "arbitrum"}
Captured = pytest.CaptureFixture[str]


@dataclass
class Seen:
    status: int
    accounts: dict[str, Any]
    alerts: list[dict[str, Any]]
    said: str


def looked(
    folder: Path, capfd: pytest.CaptureFixture[str], nodes: dict[int, list[Node]], *words: str, **more: Any
) -> Seen:
    """`fairlead health --alert`, with `--json` where no other words are given, over these nodes; `more` of each chain."""
    with beside(*(node for some in nodes.values() for node in some)), pytest.MonkeyPatch.context() as patch:
        path, urls = written(folder, nodes, **more)
        for name, url in urls.items():
            patch.setenv(name, url)
        status = run(["--settings", str(path), "health", "--alert", *(words or ("--json",))])
    out, said = capfd.readouterr()
    told = [] if words else json.loads(out).get("accounts")
    assert told is not None, out
    alerts = folder / "alerts.jsonl"
    lines = alerts.read_text().splitlines() if alerts.exists() else []
    return Seen(
        status, {a["id"].split(":")[2]: a for a in told}, [json.loads(line) for line in lines], said + out
    )


def written(folder: Path, nodes: dict[int, list[Node]], **more: Any) -> tuple[Path, dict[str, str]]:
    """Settings over these nodes, which are up, and the variables that name them."""
    urls = {
        f"RPC_{chain_id}_{n}": node.url for chain_id, some in nodes.items() for n, node in enumerate(some)
    }
    chains = [
        {"name": NAME[chain_id], "chain_id": chain_id, "rpc": [f"env:RPC_{chain_id}_{n}" for n in range(len(some))], "protection": "PUBLIC",
         "finality": "safe", **more}
        for chain_id, some in nodes.items()
    ]  # fmt: skip
    journal = {"path": "j.db", "emergency_path": "e.bin"}
    given = values(chains=chains, venues=[], journal=journal, alerts={"file": str(folder / "alerts.jsonl")})
    given = {k: v for k, v in given.items() if k in ("environment", "wallet", "chains", "venues", "journal", "alerts")}  # fmt: skip
    path = folder / "fairlead.toml"
    path.write_text(template.render(given, path))
    return path, urls
