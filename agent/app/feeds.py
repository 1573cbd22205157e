"""Subscriptions to new heads: one task a chain, for as long as a desk is open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agent.app.chain_desk import ChainDesk
from agent.domain.errors import Halt
from agent.domain.events import Alarmed
from agent.execution.recorder import Recorder
from agent.ports import Clock
from chains.ending import ended
from chains.heads import Heads


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


async def stop_tasks(tasks: list[asyncio.Task[None]]) -> None:
    await ended(tasks)
