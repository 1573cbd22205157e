"""Time in the test's hand: an `agent.ports.Clock` that jumps to the next sleeper when everybody sleeps."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import contextmanager

START_NS = 1_800_000_000 * 10**9


class ManualClock:
    """Hours pass in milliseconds; one clock at a time. Time stands still while anything is ready to run, or while `holding` (a disk writes)."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = self._held = 0
        self._watching = False
        self.jumps = 0

    def now_ns(self) -> int:
        return self._now_ns

    @property
    def now_s(self) -> int:
        return self._now_ns // 10**9

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        wake_ns = self._now_ns + max(round(seconds * 1e9), 1)
        heapq.heappush(self._sleepers, (wake_ns, self._count, future))
        self._watch()
        await future

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Something outside the loop is at work: no jump until it is done."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._watch()

    def _watch(self) -> None:
        if not self._watching and not self._held and self._sleepers:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._watching = False
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[2].done()]
        heapq.heapify(self._sleepers)
        if self._held or not self._sleepers:
            return
        if asyncio.get_running_loop()._ready:  # type: ignore[attr-defined]  # somebody is awake: their turn first
            self._watch()
            return
        wake_ns, _, future = heapq.heappop(self._sleepers)
        self._now_ns = max(self._now_ns, wake_ns)
        self.jumps += 1
        future.set_result(None)
        self._watch()
