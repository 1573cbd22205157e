"""A loan at the genuine pool that the wallet cannot help: a contract is sold against it at a paper exchange in Hyperliquid's dialect, once,
whatever dies meanwhile; it shows in the book of accounts; and it is taken off again when the loan is well."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agent_home import AgentHome
from contract_desk import HYPERLIQUID, ContractDesk, contracts_beside
from indebted_home import DAEMON, NO_DEBT, PAY, RESCUE, borrowed, eth_at, factor, give
from paper import Door

from agent.app.readonly import read_book
from agent.app.settings import load
from agent.domain.orders import Side
from agent.journal.book import Book
from chains.devnet.addresses import CHAINS

pytestmark = pytest.mark.devnet
HEDGED = RESCUE | {
    "hedge_at": "usdm", "hedge_with": "ETH-PERP", "hedge_most_usd": "20000", "hedge_shock": "0.2", "add_collateral": False, "swap": False,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def nothing_owed_afterwards(agent_home_of_file: AgentHome) -> Iterator[None]:
    yield
    home = agent_home_of_file
    if factor(home) != NO_DEBT:
        assert home.run(f"lend repay 20000 USDC {PAY}", home.owners_path).status == 0


@pytest.fixture
def poor(agent_home: AgentHome) -> Iterator[AgentHome]:
    """A health of 1.65 at 3,000 dollars, and no USDC to repay with."""
    home = agent_home
    borrowed(home)
    held = home.balance("USDC")
    give(home, CHAINS[1].usdc, -held)
    yield home
    eth_at(home, 3_000)
    give(home, CHAINS[1].usdc, held - home.balance("USDC"))


def book_of(desk: ContractDesk) -> Book:
    found = read_book(load(desk.settings_path))
    assert found is not None
    return found


def alarms(desk: ContractDesk, code: str) -> list[str]:
    return [a.message for a in book_of(desk).alarms if a.code == code]


async def orders_there(desk: ContractDesk) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as client:
        found: list[dict[str, Any]] = (await Door(desk.exchange.url, client).truth())["orders"]
        return found


def short(desk: ContractDesk, orders: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(o["executedQty"]) * (1 if o["side"] == "BUY" else -1) for o in orders), Decimal(0))


async def test_it_is_opened_once_shown_and_taken_off_again(poor: AgentHome, tmp_path: Path) -> None:
    home = poor
    with contracts_beside(home, tmp_path, {}, HYPERLIQUID, rescues=[HEDGED]) as desk:
        taken = home.run("reconcile --adopt --at-once", desk.settings_path)
        assert taken.status == 0, taken.err + taken.out
        eth_at(home, 2_000)
        shown = home.run("rescue --chain ethereum --by agent --json", desk.settings_path)
        (account,) = shown.json["accounts"]
        assert (
            shown.status == 4 and account["plans"] == [] and "raises no health" in account["hedge"]["would"]
        ), shown.out
        assert account["hedge"]["stands"] == "0" and not await orders_there(desk), "a look sends nothing"
        async with aiohttp.ClientSession() as client:
            door = Door(desk.exchange.url, client)
            await door.fault("order.place", "hang_after")
            first = home.home.start(DAEMON, desk.settings_path)
            for _ in range(600):
                if len(await orders_there(desk)) == 1:
                    break
                await asyncio.sleep(0.1)
            first.end(signal.SIGKILL)
            await door.clear()
        again = home.home.start(DAEMON, desk.settings_path)
        again.says("HEDGE_IN_PLACE", 60)
        await asyncio.sleep(8)
        (one,) = await orders_there(desk)
        assert one["side"] == "SELL" and one["status"] == "FILLED", one
        assert 0 < Decimal(one["executedQty"]) < Decimal(1), "what one liquidation takes of two coins"
        told = home.run("health --json", desk.settings_path)
        (hedge,) = told.json["hedges"]
        assert Decimal(hedge["qty"]) == -Decimal(one["executedQty"]) and hedge["rule"] == "house", told.out
        both = home.run("stress --shock ETH=-30% --json", desk.settings_path)
        names = {a["id"]: a["health_1e18"] for a in both.json["accounts"]}
        (loan,), (perps,) = ([h for n, h in names.items() if n.startswith(k)] for k in ("aave", "usdm"))
        assert int(loan[4]) < 10**18 and int(perps[4]) > int(perps[0]), both.out
        async with aiohttp.ClientSession() as client:
            door = Door(desk.exchange.url, client)
            await door.fault("order.place", "hang_after")
            eth_at(home, 3_000)
            for _ in range(600):
                if len(await orders_there(desk)) == 2:
                    break
                await asyncio.sleep(0.1)
            again.end(signal.SIGKILL)
            await door.clear()
        last = home.home.start(DAEMON, desk.settings_path)
        last.says("HEDGE_REMOVED", 60)
        await asyncio.sleep(4)
        last.end(signal.SIGTERM)
        there = await orders_there(desk)
        assert len(there) == 2 and short(desk, there) == 0, there
        orders = [r.authorized.order for r in book_of(desk).parts.values() if r.authorized is not None]
        assert [(o.side, o.reduce_only) for o in orders if o is not None] == [
            (Side.SELL, False),
            (Side.BUY, True),
        ]
        assert (
            len(alarms(desk, "HEDGE_REMOVED")) == 1
            and home.run("health --json", desk.settings_path).json["hedges"] == []
        )


async def test_what_suffices_is_paid_and_nothing_is_hedged_besides(poor: AgentHome, tmp_path: Path) -> None:
    """With money in the wallet there is a repayment and no hedge. Where the rule has the hedge first and its exchange does not answer, that is
    told, and the repayment is made all the same."""
    home = poor
    for name, more in (("rich", {}), ("first", {"hedge_first": True})):
        folder = tmp_path / name
        folder.mkdir()
        with contracts_beside(home, folder, {}, HYPERLIQUID, rescues=[HEDGED | more]) as desk:
            taken = home.run("reconcile --adopt --at-once", desk.settings_path)
            assert taken.status == 0, taken.err + taken.out
            give(home, CHAINS[1].usdc, 5_000 * 10**6)
            daemon = home.home.start(DAEMON, desk.settings_path)
            daemon.says("1 accounts watched", 60)
            if more:
                async with aiohttp.ClientSession() as client:
                    door = Door(desk.exchange.url, client)
                    for on in ("depth.rest", "account", "info"):
                        await door.fault(on, "reset_before", count=None)
            eth_at(home, 2_000)
            daemon.says("RESCUED", 90)
            daemon.end(signal.SIGTERM)
            assert not await orders_there(desk) and not alarms(desk, "HEDGED")
            told = alarms(desk, "HEDGE_IMPOSSIBLE")
            assert bool(told) is bool(more), told
            assert factor(home) >= 135 * 10**16
        eth_at(home, 3_000)
        borrowed(home)
        give(home, CHAINS[1].usdc, -home.balance("USDC"))


async def test_a_hedge_is_no_larger_than_its_limit_and_goes_when_the_loan_is_repaid(
    poor: AgentHome, tmp_path: Path
) -> None:
    """By the command: shown, done, once. Then money comes, the loan is repaid by it, and only then the hedge is taken off."""
    home, pay = poor, "--live --yes --max-loss 200 --by agent --json"
    with contracts_beside(
        home, tmp_path, {}, HYPERLIQUID, rescues=[HEDGED | {"hedge_most_usd": "1000"}]
    ) as desk:
        taken = home.run("reconcile --adopt --at-once", desk.settings_path)
        assert taken.status == 0, taken.err + taken.out
        eth_at(home, 2_000)
        read = home.run("rescue --chain ethereum --by agent", desk.settings_path)
        assert "raises no health: sell 0.3333 of 0." in read.out and "bound by hedge_most_usd" in read.out, (
            read.out
        )
        for number in range(2):
            done = home.run(f"rescue --chain ethereum {pay}", desk.settings_path)
            (account,) = done.json["accounts"]
            assert done.status == 4 and account["done"] == [], "its health is as it was"
            assert account["hedge"]["did"] == ("opened" if not number else None), account["hedge"]
        (one,) = await orders_there(desk)
        assert Decimal(980) < Decimal(one["cummulativeQuoteQty"]) <= Decimal(1_000), one
        give(home, CHAINS[1].usdc, 5_000 * 10**6)
        paid = home.run(f"rescue --chain ethereum {pay}", desk.settings_path)
        (account,) = paid.json["accounts"]
        assert paid.status == 0 and len(account["done"]) == 1 and account["hedge"]["did"] == "taken off", (
            paid.out
        )
        there = await orders_there(desk)
        assert len(there) == 2 and short(desk, there) == 0
        assert "raises no health" not in home.run("health", desk.settings_path).out
