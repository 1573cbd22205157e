"""Loans at the genuine Morpho Blue and at a market that keeps to Compound III's rules, rescued with no owner's key at hand."""

from __future__ import annotations

import signal
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from agent_home import AgentHome
from home_fixture import wait_for
from indebted_home import DAEMON, PAY, eth_at, give
from payments_home import USDC, WETH, PayingHome, paying

from chains.devnet.jsonrpc import Rpc
from chains.errors import Usage
from contracts.codec import encode
from contracts.hashing import keccak

pytestmark = pytest.mark.devnet


@pytest.fixture(scope="module")
def world(agent_home_of_file: AgentHome) -> Iterator[PayingHome]:
    """2 WETH against 3,600 USDC in each: 1.466 and 1.433 at 3,000 dollars an ETH."""
    with paying(agent_home_of_file, 2 * 10**18, 3_600 * 10**6) as found:
        yield found


@pytest.fixture
def at_3000(agent_home: AgentHome, world: PayingHome) -> Iterator[PayingHome]:
    """The wallet with 8,000 USDC and 8 WETH, and prices as they were."""
    home = world.home
    give(home, USDC, 8_000 * 10**6 - home.balance("USDC"))
    give(home, WETH, 8 * 10**18 - home.balance("WETH"))
    yield world
    eth_at(home, 3_000)
    world.morpho.price(3_000)


def fall(world: PayingHome, usd: int) -> None:
    eth_at(world.home, usd)
    world.morpho.price(usd)


def may_take(world: PayingHome, token: str) -> int:
    return int(world.home.read(token, "erc20", "allowance", world.home.safe, world.contract)[0])


def test_what_is_granted_is_said_audited_and_waits_the_gates_delay(world: PayingHome) -> None:
    home = world.home
    (locked,) = [s for s in world.said if "a thief extracts nothing" in s]
    assert "12000 USDC and 12 WETH in any 24 hours" in locked
    assert sum("on the Safe's own account at Morpho Blue" in s for s in world.said) == 2
    assert "payments into loans open in" in world.early
    audit = home.run("wallet audit --json")
    assert audit.status == 0 and audit.json["ok"] and audit.json["payments"] == world.contract, audit.out
    assert audit.json["bound"]["locked_per_day"] == {"USDC": "12000", "WETH": "12"}
    again = home.run("wallet scope --propose --json", home.owners_path)
    assert again.status != 0 and again.json["error"]["code"] == "GRANTED_ALREADY", again.out


def test_the_daemon_rescues_the_loan_at_morpho_by_the_agents_key(at_3000: PayingHome) -> None:
    world, home = at_3000, at_3000.home
    settings = home.variant("watching-morpho", rescues=[world.account(world.morpho.market)])
    known, (owed, _), allowed = set(home.book().parts), world.morpho.position(), may_take(world, USDC)
    daemon = home.home.start(DAEMON, settings)
    daemon.says("1 accounts watched", 60)
    nonce, held = home.world()["safe nonce"], home.balance("USDC")
    fall(world, 2_300)
    daemon.says("RESCUED", 90)
    daemon.end(signal.SIGTERM)
    (name,) = set(home.book().parts) - known
    record = home.book().parts[name]
    assert record.authorized is not None and record.authorized.wallet_nonce == -1, "no owner signed"
    assert home.world()["safe nonce"] == nonce and world.morpho.position()[0] < owed
    paid = held - home.balance("USDC")
    assert paid == record.part.in_raw == allowed - may_take(world, USDC)
    left = int(home.read(world.contract, "payments", "left", 2)[0])
    assert 4_000 * 10**6 - paid <= left < 4_000 * 10**6, "the rule's own budget was charged"
    assert home.read(USDC, "erc20", "balanceOf", world.contract)[0] == 0
    for holder in (world.contract, home.safe):
        assert home.read(USDC, "erc20", "allowance", holder, world.morpho.morpho)[0] == 0


def test_the_daemon_rescues_the_loan_at_compound_by_the_agents_key(at_3000: PayingHome) -> None:
    """Without what is owed, collateral is added."""
    world, home = at_3000, at_3000.home
    give(home, USDC, -home.balance("USDC"))
    settings = home.variant("watching-comet", rescues=[world.account(world.comet.comet)])
    known, lent = set(home.book().parts), world.comet.lent()
    daemon = home.home.start(DAEMON, settings)
    daemon.says("1 accounts watched", 60)
    held = home.balance("WETH")
    fall(world, 2_200)
    daemon.says("RESCUED", 90)
    daemon.end(signal.SIGTERM)
    (name,) = set(home.book().parts) - known
    record = home.book().parts[name]
    assert record.authorized is not None and record.authorized.wallet_nonce == -1, "no owner signed"
    assert world.comet.lent() - lent == held - home.balance("WETH") == record.part.in_raw


def test_the_command_pays_by_the_agents_key_as_foretold(at_3000: PayingHome) -> None:
    world, home = at_3000, at_3000.home
    settings = home.variant("commanded", rescues=[world.account(world.comet.comet)])
    fall(world, 1_900)
    done = home.run(f"rescue --chain ethereum --by agent {PAY}", settings)
    assert done.status == 0, done.err + done.out
    (account,) = [a for a in done.json["accounts"] if a["id"] == world.comet.name]
    (one,) = account["done"]
    assert "repay" in one["what"] and one["predicted_1e18"] == one["health_1e18"], one
    assert Decimal("1.35") <= Decimal(one["health_1e18"]).scaleb(-18) < Decimal("1.3501")
    wait_for(lambda: all(r.ended for r in home.book().parts.values()))


def test_what_the_budget_does_not_leave_is_not_planned(at_3000: PayingHome) -> None:
    """A target that only more than a payment may be would reach: what there is room for is paid, and no more is tried."""
    world, home = at_3000, at_3000.home
    rule = world.account(world.morpho.market) | {"add_collateral": False}
    settings = home.variant("spent", rescues=[rule])
    fall(world, 2_300)
    left = int(home.read(world.contract, "payments", "left", 2)[0])
    told = home.run("rescue --chain ethereum --by agent --target 1000 --json", settings)
    (account,) = [a for a in told.json["accounts"] if a["id"].startswith("morpho_blue:")]
    planned = [int(m["raw"]) for p in account["plans"] for m in p["moves"]]
    assert planned and max(planned) <= left + 10**6, (planned, left)


def test_payments_that_cannot_be_meant_are_named(world: PayingHome) -> None:
    home = world.home
    values = tomllib.loads(home.settings_path.read_text())["scopes"][0]
    sound = values["payments"][0]
    for code, changed in (
        ("NO_MARKET", {"market": WETH}),
        ("PAYMENT_ASSET", {"symbol": "WETH"}),
        ("SCOPE_INVALID", {"at_once": "7000"}),
        ("SCOPE_INVALID", {"symbol": "DAI"}),
    ):
        path = home.variant("wrong", scopes=[values | {"payments": [sound | changed]}])
        told = home.run("wallet scope --json", path)
        assert told.status != 0 and told.json["error"]["code"] == code, told.out
        assert told.json["error"]["hint"] and "Traceback" not in told.err
    with pytest.raises(Usage, match=r"payments\[0\].action: 'withdraw' is not one of"):
        home.variant("wrong", scopes=[values | {"payments": [sound | {"action": "withdraw"}]}])


def test_the_role_passes_on_at_both_modifiers(world: PayingHome) -> None:
    home, other = world.home, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    told = home.run(f"wallet rotate-agent {other} --json", home.owners_path)
    assert told.status == 0, told.err + told.out
    text = Path(told.json["file"]).read_text().lower()
    assert text.count(world.roles[2:].lower()) == 3 == text.count(home.road["roles"][2:].lower())


def test_a_stolen_key_pays_nobody_else(at_3000: PayingHome) -> None:
    """The agent's account itself, past our signer: each lender named directly, and the contract with what it does not list."""
    world, home = at_3000, at_3000.home
    safe, thief = home.safe, "0x00000000000000000000000000000000DeaDBeef"
    soon = 2**32 - 1
    calls = {
        "supplyTo": (world.comet.comet, keccak(b"supplyTo(address,address,uint256)")[:4] + bytes(96)),
        "open": (world.contract, encode("payments", "open", (thief,))),
        "transfer": (USDC, encode("erc20", "transfer", (thief, 1))),
        "rule": (world.contract, encode("payments", "pay", (4, 1, soon))),
    }
    before = home.world()
    with Rpc(home.home.cheat_urls[1]) as rpc:
        for word, (to, data) in calls.items():
            role = bytes.fromhex(home.road["role"][2:])
            through = encode("zodiac_roles", "execTransactionWithRole", (to, 0, data, 0, role, True))
            for target, sent in ((world.roles, through), (to, data)):
                given = {"from": home.agent, "to": target, "data": "0x" + sent.hex()}
                with pytest.raises(Exception, match=r"revert|0x"):
                    rpc("eth_call", given, "latest")
                    pytest.fail(f"{word} passed at {target}")
    assert home.world() == before and home.safe == safe


def test_what_its_modifier_was_told_besides_is_found(world: PayingHome) -> None:
    home, role = world.home, bytes.fromhex(world.home.road["role"][2:])
    transfer = encode("erc20", "transfer", (home.safe, 1))[:4]
    told = (
        encode("zodiac_roles", "allowTarget", (role, USDC, 0)),
        encode("zodiac_roles", "setTransactionUnwrapper", (USDC, transfer, world.contract)),
    )
    with Rpc(home.home.cheat_urls[1]) as rpc:
        kept = rpc("evm_snapshot")
        rpc("anvil_impersonateAccount", home.safe)
        rpc("anvil_setBalance", home.safe, hex(10**18))
        try:
            for data in told:
                given = {"from": home.safe, "to": world.roles, "data": "0x" + data.hex(), "gas": hex(300_000)}
                assert rpc.transact(given)["status"] == "0x1"
            audit = home.run("wallet audit --json")
        finally:
            rpc("anvil_stopImpersonatingAccount", home.safe)
            rpc("evm_revert", kept)
    assert audit.status == 3 and not audit.json["differs"], audit.out
    said = "; ".join(audit.json["wallet"])
    assert f"may reach {USDC}" in said and f"of {USDC} by an unwrapper" in said, said


def test_closed_by_one_owner_it_pays_nothing_and_is_told(at_3000: PayingHome) -> None:
    world, home = at_3000, at_3000.home
    owner = home.settings.wallet.owners[0].address
    with Rpc(home.home.cheat_urls[1]) as rpc:
        kept = rpc("evm_snapshot")
        rpc("anvil_impersonateAccount", owner)
        rpc("anvil_setBalance", owner, hex(10**18))
        close = "0x" + encode("payments", "close", ()).hex()
        receipt = rpc.transact({"from": owner, "to": world.contract, "data": close, "gas": hex(100_000)})
        try:
            assert receipt["status"] == "0x1"
            audit = home.run("wallet audit --json")
            assert audit.status == 3 and [d["what"] for d in audit.json["differs"]] == ["payments closed"]
            again = home.run("wallet scope --propose --json", home.owners_path)
            assert again.status == 0 and again.json["file"], again.out
        finally:
            rpc("anvil_stopImpersonatingAccount", owner)
            rpc("evm_revert", kept)
