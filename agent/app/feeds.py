"""Subscriptions to new heads: one task a chain, for as long as a desk is open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from agent.app.chain_desk import ChainDesk
from agent.domain.errors import FairleadError, Halt
from agent.domain.events import Alarmed
from agent.execution.recorder import Recorder
from agent.ports import Clock
from chains.heads import Heads
from chains.simulate import Simulator


def head_feeds(desks: Iterable[ChainDesk], recorder: Recorder, clock: Clock) -> list[asyncio.Task[None]]:
    """A task for each chain that has a WebSocket endpoint. Each connects once its desk waits for a head."""
    return [
        asyncio.create_task(hear(desk, desk.heads, recorder, clock), name=f"heads {desk.profile.name}")
        for desk in desks
        if desk.heads is not None
    ]


async def hear(desk: ChainDesk, heads: Heads, recorder: Recorder, clock: Clock) -> None:
    """An endpoint of another chain ends it, loudly: heads are polled for from then on."""
    try:
        await heads.run()
    except Halt as error:
        await recorder.record(Alarmed(error.code, f"{desk.profile.name}: {error.message}", clock.now_ns()))


def standing_by(desks: Iterable[ChainDesk]) -> list[asyncio.Task[None]]:
    """A task for each chain that hears of heads and rehearses here: at every head the rehearsal is made ready before it is wanted."""
    return [
        asyncio.create_task(stand_by(desk.simulator, desk.heads), name=f"standing by {desk.profile.name}")
        for desk in desks
        if desk.heads is not None and desk.simulator is not None
    ]


async def stand_by(simulator: Simulator, heads: Heads) -> None:
    """What cannot be read now is read when it is wanted."""
    await simulator.used.wait()
    while True:
        await heads.after(heads.told)
        with suppress(FairleadError):
            await simulator.stand_by()


async def stop_tasks(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
