"""The network between a session and its exchange, on a bad moment: forwards every byte, and spoils the next request that is asked for.

Put before a session that has started, by the address its `http` goes to: no exchange needs code of its own for it. Sockets pass as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit


class Fault(Enum):
    """Names say where the request ends: LOST never arrives, all others with AFTER take effect and the answer is spoiled."""

    LOST = "lost"
    CUT_AFTER = "cut after"
    HALF_AFTER = "half after"
    SILENT_AFTER = "silent after"
    GARBLED_AFTER = "garbled after"
    ERROR_500 = "500"
    ERROR_503 = "503"
    ERROR_502_AFTER = "502 after"
    ERROR_504_AFTER = "504 after"
    TOO_MANY_429 = "429"
    BANNED_418 = "418"


TURNED_AWAY = (Fault.TOO_MANY_429, Fault.BANNED_418)
READ_WORDS = ("/info", "/userDataStream", "/listenKey", "/public/", "/auth")
READ_WORDS += ("/private/Query", "/private/OpenOrders", "/private/ClosedOrders", "/private/TradesHistory", "/private/Balance", "/private/Get")  # fmt: skip


def changes(method: str, path: str) -> bool:
    """Whether a request may change something at an exchange, by its method and address."""
    if method == "GET":
        return any(
            word in path for word in ("/private/buy", "/private/sell", "/private/cancel", "/private/edit")
        )
    return not any(word in path for word in READ_WORDS)


class OrdersWire(Protocol):
    """What orders and cancels go by where it is not HTTP. `arm` spoils the next one as `fault` says, in its own terms."""

    def arm(self, fault: Fault) -> None: ...

    @property
    def armed(self) -> bool: ...

    @property
    def writes(self) -> int: ...


@dataclass
class Wire:
    """`arm` spoils the next request of its kind, once; `asked` is every request that came by HTTP, (method, path)."""

    url: str = ""
    retry_after: str = "0"
    orders: OrdersWire | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    _armed: list[tuple[Fault, bool]] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, fault: Fault, *, write: bool) -> None:
        if write and self.orders is not None:
            self.orders.arm(fault)
        else:
            self._armed.append((fault, write))

    @property
    def armed(self) -> bool:
        return bool(self._armed) or (self.orders is not None and self.orders.armed)

    @property
    def writes(self) -> int:
        """How many requests that change something came, each time that one was sent."""
        return sum(changes(*one) for one in self.asked) + (self.orders.writes if self.orders else 0)

    def take(self, method: str, path: str) -> Fault | None:
        for at, (fault, write) in enumerate(self._armed):
            if write == changes(method, path):
                del self._armed[at]
                return fault
        return None


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP message with its length told; empty at the end of the line."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    told = {
        k.strip().lower(): v.strip() for k, _, v in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    assert b"transfer-encoding" not in told, "the servers of the tests tell their lengths"
    return head + await reader.readexactly(int(told.get(b"content-length", b"0")))


def _answer(status: int, retry_after: str) -> bytes:
    body = b'{"code":0,"msg":"upset"}'
    after = f"Retry-After: {retry_after}\r\n" if status in (418, 429) else ""
    head = f"HTTP/1.1 {status} Upset\r\nContent-Type: application/json\r\n{after}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _garbled(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    spoilt = body[: len(body) // 2] or b"{"
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, b"Content-Length: %d" % len(spoilt), b"", spoilt])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def _line(
    wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
) -> None:
    up_reader, up_writer = await asyncio.open_connection(host, port)
    try:
        while request := await _message(reader):
            method, path = request.split(b" ", 2)[:2]
            wire.asked.append((method.decode(), path.decode().partition("?")[0]))
            fault = wire.take(*wire.asked[-1])
            if b"upgrade: websocket" in request.lower():
                up_writer.write(request)
                await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
                return
            if fault is Fault.LOST:
                return
            if fault is not None and fault.value.isdecimal():
                writer.write(_answer(int(fault.value), wire.retry_after))
                continue
            up_writer.write(request)
            answer = await _message(up_reader)
            if fault is Fault.SILENT_AFTER:
                await wire.let_go.wait()
                return
            if fault is Fault.CUT_AFTER or not answer:
                return
            if fault is Fault.HALF_AFTER:
                writer.write(answer[: len(answer) - 2])
                await writer.drain()
                return
            if fault in (Fault.ERROR_502_AFTER, Fault.ERROR_504_AFTER):
                answer = _answer(int(fault.value[:3]), "0")
            writer.write(_garbled(answer) if fault is Fault.GARBLED_AFTER else answer)
            await writer.drain()
    finally:
        for one in (writer, up_writer):
            one.close()


@asynccontextmanager
async def wired(session: Any, orders: OrdersWire | None = None) -> AsyncIterator[Wire]:
    """A wire before the exchange that `session.http` goes to, from here on; `orders` where those go another way."""
    parts = urlsplit(session.http.base_url)
    assert parts.hostname is not None and parts.port is not None
    wire, lines = Wire(orders=orders), set[asyncio.Task[None]]()

    async def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        lines.add(task)
        try:
            await _line(wire, reader, writer, parts.hostname or "", parts.port or 0)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()  # the line ends with the test, or with what was cut

    server = await asyncio.start_server(came, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    session.http.base_url = wire.url + parts.path
    try:
        yield wire
    finally:
        wire.let_go.set()
        server.close()
        for task in lines:
            task.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
