"""Nothing of a command is left waiting when it ends, also where a library loses the cancel that comes together with an answer."""

from __future__ import annotations

import asyncio

from chains import ending


async def test_a_cancel_that_was_lost_is_said_again() -> None:
    lost = asyncio.Event()

    async def loses_one() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.set()
        await asyncio.Event().wait()

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at the end")

    async def over() -> None:
        return

    tasks = [asyncio.create_task(work()) for work in (loses_one, fails, over)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10 * ending.AGAIN_S):
        first, second, third = await ending.ended(tasks)
    assert lost.is_set() and all(task.done() for task in tasks)
    assert isinstance(first, asyncio.CancelledError) and isinstance(second, ValueError) and third is None


async def test_nothing_to_end() -> None:
    assert await ending.ended([]) == []
