"""An account's executions at Hyperliquid, each once: from the socket as they happen, from an audit over REST whatever the socket does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import orjson

from agent.domain.errors import FairleadError, Halt, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.reports import ExecutionReport, OrderSnapshot
from agent.ports import Clock
from agent.transport.stream import Stream, Text, Up
from agent.venues.hyperliquid import codec
from chains.ending import ended

if TYPE_CHECKING:
    from agent.venues.hyperliquid.session import Hyperliquid

ENDED = {
    OrdStatus.CANCELED: ExecType.CANCELED,
    OrdStatus.EXPIRED: ExecType.EXPIRED,
    OrdStatus.REJECTED: ExecType.REJECTED,
}
KNOWN, BACK_MS = 20_000, 60_000

Told = asyncio.Queue[ExecutionReport | FairleadError]


class Reports:
    """`watch` names an order whose end the audit asks after."""

    def __init__(self, venue: Hyperliquid, clock: Clock, audit_s: float) -> None:
        self._venue, self._clock, self._audit_s = venue, clock, audit_s
        self._known: dict[str, None] = {}
        self._watched: dict[ClOrdId, str] = {}
        self._since_ms = 0

    def begin(self) -> None:
        self._since_ms = self._since_ms or self._clock.now_ns() // 1_000_000

    def watch(self, symbol: str, cl_ord_id: ClOrdId) -> None:
        self._watched[cl_ord_id] = symbol

    async def merged(self, stream: Stream) -> AsyncIterator[ExecutionReport]:
        told: Told = asyncio.Queue()
        tasks = [asyncio.create_task(self._listen(stream, told)), asyncio.create_task(self._audit(told))]
        try:
            while True:
                report = await told.get()
                if isinstance(report, FairleadError):
                    raise report
                yield report
        finally:
            await ended(tasks)

    async def _listen(self, stream: Stream, told: Told) -> None:
        try:
            async for event in stream.events():
                if isinstance(event, Up):
                    for topic in ("userFills", "orderUpdates"):
                        asked = {"type": topic, "user": self._venue.account}
                        await stream.say(
                            orjson.dumps({"method": "subscribe", "subscription": asked}).decode()
                        )
                elif isinstance(event, Text):
                    await self._hear(event.data, told)
        except Halt as error:
            await told.put(error)

    async def _hear(self, text: str, told: Told) -> None:
        message = codec.load(text.encode(), "a message of the account")
        with codec.understood("a message of the account"):
            channel, data = message["channel"], message.get("data")
            if channel == "userFills":
                for row in data["fills"]:
                    await self._fill(row, told)
            elif channel == "orderUpdates":
                for one in data:
                    await self._update(one, told)

    async def _fill(self, row: Any, told: Told) -> None:
        found = self._venue.reader.fill(row)
        if found is None or found[2].at_ns // 1_000_000 < self._since_ms - BACK_MS:
            return  # the first message is a history
        name, number, fill = found
        if self._fresh(fill.exec_id):
            await told.put(
                ExecutionReport(name, self._venue.reader.place, ExecType.TRADE, fill.at_ns, number, fill)
            )

    async def _update(self, one: Any, told: Told) -> None:
        if self._venue.reader.market(one["order"]["coin"]) is None:
            return
        order = self._venue.reader.order(one["order"], one["status"], one["statusTimestamp"])
        if order.status is OrdStatus.NEW:
            await self._tell(order, ExecType.NEW, told)
        elif order.status in ENDED:
            try:
                await self._catch_up(told)  # its fills first
            except Retry:
                return  # the audit tells both
            await self._tell(order, ENDED[order.status], told)

    async def _audit(self, told: Told) -> None:
        while True:
            try:
                await self._catch_up(told)
                for cl_ord_id, symbol in list(self._watched.items()):
                    order = await self._venue.query(cl_ord_id, symbol)
                    if order is not None:
                        await self._settle(cl_ord_id, order, told)
            except Retry:
                pass  # the next round
            except FairleadError as error:
                await told.put(error)
                return
            await self._clock.sleep(self._audit_s)

    async def _settle(self, cl_ord_id: ClOrdId, order: OrderSnapshot, told: Told) -> None:
        place = self._venue.reader.place
        for fill in order.fills:
            if self._fresh(fill.exec_id):
                number = order.venue_order_id
                await told.put(ExecutionReport(cl_ord_id, place, ExecType.TRADE, fill.at_ns, number, fill))
        if order.status in ENDED:
            await self._tell(order, ENDED[order.status], told)
        if order.status in ENDED or order.status is OrdStatus.FILLED:
            self._watched.pop(cl_ord_id, None)

    async def _catch_up(self, told: Told) -> None:
        place = self._venue.reader.place
        for name, number, fill in await self._venue.fills_since(self._since_ms - BACK_MS):
            if self._fresh(fill.exec_id):
                await told.put(ExecutionReport(name, place, ExecType.TRADE, fill.at_ns, number, fill))
            self._since_ms = max(self._since_ms, fill.at_ns // 1_000_000)

    async def _tell(self, order: OrderSnapshot, kind: ExecType, told: Told) -> None:
        if self._fresh(f"{kind.value} {order.venue_order_id}"):
            place = self._venue.reader.place
            await told.put(ExecutionReport(order.cl_ord_id, place, kind, order.at_ns, order.venue_order_id))

    def _fresh(self, name: str) -> bool:
        """Each once; the oldest names are forgotten, long after the audit stopped going back to them."""
        if name in self._known:
            return False
        self._known[name] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        return True
