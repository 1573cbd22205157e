"""Waiting for what is about to be so, five seconds at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(so: Callable[[], bool]) -> None:
    for _ in range(500):
        if so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never was so")
