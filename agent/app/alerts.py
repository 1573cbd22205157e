"""Alerts leave this machine: every alarm, halt and resumption to a file and the channels of the settings, with the journal's head.

An alert carries the head so that somebody outside can tell a journal that was rewritten or cut short. Sending never blocks
the road: alerts queue, a task of their own sends them to all channels at once, and what one does not take in a few tries is said and dropped. What
nobody answers is told to further channels (`escalation`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.app.alert_channels import Channel
from agent.app.escalation import Escalation
from agent.domain.events import Alarmed, Halted, Resumed
from agent.journal.chain import Head
from chains.ending import ended

QUEUE = 1_000
TRIES = 4
CLOSING_S = 3.0
LOOK_S = 5.0
"""How often what nobody answered is looked for."""


class Alerts:
    """A watcher of the record: give `saw` to the recorder, run it with `async with`."""

    def __init__(
        self,
        environment: str,
        wallet: str,
        head: Callable[[], Head],
        file: Path | None,
        channels: Sequence[Channel],
        say: Callable[[str], None],
        pause_s: float = 0.5,
        *,
        escalation: Escalation | None = None,
        further: Sequence[Channel] = (),
        now_s: Callable[[], float] = time.time,
        look_s: float = LOOK_S,
    ) -> None:
        """`further` are told what `escalation` says is due, and nothing else."""
        self._environment, self._wallet, self._head, self._say = environment, wallet, head, say
        self._file, self._channels, self._pause_s = file, channels, pause_s
        self._escalation, self._further, self._now_s, self._look_s = escalation, further, now_s, look_s
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Alerts:
        self._task = asyncio.create_task(self._run(), name="alerts")
        return self

    async def __aexit__(self, *_: object) -> None:
        """What is queued gets a moment to leave."""
        assert self._task is not None
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._queue.join()
        except TimeoutError:
            self._say("alerts: not all could be delivered before the end")
        await ended([self._task])

    def saw(self, event: object) -> None:
        match event:
            case Alarmed():
                code, message = event.code, event.message
            case Halted():
                code, message = "HALTED", event.why
            case Resumed():
                code, message = "RESUMED", f"by {event.source}"
            case _:
                return
        head = self._head()
        alert = {
            "at_ns": str(event.at_ns),
            "code": code,
            "message": message,
            "environment": self._environment,
            "wallet": self._wallet,
            "head": {"seq": head.seq, "hash": head.hash.hex()},
        }
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            self._say(f"alerts: too many at once; not delivered: {code}: {message}")

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._look_s if self._escalation is not None else None):
                    alert = await self._queue.get()
            except TimeoutError:
                await self._escalate()
                continue
            try:
                if self._file is not None:
                    await asyncio.to_thread(self._append, self._file, alert)
                if self._escalation is not None:
                    self._escalation.saw(alert, self._now_s())
                await self._tell(self._channels, alert)
                await self._escalate()
            finally:
                self._queue.task_done()

    async def _escalate(self) -> None:
        for alert in self._escalation.due(self._now_s()) if self._escalation is not None else ():
            await self._tell(self._further, alert)

    async def _tell(self, channels: Sequence[Channel], alert: Mapping[str, Any]) -> None:
        await asyncio.gather(*(self._send(channel, alert) for channel in channels))

    def _append(self, path: Path, alert: dict[str, Any]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(alert, ensure_ascii=False) + "\n")
        except OSError as wrong:
            self._say(
                f"alerts: {path} cannot be written ({wrong.strerror}): {alert['code']}: {alert['message']}"
            )

    async def _send(self, channel: Channel, alert: Mapping[str, Any]) -> None:
        said = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause_s * 2**attempt)
            said = await channel.send(alert)
            if not said:
                return
        self._say(f"alerts: {channel.where} took no alert ({said}): {alert['code']}: {alert['message']}")
