"""Loans at Spark's build of Aave V3 and a vault at Maker as documented, rescued with no owner's key at hand."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from agent_home import AgentHome
from further_home import DAI, URN, USDC, WETH, FurtherHome, granted_with_dai, paying_further
from home_fixture import brought_up
from indebted_home import DAEMON, PAY, eth_at, give

from chains.devnet.addresses import SPARK
from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode

pytestmark = pytest.mark.devnet


@pytest.fixture(scope="module")
def agent_home_of_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHome]:
    with brought_up(tmp_path_factory) as home, granted_with_dai(home) as made:
        yield made


@pytest.fixture(scope="module")
def world(agent_home_of_file: AgentHome) -> Iterator[FurtherHome]:
    """At Spark 2 WETH and 1,500 USDC lent, 4,400 USDC owed; in the vault 2 WETH against 2,840 art, some 2,982 DAI."""
    with paying_further(agent_home_of_file, 2 * 10**18, 3_600 * 10**6, 2 * 10**18, 2_840 * 10**18) as found:
        yield found


@pytest.fixture
def at_3000(agent_home: AgentHome, world: FurtherHome) -> Iterator[FurtherHome]:
    """The wallet with 8,000 USDC, 3,000 DAI and 8 WETH, and prices as they were."""
    left_with(world, 8_000 * 10**6, 3_000 * 10**18, 8 * 10**18)
    yield world
    eth_at(world.home, 3_000)
    world.maker.at(3_000)


def left_with(world: FurtherHome, usdc: int, dai: int, weth: int) -> None:
    for token, raw in ((USDC, usdc), (DAI, dai), (WETH, weth)):
        give(world.home, token, raw - int(world.home.read(token, "erc20", "balanceOf", world.home.safe)[0]))


def at_spark(world: FurtherHome) -> tuple[int, int]:
    """Debt in USD of eight decimals, health in 1e18."""
    found = world.home.read(SPARK["Pool"], "aave_v3_pool", "getUserAccountData", world.home.safe)
    return int(found[1]), int(found[5])


def one_done(world: FurtherHome, market: str) -> dict[str, Any]:
    """The one payment that the command makes into that loan by the agent's key."""
    settings = world.home.variant("commanded", rescues=[world.account(market)])
    done = world.home.run(f"rescue --chain ethereum --by agent {PAY}", settings)
    assert done.status == 0, done.err + done.out
    (found,) = [one for account in done.json["accounts"] for one in account["done"]]
    return dict(found)


def left_bare(world: FurtherHome) -> bool:
    """Nothing lies in the contract, and it lets nobody take anything."""
    adapters = (SPARK["Pool"], world.maker.parts["join"], world.maker.parts["daiJoin"])
    read = world.home.read
    return not any(
        read(token, "erc20", "balanceOf", world.contract)[0]
        or any(read(token, "erc20", "allowance", world.contract, to)[0] for to in adapters)
        for token in (USDC, DAI, WETH)
    )


def test_what_is_granted_is_said_audited_and_waits_the_gates_delay(world: FurtherHome) -> None:
    home = world.home
    (locked,) = [s for s in world.said if "a thief extracts nothing" in s]
    assert "6000 USDC and 12 WETH and 6000 DAI in any 24 hours" in locked
    assert sum(f"at the pool of Aave V3's kind, {SPARK['Pool']}" in s for s in world.said) == 2
    assert sum(f"at Maker, {URN}, a vault of ETH-A" in s for s in world.said) == 2
    assert "further payments into loans open in" in world.early
    audit = home.run("wallet audit --json")
    assert audit.status == 0 and audit.json["ok"], audit.out
    assert (audit.json["payments"], audit.json["further_payments"]) == (None, world.contract)
    again = home.run("wallet scope --propose --json", home.owners_path)
    assert again.status != 0 and again.json["error"]["code"] == "GRANTED_ALREADY", again.out


def test_the_daemon_rescues_the_loan_at_spark_by_the_agents_key(at_3000: FurtherHome) -> None:
    world, home = at_3000, at_3000.home
    settings = home.variant("watching-spark", rescues=[world.account(SPARK["Pool"])])
    known, (owed, _) = set(home.book().parts), at_spark(world)
    daemon = home.home.start(DAEMON, settings)
    daemon.says("1 accounts watched", 60)
    nonce, held = home.world()["safe nonce"], home.balance("USDC")
    eth_at(home, 2_200)
    daemon.says("RESCUED", 90)
    daemon.end(signal.SIGTERM)
    (name,) = set(home.book().parts) - known
    record = home.book().parts[name]
    assert record.authorized is not None and record.authorized.wallet_nonce == -1, "no owner signed"
    assert home.world()["safe nonce"] == nonce and at_spark(world)[0] < owed
    paid = held - home.balance("USDC")
    assert paid == record.part.in_raw and left_bare(world)
    left = int(home.read(world.contract, "payments", "left", 0)[0])
    assert 4_000 * 10**6 - paid <= left < 4_000 * 10**6, "the rule's own budget was charged"


def test_collateral_is_added_at_spark_where_nothing_of_the_debt_is_at_hand(at_3000: FurtherHome) -> None:
    world = at_3000
    left_with(world, 0, 0, 8 * 10**18)
    eth_at(world.home, 1_700)
    one = one_done(world, SPARK["Pool"])
    assert "supply" in one["what"] and one["predicted_1e18"] == one["health_1e18"], one
    assert left_bare(world)


def test_a_vault_is_repaid_by_the_agents_key_as_foretold(at_3000: FurtherHome) -> None:
    world, (ink, art) = at_3000, at_3000.maker.urn()
    left_with(world, 0, 800 * 10**18, 0)
    world.maker.at(2_450)
    one = one_done(world, URN)
    assert "repay" in one["what"] and one["predicted_1e18"] == one["health_1e18"], one
    assert 135 * 10**16 <= int(one["health_1e18"]) < 13_501 * 10**14, one
    assert world.maker.urn()[0] == ink and world.maker.urn()[1] < art and left_bare(world)


def test_without_dai_collateral_is_added_to_the_vault(at_3000: FurtherHome) -> None:
    world, (ink, art) = at_3000, at_3000.maker.urn()
    left_with(world, 0, 0, 2 * 10**18)
    world.maker.at(1_950)
    one = one_done(world, URN)
    assert "supply" in one["what"] and one["predicted_1e18"] == one["health_1e18"], one
    assert world.maker.urn()[0] > ink and world.maker.urn()[1] == art and left_bare(world)


def test_a_stolen_key_takes_nothing_out_of_either(at_3000: FurtherHome) -> None:
    """The agent's account itself, past our signer: pool, Vat and adapter named directly, and the contract with what it does not list."""
    world, home = at_3000, at_3000.home
    thief, soon = "0x00000000000000000000000000000000DeaDBeef", 2**32 - 1
    ilk, vat = b"ETH-A".ljust(32, b"\0"), world.maker.parts["vat"]
    calls = (
        (SPARK["Pool"], encode("aave_v3_pool", "withdraw", (WETH, 1, thief))),
        (SPARK["Pool"], encode("aave_v3_pool", "repay", (USDC, 1, 2, thief))),
        (vat, encode("maker_vat", "frob", (ilk, URN, thief, thief, -1, 0))),
        (vat, encode("maker_vat", "frob", (ilk, URN, thief, thief, 0, 1))),
        (world.contract, encode("payments", "open", (thief,))),
        (world.contract, encode("payments", "pay", (4, 1, soon))),
        (DAI, encode("erc20", "transfer", (thief, 1))),
    )
    role = bytes.fromhex(home.road["role"][2:])
    with Rpc(home.home.cheat_urls[1]) as rpc:
        for to, data in calls:
            through = encode("zodiac_roles", "execTransactionWithRole", (to, 0, data, 0, role, True))
            for target, sent in ((world.roles, through), (to, data)):
                given = {"from": home.agent, "to": target, "data": "0x" + sent.hex()}
                with pytest.raises(Exception, match=r"revert|0x|panic|not"):
                    rpc("eth_call", given, "latest")
                    pytest.fail(f"{data[:4].hex()} passed at {target}")


def test_a_market_that_cannot_be_meant_is_named(world: FurtherHome) -> None:
    home = world.home
    scope = {**home.settings.model_dump(mode="json", exclude_unset=True)["scopes"][0]}
    sound = scope["payments"][0]
    for code, changed in (
        ("PAYMENT_ASSET", {"symbol": "DAI"}),
        ("PAYMENT_ASSET", {"market": URN}),
        ("NO_MARKET", {"market": WETH}),
    ):
        told = home.run(
            "wallet scope --json", home.variant("wrong", scopes=[scope | {"payments": [sound | changed]}])
        )
        assert told.status != 0 and told.json["error"]["code"] == code, told.out
