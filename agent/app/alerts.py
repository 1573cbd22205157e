"""Alerts leave this machine: every alarm, halt and resumption to a file and a webhook, with the journal's head.

An alert carries the head so that somebody outside can tell a journal that was rewritten or cut short. Sending never blocks
the road: alerts queue, a task of their own sends them, and what cannot be delivered in a few tries is said and dropped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from agent.domain.events import Alarmed, Halted, Resumed
from agent.journal.chain import Head
from chains.ending import ended
from chains.rpc import SecretUrl

QUEUE = 1_000
TRIES = 4
TIMEOUT_S = 5.0
CLOSING_S = 3.0


class Alerts:
    """A watcher of the record: give `saw` to the recorder, run it with `async with`."""

    def __init__(
        self,
        environment: str,
        wallet: str,
        head: Callable[[], Head],
        file: Path | None,
        webhook: SecretUrl | None,
        session: aiohttp.ClientSession,
        say: Callable[[str], None],
        pause_s: float = 0.5,
    ) -> None:
        self._environment, self._wallet, self._head, self._say = environment, wallet, head, say
        self._file, self._webhook, self._session, self._pause_s = file, webhook, session, pause_s
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
            alert = await self._queue.get()
            try:
                if self._file is not None:
                    await asyncio.to_thread(self._append, self._file, alert)
                if self._webhook is not None:
                    await self._post(self._webhook, alert)
            finally:
                self._queue.task_done()

    def _append(self, path: Path, alert: dict[str, Any]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(alert, ensure_ascii=False) + "\n")
        except OSError as wrong:
            self._say(
                f"alerts: {path} cannot be written ({wrong.strerror}): {alert['code']}: {alert['message']}"
            )

    async def _post(self, url: SecretUrl, alert: dict[str, Any]) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        said = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause_s * 2**attempt)
            try:
                async with self._session.post(
                    url.reveal(), json=alert, timeout=timeout, allow_redirects=False
                ) as answer:
                    if answer.status < 300:
                        return
                    said = f"it answered {answer.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
                said = type(wrong).__name__
        self._say(f"alerts: {url.origin} took no alert ({said}): {alert['code']}: {alert['message']}")
