"""`health --alert` over real HTTP nodes: one of the wrong chain, two that disagree, one that is down or behind; every other account is judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comet_node import beside, holding
from fake_comet import BASE, WBTC, WETH, FakeComet
from node_support import Node
from settings_values import values

from agent.app import template
from agent.app.cli import run

COMET = "0x" + "c0" * 20
BASE_CHAIN, ARBITRUM = 8453, 42161
NAME = {BASE_CHAIN: "base", ARBITRUM: "arbitrum"}


def market(ether_usd: int = 3_000, principal: int = -20_000 * 10**6) -> FakeComet:
    """Ten ether against a debt of 24,000: at 3,000 dollars an ether AT_RISK."""
    return FakeComet(principal, {WETH: 10**19}, {BASE: 10**8, WETH: ether_usd * 10**8, WBTC: 60_000 * 10**8})


@dataclass
class Seen:
    status: int
    accounts: dict[str, Any]
    alerts: list[dict[str, Any]]
    said: str


def looked(
    folder: Path, capfd: pytest.CaptureFixture[str], nodes: dict[int, list[Node]], *words: str
) -> Seen:
    with beside(*(node for some in nodes.values() for node in some)), pytest.MonkeyPatch.context() as patch:
        for chain_id, some in nodes.items():
            for n, node in enumerate(some):
                patch.setenv(f"RPC_{chain_id}_{n}", node.url)
        chains = [
            {"name": NAME[chain_id], "chain_id": chain_id, "rpc": [f"env:RPC_{chain_id}_{n}" for n in range(len(some))], "protection": "PUBLIC",
             "finality": "safe", "comets": [COMET]}
            for chain_id, some in nodes.items()
        ]  # fmt: skip
        alerts, journal = folder / "alerts.jsonl", {"path": "j.db", "emergency_path": "e.bin"}
        given = values(chains=chains, venues=[], journal=journal, alerts={"file": str(alerts)})
        given = {k: v for k, v in given.items() if k in ("environment", "wallet", "chains", "venues", "journal", "alerts")}  # fmt: skip
        path = folder / "fairlead.toml"
        path.write_text(template.render(given, path))
        status = run(["--settings", str(path), "health", "--alert", *(words or ("--json",))])
    out, said = capfd.readouterr()
    told = [] if words else json.loads(out).get("accounts")
    assert told is not None, out
    lines = alerts.read_text().splitlines() if alerts.exists() else []
    return Seen(
        status, {a["id"].split(":")[2]: a for a in told}, [json.loads(line) for line in lines], said + out
    )


Captured = pytest.CaptureFixture[str]


def test_an_endpoint_of_another_chain_makes_its_own_accounts_unknown(tmp_path: Path, capfd: Captured) -> None:
    nodes = {BASE_CHAIN: [holding(market(), 1)], ARBITRUM: [holding(market(), ARBITRUM)]}
    seen = looked(tmp_path, capfd, nodes)
    assert seen.status == 6 and "WRONG_CHAIN_ID" in seen.said
    assert {chain: a["state"] for chain, a in seen.accounts.items()} == {
        "8453": "UNKNOWN",
        "42161": "AT_RISK",
    }
    assert "is chain 1" in seen.accounts["8453"]["why"]
    codes = {alert["message"].split(":")[2]: alert["code"] for alert in seen.alerts}
    assert codes == {"8453": "HEALTH_UNKNOWN", "42161": "HEALTH_AT_RISK"}


def test_a_watch_goes_on_beside_an_endpoint_of_another_chain(tmp_path: Path, capfd: Captured) -> None:
    nodes = {BASE_CHAIN: [holding(market(), 1)], ARBITRUM: [holding(market(), ARBITRUM)]}
    seen = looked(tmp_path, capfd, nodes, "--watch", "--count", "2", "--every", "0.2")
    assert seen.status == 0 and seen.said.count("AT_RISK") >= 2
    assert len(seen.alerts) == 2, "each once"


@pytest.mark.parametrize("lies", ["of the price", "of the account"])
def test_endpoints_that_disagree_tell_nothing_of_an_account(
    lies: str, tmp_path: Path, capfd: Captured
) -> None:
    liar = market(ether_usd=9_000) if lies == "of the price" else market(principal=0)
    nodes = {
        BASE_CHAIN: [holding(liar, BASE_CHAIN), holding(market(), BASE_CHAIN)],
        ARBITRUM: [holding(market(), ARBITRUM), holding(market(), ARBITRUM)],
    }
    seen = looked(tmp_path, capfd, nodes)
    assert seen.status == 0
    assert {chain: a["state"] for chain, a in seen.accounts.items()} == {
        "8453": "UNKNOWN",
        "42161": "AT_RISK",
    }
    assert "endpoints disagree" in seen.accounts["8453"]["why"]
    (unknown,) = [alert for alert in seen.alerts if alert["code"] == "HEALTH_UNKNOWN"]
    assert "endpoints disagree" in unknown["message"] and "hidden" not in json.dumps(seen.alerts) + seen.said


@pytest.mark.parametrize("other", [{"head": 100, "salt": 7}, {"head": 90}], ids=["a block of its own", "far behind"])  # fmt: skip
def test_a_block_that_only_one_endpoint_has_is_nobodys_health(
    other: dict[str, int], tmp_path: Path, capfd: Captured
) -> None:
    seen = looked(
        tmp_path,
        capfd,
        {BASE_CHAIN: [holding(market(9_000), BASE_CHAIN), holding(market(), BASE_CHAIN, **other)]},
    )
    assert seen.accounts["8453"]["state"] == "UNKNOWN"
    assert "endpoints disagree" in seen.accounts["8453"]["why"]


def test_an_endpoint_a_block_behind_confirms_at_the_block_both_have(tmp_path: Path, capfd: Captured) -> None:
    seen = looked(
        tmp_path, capfd, {BASE_CHAIN: [holding(market(), BASE_CHAIN), holding(market(), BASE_CHAIN, head=99)]}
    )
    assert (seen.accounts["8453"]["state"], seen.accounts["8453"]["block"]) == ("AT_RISK", 99)
    assert "not confirmed" not in seen.said


def test_an_endpoint_that_is_down_contradicts_nobody_and_is_named(tmp_path: Path, capfd: Captured) -> None:
    down = holding(market(), BASE_CHAIN)
    down.broken = "down"
    seen = looked(tmp_path, capfd, {BASE_CHAIN: [down, holding(market(), BASE_CHAIN)]})
    assert seen.accounts["8453"]["state"] == "AT_RISK" and "base: of 2 endpoints only" in seen.said
