"""Subscriptions to new heads: one task a chain, for as long as a desk is open; and the alarms where what was followed was not the chain, and
where nothing can be recorded any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from agent.app.chain_desk import ChainDesk
from agent.app.cli.output import note
from agent.app.live_market import LiveMarket
from agent.domain.errors import FairleadError, Halt
from agent.domain.events import Alarmed
from agent.execution.recorder import Recorder
from agent.journal.store import Journal
from agent.ports import Clock
from chains.ending import ended
from chains.heads import Heads


def head_feeds(desks: Iterable[ChainDesk], recorder: Recorder, clock: Clock) -> list[asyncio.Task[None]]:
    """Two tasks for each chain that has a WebSocket endpoint. It connects once its desk waits for a head, and is read ahead from then on."""
    tasks = []
    for desk in desks:
        if desk.heads is not None:
            name = desk.profile.name
            tasks.append(asyncio.create_task(hear(desk, desk.heads, recorder, clock), name=f"heads {name}"))
            tasks.append(asyncio.create_task(ahead(desk), name=f"ahead {name}"))
    return tasks


async def ahead(desk: ChainDesk) -> None:
    """What cannot be read ahead is told to whoever needs it: he reads it himself."""
    with suppress(FairleadError):
        await desk.warm.ahead()


async def hear(desk: ChainDesk, heads: Heads, recorder: Recorder, clock: Clock) -> None:
    """An endpoint of another chain ends it, loudly: heads are polled for from then on."""
    try:
        await heads.run()
    except Halt as error:
        await recorder.record(Alarmed(error.code, f"{desk.profile.name}: {error.message}", clock.now_ns()))


def alarm_on_difference(market: LiveMarket, recorder: Recorder, clock: Clock) -> None:
    """A check that finds followed pools other than the chain's is an alarm: they are read whole again, and somebody should know."""

    def differed(what: str) -> None:
        with suppress(Halt):  # the journal failed: that is told where it failed
            recorder.take(Alarmed("POOL_STATE_DIFFERED", what, clock.now_ns()))

    market.on_difference(differed)


async def stop_tasks(tasks: list[asyncio.Task[None]]) -> None:
    await ended(tasks)


def alarm_on_failure(journal: Journal, recorder: Recorder, clock: Clock) -> None:
    """A journal that fails under way is told at once, here and to whoever gets the alerts."""
    loop = asyncio.get_running_loop()

    def alarm(failure: Halt) -> None:
        note(f"ALARM {failure.code}: {failure.message} → {failure.hint}")
        with suppress(Halt):  # no room for the alarm itself either: it was told above
            recorder.take(Alarmed(failure.code, failure.message, clock.now_ns()))

    def failed(failure: Halt) -> None:
        with suppress(RuntimeError):  # the loop has ended, and whoever closes the journal raises it
            loop.call_soon_threadsafe(alarm, failure)

    journal.on_failure = failed
