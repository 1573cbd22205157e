"""HTTP, with the one rule that matters: whether a request may have taken effect decides the error it ends in.

refused connection, unresolved name      nothing was sent            Retry
429, 418                                 read and turned away        Retry (and silence until Retry-After)
time-out, broken connection, 5xx         read: Retry                 write: Reconcile
any other status                         an answer, returned as it is

A write is on the wire once: the library below would send a DELETE or PUT again by itself when the connection broke.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from agent.domain.errors import FairleadError, Reconcile, Retry
from agent.transport.limits import LimitHeaders
from agent.transport.throttle import Throttle

CONNECT_S = 3.0
MAX_REPLY = 32 * 1024 * 1024
MOST_CLOSED_MS = 60_000
"""No header but Retry-After keeps us away for longer."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class TimeOuts:
    read_s: float = 5.0
    write_s: float = 5.0


class Http:
    """One server. `who` names it in errors; `told` is where it tells what was used of its limits, or the one header with what was used of
    the minute's budget. `orders` is what it allows of new orders, beside their weight."""

    def __init__(
        self,
        who: str,
        base_url: str,
        throttle: Throttle,
        told: str | LimitHeaders,
        timeouts: TimeOuts | None = None,
        orders: Throttle | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self.who, self.base_url, self.throttle, self.orders = who, base_url.rstrip("/"), throttle, orders
        self._told, self._timeouts = (
            told if isinstance(told, LimitHeaders) else LimitHeaders(told),
            timeouts or TimeOuts(),
        )
        self._now_ms = now_ms
        self._client: aiohttp.ClientSession | None = None
        self._once: aiohttp.ClientSession | None = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """Made when first needed, inside the loop that uses it."""
        if self._client is None or self._client.closed:
            self._client = aiohttp.ClientSession(trust_env=False, auto_decompress=True)
        return self._client

    @property
    def once(self) -> aiohttp.ClientSession:
        """For what must not be sent twice: the library sends a PUT or DELETE again by itself where a kept connection breaks. Its
        connections are the other's."""
        if self._once is None or self._once.closed:
            self._once = aiohttp.ClientSession(
                connector=self.client.connector, connector_owner=False, trust_env=False, auto_decompress=True
            )
            self._once._retry_connection = False
        return self._once

    async def close(self) -> None:
        if self._once is not None:
            await self._once.close()
        if self._client is not None:
            await self._client.close()

    async def room(self, weight: int) -> None:
        """Spends a read's weight before it is signed, to be read with none: what waits for its turn after its signature comes too old."""
        await self.throttle.spend(weight, write=False)

    async def read(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        weight: int = 1,
        body: bytes = b"",
    ) -> Reply:
        """A request that changes nothing, also one that asks with a body. Raises Retry."""
        return await self._send(method, path, query, body, headers or {}, weight, write=False)

    async def write(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        weight: int = 1,
        orders: int = 0,
    ) -> Reply:
        """A request that may change something; `orders`: new ones in it. Raises Retry only where it cannot have; else Reconcile."""
        await self._new_orders(orders)
        return await self._send(method, path, query, body, headers or {}, weight, write=True)

    async def write_by(self, ask: Callable[[], Awaitable[Reply]], weight: int = 1, orders: int = 0) -> Reply:
        """As `write`, where somebody else sends the request: the same budget, the same judgement of the answer."""
        await self._new_orders(orders)
        await self.throttle.spend(weight, write=True)
        return self._judge(await ask(), True)

    async def _send(
        self,
        method: str,
        path: str,
        query: str,
        body: bytes,
        headers: Mapping[str, str],
        weight: int,
        *,
        write: bool,
    ) -> Reply:
        await self.throttle.spend(weight, write=write)
        seconds = self._timeouts.write_s if write else self._timeouts.read_s
        url = f"{self.base_url}{path}" + (f"?{query}" if query else "")
        try:
            async with (self.once if write else self.client).request(
                method,
                URL(url, encoded=True),  # byte for byte as signed
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_S),
                middlewares=(_once,) if write else None,
            ) as answer:
                body_in = bytearray()
                async for chunk in answer.content.iter_any():
                    body_in += chunk
                    if len(body_in) > MAX_REPLY:
                        raise self._unclear(write, "REPLY_TOO_LARGE", "answered more than 32 MiB")
                reply = Reply(answer.status, dict(answer.headers), bytes(body_in))
        except aiohttp.ClientConnectorError as error:
            raise Retry(
                "VENUE_UNREACHABLE", f"{self.who} cannot be reached at {self.base_url}", reason(error)
            ) from None
        except TimeoutError:
            raise self._unclear(write, "VENUE_TIMEOUT", f"did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unclear(
                write, "VENUE_DISCONNECTED", f"broke the connection: {reason(error)}"
            ) from None
        return self._judge(reply, write)

    async def _new_orders(self, orders: int) -> None:
        if orders and self.orders is not None:
            await self.orders.spend(orders, write=True)

    def _limits(self, reply: Reply) -> None:
        """Takes over what the server itself counted."""
        told = self._told
        if (used := _number(reply, told.used)) is not None:
            self.throttle.told(-(-used * self.throttle.limit // told.of) if told.of else used)
        if self.orders is not None and (used := _number(reply, told.orders)) is not None:
            self.orders.told(used)
        if _number(reply, told.left) == 0 and (left_s := self._reset_s(reply)) is not None:
            self.throttle.closed_for(left_s)

    def _reset_s(self, reply: Reply) -> float | None:
        """Until more is taken, by the server's own word."""
        if (reset := _number(reply, self._told.reset)) is None:
            return None
        left_ms = reset if self._told.from_now else reset - self._now_ms()
        return min(max(left_ms, 0), MOST_CLOSED_MS) / 1e3

    def _judge(self, reply: Reply, write: bool) -> Reply:
        self._limits(reply)
        if reply.status in (429, 418):
            after = _number(reply, "retry-after")
            seconds = 1.0 if after is None else float(after)
            if self._told.resets and (left_s := self._reset_s(reply)) is not None:
                seconds = left_s
            self.throttle.closed_for(seconds)
            raise Retry(
                "RATE_LIMITED", f"{self.who} turned the request away ({reply.status})", f"wait {seconds:g} s"
            )
        if reply.status >= 500:
            text = reply.body[:200].decode("utf-8", "replace")
            raise self._unclear(write, "VENUE_ERROR", f"answered {reply.status}: {text}")
        return reply

    def _unclear(self, write: bool, code: str, what: str) -> FairleadError:
        if write:
            return Reconcile(
                code, f"{self.who} {what}; the request may have taken effect", "ask by client order id"
            )
        return Retry(code, f"{self.who} {what}", "ask again")


def _number(reply: Reply, header: str) -> int | None:
    """A header that holds digits, whatever the case of its name; None without one."""
    if not header:
        return None
    text = next((v for k, v in reply.headers.items() if k.lower() == header.lower()), "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A broken connection under another name than those after which the library repeats what HTTP calls idempotent."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # never connected: nothing was sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(reason(error)) from error


def reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
