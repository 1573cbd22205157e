"""An account's executions at Binance USD-M, each once: from the socket as they happen, from an audit over REST whatever the socket does.

The socket is found under a listen key that lives for an hour unless it is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from agent.domain.errors import FairleadError, Retry
from agent.domain.order_state import ExecType
from agent.domain.orders import Side
from agent.domain.reports import ExecutionReport
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.ports import Clock
from agent.transport import binance
from agent.transport.executions import ENDED, Executions, Told
from agent.transport.stream import Stream, Text, Up
from agent.venues import understood
from chains.ending import ended

if TYPE_CHECKING:
    from agent.venues.binance_usdm.session import BinanceUsdm

RENEW_S = 1_500.0
"""A listen key lives for 60 minutes."""


class Reports(Executions):
    def __init__(self, venue: BinanceUsdm, clock: Clock, audit_s: float) -> None:
        super().__init__(venue, venue.reader.place, clock, audit_s)
        self._of, self._time = venue, clock

    def told(self, stream: Stream) -> AsyncIterator[ExecutionReport]:
        return self.merged(lambda told: self._listen(stream, told))

    async def _listen(self, stream: Stream, told: Told) -> None:
        renewing = asyncio.create_task(self._renew(stream))
        try:
            async for event in stream.events():
                if isinstance(event, Up):
                    self.wake()  # what happened before it was up nobody tells
                elif isinstance(event, Text):
                    await self._hear(event.data, stream, told)
        except FairleadError as error:
            await told.put(error)
        finally:
            await ended([renewing])

    async def _renew(self, stream: Stream) -> None:
        while True:
            await self._time.sleep(RENEW_S)
            try:
                await self._of.listen_key("PUT")
            except FairleadError as error:
                await stream.drop(error.message)  # the next connection asks for a key of its own

    async def _hear(self, text: str, stream: Stream, told: Told) -> None:
        try:
            event = binance.load(text.encode(), "a user-data event")
        except Retry as garbled:
            await stream.drop(garbled.message)
            return
        with understood("a user-data event"):
            kind = event.get("e")
        if kind == "listenKeyExpired":
            await stream.drop(str(kind))
        if kind != "ORDER_TRADE_UPDATE":
            return
        report = self._of.reader.report(event)
        if report is None:
            return
        self._of.heard(report, event)
        if report.fill is not None:
            await self.fill(report.cl_ord_id, report.venue_order_id, report.fill, told)
        elif report.exec_type is ExecType.NEW:
            await self.tell_kind(report, told)
        elif report.exec_type in ENDED.values():
            with understood("a user-data event"):
                done, sells = exact(event["o"]["z"]), Side(event["o"]["S"]) is Side.SELL
                symbol = text_of(event["o"]["s"])
            await self.end_of(report, symbol, done, sells, told)
