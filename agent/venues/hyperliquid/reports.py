"""An account's executions at Hyperliquid, each once: from the socket as they happen, from an audit over REST whatever the socket does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import orjson

from agent.domain.errors import Halt, Retry
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.reports import ExecutionReport
from agent.ports import Clock
from agent.transport.executions import BACK_MS, ENDED, Executions, Told
from agent.transport.stream import Stream, Text, Up
from agent.venues import understood
from agent.venues.hyperliquid import codec

if TYPE_CHECKING:
    from agent.venues.hyperliquid.session import Hyperliquid


class Reports(Executions):
    def __init__(self, venue: Hyperliquid, clock: Clock, audit_s: float) -> None:
        super().__init__(venue, venue.reader.place, clock, audit_s)
        self._reader, self._account = venue.reader, venue.account

    def told(self, stream: Stream) -> AsyncIterator[ExecutionReport]:
        return self.merged(lambda told: self._listen(stream, told))

    async def _listen(self, stream: Stream, told: Told) -> None:
        try:
            async for event in stream.events():
                if isinstance(event, Up):
                    for topic in ("userFills", "orderUpdates"):
                        asked = {"type": topic, "user": self._account}
                        await stream.say(
                            orjson.dumps({"method": "subscribe", "subscription": asked}).decode()
                        )
                elif isinstance(event, Text):
                    try:
                        await self._hear(event.data, told)
                    except Retry as garbled:
                        await stream.drop(
                            garbled.message
                        )  # what it said an audit finds, as soon as the next line is up
        except Halt as error:
            await told.put(error)

    async def _hear(self, text: str, told: Told) -> None:
        message = codec.load(text.encode(), "a message of the account")
        with understood("a message of the account"):
            channel, data = message["channel"], message.get("data")
            if channel == "userFills":
                for row in data["fills"]:
                    await self._trade(row, told)
            elif channel == "orderUpdates":
                for one in data:
                    await self._update(one, told)

    async def _trade(self, row: Any, told: Told) -> None:
        found = self._reader.fill(row)
        if found is None or found[2].at_ns // 1_000_000 < self.since_ms - BACK_MS:
            return  # the first message is a history
        await self.fill(*found, told)

    async def _update(self, one: Any, told: Told) -> None:
        if self._reader.market(one["order"]["coin"]) is None:
            return
        order = self._reader.order(one["order"], one["status"], one["statusTimestamp"])
        if order.status is OrdStatus.NEW:
            await self.tell(order, ExecType.NEW, told)
        elif order.status in ENDED:
            await self.end(order, told)
