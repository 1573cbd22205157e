"""Somebody places orders by hand at an account that Fairlead trades: each is an alarm once, however often the exchange tells of it, by
whatever door, and whichever run of Fairlead hears it. Another order is another alarm; `foreign_orders = "leave"` has none."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path

import pytest
from desk import PAPER, Grave, Office
from fake_venue import OWNER, SYMBOL

from agent.app.chaos.deaths import Doom
from agent.app.chaos.exchange.dialects import DIALECTS
from agent.app.chaos.exchange.ground import QuickClock, exchange
from agent.app.chaos.exchange.lanes import Lane
from agent.app.testvenue.engine import NewOrder
from agent.domain.events import Alarmed
from agent.execution.desk import Desk

D = Decimal


def by_hand(name: str, px: str = "2000", account: str = OWNER) -> NewOrder:
    return NewOrder(account, SYMBOL, name, "BUY", "LIMIT", "GTC", D(px), D(3), None)


def told(desk: Desk) -> list[str]:
    return [alarm.message for alarm in desk.book.alarms if alarm.code == "FOREIGN_ORDER"]


async def test_its_fills_its_end_and_the_next_run_say_it_no_second_time(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    first, second = (f"paper reports {name}, which is not ours" for name in ("by-hand", "another"))
    async with office.open() as desk:
        placed = venue.venue.place(by_hand("by-hand", "2999.99")).order
        assert placed is not None
        await office.clock.sleep(10)
        for _ in range(2):
            venue.house("SELL", "2999.99", "1")
        venue.end_order(str(placed.order_id))
        await office.clock.sleep(10)
        assert placed.executed > 0 and told(desk) == [first]
    grave = Grave()
    async with office.open(grave) as desk:  # the fake's stream begins with its whole history
        await office.clock.sleep(10)
        assert told(desk) == [first] and not [e for e in grave.seen if isinstance(e, Alarmed)]
        venue.venue.place(by_hand("another"))
        await office.clock.sleep(10)
        assert told(desk) == [first, second]
    async with office.open() as desk:
        await office.clock.sleep(10)
        assert told(desk) == [first, second]
        desk.tracker.others_left_alone = frozenset({"paper"})
        venue.venue.place(by_hand("left"))
        await office.clock.sleep(10)
        assert told(desk) == [first, second]


@pytest.mark.parametrize("by", ["hyperliquid", "binance_spot"])
async def test_at_the_exchanges_own_doors(tmp_path: Path, by: str) -> None:
    clock = QuickClock(time.time_ns())
    async with exchange(1, clock, DIALECTS[by]) as there:
        lane = Lane(0, there.url, tmp_path, clock, by=by)
        said: list[str] = []
        for run in range(3):
            async with lane.open(Doom(), None) as desk:
                if run == 0:
                    await asyncio.sleep(0.5)
                    # by an app of the exchange's own: no name of ours, nor any that it could be read back from
                    name = "web" if by == "binance_spot" else ""
                    there.server.venue.place(by_hand(name, "2990", DIALECTS[by].key))
                await clock.sleep(15)
                for order in there.resting()[:1] if run < 2 else ():
                    there.trade_with(order, D("0.4"))
                if run == 2:
                    for order in there.resting():
                        there.end(order)
                await clock.sleep(15)
                said.append("; ".join(told(desk)))
        assert said[0] and said[0].count("is not ours") == 1
        assert said == [said[0]] * 3
