"""A WebSocket that comes back: reconnect with growing pauses, say hello again, tell the reader each time.

The reader gets Up (take a new snapshot: whatever was known is stale), Text, Quiet (nothing for a while on a socket that
looks alive) and Down. Pings find a dead peer; Quiet finds one that is alive and silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from agent.domain.errors import Retry
from agent.ports import Clock
from agent.transport.http import reason

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 20.0


@dataclass(frozen=True, slots=True)
class Up:
    connection: int


@dataclass(frozen=True, slots=True)
class Text:
    data: str


@dataclass(frozen=True, slots=True)
class Quiet:
    seconds: float


@dataclass(frozen=True, slots=True)
class Down:
    why: str


StreamEvent = Up | Text | Quiet | Down


class Stream:
    """`hello` gives what is said first on every new connection (None: nothing); it may raise Retry. `address`: asked before every
    connection where the place to connect to changes, may raise Retry too; `url` then names it where it is told of.

    `quiet_s` None means that silence is no news. Socket time-outs run on the loop's clock.
    """

    def __init__(
        self,
        client: Callable[[], aiohttp.ClientSession],
        url: str,
        clock: Clock,
        hello: Callable[[], Awaitable[str | None]] | None = None,
        heartbeat_s: float = 10.0,
        quiet_s: float | None = None,
        address: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._client, self.url, self._clock, self._hello = client, url, clock, hello
        self._heartbeat_s, self._quiet_s, self._address = heartbeat_s, quiet_s, address
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._dropped = ""

    async def drop(self, why: str) -> None:
        """Gives this connection up; the next one begins with Up."""
        self._dropped = why
        if self._ws is not None:
            await self._ws.close()

    async def say(self, text: str) -> None:
        """Said on this connection; where it is down nothing is, and the next one begins with Up."""
        if self._ws is not None and not self._ws.closed:
            try:
                await self._ws.send_str(text)
            except (aiohttp.ClientError, OSError):
                await self._ws.close()

    async def events(self) -> AsyncIterator[StreamEvent]:
        """Never ends; cancel the task that reads it."""
        pause_s, connection = FIRST_PAUSE_S, 0
        while True:
            why = "closed by the server"
            try:
                url = self.url if self._address is None else await self._address()
                async with self._client().ws_connect(
                    url, heartbeat=self._heartbeat_s, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
                ) as ws:
                    self._ws, self._dropped = ws, ""
                    if self._hello is not None:
                        text = await self._hello()
                        if text is not None:
                            await ws.send_str(text)
                    connection += 1
                    yield Up(connection)
                    async for event in self._messages(ws):
                        if isinstance(event, Text):
                            pause_s = FIRST_PAUSE_S
                        yield event
            except (aiohttp.ClientError, OSError, Retry) as error:
                why = reason(error)
            finally:
                self._ws = None
            yield Down(self._dropped or why)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _messages(self, ws: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Text | Quiet]:
        while True:
            try:
                async with asyncio.timeout(self._quiet_s):
                    message = await ws.receive()
            except TimeoutError:
                yield Quiet(self._quiet_s or 0.0)
                continue
            if message.type is aiohttp.WSMsgType.TEXT:
                await asyncio.sleep(0)  # a burst of frames is no reason why nothing else should go on
                yield Text(message.data)
            elif message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.ERROR,
            ):
                return
