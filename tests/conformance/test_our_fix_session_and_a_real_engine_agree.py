"""QuickFIX as counterparty: numbers that go on over log-ons, what either side missed, a wire that breaks. In --full."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from fix_engine import Ours, engine_and_wire

from agent.domain.errors import Retry
from agent.transport.fix.rules import State

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]


def ids(first: int, last: int) -> list[str]:
    return [f"E{n}" for n in range(first, last + 1)]


async def test_orders_are_answered_and_both_say_goodbye(tmp_path: Path) -> None:
    async with engine_and_wire(tmp_path) as (engine, wire):
        ours = Ours(tmp_path / "ours.seq", wire.port, [])
        await ours.line.ready(10)
        for number in range(50):
            ours.order(f"a{number}")
        await ours.has(50)
        assert ours.reports == ids(1, 50) and set(engine.orders.values()) == {1} and len(engine.orders) == 50
        await ours.close()
        await engine.event("logout")
        assert engine.said["5"] == engine.heard["5"] == 1 and engine.said["3"] == 0


async def test_what_was_said_while_we_were_gone_is_asked_for_and_told_once(tmp_path: Path) -> None:
    """Numbers 5 and 6: our process died; its successor has the numbers and nothing else."""
    async with engine_and_wire(tmp_path) as (engine, wire):
        reports: list[str] = []
        ours = Ours(tmp_path / "ours.seq", wire.port, reports)
        await ours.line.ready(10)
        ours.order("a")
        await ours.has(1)
        wire.cut()
        await ours.line.left()
        await ours.close()
        await engine.event("logout")
        await engine.report(7)
        later = Ours(tmp_path / "ours.seq", wire.port, reports)
        await later.line.ready(10)
        await later.has(8)
        later.order("b")
        await later.has(9)
        assert reports == ids(1, 9) and engine.heard["2"] == 1 and later.session.gaps >= 1
        await later.close()


async def test_an_order_of_ours_that_was_lost_is_not_sent_when_it_is_asked_for(tmp_path: Path) -> None:
    """Its number was taken and the process died before the bytes left. The engine asks from there on and is told that nothing stands
    there, the order after it included, which it had put by: neither is answered, both are asked for by name, none is there."""
    async with engine_and_wire(tmp_path) as (engine, wire):
        ours = Ours(tmp_path / "ours.seq", wire.port, [])
        await ours.line.ready(10)
        ours.session.say("D", [(11, "lost"), (55, "ETHUSDC")], 0.0, 0)
        ours.order("put by")
        await engine.event_of("hears", "4")
        ours.order("after")
        await ours.has(1)
        assert dict(engine.orders) == {"after": 1} and engine.said["2"] == 1 and engine.heard["4"] == 1
        await ours.close()


async def test_an_engine_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    async with engine_and_wire(tmp_path) as (engine, wire):
        ours = Ours(tmp_path / "ours.seq", wire.port, [])
        await ours.line.ready(10)
        ours.order("a")
        await ours.has(1)
        await engine.stop()
        with pytest.raises(Retry):
            ours.order("nobody is there")
        await engine.start()
        await engine.report(2)
        await ours.line.ready(20)
        ours.order("b")
        await ours.has(4)
        assert ours.reports == ids(1, 4) and dict(engine.orders) == {"a": 1, "b": 1}
        await ours.close()


async def test_a_line_on_which_nothing_is_said_stays_up(tmp_path: Path) -> None:
    async with engine_and_wire(tmp_path) as (engine, wire):
        ours = Ours(tmp_path / "ours.seq", wire.port, [])
        await ours.line.ready(10)
        await asyncio.sleep(4.5)
        assert ours.session.state is State.UP and ours.line.connections == 1
        assert engine.heard["0"] >= 3 and engine.said["0"] >= 3
        await ours.close()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_wire_does_every_report_is_told_once_and_no_order_twice(
    tmp_path: Path, seed: int
) -> None:
    """A bit flipped, or the connection ended, in one of twelve chunks; now and then our process is another."""
    chance = random.Random(seed)
    async with engine_and_wire(tmp_path, seed) as (engine, wire):
        reports: list[str] = []
        ours = Ours(tmp_path / "ours.seq", wire.port, reports)
        wire.lose, said = 0.08, 0
        for number in range(120):
            try:
                await ours.line.ready(20)
                ours.order(f"o{number}")
                said += 1
            except Retry:
                continue
            await asyncio.sleep(chance.choice((0.0, 0.002, 0.02)))
            if chance.random() < 0.03:
                await ours.close()
                ours = Ours(tmp_path / "ours.seq", wire.port, reports)
        wire.lose = 0.0
        for number in range(
            10
        ):  # one that comes while the engine asks for numbers before it is put by, and then passed over
            await ours.line.ready(30)
            ours.order(f"last{number}")
            if await engine.arrived(f"last{number}", 2.0):
                break
        await ours.has(sum(engine.orders.values()))
        assert max(engine.orders.values()) == 1 and said > 100 and wire.broken > 5
        assert reports == ids(1, len(reports)) and len(reports) == len(engine.orders)
        await ours.close()
