"""An account's executions, each told once, whoever told them first: a socket, or an audit over REST whatever the socket does.

A venue's own listener puts what it hears through `fresh`, `fill` and `tell`; the audit asks for every fill since the last one and for
every watched order until it has ended, every few seconds and whenever it is woken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Protocol

from agent.domain.errors import FairleadError, Halt, Reconcile, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import ExecutionReport, Fill, FillsNotTold, OrderSnapshot
from agent.domain.units import WIDE
from agent.ports import Clock
from chains.ending import ended

ENDED = {
    OrdStatus.CANCELED: ExecType.CANCELED,
    OrdStatus.EXPIRED: ExecType.EXPIRED,
    OrdStatus.REJECTED: ExecType.REJECTED,
}
KNOWN, BACK_MS, GIVE_UP_NS = 20_000, 60_000, 60 * 10**9
LATE_MS = 600_000
"""A venue may tell of a fill that much later. Further back nothing is asked again, for many venues answer for a week or a day at most from
where they are asked, so that after a longer quiet an audit would see nothing new at all."""

Told = asyncio.Queue[ExecutionReport | FairleadError]
Listen = Callable[[Told], Coroutine[Any, Any, None]]


class Asked(Protocol):
    """The venue as an audit asks it."""

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None: ...

    async def fills_since(self, since_ms: int) -> Sequence[tuple[ClOrdId, str, Fill]]:
        """(our name, the venue's order number, fill), oldest first."""
        ...


async def until_woken(woken: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Returns when it is set, or so long after."""
    waiting = [asyncio.create_task(woken.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


class Executions:
    """`watch` names an order whose end the audit asks after, and gives up where the venue does not know it for a minute."""

    def __init__(self, venue: Asked, place: Place, clock: Clock, audit_s: float) -> None:
        self._venue, self._place, self._clock, self._audit_s = venue, place, clock, audit_s
        self._known: dict[str, None] = {}
        self._filled: dict[ClOrdId, tuple[Decimal, Decimal]] = {}
        self._watched: dict[ClOrdId, tuple[str, int]] = {}
        self._woken = asyncio.Event()
        self.since_ms = 0
        self.audits = 0

    def begin(self) -> None:
        """What the first audit looks back to, by a minute."""
        self.since_ms = self.since_ms or self._clock.now_ns() // 1_000_000

    def watch(self, symbol: str, cl_ord_id: ClOrdId) -> None:
        self._watched[cl_ord_id] = symbol, self._clock.now_ns() + GIVE_UP_NS

    def wake(self) -> None:
        """Something was heard: the audit need not wait for its time."""
        self._woken.set()

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(symbol for symbol, _ in self._watched.values())

    async def merged(self, listen: Listen | None = None) -> AsyncIterator[ExecutionReport]:
        """Ends only with the task that reads it, or with what makes going on senseless."""
        told: Told = asyncio.Queue()
        tasks = [asyncio.create_task(self._audit(told))]
        if listen is not None:
            tasks.append(asyncio.create_task(listen(told)))

        def over(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                told.put_nowait(Halt("REPORTS_STOPPED", f"{type(error).__name__}: {error}", "a bug: report it"))  # fmt: skip

        for task in tasks:
            task.add_done_callback(over)
        try:
            while True:
                report = await told.get()
                if isinstance(report, FairleadError):
                    raise report
                yield report
        finally:
            await ended(tasks)

    async def fill(self, name: ClOrdId, number: str, fill: Fill, told: Told) -> None:
        if self._fresh(fill.exec_id):
            given, got = self._filled.pop(name, (Decimal(0), Decimal(0)))
            self._filled[name] = WIDE.add(given, fill.qty_in), WIDE.add(got, fill.qty_out)
            if len(self._filled) > KNOWN:
                del self._filled[next(iter(self._filled))]
            await told.put(ExecutionReport(name, self._place, ExecType.TRADE, fill.at_ns, number, fill))

    async def end(self, order: OrderSnapshot, told: Told) -> None:
        """Tells how an order ended, after its fills. What a venue's own stream says of it counts, not what it lists: see `end_of`."""
        report = ExecutionReport(order.cl_ord_id, self._place, ENDED[order.status], order.at_ns, order.venue_order_id)  # fmt: skip
        await self.end_of(report, order.symbol, order.cum_qty, order.side is Side.SELL, told)

    async def end_of(
        self, report: ExecutionReport, symbol: str, done: Decimal, sells: bool, told: Told
    ) -> None:
        """Tells an end that a stream told of, after all fills: `done` is what it says was filled of the order. While fewer are told nothing
        is said of the end, which a later audit finds: what ends without a fill of its own would be done again."""
        try:
            await self.catch_up(told)
            given, got = self._filled.get(report.cl_ord_id, (Decimal(0), Decimal(0)))
            if (given if sells else got) >= done:
                await self.tell_kind(report, told)
                return
        except Retry:
            return
        self.watch(symbol, report.cl_ord_id)
        await self.ask_after(report.cl_ord_id, symbol, told)

    async def ask_after(self, name: ClOrdId, symbol: str, told: Told) -> None:
        """Tells what the venue answers of an order: its fills, all that it says are done, then its end. Nothing where it cannot say."""
        try:
            order = await self._venue.query(name, symbol)
        except (Retry, Reject, Reconcile):
            return
        if order is not None:
            await self._settle(name, order, told)

    async def tell(self, order: OrderSnapshot, kind: ExecType, told: Told) -> None:
        report = ExecutionReport(order.cl_ord_id, self._place, kind, order.at_ns, order.venue_order_id)
        await self.tell_kind(report, told)

    async def tell_kind(self, report: ExecutionReport, told: Told) -> None:
        """As `tell`, of what is a report already."""
        if self._fresh(f"{report.exec_type.value} {report.venue_order_id}"):
            await told.put(report)

    async def catch_up(self, told: Told) -> None:
        began_ms = self._clock.now_ns() // 1_000_000
        for name, number, fill in await self._venue.fills_since(self.since_ms - BACK_MS):
            await self.fill(name, number, fill, told)
            self.since_ms = max(self.since_ms, fill.at_ns // 1_000_000)
        self.since_ms = max(self.since_ms, began_ms - LATE_MS)

    async def _audit(self, told: Told) -> None:
        while True:
            self.audits += 1
            try:
                await self.catch_up(told)
                await self._ask_after_watched(told)
            except Retry:
                pass  # the next round
            except FairleadError as error:
                await told.put(error)
                return
            await until_woken(self._woken, self._clock, self._audit_s)
            self._woken.clear()

    async def _ask_after_watched(self, told: Told) -> None:
        """One order that nothing can be said of now does not hold the others up; with a second the venue is taken for away: Retry."""
        unsaid = 0
        for cl_ord_id, (symbol, give_up_ns) in list(self._watched.items()):
            try:
                order = await self._venue.query(cl_ord_id, symbol)
            except FillsNotTold as late:  # the venue is there, and its end is not told before its trades
                for fill in late.told.fills:
                    await self.fill(cl_ord_id, late.told.venue_order_id, fill, told)
                continue
            except Retry:
                unsaid += 1
                if unsaid > 1:
                    raise
                continue
            if order is not None:
                await self._settle(cl_ord_id, order, told)
            elif self._clock.now_ns() > give_up_ns:
                self._watched.pop(cl_ord_id, None)

    async def _settle(self, cl_ord_id: ClOrdId, order: OrderSnapshot, told: Told) -> None:
        for fill in order.fills:
            await self.fill(cl_ord_id, order.venue_order_id, fill, told)
        if order.status in ENDED:
            await self.tell(order, ENDED[order.status], told)
        if order.status in ENDED or order.status is OrdStatus.FILLED:
            self._watched.pop(cl_ord_id, None)

    def _fresh(self, name: str) -> bool:
        """Each once; the oldest names are forgotten, long after the audit stopped going back to them."""
        if name in self._known:
            return False
        self._known[name] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        return True
