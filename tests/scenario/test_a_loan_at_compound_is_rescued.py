"""A loan at a market that keeps to Compound III's rules: seen, planned, signed by its owners, paid, and left with the health that was foretold."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agent_home import AgentHome, written
from comet_home import CometHome, comet_beside
from fault_proxy import forwarding
from indebted_home import DAEMON
from other_lenders import sent

from agent.app.readonly import read_book
from agent.app.settings import load
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_token, set_feed_price
from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode

pytestmark = pytest.mark.devnet
PAY = "--live --yes --max-loss 200 --json"
USDC, WETH = CHAINS[1].usdc, CHAINS[1].weth


@pytest.fixture(scope="module")
def market(agent_home_of_file: AgentHome) -> Iterator[CometHome]:
    """2 WETH against 3,600 USDC: 1.466 at 3,000 dollars an ETH."""
    with comet_beside(agent_home_of_file, 2 * 10**18, 3_600 * 10**6) as found:
        yield found


def at(home: AgentHome, usd: int) -> None:
    set_feed_price(home.home.cheat_urls[1], "ETH", usd * 10**8)


def left_with(home: AgentHome, usdc: int, weth: int) -> None:
    """The wallet's own tokens made so many whole ones."""
    for token, raw in ((USDC, usdc * 10**6), (WETH, weth * 10**18)):
        held = int(home.read(token, "erc20", "balanceOf", home.safe)[0])
        give_token(home.home.cheat_urls[1], token, home.safe, raw - held)


def told_of(market: CometHome, words: str, *, path: Any = None, status: int = 0) -> dict[str, Any]:
    done = market.home.run(f"rescue --chain ethereum {words}", path or market.settings_path)
    assert done.status == status, done.err + done.out
    return next(a for a in done.json["accounts"] if a["id"] == market.name)


def test_its_owners_repay_the_least_that_restores_it(agent_home: AgentHome, market: CometHome) -> None:
    left_with(agent_home, 1_000, 0)
    at(agent_home, 2_300)
    before = market.principal()
    dry = told_of(market, "--json")
    assert dry["due"] and "repay" in dry["plans"][0]["moves"][0]["words"], dry
    paid = told_of(market, PAY)
    (one,) = paid["done"]
    assert one["predicted_1e18"] == one["health_1e18"], one
    assert 135 * 10**16 <= int(one["health_1e18"]) < 13_501 * 10**14, one
    book = read_book(load(market.settings_path))
    assert book is not None
    part = book.parts[one["cl_ord_id"]].part
    assert part.in_raw == 1_000 * 10**6 - agent_home.balance("USDC")
    assert before < market.principal() < 0 and market.allowance() == 0


def test_without_the_base_asset_collateral_is_added(agent_home: AgentHome, market: CometHome) -> None:
    left_with(agent_home, 0, 2)
    at(agent_home, 1_900)
    owed, lent = market.principal(), market.lent()
    paid = told_of(market, PAY)
    (one,) = paid["done"]
    assert "supply" in one["what"] and one["predicted_1e18"] == one["health_1e18"], one
    assert market.lent() > lent and market.principal() == owed
    assert int(one["health_1e18"]) >= 135 * 10**16


def test_a_market_that_takes_nothing_is_told_and_nothing_is_signed(
    agent_home: AgentHome, market: CometHome
) -> None:
    left_with(agent_home, 3_000, 0)
    at(agent_home, 1_500)
    market.pause(True)
    try:
        refused = agent_home.run(f"rescue --chain ethereum {PAY}", market.settings_path)
    finally:
        market.pause(False)
    assert refused.status != 0 and "takes nothing in at present" in refused.err + refused.out


def test_the_agents_key_tells_what_its_owners_could_do(agent_home: AgentHome, market: CometHome) -> None:
    left_with(agent_home, 3_000, 0)
    at(agent_home, 1_500)
    told = told_of(market, "--by agent --json", path=market.agents_path, status=4)
    assert not told["plans"] and "repay" in told["owners_could"][0]["moves"][0]["words"], told


def test_what_is_no_market_is_unknown_and_not_safe(agent_home: AgentHome, market: CometHome) -> None:
    done = agent_home.run("rescue --chain ethereum --json", market.wrong_path)
    assert done.status == 4, done.err + done.out
    (told,) = [a for a in done.json["accounts"] if a["id"].startswith("compound_v3:")]
    assert told["state"] == "UNKNOWN" and not told["plans"], told


def test_a_node_that_leaves_logs_out_is_told_by_whoever_watches(
    agent_home: AgentHome, market: CometHome
) -> None:
    """The collateral changed and no log says so: the daemon alerts it, the live view prints it, and both go on with what a whole read says."""
    at(agent_home, 3_000)
    left_with(agent_home, 0, 1)
    values = tomllib.loads(market.agents_path.read_text())
    (chain,) = [c for c in values["chains"] if c["name"] == "ethereum"]
    rule = {"name": "comet", "chain": "ethereum", "market": market.comet, "add_collateral": False}
    with forwarding(chain["rpc"][0]) as proxy:
        proxy.change = without_logs_of(market.comet)
        chain["rpc"], values["rescues"] = [proxy.url], [rule]
        path = written(market.agents_path.with_name("comet-liar.toml"), values)
        daemon = agent_home.home.start(DAEMON, path)
        daemon.says("1 accounts watched")
        view = agent_home.home.start("health --watch --every 0.3 --count 60", path)
        agent_home.home.wait_for(lambda: market.name in view.out)
        lent = market.lent()
        with Rpc(agent_home.home.cheat_urls[1]) as rpc:
            for to, call in (
                (WETH, encode("erc20", "approve", (market.comet, 10**17))),
                (market.comet, encode("comet", "supply", (WETH, 10**17))),
            ):
                sent(rpc, agent_home.safe, to, "0x" + call.hex())
        assert market.lent() == lent + 10**17
        daemon.says("EVENTS_DISAGREE", 60)
        view.says("than its events did: accounts of this chain are read whole from now on", 60)
        for process in (view, daemon):
            process.end(signal.SIGTERM)


def without_logs_of(contract: str) -> Callable[[bytes], bytes]:
    """What a node answers, less the logs of that contract."""

    def heard(answer: Any) -> Any:
        found = answer.get("result") if isinstance(answer, dict) else None
        if isinstance(found, list):
            answer["result"] = [
                x
                for x in found
                if not isinstance(x, dict) or x.get("address", "").lower() != contract.lower()
            ]
        return answer

    def change(text: bytes) -> bytes:
        told = json.loads(text)
        return json.dumps([heard(a) for a in told] if isinstance(told, list) else heard(told)).encode()

    return change


def test_a_debt_is_paid_whole_to_the_last_unit(agent_home: AgentHome, market: CometHome) -> None:
    """A target that no part of the debt reaches takes all of it, whatever interest has come on top until its block, and no more."""
    left_with(agent_home, 8_000, 0)
    at(agent_home, 1_500)
    paid = told_of(market, f"--target {10**12} {PAY}")
    (one,) = paid["done"]
    assert one["health_1e18"] is None, one
    assert market.principal() == 0 and market.allowance() == 0
