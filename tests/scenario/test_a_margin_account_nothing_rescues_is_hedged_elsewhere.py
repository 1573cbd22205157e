"""A long at one paper exchange that its rule lets nobody make smaller: another exchange's contract is sold against it, once, whatever dies
meanwhile, and bought back when the account is well."""

from __future__ import annotations

import asyncio
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agent_home import AgentHome
from contract_desk import BINANCE, HYPERLIQUID, OTHER, contracts_beside
from home_fixture import wait_for
from indebted_home import DAEMON
from paper import Door

from agent.app.jobs.guard import store_of
from agent.app.jobs.store import BEGUN, DONE
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.domain.orders import Side

pytestmark = pytest.mark.devnet
RULE: dict[str, Any] = {
    "warn": "500", "trigger": "450", "target": "480", "most_usd": "1",
    "hedge_at": OTHER, "hedge_with": "ETH-PERP", "hedge_most_usd": "9000", "hedge_shock": "0.2",
}  # fmt: skip
"""No order of a dollar is large enough for the exchange: nothing is made smaller."""


async def test_it_is_filled_there_held_once_and_taken_off_again(
    agent_home: AgentHome, tmp_path: Path
) -> None:
    home = agent_home
    with contracts_beside(home, tmp_path, RULE, BINANCE, HYPERLIQUID) as desk:
        assert desk.other is not None
        settings = load(desk.settings_path)

        def alarms(code: str) -> list[str]:
            book = read_book(settings)
            return [] if book is None else [a.message for a in book.alarms if a.code == code]

        def state() -> str:
            leases = store_of(settings).leases("hedge:short")
            return leases[0].state if leases else ""

        await desk.opened(Side.BUY, "20", "3100")
        taken = home.run("reconcile --adopt --at-once", desk.settings_path)
        assert taken.status == 0, taken.err + taken.out
        shown = home.run("rescue --venue usdm --json", desk.settings_path)
        (account,) = shown.json["accounts"]
        assert "sell" in account["hedge"]["would"] and account["hedge"]["stands"] == "0", shown.out
        async with aiohttp.ClientSession() as client:
            door = Door(desk.other.url, client)
            assert (await door.truth())["orders"] == [], "a look sends nothing"
            await door.fault("order.place", "hang_after")
            first = home.home.start(DAEMON, desk.settings_path)
            for _ in range(600):
                if len((await door.truth())["orders"]) == 1:
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError(f"no order was sent: {first.err}\n{told_of(desk.settings_path)}")
            first.end(signal.SIGKILL)
            assert state() == BEGUN, "its hedge is nobody else's"
            await door.clear()
            again = home.home.start(DAEMON, desk.settings_path)
            again.says("HEDGE_IN_PLACE", 60)
            await asyncio.sleep(6)
            (one,) = (await door.truth())["orders"]
            assert one["side"] == "SELL" and one["status"] == "FILLED", one
            assert Decimal(8_900) < Decimal(one["cummulativeQuoteQty"]) <= Decimal(9_000), one
            (hedge,) = home.run("health --json", desk.settings_path).json["hedges"]
            assert hedge["at"] == OTHER and Decimal(hedge["qty"]) == -Decimal(one["executedQty"])
            held, _ = await desk.there()
            assert held.qty == 20, "at its own exchange nothing is done"
            # Its owner closes three quarters of it by hand.
            await desk.opened(Side.SELL, "15", "2900")
            wait_for(lambda: alarms("HEDGE_REMOVED") != [], 60, lambda: str(again.err))
            await asyncio.sleep(4)
            assert again.end(signal.SIGTERM).status == 0
            there = (await door.truth())["orders"]
        assert [(o["side"], o["executedQty"]) for o in there] == [
            ("SELL", one["executedQty"]),
            ("BUY", one["executedQty"]),
        ]
        assert len(alarms("HEDGE_REMOVED")) == 1 and state() == DONE
        book = read_book(settings)
        assert book is not None and book.positions[f"ETH-PERP@cex:{OTHER}"].qty == 0
        orders = [r.authorized.order for r in book.parts.values() if r.authorized is not None]
        assert [(o.side, o.reduce_only) for o in orders if o is not None] == [
            (Side.SELL, False),
            (Side.BUY, True),
        ]
        assert home.run("health --json", desk.settings_path).json["hedges"] == []


def told_of(settings: Path) -> str:
    book = read_book(load(settings))
    return "" if book is None else "\n".join(f"{a.code} {a.message}" for a in book.alarms)
