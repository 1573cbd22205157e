"""One FIX session kept up over TCP with TLS: connect, log on, heartbeats, and again with growing pauses. The rules are `rules.Session`'s.

A message that is said here is written once. Where the connection breaks, whoever waits for an answer hears of it by `lost` and asks
for it elsewhere; nothing is kept to be sent on the next connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.domain.errors import FairleadError, Halt, Retry, Usage
from agent.ports import Clock
from agent.transport.fix.message import Framer, Message, Pair
from agent.transport.fix.rules import Deliver, Over, Send, Session, State, Step, Up
from agent.transport.http import CONNECT_S, reason
from agent.transport.stream import FIRST_PAUSE_S, LONGEST_PAUSE_S
from chains.ending import ended

LEAVE_S, SOUND_S = 1.0, 30.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    tls: bool


def address(url: str) -> Address:
    """`tcp+tls://host:port`; `tcp://` to this machine alone. Raises Usage FIX_ADDRESS."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
        plain = parts.path in ("", "/") and not parts.query and not parts.username
    except ValueError:
        host, port, plain, parts = "", 0, False, urlsplit("")
    if parts.scheme not in ("tcp+tls", "tcp") or not host or not port or not plain:
        raise Usage(
            "FIX_ADDRESS",
            "the FIX address is no tcp+tls://host:port",
            "like tcp+tls://fix-oe.binance.com:9000",
        )
    if parts.scheme == "tcp" and not _here(host):
        raise Usage(
            "FIX_ADDRESS",
            f"tcp:// to {host} is readable on the way",
            "use tcp+tls://; tcp:// is for this machine",
        )
    return Address(host, port, parts.scheme == "tcp+tls")


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Line:
    """`open_session` gives the session of the next connection; `logon(session, number)` its log-on fields and SendingTime in
    nanoseconds, and may raise. `deliver` hears each message once and in order; `up` and `lost` of the connection; `stopped` of what no new
    connection mends, and says whether anybody was told: it stays down until somebody starts it or asks for it again."""

    def __init__(
        self,
        who: str,
        to: Address,
        clock: Clock,
        now_ns: Callable[[], int],
        open_session: Callable[[], Session],
        logon: Callable[[Session, int], Awaitable[tuple[Sequence[Pair], int]]],
        deliver: Callable[[Message], None],
        up: Callable[[], None],
        lost: Callable[[str], None],
        stopped: Callable[[FairleadError], bool] = lambda error: False,
    ) -> None:
        self.who, self.to, self._clock, self.now_ns = who, to, clock, now_ns
        self._open_session, self._logon = open_session, logon
        self._deliver, self._up, self._lost, self._stopped = deliver, up, lost, stopped
        self._writer: asyncio.StreamWriter | None = None
        self._ready, self._gone, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: FairleadError | None = None
        self._died: FairleadError | None = None
        self.session: Session | None = None
        self.why, self.connections, self._was_up = "not connected yet", 0, False

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._died = None
            self._task = asyncio.create_task(self._run(), name=f"{self.who} FIX")
            self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            died = Halt("FIX_STOPPED", f"{self.who}: {type(error).__name__}: {error}", "a bug: report it")
            self._died = None if self._stopped(died) else died

    async def close(self) -> None:
        """Logs out and waits for the answer for a second at most: a session that was left without is barred for a while."""
        task, self._task = self._task, None
        if task is None:
            return
        if self.session is not None and self.session.state is State.UP and not task.done():
            with contextlib.suppress(OSError):
                self._do(self.session.leave(self.now_s(), self.now_ns()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._gone.wait()
        await ended([task])

    async def ready(self, seconds: float) -> None:
        """Returns once it is logged on. Raises Retry FIX_DOWN with what it hangs on, the signer's refusal, Halt FIX_STOPPED."""
        if (died := self._died) is not None:  # told once; the next call begins anew
            self._died = None
            raise died
        self.start()
        try:
            async with asyncio.timeout(seconds):
                while not self._ready.is_set():
                    if self._error is not None and not isinstance(self._error, Retry):
                        raise self._error
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise Retry(
                "FIX_DOWN", f"{self.who}: no FIX session: {self.why}", "nothing was sent; try again"
            ) from None

    async def left(self) -> None:
        """Returns once the present connection has ended; at once where there is none."""
        if self._was_up:
            await self._gone.wait()

    def say(self, kind: str, fields: Sequence[Pair]) -> int:
        """The number of the message, written. Raises Retry FIX_DOWN: nothing was sent then."""
        session, writer = self.session, self._writer
        if session is None or writer is None or not session.ready:
            raise Retry("FIX_DOWN", f"{self.who}: no FIX session: {self.why}", "nothing was sent; try again")
        number, frame = session.say(kind, fields, self.now_s(), self.now_ns())
        writer.write(frame)
        return number

    def drop(self, why: str, *, wait: bool = True) -> None:
        """Gives this connection up, with a log-out; the next one begins at once, and who needs one waits for it. Not `wait`: without
        the other side's answer, where nothing is heard of it."""
        self._ready.clear()
        if self.session is None or self._writer is None:
            return
        over = self._do(self.session.leave(self.now_s(), self.now_ns(), why))
        if over or not wait:
            self.why = why
            self._writer.close()

    # inside

    @staticmethod
    def now_s() -> float:
        return asyncio.get_running_loop().time()

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = self.now_s()
            try:
                await self._connection()
            except (OSError, TimeoutError) as error:
                self.why = reason(error)
            except FairleadError as error:
                self.why, self._error = str(error), error
                self._news.set()
                if error.verb == "HALT":
                    raise
            finally:
                was_up, self._was_up = self._was_up, False
                self._ready.clear()
                self._gone.set()
                if self.session is not None:
                    self.session.lost()
                if self._writer is not None:
                    self._writer.close()
                    self._writer = None
                if was_up:
                    self._lost(self.why)
            await self._clock.sleep(pause_s)
            # a session that ended soon is no sound one: venues count how often somebody logs on
            pause_s = FIRST_PAUSE_S if self.now_s() - began_s > SOUND_S else min(pause_s * 2, LONGEST_PAUSE_S)

    async def _connection(self) -> None:
        """From the connection to its end; `why` says what ended it."""
        tls = ssl.create_default_context() if self.to.tls else None
        name = self.to.host if self.to.tls else None
        async with asyncio.timeout(CONNECT_S):
            reader, self._writer = await asyncio.open_connection(
                self.to.host, self.to.port, ssl=tls, server_hostname=name
            )
        session = self.session = self._open_session()
        self._gone.clear()
        number = session.begin(self.now_s())
        fields, sent_ns = await self._logon(session, number)
        self._writer.write(session.logon(fields, sent_ns))
        self._error, framer = None, Framer()
        self.why = "closed by the other side"
        while True:
            try:
                async with asyncio.timeout(max(session.due() - self.now_s(), 0.0)):
                    data = await reader.read(_CHUNK)
            except TimeoutError:
                steps = session.tick(self.now_s(), self.now_ns())
            else:
                if not data:
                    return
                steps = []
                for came in framer.feed(data):
                    steps += session.receive(came, self.now_s(), self.now_ns())
                await asyncio.sleep(0)  # a burst is no reason why nothing else should go on
            if self._do(steps):
                await self._writer.drain()
                return

    def _do(self, steps: Sequence[Step]) -> bool:
        """Whether it is over with the connection."""
        for step in steps:
            match step:
                case Send(frame):
                    if self._writer is not None:
                        self._writer.write(frame)
                case Deliver(message):
                    self._deliver(message)
                case Up():
                    self.connections += 1
                    self._was_up = True
                    self._ready.set()
                    self._news.set()
                    self._up()
                case Over(why):
                    self.why = why
                    return True
        return False
