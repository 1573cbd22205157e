"""What a job's budget counts: an order that was made up for late is of when it was begun, an open one is never too old."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from memory_job_store import MemoryJobStore

from agent.app.jobs.guard import Guard
from agent.app.settings_tree import Job

HOUR = 3600 * 10**9
DAY = 24 * HOUR
DAILY = Job.model_validate({"name": "daily", "every": "1d", "side": "sell", "qty": "1", "base": "ETH", "quote": "USDC", "budget_usd": "1500"})  # fmt: skip


async def dollar(symbol: str) -> Decimal:
    return Decimal(1000) if symbol == "ETH" else Decimal(1)


async def refused(due_ns: int, begun_ns: int, now_ns: int, *, job: Job = DAILY, is_open: bool = False) -> str:
    intent = SimpleNamespace(source="job:daily", created_ns=due_ns, qty=Decimal(1), base="ETH", quote="USDC")
    record = SimpleNamespace(
        parent=SimpleNamespace(intent=intent), accepted_ns=begun_ns, closed=None if is_open else "FILLED"
    )
    book: Any = SimpleNamespace(parents={"a": record}, filled_quote=lambda name: Decimal(1000))
    request: Any = SimpleNamespace(base="ETH", quote="USDC", qty=Decimal(1))
    guard = Guard(MemoryJobStore(), "here", dollar)
    return guard.over_budget(job, await guard.worth(job, request, book, now_ns), book, now_ns)


@pytest.mark.parametrize(
    ("due", "begun", "now", "is_open", "over"),
    [
        (10 * DAY, 10 * DAY + 2 * 10**9, 11 * DAY + 10**9, False, False),  # both in time
        (
            10 * DAY,
            10 * DAY + 23 * HOUR,
            11 * DAY + 10**9,
            False,
            True,
        ),  # the first was made up for an hour ago
        (10 * DAY, 10 * DAY + 23 * HOUR, 12 * DAY, False, False),
        (9 * DAY, 9 * DAY, 11 * DAY, True, True),  # may still be filled today
    ],
)
async def test_late_and_open_orders_count(due: int, begun: int, now: int, is_open: bool, over: bool) -> None:
    assert bool(await refused(due, begun, now, is_open=is_open)) is over


async def test_a_fires_own_wait_makes_it_no_later() -> None:
    waits = DAILY.model_copy(update={"jitter": "2h"})
    assert not await refused(10 * DAY, 10 * DAY + 2 * HOUR, 11 * DAY + 10**9, job=waits)


async def test_what_was_done_in_another_asset_is_counted_at_that_ones_price() -> None:
    """A carry buys a coin for dollars, and dollars for the coin: neither is worth what the other order's asset is."""
    traded = [("ETH", "USDC", 1, 1000), ("ETH-PERP", "ETH", 1000, 1)]  # each came to a thousand dollars
    parents = {
        base: SimpleNamespace(
            parent=SimpleNamespace(intent=SimpleNamespace(source="job:daily", created_ns=DAY, qty=Decimal(qty), base=base, quote=quote)),
            accepted_ns=DAY, closed="FILLED",
        )
        for base, quote, qty, _ in traded
    }  # fmt: skip
    filled = {base: Decimal(done) for base, _, _, done in traded}
    book: Any = SimpleNamespace(parents=parents, filled_quote=filled.__getitem__)
    guard = Guard(MemoryJobStore(), "here", dollar)
    for base, quote, qty in (("ETH", "USDC", Decimal(1)), ("ETH-PERP", "ETH", Decimal(1000))):
        request: Any = SimpleNamespace(base=base, quote=quote, qty=qty)
        for budget, over in ((3000, False), (2999, True)):
            job = DAILY.model_copy(update={"budget_usd": Decimal(budget)})
            worth = await guard.worth(job, request, book, DAY)
            assert bool(guard.over_budget(job, worth, book, DAY)) is over
