"""Ending tasks so that they have ended.

A cancel is a wish: a library that awaits with `asyncio.wait_for` loses one that comes together with the answer (Python before 3.12),
and its task goes on for ever. Here it is therefore said again until it is heard; our own code bounds waits by `asyncio.timeout`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 1.0


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> list[BaseException | None]:
    """Cancels every task and returns when all of them have ended, with what ended each (None: it had returned)."""
    mine = list(tasks)
    open_ = {task for task in mine if not task.done()}
    while open_:
        for task in open_:
            task.cancel()
        _, open_ = await asyncio.wait(open_, timeout=AGAIN_S)
    return [asyncio.CancelledError() if task.cancelled() else task.exception() for task in mine]
