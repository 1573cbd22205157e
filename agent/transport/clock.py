"""The machine's own clock, as `agent.ports.Clock`."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
