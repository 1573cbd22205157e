"""An account's executions at dYdX, each once: fills from its channel as they happen, ends from an audit that the channel wakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import orjson

from agent.domain.errors import Halt, Retry
from agent.domain.reports import ExecutionReport
from agent.ports import Clock
from agent.transport.executions import Executions, Told
from agent.transport.stream import Stream, Text, Up
from agent.venues import understood
from agent.venues.dydx import codec

if TYPE_CHECKING:
    from agent.venues.dydx.session import Dydx

CHANNEL = "v4_subaccounts"
WHOLE = frozenset("id orderId side size price fee createdAt".split())
"""A fill that tells less than this is told by the audit."""


class Reports(Executions):
    def __init__(self, venue: Dydx, clock: Clock, audit_s: float) -> None:
        super().__init__(venue, venue.reader.place, clock, audit_s)
        self._reader = venue.reader

    def told(self, stream: Stream) -> AsyncIterator[ExecutionReport]:
        return self.merged(lambda told: self._listen(stream, told))

    async def _listen(self, stream: Stream, told: Told) -> None:
        account = self._reader.account
        whose = f"{account.address}/{account.subaccount}"
        asked = orjson.dumps({"type": "subscribe", "channel": CHANNEL, "id": whose}).decode()
        try:
            async for event in stream.events():
                if isinstance(event, Up):
                    await stream.say(asked)
                elif isinstance(event, Text):
                    try:
                        await self._hear(event.data, told)
                    except Retry as garbled:
                        await stream.drop(garbled.message)  # what it said an audit finds
        except Halt as error:
            await told.put(error)

    async def _hear(self, text: str, told: Told) -> None:
        message = codec.load(text.encode(), "a message of the account")
        with understood("a message of the account"):
            if message.get("channel") != CHANNEL:
                return
            contents = message["contents"]
            for one in contents if isinstance(contents, list) else [contents]:
                for row in one.get("fills") or ():
                    if self._reader.trades(row) and WHOLE <= row.keys():
                        await self.fill(*self._reader.fill(row), told)
        self.wake()  # of orders it tells pieces: they are asked for whole
