"""A granted scope, a signer with the agent's key and no owner's, a daemon: schedules and slices are traded, and the referee agrees.

Nobody watches and nobody is asked. What the Safe holds is what the journal says, to the wei; the Gate keeps nothing; the owners' nonce
is untouched; the signer's ledger counted what left.
"""

from __future__ import annotations

import asyncio
import json
import signal
import tomllib
from collections.abc import Set
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from agent_home import AgentHome, later
from home_fixture import HELD_S, wait_for
from trading_home import Lives

from agent.domain.order_state import OrdStatus
from agent.journal.book import Book
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import set_feed_price
from chains.rawtx import decode_raw
from chains.types import Environment
from contracts.codec import encode
from keys.client import SignerClient, start_signer

pytestmark = pytest.mark.devnet
JOBS: list[dict[str, Any]] = [
    {
        "name": "drip", "every": "15s", "side": "sell", "qty": "0.3", "base": "ETH", "quote": "USDC",
    },
    {
        "name": "waves", "every": "20s", "side": "buy", "qty": "0.4", "base": "ETH", "quote": "USDC",
        "algo": "twap", "over": "8s", "slices": 2,
    },
]  # fmt: skip
MOST = "run --live --yes --max-loss 20000"


def told(book: Book, known: Set[str]) -> dict[str, int]:
    """What the journal's fills and gas come to, in the words of `AgentHome.world`, but for the parts known before."""
    found = {"safe WETH": 0, "safe USDC": 0, "agent wei": 0, "agent nonce": 0}
    for name, record in book.parts.items():
        if name in known:
            continue
        found["agent wei"] -= record.gas_wei
        found["agent nonce"] += bool(record.included_in)
        for fill in record.fills.values():
            for asset, qty, sign in ((fill.asset_in, fill.qty_in, -1), (fill.asset_out, fill.qty_out, 1)):
                symbol, digits = ("WETH", 18) if "C02a" in asset else ("USDC", 6)
                raw = qty.scaleb(digits)
                assert raw == int(raw)
                found[f"safe {symbol}"] += sign * int(raw)
                if sign < 0:
                    key = f"gate may take {symbol} of the safe"
                    found[key] = found.get(key, 0) - int(raw)
    return {name: change for name, change in found.items() if change}


def test_a_schedule_and_a_twap_are_traded_and_the_referee_agrees(agent_home: AgentHome) -> None:
    home = agent_home
    settings = home.variant("jobs", jobs=JOBS)
    before, signed, known = home.world(), len(home.ledger), set(home.book().parts)
    daemon = home.home.start(MOST, settings)
    daemon.says("running:")

    def done() -> bool:
        book = home.book()
        ended = {
            r.parent.intent.source: r.closed.status
            for r in book.parents.values()
            if r.closed is not None and r.closed.status == "FILLED"
        }
        return ended.keys() >= {"job:drip", "job:waves"}

    wait_for(lambda: done() or daemon.process.poll() is not None, 120)
    ran = daemon.end(signal.SIGTERM)
    assert ran.status in (0, 5), ran.err
    assert "bound     whoever steals the agent's key takes at most" in ran.out
    assert home.run("run --once").status in (0, 4)

    book, after = home.book(), home.world()
    assert {k: after[k] - before[k] for k in after if after[k] != before[k]} == told(book, known)
    parts = [r for name, r in book.parts.items() if r.authorized is not None and name not in known]
    assert len(parts) >= 3 and all(record.ended for record in parts)
    for record in parts:
        assert record.authorized is not None
        assert record.authorized.wallet_nonce == -1, "no Safe transaction is signed"
        raw = decode_raw(record.authorized.raw)
        assert (raw.to, raw.value) == (home.road["roles"], 0)
    assert after["safe nonce"] == before["safe nonce"]
    assert not any(after[name] for name in after if name.startswith(("gate WETH", "gate USDC", "router")))

    verified = home.run("journal verify --json")
    assert verified.status == 0, verified.out
    counted = [entry for entry in home.ledger[signed:] if entry["kind"] == "tx" and entry["spend"]]
    assert len(counted) == len(parts)
    sold = sum(int(raw) for entry in counted for raw in entry["spend"].values())
    assert sold == sum(record.part.in_raw for record in parts)

    async def keys() -> dict[str, Any]:
        async with SignerClient(home.socket, Environment.DEVNET) as client:
            return await client.status()

    status = asyncio.run(keys())
    assert status["owners"] == {} and list(status["senders"]) == [home.agent]


def test_an_order_is_handed_over_to_the_unattended_run(agent_home: AgentHome) -> None:
    home = agent_home
    daemon = home.home.start(MOST, home.settings_path)
    daemon.says("running:")
    before = home.world()
    ran = home.run("trade sell 0.2 ETH --for USDC --by agent --live --yes --max-loss 50 --json")
    assert ran.status == 0, ran.err + ran.out
    assert "handed over to the running process" in ran.err
    assert before["safe WETH"] - home.world()["safe WETH"] == 2 * 10**17
    other = home.run("trade sell 0.2 ETH --for USDC --by owners --live --yes --max-loss 50 --json")
    assert other.status == 3 and other.json["error"]["code"] == "AGENT_SIGNS_HERE", other.out
    assert daemon.end(signal.SIGTERM).status in (0, 5)


def test_a_waiting_trade_is_listed_as_outstanding_and_cancelled_by_its_nonce(agent_home: AgentHome) -> None:
    home, before = agent_home, agent_home.world()
    home.home.pause()
    try:
        words = "trade sell 0.1 ETH --for USDC --by agent --live --yes --max-loss 50"
        running = home.home.start(words, home.settings_path)
        running.says("handed to  flashbots")
        (entry,) = home.run("wallet outstanding --chain ethereum --json").json["agent"]
        assert (entry["sender"], entry["nonce"]) == (home.agent, before["agent nonce"])
        asked = home.home.start(entry["revoke"].removeprefix("fairlead "), home.settings_path)
        mine = entry["cl_ord_id"]
        wait_for(lambda: home.book().parts[mine].status is OrdStatus.PENDING_CANCEL)
    finally:
        home.home.go_on()
    assert asked.end().status == 0, asked.err
    assert running.end().status == 4, running.err
    after = home.world()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"agent nonce", "agent wei"} and after["agent nonce"] == before["agent nonce"] + 1
    assert home.run("wallet outstanding --chain ethereum --json").json["agent"] == []


BOUNDARIES = (
    "durable Planned", "durable Simulated", "durable Authorized", "before Submitted", "durable Submitted", "durable INCLUDED",
    "durable TRADE", "before Settled",
)  # fmt: skip


@pytest.fixture(scope="module")
def agents_lives(agent_home_of_file: AgentHome) -> Any:
    home = agent_home_of_file
    lives = Lives(SimpleNamespace(settings_path=home.settings_path, env=home.home.env()))  # type: ignore[arg-type]
    yield lives
    lives.close()


@pytest.mark.parametrize("kill", [*BOUNDARIES, "before Authorized"])
def test_killed_at_a_stage_boundary_it_is_done_exactly_once(
    agent_home: AgentHome, agents_lives: Lives, tmp_path: Any, kill: str
) -> None:
    """`before Authorized`: the signer knows of a signature that the journal does not; its nonce is held until that one has expired."""
    home, journal = agent_home, tmp_path / "journal.db"
    more = {"by_agent": True, "qty": "0.1", "deadline_s": 6 if kill == "before Authorized" else 0}
    before = home.world()
    died = agents_lives.live(journal, "eip155:1", kill, **more)
    assert died == {"killed": True}, died
    lived = agents_lives.live(journal, "eip155:1", **more)
    assert lived.get("status") == "FILLED", lived
    after = home.world()
    assert before["safe WETH"] - after["safe WETH"] == 10**17 and Decimal(lived["filled"]) == Decimal("0.1")
    assert after["agent nonce"] == before["agent nonce"] + 1
    assert before["agent wei"] - after["agent wei"] == int(lived["gas_wei"]["eip155:1"])
    assert after["safe nonce"] == before["safe nonce"]
    home.taken_over()


def test_a_run_killed_with_a_trade_in_flight_goes_on_with_it_once(agent_home: AgentHome) -> None:
    home, before = agent_home, agent_home.world()
    known = set(home.book().parts)
    daemon = home.home.start(MOST, home.settings_path)
    daemon.says("running:")
    home.home.pause()
    try:
        words = "trade sell 0.3 ETH --for USDC --by agent --live --yes --max-loss 50"
        watching = home.home.start(words, home.settings_path)
        home.home.wait_for(
            lambda: any(r.submitted for name, r in home.book().parts.items() if name not in known), 30
        )
        daemon.end(signal.SIGKILL)
        watching.end(signal.SIGKILL)
    finally:
        home.home.go_on()
    again = home.home.start(MOST, home.settings_path)
    again.says("going on with")
    again.says("closed: 0.3 of 0.3 ETH", 60)
    assert again.end(signal.SIGTERM).status == 0
    after = home.world()
    assert before["safe WETH"] - after["safe WETH"] == 3 * 10**17
    assert after["agent nonce"] == before["agent nonce"] + 1
    (part,) = [record for name, record in home.book().parts.items() if name not in known]
    assert part.ended and len(part.fills) == 1


def test_before_the_owners_granted_it_nothing_ran(agent_home: AgentHome) -> None:
    before = agent_home.before
    assert before is not None and before.status == 3
    assert "SCOPE_NOT_GRANTED" in before.err and "wallet scope --propose" in before.err


def refused(home: AgentHome, settings: Any, words: str, code: str, *says: str) -> None:
    ran = home.run(words, settings)
    assert ran.status == 3, (ran.status, ran.err, ran.out)
    for text in (code, *says):
        assert text in ran.err, ran.err


def test_an_unattended_run_is_refused_by_name(agent_home: AgentHome) -> None:
    home = agent_home
    refused(home, home.scoped("wide", burst_usd="40000"), MOST, "SCOPE_DRIFT", "gate limits", "wallet audit")
    refused(home, None, "run --live --yes --max-loss 100", "BOUND_OVER_MAX_LOSS", "--max-loss is 100.00")
    live = {"environment": "live", "signer": {"socket": str(home.socket), "config": str(home.config)}}
    refused(home, home.variant("live", scopes=[], **live), MOST, "NO_ONCHAIN_PERMISSIONS", "wallet scope")
    owners = home.settings_path.with_name("attended.toml")
    owners.write_text(
        home.variant("attended", **live).read_text().replace("[wallet]", '[wallet]\nauthority = "owners"', 1)
    )
    refused(home, owners, MOST, "NO_ONCHAIN_PERMISSIONS", "authority is owners")
    # With the scope granted a live run gets past this door, and is stopped at the next: this world is no live one.
    ran = home.run(MOST, home.variant("live-too", **live))
    assert ran.status == 3 and "SCOPE" not in ran.err and "devnet" in ran.err, ran.err


def test_a_signer_that_does_not_know_the_road_is_told_before_anything_is_signed(
    agent_home: AgentHome,
) -> None:
    home = agent_home
    told = json.loads(home.config.read_text())
    folder = home.config.parent / "roadless"
    folder.mkdir()
    bare = [{k: v for k, v in chain.items() if k != "agent"} for chain in told["chains"]]
    config, socket = folder / "signer.json", folder / "s.sock"
    config.write_text(json.dumps(told | {"chains": bare, "ledger": str(folder / "ledger.jsonl")}))
    signer = start_signer(socket, config, folder / "log")
    try:
        table = {"socket": str(socket), "config": str(config), "unattended": True}
        settings = home.variant("roadless", signer=table)
        refused(home, settings, MOST, "SIGNER_OTHER_ROAD", "wallet scope --chain ethereum")
        road = [
            c for c in home.run("doctor --json", settings).json["checks"] if c["check"] == "scope ethereum"
        ]
        assert any(c["level"] == "warn" and "no road" in c["message"] for c in road)
    finally:
        signer.terminate()
        signer.wait(20)


def test_what_the_scope_does_not_allow_is_told_before_anything_is_planned(agent_home: AgentHome) -> None:
    home = agent_home
    much = home.run("trade sell 25 ETH --for USDC --by agent --json")
    assert much.status == 3 and much.json["error"]["code"] == "SCOPE_BUDGET", much.out
    assert "of the agent's budget are left" in much.json["error"]["message"]
    assert "SCOPE_NONE" in much.json["error"]["message"], "the other chains are named, too"


@pytest.mark.parametrize("kind", ["uniswap_v2", "uniswap_v3", "uniswap_v4"])
@pytest.mark.parametrize("side", ["sell", "buy"])
def test_every_kind_of_pool_is_reached_by_the_agents_road(
    agent_home: AgentHome, kind: str, side: str
) -> None:
    home = agent_home
    chains = tomllib.loads(home.settings_path.read_text())["chains"]
    for chain in chains:
        chain["pools"] = [p for p in chain["pools"] if chain["chain_id"] == 1 and p["kind"] == kind]
    before = home.world()
    words = f"trade {side} 0.2 ETH --for USDC --by agent --live --yes --max-loss 100 --json"
    ran = home.run(words, home.variant(kind, chains=chains))
    assert ran.status == 0, ran.err + ran.out
    after = home.world()
    moved = after["safe WETH"] - before["safe WETH"]
    assert moved == -2 * 10**17 if side == "sell" else abs(moved - 2 * 10**17) < 10**15
    assert after["gate WETH"] == after["gate USDC"] == 0


def test_several_pools_are_one_trade_of_the_gate(agent_home: AgentHome) -> None:
    home, before = agent_home, agent_home.world()
    ran = home.run("trade sell 4 ETH --for USDC --by agent --live --yes --max-loss 200 --json")
    assert ran.status == 0 and len(ran.json["legs"]) > 1, ran.err + ran.out
    after = home.world()
    assert after["agent nonce"] == before["agent nonce"] + 1
    got = Decimal(after["safe USDC"] - before["safe USDC"]).scaleb(-6)
    assert got == Decimal(ran.json["parent"]["filled_quote"])


def test_a_plan_below_the_gates_oracle_floor_is_refused_before_it_is_signed(agent_home: AgentHome) -> None:
    home, signed = agent_home, len(agent_home.ledger)
    url = home.home.cheat_urls[1]
    set_feed_price(
        url, "ETH", 3_045 * 10**8
    )  # within the Gate's divergence; its floor is 1 % below the dearer source
    try:
        words = "trade sell 1 ETH --for USDC --by agent --live --yes --max-loss 500 --json"
        ran = home.run(words)
        assert ran.status == 3, ran.err + ran.out
        assert "SCOPE_FLOOR" in ran.out and "--by owners" in ran.out
        set_feed_price(url, "ETH", 3_200 * 10**8)
        apart = home.run(words)
        assert apart.status == 3 and apart.json["error"]["code"] == "SCOPE_PRICE", apart.out
        assert "SourcesDisagree" in apart.json["error"]["message"]
    finally:
        set_feed_price(url, "ETH", 3_000 * 10**8)
    assert len(home.ledger) == signed


def test_a_drift_under_way_stops_new_orders_until_the_chain_agrees_again(agent_home: AgentHome) -> None:
    home, gate, weth = agent_home, agent_home.road["gate"], CHAINS[1].weth

    def allow(eth: int) -> None:
        data = encode("erc20", "approve", (gate, eth * 10**18)).hex()
        home.owners_do(f"wallet propose --to {weth} --data 0x{data}")

    jobs = [JOBS[0] | {"name": "often", "every": "5s", "qty": "0.02"}]
    daemon = home.home.start(MOST, home.variant("often", jobs=jobs))
    daemon.says("order ")
    allow(2_000)
    daemon.says("SCOPE_DRIFT", 60)
    daemon.says("was not done", 60)
    allow(1_000)
    told = daemon.err.count(": order ")
    wait_for(lambda: "as the settings say again" in daemon.err and daemon.err.count(": order ") > told, 60)
    assert daemon.end(signal.SIGTERM).status in (0, 5)
    # The owners execute by the same sender: an order may have lost its nonce to them, and then ends at its deadline.
    assert home.run("run --once", patience_s=HELD_S).status in (0, 4)
    home.taken_over()
    assert "allowance WETH" in daemon.err


def test_approvals_of_the_owners_own_gate_are_shown_and_not_left_over(agent_home: AgentHome) -> None:
    home = agent_home
    ran = home.run("wallet approvals --chain ethereum --json")
    assert ran.status == 0 and ran.json["left"] == 0, ran.out
    (chain,) = ran.json["chains"]
    assert {a["symbol"] for a in chain["approvals"]} == {"WETH", "USDC"}
    assert all(a["intended"] and a["spender"] == home.road["gate"] for a in chain["approvals"])
    tokens = [{"symbol": "WETH", "allowance": "1"}, {"symbol": "USDC", "allowance": "1000000"}]
    less = home.run("wallet approvals --chain ethereum --json", home.scoped("less", tokens=tokens))
    assert less.status == 3 and less.json["left"] == 1, "more than the settings say is a finding"


def checks(home: AgentHome, name: str) -> dict[str, str]:
    ran = home.run("doctor --json")
    found = [c for c in ran.json["checks"] if c["check"] == name]
    return {c["message"]: c["level"] for c in found}


def test_doctor_tells_the_bound_and_compares_the_signers_book_with_the_journal(agent_home: AgentHome) -> None:
    home = agent_home
    assert home.run("trade sell 0.1 ETH --for USDC --by agent --live --yes --max-loss 50 --json").status == 0
    scope = checks(home, "scope ethereum")
    assert len(scope) == 2 and set(scope.values()) == {"ok"}, scope
    assert any("at most" in message and "in any 24 hours" in message for message in scope)
    told = home.run("wallet scope --json").json
    assert told["signer"]["agent"] == home.road
    # The killed lives have journals of their own: what they sold is in the signer's book and not in this journal.
    (level,) = checks(home, "spend ledger").values()
    assert level == ("warn" if len(home.ledger) > spending(home) else "ok")


def spending(home: AgentHome) -> int:
    """The ledger's lines that the journal, and the owners' transactions, account for."""
    parts = sum(r.authorized is not None and not r.what for r in home.book().parts.values())
    return parts + sum(not entry.get("spend") for entry in home.ledger)


def test_the_power_lapses_is_warned_of_and_renewed(agent_home: AgentHome) -> None:
    home = agent_home
    later(home.home, 6 * 86_400)
    daemon = home.home.start(MOST, home.settings_path)
    daemon.says("SCOPE_LAPSES_SOON")
    daemon.says("running:")
    daemon.end(signal.SIGTERM)
    assert "SCOPE_LAPSES_SOON" in (home.settings.alerts.file or home.socket).read_text()
    later(home.home, 2 * 86_400)
    refused(home, None, MOST, "SCOPE_LAPSED", "wallet renew")
    trade = home.run("trade sell 0.1 ETH --for USDC --by agent --live --yes --max-loss 50 --json")
    assert trade.status == 3 and trade.json["error"]["code"] == "SCOPE_LAPSED"
    home.owners_do("wallet renew")
    daemon = home.home.start(MOST, home.settings_path)
    daemon.says("running:")
    daemon.end(signal.SIGTERM)


def test_the_agents_key_supplies_and_repays_and_lowers_no_health(agent_home: AgentHome) -> None:
    """Its own call through Roles and Gate: the owners' nonce stays, the Gate keeps nothing, and what the scope leaves out is named."""
    home, pay = agent_home, "--live --yes --max-loss 200 --json"
    before = home.world()
    done = home.run(f"lend supply 2 ETH --by agent {pay}")
    assert done.status == 0 and done.json["done"] is True, done.err + done.out
    assert "takes at most" in done.err, "whose key signs is said with its bound"
    after = home.world()
    assert before["safe WETH"] - after["safe WETH"] == 2 * 10**18 and after["gate WETH"] == 0
    assert after["safe nonce"] == before["safe nonce"] and after["agent nonce"] == before["agent nonce"] + 1
    record = home.book().parts[done.json["cl_ord_id"]]
    assert record.authorized is not None and record.authorized.wallet_nonce == -1
    assert decode_raw(record.authorized.raw).to == home.road["roles"]
    assert home.ledger[-1]["spend"] == {}, "nothing left the wallet by the signer's own count"

    for words, code in (
        ("lend withdraw 1 ETH", "SCOPE_RESERVE"),
        ("lend supply 100 USDC", "SCOPE_RESERVE"),
        ("lend supply 1 ETH --chain base", "SCOPE_NONE"),
    ):
        refused = home.run(f"{words} --by agent {pay}")
        assert refused.status == 3 and refused.json["error"]["code"] == code, refused.out
        assert refused.json["error"]["hint"]

    owed = home.run(f"lend borrow 1000 USDC {pay}", home.owners_path)
    assert owed.status == 0, owed.err + owed.out
    held = home.balance("USDC")
    paid = home.run(f"lend repay 1001 USDC --by agent {pay}")
    assert paid.status == 0 and paid.json["health_after"] == "no debt", paid.err + paid.out
    left = held - home.balance("USDC")
    assert 1_000 * 10**6 <= left < 1_001 * 10**6, "what was more than the debt came back"
    assert home.balance("USDC", home.road["gate"]) == 0
    assert home.run("journal verify --json").status == 0
