"""A logged-on line to Deribit, where the owner's signer grants one: orders go over it, end with it, and reports come by it.

`private/enable_cancel_on_disconnect` covers what was sent over the line itself: should this process or its network end, the venue ends
those orders. A line that is closed in order is logged out first, which leaves them. What was asked on a line that broke is RECONCILE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from agent.domain.errors import Reconcile, Retry
from agent.market.reading import exact, understood
from agent.transport.stream import Down, Quiet, Stream, Text, Up
from agent.venues.deribit import codec
from chains.ending import ended

Hear = Callable[[str, Any], Awaitable[None]]
"""(channel, data) of a subscription."""
HEARTBEAT_S = 10
CHANNELS = ("user.trades.any.any.raw", "user.orders.any.any.raw")
LOG_ON, ARMED = 1, 2
NUMBERS = frozenset({"amount", "price", "valid_until", "trigger_price", "interval"})
FLAGS = frozenset({"post_only", "reject_post_only", "reduce_only"})


def said(number: int, method: str, params: Mapping[str, str]) -> str:
    """One request; numbers keep the digits that were signed."""
    told: dict[str, Any] = {
        name: orjson.Fragment(value) if name in NUMBERS | FLAGS else value for name, value in params.items()
    }
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": told}).decode()


class Line:
    """`log_on` gives the parameters of public/auth, signed for this moment; it may raise Retry, and Denied where none is granted."""

    def __init__(
        self, stream: Stream, log_on: Callable[[], Awaitable[Mapping[str, Any]]], hear: Hear, answer_s: float
    ) -> None:
        self._stream, self._log_on, self._hear, self._answer_s = stream, log_on, hear, answer_s
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next = 100
        self.up = False

    async def run(self, on_up: Callable[[], None]) -> None:
        """Ends only with its task, or with what `log_on` or `hear` raises; where it is up it is logged out first."""
        reading = asyncio.create_task(self._follow(on_up))
        try:
            await asyncio.wait(
                {reading}
            )  # a task of its own: when this one is ended the line is still there to say so on
            reading.result()
        finally:
            if self.up:
                await self._stream.say(said(3, "private/logout", {}))
            await ended([reading])
            self._broke("closed here")

    async def _follow(self, on_up: Callable[[], None]) -> None:
        async for event in self._stream.events():
            try:
                if isinstance(event, Up):
                    told = await self._log_on()
                    text = orjson.dumps(
                        {"jsonrpc": "2.0", "id": LOG_ON, "method": "public/auth", "params": told}
                    )
                    await self._stream.say(text.decode())
                elif isinstance(event, Text):
                    await self._read(event.data, on_up)
                elif isinstance(event, Quiet):  # not a heartbeat of it: open, and nobody's
                    await self._stream.drop(f"silent for {event.seconds:g} s")
                elif isinstance(event, Down):
                    self._broke(event.why)
            except Retry as why:  # the signer is away, or the venue is busy: logged on anew after a pause
                await self._stream.drop(why.message)

    async def ask(self, method: str, params: Mapping[str, str], what: str) -> Any:
        """The answer to one request that changes something. Raises Retry LINE_DOWN (nothing was sent), Reject, Reconcile."""
        if not self.up:
            raise Retry("LINE_DOWN", "the line is not logged on", "send it by HTTP")
        self._next += 1
        number, answer = self._next, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._stream.say(said(number, method, params))
            async with asyncio.timeout(self._answer_s):
                body = await answer
        except TimeoutError:
            text = f"{what} did not come within {self._answer_s:g} s; the request may have taken effect"
            raise Reconcile("VENUE_TIMEOUT", text, "ask by client order id") from None
        finally:
            self._waiting.pop(number, None)
        return codec.result(body, what, write=True)

    async def _read(self, text: str, on_up: Callable[[], None]) -> None:
        try:
            message = exact(text)
        except ValueError:
            await self._stream.drop("a message that is no JSON")  # what it said an audit finds
            return
        with understood("a message of the line"):
            number, method, params = message.get("id"), message.get("method"), message.get("params", {})
            kind, channel, data = params.get("type"), params.get("channel", ""), params.get("data")
        if method == "heartbeat" and kind == "test_request":
            await self._stream.say(said(4, "public/test", {}))
        elif method == "subscription":
            await self._hear(str(channel), data)
        elif number == LOG_ON:
            codec.result(text.encode(), "the answer to a log-on")
            await self._stream.say(said(5, "public/set_heartbeat", {"interval": str(HEARTBEAT_S)}))
            await self._stream.say(said(ARMED, "private/enable_cancel_on_disconnect", {"scope": "connection"}))  # fmt: skip
            subscribe = {"jsonrpc": "2.0", "id": 6, "method": "private/subscribe", "params": {"channels": CHANNELS}}  # fmt: skip
            await self._stream.say(orjson.dumps(subscribe).decode())
        elif number == ARMED:
            codec.result(text.encode(), "the answer to cancel-on-disconnect")
            self.up = True
            on_up()
        elif number in self._waiting and not self._waiting[number].done():
            self._waiting[number].set_result(text.encode())

    def _broke(self, why: str) -> None:
        self.up = False
        for answer in self._waiting.values():
            if not answer.done():
                text = f"the line broke: {why}; the request may have taken effect"
                answer.set_exception(Reconcile("VENUE_DISCONNECTED", text, "ask by client order id"))
