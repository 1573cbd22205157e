"""An alarm raised by a command that only looks: on stderr, in the record where no other process holds it, and to whoever gets the alerts."""

from __future__ import annotations

import asyncio

import aiohttp

from agent.app.alerting import alerts_of
from agent.app.cli.output import note
from agent.app.readonly import append_event
from agent.app.settings_tree import Settings
from agent.domain.errors import FairleadError
from agent.domain.events import Alarmed
from agent.journal.chain import Head, Seq
from agent.journal.heads import read_heads
from agent.journal.verify import heads_path
from agent.transport.clock import SystemClock


def raise_alarm(settings: Settings, code: str, message: str) -> None:
    """Never raises: what could not be recorded or delivered is said."""
    note(f"ALARM {code}: {message}")
    asyncio.run(_raise(settings, Alarmed(code, message, SystemClock().now_ns())))


async def _raise(settings: Settings, event: Alarmed) -> None:
    head = Head(Seq(-1), bytes(32))
    if settings.journal.path.exists():
        try:
            if not await append_event(settings, SystemClock(), event):
                note("the alarm is not in the record: another Fairlead process holds it")
            head = _head(settings, head)
        except FairleadError as error:
            note(f"the alarm could not be recorded: {error.message}")
    async with aiohttp.ClientSession() as session, alerts_of(settings, lambda: head, session, note) as alerts:
        alerts.saw(event)


def _head(settings: Settings, head: Head) -> Head:
    known = read_heads(heads_path(settings.journal.path))
    return known[-1] if known else head
