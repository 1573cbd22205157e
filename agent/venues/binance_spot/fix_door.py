"""One FIX session at Binance: logged on by the signer, asked and heard. Order entry is one, drop copy another.

A question is written once. Its answer is a report, a refusal or a Reject that names the question's number; where the session ends before,
the question may have taken effect and is never written again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from agent.domain.errors import FairleadError, Reconcile, Usage
from agent.ports import Clock
from agent.transport.fix.dictionary import BadMessage, Record
from agent.transport.fix.line import Line, address
from agent.transport.fix.message import Message, Pair, stamp
from agent.transport.fix.numbers import Numbers
from agent.transport.fix.rules import Session
from agent.transport.http import CONNECT_S
from agent.transport.stream import Up
from agent.venues import Sign
from agent.venues.binance_spot import fix_codec as words
from agent.venues.binance_spot.fix_dictionary import DICTIONARY
from agent.venues.binance_spot.reports import Heard

TARGET, HEARTBEAT_S, HEARD = "SPOT", 5, 10_000


@dataclass(frozen=True, slots=True)
class Door:
    """Where a session is, and who logs on: `senders` are taken in turn, for one that was left without a log-out is barred for a while.
    `sign` asks the signer for the log-on's signature, which it gives only to senders in its own settings."""

    url: str
    senders: tuple[str, ...]
    api_key: str = field(repr=False)
    sign: Sign


@dataclass(slots=True, eq=False)
class _Question:
    """`takes` says of each record whether it belongs here, and whether it is the last that does."""

    takes: Callable[[Record], tuple[bool, bool]]
    answer: asyncio.Future[None]
    number: int = 0
    records: list[Record] = field(default_factory=list)


class FixDoor:
    """`now_ns`: the venue's time as far as it is known. Errors of `ask`: Retry where nothing was sent, Reconcile where it may have been."""

    def __init__(
        self, who: str, door: Door, clock: Clock, now_ns: Callable[[], int], *, drop_copy: bool = False
    ) -> None:
        self.who, self._door, self._drop_copy = who, door, drop_copy
        self._senders = itertools.cycle(door.senders)
        self._questions: list[_Question] = []
        self._listeners: list[asyncio.Queue[Heard | Up | FairleadError]] = []
        self._leave = ""
        self.unreadable = 0
        self.line = Line(
            who,
            address(door.url),
            clock,
            now_ns,
            self._session,
            self._log_on,
            self._deliver,
            self._came_up,
            self._lost,
            self._stopped,
        )

    @property
    def up(self) -> bool:
        """Whether a question could be written now."""
        return self.line.session is not None and self.line.session.ready

    def start(self) -> None:
        self.line.start()

    async def close(self) -> None:
        await self.line.close()

    async def ask(
        self,
        kind: str,
        fields: Sequence[Pair],
        takes: Callable[[Record], tuple[bool, bool]],
        seconds: float,
        once: Callable[[], None] = lambda: None,
    ) -> list[Record]:
        """What answered. `once` is called right before the question is written and may raise instead. A Reject of the question is its only record.

        Raises Usage FIX_ORDER, too, for what the venue's dictionary does not allow: nothing was sent.
        """
        try:
            DICTIONARY.read(Message(kind, (*_ANY_HEADER, *fields)), strict=True)
        except BadMessage as error:
            raise Usage(
                "FIX_ORDER", f"{self.who} would not take it: {error.text}", "send it by REST"
            ) from None
        await self.line.ready(CONNECT_S)
        question = _Question(takes, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        try:
            if self.up:
                once()
            question.number = self.line.say(kind, fields)
            async with asyncio.timeout(seconds):
                await question.answer
        except TimeoutError:
            # a line that may be half open is not waited for: the next question goes by a new one
            self.line.drop("no answer in time", wait=False)
            raise Reconcile(
                "VENUE_TIMEOUT",
                f"{self.who} did not answer within {seconds:g} s; the request may have taken effect",
                "ask by client order id",
            ) from None
        finally:
            self._questions.remove(question)
            if self._leave and not self._questions:
                self._go()
        return question.records

    async def events(self) -> AsyncIterator[Heard | Up]:
        """Every report from now on; Up where something may have been missed before. Ends only with the task that reads it, or with Halt
        FIX_STOPPED."""
        heard: asyncio.Queue[Heard | Up | FairleadError] = asyncio.Queue()
        self._listeners.append(heard)
        self.line.start()
        try:
            while True:
                told = await heard.get()
                if isinstance(told, FairleadError):
                    raise told
                yield told
        finally:
            self._listeners.remove(heard)

    async def drop(self, why: str) -> None:
        self.line.drop(why)

    # inside

    def _session(self) -> Session:
        return Session(next(self._senders), TARGET, HEARTBEAT_S, Numbers(), resets=True, resends=False)

    async def _log_on(self, session: Session, number: int) -> tuple[Sequence[Pair], int]:
        sent_ns = self.line.now_ns() // 1_000_000 * 1_000_000
        text = words.signed_text(session.sender, session.target, number, stamp(sent_ns))
        signature = await self._door.sign("FIX", "LOGON", text)
        return words.logon(self._door.api_key, signature, HEARTBEAT_S, drop_copy=self._drop_copy), sent_ns

    def _deliver(self, message: Message) -> None:
        try:
            record = DICTIONARY.read(message)
        except BadMessage as error:
            self.unreadable += 1
            self._tell(Up(self.line.connections))  # what it said is asked for by other means
            if message.kind == words.REPORT:
                self._fail("VENUE_DIALECT", f"an execution report cannot be read: {error.text}")
            return
        if record.kind == words.NEWS:
            self._leave = record[148][:100]
            if not self._questions:
                self._go()
            return
        for question in list(self._questions):
            self._put(question, record)
        if record.kind == words.REPORT:
            self._report(record)

    def _report(self, record: Record) -> None:
        """What cannot be told in the stream's words is found by an audit. A refusal changes no order: it may be of one whose name is
        taken by one that works."""
        try:
            event = words.event(record)
        except (KeyError, ValueError):
            self.unreadable += 1
            self._tell(Up(self.line.connections))
            return
        if event["x"] != "REJECTED":
            self._tell(Heard(event))

    def _put(self, question: _Question, record: Record) -> None:
        if question.answer.done():
            return  # what comes after its answer is news of the order, not of the question
        rejected = record.kind == words.SESSION_REJECT and record.get(words.REF_SEQ_NUM) == str(
            question.number
        )
        mine, last = (True, True) if rejected else question.takes(record)
        if mine:
            question.records.append(record)
        if last:
            question.answer.set_result(None)

    def _tell(self, heard: Heard | Up) -> None:
        for listener in self._listeners:
            if listener.qsize() < HEARD:
                listener.put_nowait(heard)
            elif isinstance(heard, Heard):  # nobody reads: what is dropped here an audit finds
                while not listener.empty():
                    listener.get_nowait()
                listener.put_nowait(Up(self.line.connections))

    def _stopped(self, error: FairleadError) -> bool:
        """Where nobody listens the next question tells."""
        for listener in self._listeners:
            listener.put_nowait(error)
        return bool(self._listeners)

    def _came_up(self) -> None:
        self._tell(Up(self.line.connections))

    def _lost(self, why: str) -> None:
        self._leave = ""
        self._fail("VENUE_DISCONNECTED", f"the session ended: {why}")

    def _fail(self, code: str, why: str) -> None:
        for question in self._questions:
            if not question.answer.done():
                question.answer.set_exception(
                    Reconcile(
                        code,
                        f"{self.who}: {why}; the request may have taken effect",
                        "ask by client order id",
                    )
                )

    def _go(self) -> None:
        """The venue said that it is about to close: a new session before it does."""
        why, self._leave = self._leave, ""
        self.line.drop(why)


_ANY_HEADER: tuple[Pair, ...] = ((49, "X"), (56, "X"), (34, "1"), (52, "20240611-09:01:46.228"))
"""Stands for the header the session writes, so that a body is checked before it has a number."""
