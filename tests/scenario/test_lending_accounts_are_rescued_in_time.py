"""Real borrowing at the genuine pool, a price that falls step by step: what is planned is what is done, to the last digit."""

from __future__ import annotations

import asyncio
import re
import signal
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from agent_home import AgentHome
from contract_desk import DERIBIT, DYDX, HYPERLIQUID, At, contracts_beside
from flash_home import CODE_HASH, a_weth, opted_in
from home_fixture import wait_for
from indebted_home import DAEMON, NO_DEBT, PAY, RESCUE, account_data, borrowed, eth_at, factor, give
from other_lenders import beside
from paper import Door

from agent.app.cli.output import plain
from agent.app.jobs.guard import store_of
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.domain.orders import Side
from chains.devnet.addresses import CHAINS, SPARK
from chains.devnet.deploy import across
from chains.devnet.funding import give_token
from chains.devnet.jsonrpc import Rpc
from contracts import flash_repay

pytestmark = pytest.mark.devnet


@pytest.fixture(scope="module", autouse=True)
def nothing_owed_afterwards(agent_home_of_file: AgentHome) -> Iterator[None]:
    yield
    home = agent_home_of_file
    if factor(home) != NO_DEBT:
        assert home.run(f"lend repay 20000 USDC {PAY}", home.owners_path).status == 0


@pytest.fixture
def indebted(agent_home: AgentHome) -> Iterator[AgentHome]:
    borrowed(agent_home)
    yield agent_home
    eth_at(agent_home, 3_000)


def test_the_daemon_warns_first_and_rescues_in_time(indebted: AgentHome) -> None:
    """Step by step down: nothing, a warning, the rescue; then nothing more is due and nothing is done twice."""
    home = indebted
    settings = home.variant("rescue", rescues=[RESCUE])
    daemon = home.home.start(DAEMON, settings)
    daemon.says("1 accounts watched")
    known = set(home.book().parts)
    eth_at(home, 2_200)
    daemon.says("RESCUE_NEAR")
    assert set(home.book().parts) == known, "a warning is no act"
    before = home.world()
    assert home.run("halt not-now", settings).status == 0
    eth_at(home, 2_000)
    daemon.says("ALARM HALTED")
    assert home.world() == before, "the kill switch holds for rescues, too"
    assert home.run("resume", settings).status == 0
    daemon.says("RESCUED", 60)
    daemon.end(signal.SIGTERM)
    (name,) = set(home.book().parts) - known
    record = home.book().parts[name]
    assert record.authorized is not None and record.authorized.wallet_nonce == -1, "no owner signed"
    (told,) = [a.message for a in home.book().alarms if a.code == "RESCUED"]
    after, foretold = re.findall(r"→ ([\d.]+) \(foretold ([\d.]+)\)", told)[0]
    assert after == foretold and Decimal(after) >= Decimal("1.35"), told
    assert before["safe USDC"] - home.world()["safe USDC"] == record.part.in_raw
    (job,) = [j for j in home.run("jobs --json", settings).json["jobs"] if j["name"] == "house"]
    assert job["last_order"] == name and job["when"] == "health below 1.15"
    (counted,) = store_of(load(settings)).reserved("rescue:house")
    assert not counted.open and counted.name.startswith(name), "its day is told to every daemon of the store"
    assert abs(counted.usd - Decimal(record.part.in_raw).scaleb(-6)) < 10


def test_an_empty_gas_account_is_named_with_what_is_missing_and_once_filled_rescues(
    indebted: AgentHome,
) -> None:
    """While the agent's account cannot pay for a payment nothing is sent; the alert tells how many wei to send it."""
    home = indebted
    settings = home.variant("rescue", rescues=[RESCUE])
    daemon = home.home.start(DAEMON, settings)
    daemon.says("1 accounts watched")
    known, before = set(home.book().parts), home.world()
    with Rpc(home.home.cheat_urls[1]) as rpc:
        held = int(rpc("eth_getBalance", home.agent, "latest"), 16)
        rpc("anvil_setBalance", home.agent, "0x1")
        try:
            eth_at(home, 2_000)
            daemon.says("GAS_EMPTY", 60)
            told = re.search(
                r"RESCUE_IMPOSSIBLE.*GAS_EMPTY: ethereum: (0x\w+) has 0\.0{17}1 ETH for gas, a rescue needs up to ([\d.]+) → "
                r"send ([\d.]+) ETH to (0x\w+)",
                daemon.err,
            )
            assert told is not None and told[1] == told[4] == home.agent
            missing, needed = (int(Decimal(told[n]).scaleb(18)) for n in (3, 2))
            assert needed - missing == 1 < missing
            home.home.wait_blocks(2)
            assert home.world() == before | {"agent wei": 1}, "nothing is sent"
            assert set(home.book().parts) == known
        finally:
            rpc("anvil_setBalance", home.agent, hex(held))
    daemon.says("RESCUED", 60)
    assert daemon.end(signal.SIGTERM).status == 0
    (name,) = set(home.book().parts) - known
    assert factor(home) >= 135 * 10**16 and rescued(home, name)


def test_killed_with_the_payment_in_flight_it_is_paid_once(indebted: AgentHome) -> None:
    home = indebted
    settings = home.variant("rescue", rescues=[RESCUE])
    known, before = set(home.book().parts), home.world()
    eth_at(home, 2_000)
    home.home.pause()
    try:
        daemon = home.home.start(DAEMON, settings)
        wait_for(lambda: any(r.submitted for name, r in home.book().parts.items() if name not in known))
        daemon.end(signal.SIGKILL)
        again = home.home.start(DAEMON, settings)
        again.says("running:")
    finally:
        home.home.go_on()
    wait_for(lambda: factor(home) >= 135 * 10**16)
    wait_for(lambda: all(r.ended for r in home.book().parts.values()))
    again.says("RESCUED", 60)
    assert again.end(signal.SIGTERM).status == 0
    (name,) = set(home.book().parts) - known
    after = home.world()
    (told,) = rescued(home, name)
    assert "told after a restart" in told and "health factor 1.35" in told
    assert after["agent nonce"] == before["agent nonce"] + 1
    assert before["safe USDC"] - after["safe USDC"] == home.book().parts[name].part.in_raw


def test_what_landed_while_the_daemon_was_dead_is_told_once(indebted: AgentHome) -> None:
    home = indebted
    settings = home.variant("rescue", rescues=[RESCUE])
    known = set(home.book().parts)
    eth_at(home, 2_000)
    home.home.pause()
    try:
        daemon = home.home.start(DAEMON, settings)
        wait_for(lambda: any(r.submitted for name, r in home.book().parts.items() if name not in known))
        daemon.end(signal.SIGKILL)
    finally:
        home.home.go_on()
    wait_for(lambda: factor(home) >= 135 * 10**16)
    (name,) = set(home.book().parts) - known
    assert rescued(home, name) == []
    for _ in range(2):
        again = home.home.start(DAEMON, settings)
        again.says("running:")
        wait_for(lambda: len(rescued(home, name)) == 1, 60)
        home.home.wait_blocks(3)
        assert again.end(signal.SIGTERM).status == 0
        assert len(rescued(home, name)) == 1 and set(home.book().parts) == known | {name}


def rescued(home: AgentHome, name: str) -> list[str]:
    """What alerts told of that payment."""
    return [a.message for a in home.book().alarms if a.code == "RESCUED" and f"({name})" in a.message]


def test_the_command_shows_what_is_missing_sells_and_repays(indebted: AgentHome) -> None:
    """An empty wallet is told the exact amount, and the withdrawal nobody here can make; with WETH in it some is sold and paid in."""
    home, usdc, weth = indebted, CHAINS[1].usdc, CHAINS[1].weth
    rule = RESCUE | {"warn": "1.8", "trigger": "1.8", "target": "1.9", "add_collateral": False}
    wallet = tomllib.loads(home.settings_path.read_text())["wallet"] | {"flash_repay": CODE_HASH}
    settings = home.variant("sale", rescues=[rule], wallet=wallet)
    held, ether = home.balance("USDC"), home.balance("WETH")
    give(home, usdc, -held)
    give(home, weth, -ether)
    urls, there = home.home.cheat_urls, CHAINS[8453].usdc
    with Rpc(urls[8453]) as rpc:
        across.ensure(rpc, 8453)
    give_token(urls[8453], there, home.safe, 10**12)
    try:
        bare = home.run("rescue --by agent --json", settings)
        (account,) = bare.json["accounts"]
        assert bare.status == 4 and account["due"] is True and account["plans"] == [], bare.err + bare.out
        need = account["missing"][0]
        assert need["do"] == "repay" and home.safe in need["how"][0]
        assert any("withdraw" in line and "paper" in line for line in need["how"]), need
        assert any("bridge" in line and "by Across from base" in line for line in need["how"]), need
        no = home.run("bridge send 5 USDC --from ethereum --to base --by agent --json")
        assert no.status == 3 and no.json["error"]["code"] == "BRIDGE_NEEDS_OWNERS", no.out
        assert "--by owners" in no.json["error"]["hint"]
        (way,) = account["owners_could"][0]["moves"]
        assert way["do"] == "repay_by_flash" and way["lent"].endswith(weth), account
        own = account["unwinding"]
        assert (
            int(own["rounds"][-1]["health_after_1e18"]) >= 19 * 10**17
            and "only its owners can" in own["words"]
        )
        first = own["rounds"][0]
        out = Decimal(first["withdraw_raw"]).scaleb(-18)
        tried = home.run(f"lend withdraw {out:f} WETH --min-health 1 --json", home.owners_path)
        assert tried.status == 0, tried.err + tried.out
        told = Decimal(first["health_between_1e18"]).scaleb(-18)
        # The pool's own answer to that withdrawal; the plan counts three more minutes of interest.
        assert abs(Decimal(tried.json["health_after"]) - told) <= Decimal("0.0002"), (tried.out, told)
        give(home, weth, ether)
        done = home.run(f"rescue --by agent {PAY}", settings)
        assert done.status == 0, done.err + done.out
        (account,) = done.json["accounts"]
        assert "buy it with" in account["plans"][0]["moves"][0]["words"], account
        (paid,) = account["done"]
        assert paid["predicted_1e18"] == paid["health_1e18"] and int(paid["health_1e18"]) >= 19 * 10**17
        assert ether > home.balance("WETH")
        again = home.run("rescue --by agent --json", settings)
        assert again.status == 0 and again.json["accounts"][0]["plans"] == [], again.out
    finally:
        give(home, usdc, held)
        give(home, weth, ether - home.balance("WETH"))
        give_token(urls[8453], there, home.safe, -(10**12))


def test_a_loan_is_repaid_out_of_its_own_collateral_where_the_wallet_is_empty(indebted: AgentHome) -> None:
    """One transaction of the owners': as foretold to the last digit, booked to the wei, and nothing of it left anywhere."""
    home, usdc, weth, token = indebted, CHAINS[1].usdc, CHAINS[1].weth, a_weth(indebted)
    held, ether = home.balance("USDC"), home.balance("WETH")
    give(home, usdc, -held)
    give(home, weth, -ether)
    eth_at(home, 2_000)
    try:
        with opted_in(home) as settings:
            lent, owed = int(home.read(token, "erc20", "balanceOf", home.safe)[0]), account_data(home)[1]
            done = home.run(f"rescue --chain ethereum {PAY}", settings)
            assert done.status == 0, done.err + done.out
        (account,) = done.json["accounts"]
        (planned,), (paid,) = account["plans"][0]["moves"], account["done"]
        assert planned["do"] == "repay_by_flash" and "of its own collateral" in paid["what"], account
        assert paid["predicted_1e18"] == paid["health_1e18"] and int(paid["health_1e18"]) >= 135 * 10**16
        assert paid["repaid_raw"] == planned["raw"] and int(paid["health_1e18"]) < 136 * 10**16
        left, owes = int(home.read(token, "erc20", "balanceOf", home.safe)[0]), account_data(home)[1]
        assert 0 <= left - (lent - int(paid["taken_raw"])) < 10**12, "but for the interest since"
        assert abs(owed - owes - int(planned["raw"]) * 100) < 10**6, "in units of 1e-8 dollars, and interest"
        repaid, taken = Decimal(paid["repaid_raw"]).scaleb(-6), Decimal(paid["taken_raw"]).scaleb(-18)
        book = read_book(load(settings))
        assert book is not None
        (told,) = [a.message for a in book.alarms if a.code == "RESCUE_BOOKED"]
        assert f"{repaid:f} USDC" in told and f"{taken:f} WETH" in told
        assert home.balance("USDC") == home.balance("WETH") == 0
        assert home.read(token, "erc20", "allowance", home.safe, flash_repay.ADDRESS)[0] == 0
        for one in (usdc, weth, token):
            assert home.read(one, "erc20", "balanceOf", flash_repay.ADDRESS)[0] == 0
    finally:
        give(home, usdc, held)
        give(home, weth, ether)


def test_loans_at_spark_and_at_morpho_are_rescued_by_their_owners(agent_home: AgentHome) -> None:
    """Each is seen beside the chain's own Aave, planned, signed, paid, and has the health that was foretold; what is owed whole is paid whole.
    The wallet has enough for the one; at the other what is lent of the very asset that is owed pays for it."""
    home = agent_home
    with beside(home, 2 * 10**18, 3_600 * 10**6) as lenders:
        spark, morpho = f"aave_v3:eip155:1:{SPARK['Pool']}", f"morpho_blue:eip155:1:{lenders.market}"
        held = home.balance("USDC")
        give(home, CHAINS[1].usdc, 300 * 10**6 - held)
        eth_at(home, 2_600)
        lenders.price(2_600)
        try:
            owed = lenders.position()[0]
            alone = home.run("rescue --chain ethereum --by agent --json", lenders.agents_path)
            told = {a["id"]: a for a in alone.json["accounts"]}
            assert alone.status == 4 and not told[morpho]["plans"], alone.err + alone.out
            assert "repay" in told[morpho]["owners_could"][0]["moves"][0]["words"], alone.out
            done = home.run(f"rescue --chain ethereum {PAY}", lenders.settings_path)
            assert done.status == 0, done.err + done.out
            left = home.balance("USDC")
        finally:
            eth_at(home, 3_000)
            give(home, CHAINS[1].usdc, held - home.balance("USDC"))
        paid = {a["id"]: a["done"] for a in done.json["accounts"] if a["done"]}
        assert set(paid) == {spark, morpho}, done.out
        for (one,) in paid.values():
            assert one["predicted_1e18"] == one["health_1e18"] and int(one["health_1e18"]) >= 135 * 10**16, (
                one
            )
        assert "out of what is lent of it" in paid[spark][0]["what"] and "repay" in paid[morpho][0]["what"]
        book = read_book(load(lenders.settings_path))
        assert book is not None
        part = book.parts[paid[morpho][0]["cl_ord_id"]].part
        assert 300 * 10**6 - left == part.in_raw and lenders.position()[0] < owed
        lenders.repay_whole()
        assert lenders.position()[0] == 0 and lenders.allowance() == 0


async def test_a_short_at_an_exchange_is_made_smaller_in_time(agent_home: AgentHome, tmp_path: Path) -> None:
    """The daemon is told of the account's margin, says what it does, and buys back the least that restores the target, in orders no larger than
    the rule allows; nothing is turned round."""
    rule = {"warn": "500", "trigger": "450", "target": "480", "most_usd": "7000", "per_day_usd": "60000"}
    with contracts_beside(agent_home, tmp_path, rule) as desk:
        await desk.opened(Side.SELL, "20", "2900")
        taken = agent_home.run("reconcile --adopt --at-once", desk.settings_path)
        assert taken.status == 0, taken.err + taken.out
        daemon = agent_home.home.start(DAEMON, desk.settings_path)
        daemon.says("1 accounts watched", 60)
        daemon.says("still missing: buy back", 60)
        wait_for(lambda: over_with(desk.settings_path), 60, lambda: alarms_of(desk.settings_path))
        daemon.end(signal.SIGTERM)
        book = read_book(load(desk.settings_path))
        assert book is not None
        orders = [r.authorized.order for r in book.parts.values() if r.authorized is not None]
        assert all(o is not None and o.reduce_only and o.side is Side.BUY for o in orders) and orders
        held, _ = await desk.there()
        bought = sum(o.order_qty for o in orders if o is not None)
        assert held.qty == bought - 20 and Decimal("2") < bought < Decimal("5")
        shown = agent_home.run("rescue --venue usdm --json", desk.settings_path)
        assert shown.status == 0, shown.err + shown.out
        (account,) = shown.json["accounts"]
        assert not account["due"] and int(account["ratio_1e18"]) > 470 * 10**18, account
        assert [a.code for a in book.alarms].count("RESCUE_NEAR") >= 1
        spent = store_of(load(desk.settings_path)).reserved("margins:short")
        assert len(spent) == len(orders) >= 2 and not any(row.open or row.usd > 7_000 for row in spent)


async def test_a_position_at_dydx_is_made_smaller_by_the_command(
    agent_home: AgentHome, tmp_path: Path
) -> None:
    """A long of its chain, by that model's own fraction and oracle price, within what one order may be worth."""
    rule = {"warn": "60", "trigger": "58", "target": "70", "most_usd": "9000"}
    with contracts_beside(agent_home, tmp_path, rule, DYDX) as desk:
        await desk.opened(Side.BUY, "20", "3100")
        taken = agent_home.run("reconcile --adopt --at-once", desk.settings_path)
        assert taken.status == 0, taken.err + taken.out
        done = agent_home.run(f"rescue --venue usdm {PAY}", desk.settings_path)
        assert done.status == 0, done.err + done.out
        (account,) = done.json["accounts"]
        assert account["due"] and account["orders"][0]["side"] == "sell", account
        assert len(account["done"]) >= 2 and int(account["ratio_after_1e18"]) >= 70 * 10**18, account
        book = read_book(load(desk.settings_path))
        assert book is not None
        orders = [r.authorized.order for r in book.parts.values() if r.authorized is not None]
        assert all(o is not None and o.reduce_only and o.side is Side.SELL for o in orders)
        held, _ = await desk.there()
        assert 0 < held.qty == 20 - sum(o.order_qty for o in orders if o is not None)


@pytest.mark.parametrize("at", [HYPERLIQUID, DERIBIT], ids=["hyperliquid", "deribit"])
async def test_a_position_at_hyperliquid_and_at_deribit_is_made_smaller_once(
    agent_home: AgentHome, tmp_path: Path, at: At
) -> None:
    """Shown first, and nothing is sent. Then the answer to the first order is lost after it took effect, and the process is killed while it
    waits: what took effect is found by its client id, the next order is planned on what is there, and each is told of once."""
    hyper = {"warn": "90", "trigger": "85", "target": "110"}
    rule = (hyper if at is HYPERLIQUID else {"warn": "180", "trigger": "170", "target": "220"}) | {
        "most_usd": "6000"
    }
    with contracts_beside(agent_home, tmp_path, rule, at) as desk:
        await desk.opened(Side.BUY, "20", "3100")
        taken = agent_home.run("reconcile --adopt --at-once", desk.settings_path)
        assert taken.status == 0, taken.err + taken.out
        shown = agent_home.run("rescue --venue usdm --json", desk.settings_path)
        (account,) = shown.json["accounts"]
        assert account["due"] and account["orders"][0]["side"] == "sell" and not account["done"], account
        assert int(account["foretold_1e18"]) >= int(rule["target"]) * 10**18 > int(account["ratio_1e18"])
        async with aiohttp.ClientSession() as client:
            door = Door(desk.exchange.url, client)
            assert len((await door.truth())["orders"]) == 1, "a look sends nothing"
            await door.fault("order.place", "hang_after")
            first = agent_home.home.start(DAEMON, desk.settings_path)
            for _ in range(600):
                if len((await door.truth())["orders"]) == 2:
                    break
                await asyncio.sleep(0.1)
            first.end(signal.SIGKILL)
            await door.clear()
            await door.house("SELL", "2985", "30")
            again = agent_home.home.start(DAEMON, desk.settings_path)
            wait_for(lambda: over_with(desk.settings_path), 60, lambda: alarms_of(desk.settings_path))
            again.end(signal.SIGTERM)
            there = [o for o in (await door.truth())["orders"]][1:]
        book = read_book(load(desk.settings_path))
        assert book is not None
        orders = [r.authorized.order for r in book.parts.values() if r.authorized is not None]
        assert all(o is not None and o.reduce_only and o.side is Side.SELL for o in orders)
        assert len(there) == len(orders) >= 2 and len({o["clientOrderId"] for o in there}) == len(there)
        sold = sum(Decimal(o["executedQty"]) for o in there)
        told = [a.message for a in book.alarms if a.code == "RESCUED"]
        named = [[text for text in told if f"by the order {name}" in text] for name in book.parents]
        assert [len(texts) for texts in named] == [1] * len(book.parents) == [1] * len(told), told
        first_sold = f"sold {plain(book.filled_base(next(iter(book.parents))))} ETH-PERP, reduce-only"
        assert first_sold in named[0][0] and named[0][0].endswith("told late"), named[0]
        held, _ = await desk.there()
        assert held.qty == 20 - sold and 0 < sold == -book.positions["ETH-PERP@cex:usdm"].qty, (held, sold)
        after = agent_home.run("rescue --venue usdm --json", desk.settings_path)
        (account,) = after.json["accounts"]
        assert after.status == 0 and not account["due"], after.out


def alarms_of(settings: Path) -> str:
    book = read_book(load(settings))
    return "\n".join(f"{a.code} {a.message}" for a in book.alarms) if book is not None else ""


def over_with(settings: Path) -> bool:
    book = read_book(load(settings))
    return book is not None and any(
        a.code == "RESCUED" and "still missing" not in a.message and "told late" not in a.message
        for a in book.alarms
    )
