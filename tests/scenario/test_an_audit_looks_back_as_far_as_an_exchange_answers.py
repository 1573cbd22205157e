"""An exchange answers for a week or a day from where it is asked: after a longer quiet the audit must not ask from the last fill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest
from manual_clock import ManualClock

from agent.domain.errors import Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.reports import ExecutionReport, Fill, OrderSnapshot
from agent.transport.executions import BACK_MS, LATE_MS, Executions

WEEK_MS = 7 * 86_400_000


class Weekly:
    """Tells the fills of one week from where it is asked, and no further."""

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.asked: list[int] = []
        self.queried: list[ClOrdId] = []
        self.unsaid: set[str] = set()

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        self.queried.append(cl_ord_id)
        if cl_ord_id in self.unsaid:
            raise Retry("COULD_STILL_ARRIVE", "nothing can be said of it now")
        return None

    async def fills_since(self, since_ms: int) -> Sequence[tuple[ClOrdId, str, Fill]]:
        self.asked.append(since_ms)
        return [
            (ClOrdId("a"), "1", f) for f in self.fills if since_ms <= f.at_ns // 10**6 <= since_ms + WEEK_MS
        ]


def fill(name: str, at_ms: int) -> Fill:
    eth, usdc = cex_id("x", "ETH"), cex_id("x", "USDC")
    return Fill(name, Place("cex:x"), usdc, eth, Decimal(3000), Decimal(1), usdc, Decimal(0), at_ms * 10**6)


async def test_a_fill_after_nine_quiet_days_is_told_and_a_late_one_too() -> None:
    clock, venue = ManualClock(1_700_000_000 * 10**9), Weekly()
    audit = Executions(venue, Place("cex:x"), clock, 60)
    audit.begin()
    told: asyncio.Queue[ExecutionReport | object] = asyncio.Queue()
    began = audit.since_ms
    for _ in range(9):
        await audit.catch_up(told)  # type: ignore[arg-type]
        await clock.sleep(86_400)
    now = began + 9 * 86_400_000
    venue.fills = [fill("late", now - LATE_MS // 2), fill("new", now)]
    await audit.catch_up(told)  # type: ignore[arg-type]
    await audit.catch_up(told)  # type: ignore[arg-type]
    assert [told.get_nowait().fill.exec_id for _ in range(told.qsize())] == ["late", "new"]  # type: ignore[attr-defined]
    assert venue.asked[0] == began - BACK_MS and venue.asked == sorted(venue.asked)


async def test_one_order_that_nothing_can_be_said_of_holds_no_other_up() -> None:
    venue = Weekly()
    audit = Executions(venue, Place("cex:x"), ManualClock(1_700_000_000 * 10**9), 60)
    told: asyncio.Queue[ExecutionReport | object] = asyncio.Queue()
    for name in "abcd":
        audit.watch("ETHUSDC", ClOrdId(name))
    for unsaid, queried in (("a", "abcd"), ("ab", "ab"), ("", "abcd")):
        venue.unsaid, venue.queried = set(unsaid), []
        if len(unsaid) > 1:
            with pytest.raises(Retry):
                await audit._ask_after_watched(told)  # type: ignore[arg-type]
        else:
            await audit._ask_after_watched(told)  # type: ignore[arg-type]
        assert "".join(venue.queried) == queried
