"""One stream of execution reports out of two sources: what the venue tells, and what an audit finds it did not tell.

Every execution is told once, whichever source had it first. The audit runs after every (re)connection and then every
few seconds: a socket that looks alive and says nothing costs one audit's delay, never a fill.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from agent.domain.errors import FairleadError, Halt, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL, ExecType
from agent.domain.reports import ExecutionReport, Fill, OrderSnapshot
from agent.market.reading import number as exact
from agent.ports import Clock
from agent.transport import binance
from agent.transport.executions import ENDED, until_woken
from agent.transport.stream import StreamEvent, Text, Up
from agent.venues import others_left_alone, understood
from chains import ending

if TYPE_CHECKING:
    from agent.venues.binance_spot.session import BinanceSpot

LOOK_BACK_NS = 10 * 60 * 10**9
GIVE_UP_NS = 60 * 10**9
"""How long an id is asked for that the venue does not know: far longer than a request's receive window."""
QUEUE = 10_000


@dataclass(frozen=True, slots=True)
class Heard:
    """An executionReport in the words of the user-data stream, told by another line."""

    event: Mapping[str, Any]


class Source(Protocol):
    """What tells the account's reports: the user-data stream, or a FIX session."""

    def events(self) -> AsyncIterator[StreamEvent | Heard]: ...

    async def drop(self, why: str) -> None: ...


class ReportStream:
    def __init__(self, venue: BinanceSpot, clock: Clock, audit_s: float) -> None:
        self._venue, self._clock, self._audit_s = venue, clock, audit_s
        self._since_ms = 0
        self._symbols: dict[str, int | None] = {}
        self._names: dict[str, ClOrdId] = {}
        self._watched: dict[ClOrdId, tuple[str, int]] = {}
        self._told: set[tuple[str, str]] = set()
        self._begun: set[ClOrdId] = set()
        self._told_qty: dict[ClOrdId, Decimal] = {}
        self._asked_qty: dict[ClOrdId, Decimal] = {}
        self._audit_now = asyncio.Event()
        self.audits = 0

    def begin(self) -> None:
        """What the first audit looks back to."""
        self._since_ms = (self._clock.now_ns() - LOOK_BACK_NS) // 1_000_000

    def watch(self, symbol: str, cl_ord_id: ClOrdId) -> None:
        """An order of ours that is about to exist: audits ask for it until it has ended."""
        self._symbols.setdefault(symbol, None)
        self._watched[cl_ord_id] = symbol, self._clock.now_ns() + GIVE_UP_NS

    def works(self, symbol: str) -> bool:
        """Whether an order of ours there is open, or about to be."""
        return any(where == symbol for where, _ in self._watched.values())

    async def name_of(self, symbol: str, venue_order_id: str) -> ClOrdId:
        if venue_order_id not in self._names:
            order = await self._venue.order_by_venue_id(symbol, venue_order_id)
            self._names[venue_order_id] = order.cl_ord_id
        return self._names[venue_order_id]

    async def merged(self, *sources: Source) -> AsyncIterator[ExecutionReport]:
        """Ends only with the task that reads it, or with Halt where the venue is not understood."""
        queue: asyncio.Queue[ExecutionReport | FairleadError] = asyncio.Queue(QUEUE)
        tasks = [
            *(asyncio.create_task(self._listen(source, queue)) for source in sources),
            asyncio.create_task(self._audit_forever(queue)),
        ]

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                queue.put_nowait(
                    Halt("REPORTS_STOPPED", f"{type(error).__name__}: {error}", "a bug: report it")
                )

        for task in tasks:
            task.add_done_callback(ended)
        try:
            while True:
                item = await queue.get()
                if isinstance(item, FairleadError):
                    raise item
                if (report := self._venue.pairs.told(item)) is not None:
                    yield report
        finally:
            await ending.ended(tasks)

    def _fresh(self, report: ExecutionReport) -> bool:
        """False for what was told already, and for an acknowledgement that comes after later news of the order."""
        if report.exec_type is ExecType.NEW and report.cl_ord_id in self._begun:
            return False
        reference = (
            report.fill.exec_id if report.fill is not None else f"{report.venue_order_id}:{report.cl_ord_id}"
        )
        key = (report.exec_type.value, reference)
        if key in self._told:
            return False
        self._told.add(key)
        self._begun.add(report.cl_ord_id)
        if report.fill is not None:
            told = self._told_qty.get(report.cl_ord_id, Decimal(0))
            self._told_qty[report.cl_ord_id] = told + self._venue.reader.base_qty(report.fill)
        return True

    async def _listen(self, stream: Source, queue: asyncio.Queue[ExecutionReport | FairleadError]) -> None:
        try:
            async for event in stream.events():
                if isinstance(event, Up):
                    self._audit_now.set()
                elif isinstance(event, Text):
                    await self._hear(event.data, stream, queue)
                elif isinstance(event, Heard):
                    await self._take(event.event, queue)
        except FairleadError as error:
            await queue.put(error)

    async def _hear(
        self, text: str, stream: Source, queue: asyncio.Queue[ExecutionReport | FairleadError]
    ) -> None:
        try:
            message = binance.load(text.encode(), "a user-data event")
        except Retry as garbled:
            await stream.drop(garbled.message)  # what it said an audit finds, as soon as the next line is up
            return
        with understood("a user-data event"):
            status, event = message.get("status"), message.get("event", message)
            kind = event.get("e") if isinstance(event, dict) else None
        if status is not None and status != 200:
            await self._refused(message, stream, queue)
        elif kind == "executionReport":
            await self._take(event, queue)
        elif kind in ("eventStreamTerminated", "serverShutdown"):
            await stream.drop(str(kind))

    async def _take(self, event: Any, queue: asyncio.Queue[ExecutionReport | FairleadError]) -> None:
        report = self._venue.reader.report(event)
        if report is None:
            return
        self._names[report.venue_order_id] = report.cl_ord_id
        self._symbols.setdefault(event["s"], None)
        whole = await self._heal(event, report, queue)
        if report.exec_type in ENDED.values():
            if not whole:  # the audit tells both, once the venue lists what is missing
                self._watched[report.cl_ord_id] = event["s"], self._clock.now_ns() + GIVE_UP_NS
                self._audit_now.set()
                return
            self._watched.pop(report.cl_ord_id, None)
        if self._fresh(report):
            await queue.put(report)

    async def _heal(
        self, event: Any, report: ExecutionReport, queue: asyncio.Queue[ExecutionReport | FairleadError]
    ) -> bool:
        """Where the order's own running total shows an execution that was never told: audit before telling more.

        Fills come first, then the end of the order, so that a missed fill does not look like one after the end. False where fills are
        missing still.
        """
        with understood("an executionReport"):
            before = exact(event["z"]) - (exact(event["l"]) if report.fill is not None else 0)
        name = report.cl_ord_id
        if before <= self._told_qty.get(name, Decimal(0)):
            return True
        if before > self._asked_qty.get(name, Decimal(0)):
            try:
                await self.audit(queue)
            except Retry:
                self._audit_now.set()
            else:
                self._asked_qty[name] = before
        return before <= self._told_qty.get(name, Decimal(0))

    async def _refused(
        self, message: Any, stream: Source, queue: asyncio.Queue[ExecutionReport | FairleadError]
    ) -> None:
        """The subscription was refused: a wrong key is final, anything else is tried again."""
        with understood("a refusal"):
            says = binance.VenueSays(int(message["error"]["code"]), str(message["error"]["msg"]))
        error = binance.error_of(says, write=False)
        if isinstance(error, Reject):
            await queue.put(error)
        else:
            await stream.drop(says.msg)

    async def _audit_forever(self, queue: asyncio.Queue[ExecutionReport | FairleadError]) -> None:
        while True:
            try:
                await self.audit(queue)
            except Retry:
                pass  # nothing was learnt; the next round asks again
            except FairleadError as error:
                await queue.put(error)
                return
            await until_woken(self._audit_now, self._clock, self._audit_s)
            self._audit_now.clear()

    async def audit(self, queue: asyncio.Queue[ExecutionReport | FairleadError]) -> None:
        """Asks for everything that may have been missed: open orders, new trades, and how watched orders ended."""
        self.audits += 1
        opened = await self._venue.each_open_order()
        for order in opened:
            self._names[order.venue_order_id] = order.cl_ord_id
            self._symbols.setdefault(order.symbol, None)
            self._watched.setdefault(order.cl_ord_id, (order.symbol, self._clock.now_ns() + GIVE_UP_NS))
            await self._tell(queue, order, ExecType.NEW)
        open_ids = {order.cl_ord_id for order in opened}
        for symbol, last in list(self._symbols.items()):
            with others_left_alone():
                await self._audit_trades(queue, symbol, last)
        unsaid: Retry | None = None
        for cl_ord_id, (symbol, give_up_ns) in list(self._watched.items()):
            if cl_ord_id in open_ids:
                continue
            try:
                with others_left_alone():
                    await self._audit_order(queue, cl_ord_id, symbol, give_up_ns)
            except Retry as why:  # one order that nothing can be said of does not hold the others up; with a second the venue is away
                if unsaid is not None:
                    raise
                unsaid = why
        if unsaid is not None:
            raise unsaid

    async def _audit_trades(
        self, queue: asyncio.Queue[ExecutionReport | FairleadError], symbol: str, last: int | None
    ) -> None:
        from_id = None if last is None else last + 1
        for venue_order_id, trade_id, fill in await self._venue.trades_since(symbol, self._since_ms, from_id):
            await self._tell_fill(queue, await self.name_of(symbol, venue_order_id), venue_order_id, fill)
            self._symbols[symbol] = trade_id

    async def _audit_order(
        self,
        queue: asyncio.Queue[ExecutionReport | FairleadError],
        cl_ord_id: ClOrdId,
        symbol: str,
        give_up_ns: int,
    ) -> None:
        ended = await self._venue.order(cl_ord_id, symbol)
        if ended is None and self._clock.now_ns() > give_up_ns:
            self._watched.pop(cl_ord_id, None)
        if ended is None or ended.status not in TERMINAL:
            return
        for fill in ended.fills:
            await self._tell_fill(queue, cl_ord_id, ended.venue_order_id, fill)
        if ended.status in ENDED:
            await self._tell(queue, ended, ENDED[ended.status])
        self._watched.pop(cl_ord_id, None)

    async def _tell_fill(
        self,
        queue: asyncio.Queue[ExecutionReport | FairleadError],
        name: ClOrdId,
        venue_order_id: str,
        fill: Fill,
    ) -> None:
        place = self._venue.reader.place
        report = ExecutionReport(name, place, ExecType.TRADE, fill.at_ns, venue_order_id, fill)
        if self._fresh(report):
            await queue.put(report)

    async def _tell(
        self, queue: asyncio.Queue[ExecutionReport | FairleadError], order: OrderSnapshot, kind: ExecType
    ) -> None:
        report = ExecutionReport(
            order.cl_ord_id, self._venue.reader.place, kind, order.at_ns, order.venue_order_id
        )
        if self._fresh(report):
            await queue.put(report)
