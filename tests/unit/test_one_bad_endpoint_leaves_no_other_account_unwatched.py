"""`health --alert` over real HTTP nodes: one of the wrong chain, two that disagree, one that is down or behind; every other account is judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from comet_node import holding
from fake_comet import BASE, WBTC, WETH, FakeComet
from looked_health import ARBITRUM, BASE_CHAIN, Captured, looked
from node_support import running

from agent.app.lenders.compound_v3 import CometLender
from agent.app.settings_tree import Chain
from agent.app.watching.aave import chain_health
from chains.errors import Halt
from chains.gateway import Gateway
from chains.lending.compound_v3 import CometMarket
from chains.rpc import Rpc
from chains.types import Address

COMET = "0x" + "c0" * 20


def market(ether_usd: int = 3_000, principal: int = -20_000 * 10**6) -> FakeComet:
    """Ten ether against a debt of 24,000: at 3,000 dollars an ether AT_RISK."""
    return FakeComet(principal, {WETH: 10**19}, {BASE: 10**8, WETH: ether_usd * 10**8, WBTC: 60_000 * 10**8})


def test_an_endpoint_of_another_chain_makes_its_own_accounts_unknown(tmp_path: Path, capfd: Captured) -> None:
    nodes = {BASE_CHAIN: [holding(market(), 1)], ARBITRUM: [holding(market(), ARBITRUM)]}
    seen = looked(tmp_path, capfd, nodes, comets=[COMET])
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
    seen = looked(tmp_path, capfd, nodes, "--watch", "--count", "2", "--every", "0.2", comets=[COMET])
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
    seen = looked(tmp_path, capfd, nodes, comets=[COMET])
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
        comets=[COMET],
    )
    assert seen.accounts["8453"]["state"] == "UNKNOWN"
    assert "endpoints disagree" in seen.accounts["8453"]["why"]


def test_an_endpoint_a_block_behind_confirms_at_the_block_both_have(tmp_path: Path, capfd: Captured) -> None:
    seen = looked(
        tmp_path,
        capfd,
        {BASE_CHAIN: [holding(market(), BASE_CHAIN), holding(market(), BASE_CHAIN, head=99)]},
        comets=[COMET],
    )
    assert (seen.accounts["8453"]["state"], seen.accounts["8453"]["block"]) == ("AT_RISK", 99)
    assert "not confirmed" not in seen.said


def test_an_endpoint_that_is_down_contradicts_nobody_and_is_named(tmp_path: Path, capfd: Captured) -> None:
    down = holding(market(), BASE_CHAIN)
    down.broken = "down"
    seen = looked(tmp_path, capfd, {BASE_CHAIN: [down, holding(market(), BASE_CHAIN)]}, comets=[COMET])
    assert seen.accounts["8453"]["state"] == "AT_RISK" and "base: of 2 endpoints only" in seen.said


@pytest.mark.parametrize("third", ["agrees", "disagrees", "is not there"])
def test_where_the_second_refuses_the_third_is_asked(third: str, tmp_path: Path, capfd: Captured) -> None:
    def refused(params: list[Any]) -> str:
        raise LookupError("this plan has no eth_call")

    refusing = holding(market(), BASE_CHAIN)
    refusing.extra["eth_call"] = refused
    more = {"agrees": [market()], "disagrees": [market(9_000)], "is not there": []}[third]
    nodes = [holding(market(), BASE_CHAIN), refusing, *(holding(one, BASE_CHAIN) for one in more)]
    seen = looked(tmp_path, capfd, {BASE_CHAIN: nodes}, comets=[COMET])
    assert seen.accounts["8453"]["state"] == ("UNKNOWN" if third == "disagrees" else "AT_RISK")
    assert ("is not confirmed" in seen.said) is (third == "is not there")


def test_a_chain_that_is_silent_is_asked_once_a_look_however_many_accounts(
    tmp_path: Path, capfd: Captured
) -> None:
    nodes = [holding(market(), BASE_CHAIN), holding(market(), BASE_CHAIN)]
    for node in nodes:
        node.chain_id = 1
    comets = [f"0x{n:040x}" for n in range(0xC0, 0xC8)]
    seen = looked(tmp_path, capfd, {BASE_CHAIN: nodes}, comets=comets)
    assert seen.status == 6 and seen.said.count("HEALTH_UNKNOWN") == len(comets) == len(seen.alerts)
    asked = [node.seen.count("eth_chainId") for node in nodes]
    assert max(asked) <= 2, "once for the heads that are shown, once for all accounts"


async def test_whoever_acts_still_stops_at_an_endpoint_of_another_chain() -> None:
    """A rescue's look, and a job's, at the very accounts that a mere look holds UNKNOWN."""
    chain = Chain.model_validate({"name": "base", "chain_id": BASE_CHAIN, "rpc": ["http://127.0.0.1:1"]})
    wallet, node = Address("0x" + "ab" * 20), holding(market(), 1)
    lender = CometLender(chain, CometMarket(Address(COMET), BASE, {}))
    async with running(node), aiohttp.ClientSession() as session:
        for look in (
            lambda gate: lender.look(gate, wallet),
            lambda gate: chain_health(chain, gate, wallet, Address(COMET)),
        ):
            with pytest.raises(Halt) as stopped:
                await look(Gateway(BASE_CHAIN, [Rpc(node.url, session)]))
            assert stopped.value.code == "WRONG_CHAIN_ID"
