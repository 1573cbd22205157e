"""The role's member is a Safe behind ERC-4337: the same run and the same trades, by user operations, exactly once, paid by the account.

The key signs and sends nothing itself; what the account pays is what the EntryPoint
charged, to the wei.
"""

from __future__ import annotations

import signal
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from account_home import AccountHome
from home_fixture import wait_for
from trading_home import Lives

from agent.domain.order_state import OrdStatus
from chains import operations
from chains.devnet.jsonrpc import Rpc

pytestmark = pytest.mark.devnet
MOST = "run --live --yes --max-loss 20000"
TRADE = "trade sell 0.2 ETH --for USDC --by agent --live --yes --max-loss 50"


def test_an_order_handed_over_is_done_by_a_user_operation(account_home: AccountHome) -> None:
    home = account_home
    before = home.world()
    daemon = home.home.start(MOST, home.settings_path)
    daemon.says("running:")
    ran = home.run(f"{TRADE} --json")
    assert ran.status == 0, ran.err + ran.out + daemon.err
    assert daemon.end(signal.SIGTERM).status == 0
    after = home.world()
    (part,) = home.book().parts.values()
    signed = part.authorized
    assert signed is not None and signed.sender == home.account
    op = operations.from_raw(signed.raw)
    assert operations.call_inside(op).to == home.road["roles"] and op.nonce == signed.nonce
    assert before["safe WETH"] - after["safe WETH"] == 2 * 10**17
    got = Decimal(after["safe USDC"] - before["safe USDC"]).scaleb(-6)
    assert got == Decimal(ran.json["parent"]["filled_quote"])
    assert before["agent wei"] - after["agent wei"] == part.gas_wei > 0, "what the EntryPoint charged"
    assert after["agent nonce"] == before["agent nonce"] + 1
    same = ("safe nonce", "key wei", "key nonce", "gate WETH", "gate USDC")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_a_waiting_operation_is_outstanding_given_again_when_dropped_and_cancelled_by_its_nonce(
    account_home: AccountHome,
) -> None:
    home, before = account_home, account_home.world()
    home.bundles("manual")
    running = home.home.start(TRADE, home.settings_path)
    running.says("handed to  bundler")
    (entry,) = home.run("wallet outstanding --chain ethereum --json").json["agent"]
    assert (entry["sender"], entry["nonce"]) == (home.account, before["agent nonce"])
    assert entry["kind"] == "user operation"
    panicked = home.run("panic --yes --json")
    told = [t for t in panicked.json["results"] if "user operation" in t["what"]]
    assert told and not told[0]["confirmed"] and "fairlead cancel" in told[0]["told"], panicked.out
    assert home.run("resume").status == 0
    held = home.pool()
    home.forget()
    wait_for(lambda: home.pool() == held)
    asked = home.home.start(entry["revoke"].removeprefix("fairlead "), home.settings_path)
    mine = entry["cl_ord_id"]
    wait_for(lambda: home.book().parts[mine].status is OrdStatus.PENDING_CANCEL)
    (empty,) = home.pool()
    assert empty["nonce"] == held[0]["nonce"] and len(empty["callData"]) < len(held[0]["callData"])
    home.bundles("auto")
    assert asked.end().status == 0, asked.err
    assert running.end().status == 4, running.err
    after = home.world()
    assert {name for name in after if after[name] != before[name]} == {"agent nonce", "agent wei"}
    assert after["agent nonce"] == before["agent nonce"] + 1
    record = home.book().parts[mine]
    assert before["agent wei"] - after["agent wei"] == record.gas_wei > 0


BOUNDARIES = (
    "durable Authorized",
    "before Submitted",
    "durable Submitted",
    "durable INCLUDED",
    "before Authorized",
)


@pytest.fixture(scope="module")
def accounts_lives(account_home_module: AccountHome) -> Any:
    home = account_home_module
    lives = Lives(SimpleNamespace(settings_path=home.settings_path, env=home.home.env()))  # type: ignore[arg-type]
    yield lives
    lives.close()


@pytest.mark.parametrize(
    "kill",
    [BOUNDARIES[1], *(pytest.param(b, marks=pytest.mark.full) for b in BOUNDARIES if b != BOUNDARIES[1])],
)
def test_killed_at_a_stage_boundary_it_is_done_exactly_once(
    account_home: AccountHome, accounts_lives: Lives, tmp_path: Any, kill: str
) -> None:
    home, journal = account_home, tmp_path / "journal.db"
    more = {"by_agent": True, "qty": "0.1", "deadline_s": 6 if kill == "before Authorized" else 0}
    before = home.world()
    died = accounts_lives.live(journal, "eip155:1", kill, **more)
    assert died == {"killed": True}, died
    lived = accounts_lives.live(journal, "eip155:1", **more)
    assert lived.get("status") == "FILLED", lived
    after = home.world()
    assert before["safe WETH"] - after["safe WETH"] == 10**17 and Decimal(lived["filled"]) == Decimal("0.1")
    assert after["agent nonce"] == before["agent nonce"] + 1
    assert before["agent wei"] - after["agent wei"] == int(lived["gas_wei"]["eip155:1"])


@pytest.mark.full
def test_a_bundler_that_is_not_declared_private_gets_no_private_plan(account_home: AccountHome) -> None:
    home = account_home
    text = home.settings_path.read_text()
    assert "private = true" in text
    public = home.settings_path.with_name("public-bundler.toml")
    public.write_text(text.replace("private = true", "private = false"))
    ran = home.run(f"{TRADE} --json", public)
    assert ran.status in (3, 4) and "not declared private" in ran.out + ran.err, ran.out + ran.err
    assert home.pool() == []
    found = [c for c in home.run("doctor --json", public).json["checks"] if c["check"] == "bundler ethereum"]
    assert [c["level"] for c in found] == ["fail"] and "in a public mempool" in found[0]["message"]


def test_the_audit_names_what_is_other_at_the_agents_account(account_home: AccountHome) -> None:
    home = account_home
    scope = home.run("wallet scope --json").json
    assert scope["signer"]["agent"] == home.road and home.road["key"] == home.agent
    other = home.settings_path.with_name("other-key.toml")
    owner = home.home.settings.wallet.owners[0].address
    other.write_text(home.settings_path.read_text().replace(home.agent, owner))
    ran = home.run("wallet audit --json", other)
    assert ran.status == 3 and any("is owned by" in word for word in ran.json["wallet"]), ran.out

    # What lies on the key itself is lost with it, too: the bound counts it beside the account's own.
    url, before = home.home.cheat_urls[1], home.run("wallet audit --json").json["bound"]
    with Rpc(url) as rpc:
        held = int(rpc("eth_getBalance", home.agent, "latest"), 16)
        rpc("anvil_setBalance", home.agent, hex(held + 20 * 10**18))
        after = home.run("wallet audit --json").json["bound"]
        asked = home.run("wallet scope --json").json["bound"]
        rpc("anvil_setBalance", home.agent, hex(held))
    more = Decimal(after["gas_per_day_usd"]) - Decimal(before["gas_per_day_usd"])
    assert more > 15 * 2_900, (before, after)
    assert asked["gas_per_day_usd"] == after["gas_per_day_usd"]
