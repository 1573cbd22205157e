"""A FIX 4.4 session from the side that logs on, without I/O and without a clock: what comes in, what has to happen then.

    what came           number as expected     too high                        too low
    application         delivered              kept; asked for what is         PossDup: known, dropped; else the
    session's own       obeyed                 missing, delivered in order     session is ended: one of us is wrong

Where a venue takes no resend requests (`resends` false), a gap or a garbled frame ends the session: the next one begins at 1 and what
was missed is asked for by other means. Asked to send again, it never sends a message of ours a second time: the numbers are filled with
a SequenceReset. An order that was lost on the way was not answered, and is asked for by its name like any whose answer was lost.

Where numbers go on over log-ons, a log-on is followed by a TestRequest, and nothing else is said before its answer: an order that comes
while the other side still asks for numbers before it would be put by and passed over.

Source: FIX 4.4 with errata, volume 2, "Session protocol". Times are seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from agent.transport.fix.message import Garbled, Message, Pair, encode, stamp
from agent.transport.fix.numbers import Numbers

HEARTBEAT, TEST_REQUEST, RESEND_REQUEST, REJECT, SEQUENCE_RESET, LOGOUT, LOGON = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "A",
)
(BEGIN_SEQ_NO, END_SEQ_NO, NEW_SEQ_NO, MSG_SEQ_NUM, POSS_DUP, SENDER, SENDING_TIME, TARGET, TEXT, POSS_RESEND, HEART_BT_INT, TEST_REQ_ID,
 ORIG_SENDING_TIME, GAP_FILL, RESET_SEQ_NUM, REF_SEQ_NUM) = (7, 16, 36, 34, 43, 49, 52, 56, 58, 97, 108, 112, 122, 123, 141, 45)  # fmt: skip
LOGON_S = 10.0
LATE = 1.2
"""How much longer than its interval the other side may be silent before it is asked: its own heartbeat needs time to arrive."""
MOST_AHEAD, MOST_ASKED = 10_000, 3


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes, now and in this order."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message for whoever uses the session: each number once, in order."""

    message: Message


@dataclass(frozen=True, slots=True)
class Up:
    """The other side took the log-on and has all of our numbers: orders may be said."""


@dataclass(frozen=True, slots=True)
class Over:
    """The connection is to be closed. `refused`: the other side would not have the log-on."""

    why: str
    refused: bool = False


Step = Send | Deliver | Up | Over


class State(Enum):
    DOWN = "down"
    LOGGING_ON = "logging on"
    UP = "up"
    LOGGING_OUT = "logging out"


class Session:
    """`numbers` outlive a connection; a session object lives for many: `begin` each. `heartbeat_s` as the venue allows it."""

    def __init__(
        self, sender: str, target: str, heartbeat_s: float, numbers: Numbers, *, resets: bool, resends: bool
    ) -> None:
        """`resets`: both sides begin at 1 with every log-on."""
        self.sender, self.target, self.heartbeat_s, self.numbers = sender, target, heartbeat_s, numbers
        self.resets, self.resends = resets, resends
        self.state = State.DOWN
        self.garbled = self.duplicates = self.gaps = 0
        self._ahead: dict[int, Message] = {}
        self._asked_s: float | None = None
        self._asked = 0
        self._tested_s: float | None = None
        self._awaited, self._awaited_s = "", 0.0
        self._sent_s = self._heard_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether an order may be said."""
        return self.state is State.UP and not self._awaited

    # what we say

    def begin(self, now_s: float) -> int:
        """A new connection is there. The number its log-on will have."""
        if self.resets:
            self.numbers.set(1, 1)
        self.state = State.LOGGING_ON
        self._ahead.clear()
        self._asked_s, self._asked, self._tested_s, self._awaited = None, 0, None, ""
        self._sent_s = self._heard_s = now_s
        return self.numbers.next_out

    def logon(self, fields: Sequence[Pair], sent_ns: int) -> bytes:
        """`fields`: what this venue wants in its log-on, with HeartBtInt. `sent_ns` is the SendingTime that a signature may cover."""
        return self._compose(LOGON, fields, sent_ns)

    def say(self, kind: str, fields: Sequence[Pair], now_s: float, now_ns: int) -> tuple[int, bytes]:
        """(number, frame) of a message that is sent now. The number is kept before the frame exists: no other message gets it."""
        number = self.numbers.next_out
        frame = self._compose(kind, fields, now_ns)
        self._sent_s = now_s
        return number, frame

    def leave(self, now_s: float, now_ns: int, why: str = "") -> list[Step]:
        """Logs out; the other side's own Logout ends it, or time does."""
        if self.state is not State.UP:
            self.state = State.DOWN
            return [Over(why or "not logged on")]
        self.state = State.LOGGING_OUT
        return [self._send(LOGOUT, [(TEXT, why)] if why else [], now_s, now_ns)]

    # what comes

    def receive(self, came: Message | Garbled, now_s: float, now_ns: int) -> list[Step]:
        if self.state is State.DOWN:
            return []
        self._heard_s, self._tested_s = now_s, None
        if isinstance(came, Garbled):
            self.garbled += 1
            return [] if self.resends else self._end(f"a garbled message: {came.why}", now_s, now_ns)
        try:
            number = came.whole(MSG_SEQ_NUM)
        except ValueError as error:
            return self._end(f"MsgSeqNum missing: {error}", now_s, now_ns)
        if self.state is State.LOGGING_ON and came.kind != LOGON:
            self.state = State.DOWN
            said = came.get(TEXT) or f"message {came.kind}"
            return [Over(f"the log-on was refused: {said[:200]}", refused=True)]
        if (came.get(SENDER), came.get(TARGET)) != (self.target, self.sender):
            return self._end(f"it is from {came.get(SENDER)[:20]} to {came.get(TARGET)[:20]}", now_s, now_ns)
        if self.state is State.LOGGING_ON:
            return self._answered(came, number, now_s, now_ns)
        if came.kind == SEQUENCE_RESET and not came.says(GAP_FILL):
            return self._reset(came, now_s, now_ns)
        if number < self.numbers.next_in:
            return self._known(came, number, now_s, now_ns)
        if number > self.numbers.next_in:
            return self._too_high(came, number, now_s, now_ns)
        return self._next(came, now_s, now_ns)

    def tick(self, now_s: float, now_ns: int) -> list[Step]:
        """What time alone brings about. To be called at `due` or soon after."""
        if self.state is State.DOWN:
            return []
        if self.state is not State.UP:
            if now_s - max(self._sent_s, self._heard_s) < LOGON_S:
                return []
            logging_on, self.state = self.state is State.LOGGING_ON, State.DOWN
            return [Over("no answer to the log-on" if logging_on else "no answer to the log-out")]
        steps: list[Step] = []
        if self._tested_s is not None and now_s - self._tested_s >= self.heartbeat_s:
            self.state = State.DOWN
            return [Over(f"half open: nothing heard for {now_s - self._heard_s:.1f} s, not even when asked")]
        if self._tested_s is None and now_s - self._heard_s >= self.heartbeat_s * LATE:
            self._tested_s = now_s
            steps.append(self._send(TEST_REQUEST, [(TEST_REQ_ID, f"t{now_ns}")], now_s, now_ns))
        if self._asked_s is not None and now_s - self._asked_s >= self.heartbeat_s:
            if self._asked >= MOST_ASKED:
                return [
                    *steps,
                    *self._end(f"asked {MOST_ASKED} times for {self.numbers.next_in}", now_s, now_ns),
                ]
            steps.append(self._ask(now_s, now_ns))
        if self._awaited and now_s - self._awaited_s >= self.heartbeat_s:
            steps.append(self._agree(now_s, now_ns))
        if now_s - self._sent_s >= self.heartbeat_s:
            steps.append(self._send(HEARTBEAT, [], now_s, now_ns))
        return steps

    def due(self) -> float:
        """When `tick` may have something to do; infinite where nothing is open."""
        if self.state is State.DOWN:
            return float("inf")
        if self.state is not State.UP:
            return max(self._sent_s, self._heard_s) + LOGON_S
        heard = self._heard_s + self.heartbeat_s * LATE
        listening = heard if self._tested_s is None else self._tested_s + self.heartbeat_s
        asked = float("inf") if self._asked_s is None else self._asked_s + self.heartbeat_s
        agreed = self._awaited_s + self.heartbeat_s if self._awaited else float("inf")
        return min(self._sent_s + self.heartbeat_s, listening, asked, agreed)

    def lost(self) -> None:
        """The connection broke."""
        self.state = State.DOWN

    # inside

    def _answered(self, came: Message, number: int, now_s: float, now_ns: int) -> list[Step]:
        """The other side's log-on."""
        if came.get(HEART_BT_INT).isdigit() and came.whole(HEART_BT_INT):
            self.heartbeat_s = float(came.whole(HEART_BT_INT))
        if came.says(RESET_SEQ_NUM) or self.resets:
            self.numbers.set(self.numbers.next_out, 1)
        self.state = State.UP
        if number < self.numbers.next_in and not came.says(POSS_DUP):
            return self._too_low(number, now_s, now_ns)
        steps: list[Step] = [Up()] if self.resets else [self._agree(now_s, now_ns)]
        if number > self.numbers.next_in:
            return steps + self._too_high(came, number, now_s, now_ns)
        self._count(number + 1)
        return steps

    def _reset(self, came: Message, now_s: float, now_ns: int) -> list[Step]:
        """The numbers go on from there, whatever number this itself has; never back."""
        try:
            new = came.whole(NEW_SEQ_NO)
        except ValueError as error:
            return self._end(f"a SequenceReset: {error}", now_s, now_ns)
        if new < self.numbers.next_in:
            return self._end(f"a SequenceReset back from {self.numbers.next_in} to {new}", now_s, now_ns)
        self._count(new)
        return self._caught_up(now_s, now_ns)

    def _known(self, came: Message, number: int, now_s: float, now_ns: int) -> list[Step]:
        if came.says(POSS_DUP):
            self.duplicates += 1
            return []
        return self._too_low(number, now_s, now_ns)

    def _too_low(self, number: int, now_s: float, now_ns: int) -> list[Step]:
        return self._end(
            f"MsgSeqNum too low, expecting {self.numbers.next_in} but received {number}", now_s, now_ns
        )

    def _too_high(self, came: Message, number: int, now_s: float, now_ns: int) -> list[Step]:
        self.gaps += 1
        if not self.resends:
            return self._end(f"a gap: expecting {self.numbers.next_in} but received {number}", now_s, now_ns)
        steps: list[Step] = []
        if came.kind == RESEND_REQUEST:  # answered out of order, or both sides would wait for one another
            steps += self._fill(came, now_s, now_ns)
        if number not in self._ahead and len(self._ahead) >= MOST_AHEAD:
            return self._end(f"{MOST_AHEAD} messages after a gap", now_s, now_ns)
        self._ahead[number] = came
        if self._asked_s is None:
            steps.append(self._ask(now_s, now_ns))
        return steps

    def _next(self, came: Message, now_s: float, now_ns: int) -> list[Step]:
        steps = self._obey(came, now_s, now_ns)
        if self.state is State.DOWN:
            return steps
        return steps + self._caught_up(now_s, now_ns)

    def _caught_up(self, now_s: float, now_ns: int) -> list[Step]:
        """What was kept ahead of a gap that is filled now."""
        steps: list[Step] = []
        while (
            self.state is not State.DOWN and (came := self._ahead.pop(self.numbers.next_in, None)) is not None
        ):
            steps += self._obey(came, now_s, now_ns, kept=True)
        self._ahead = {n: m for n, m in self._ahead.items() if n > self.numbers.next_in}
        if not self._ahead:
            self._asked_s, self._asked = None, 0
        return steps

    def _obey(self, came: Message, now_s: float, now_ns: int, kept: bool = False) -> list[Step]:
        """The message whose turn it is; its number is used up."""
        expected = self.numbers.next_in
        if came.kind == SEQUENCE_RESET:
            try:
                new = came.whole(NEW_SEQ_NO)
            except ValueError as error:
                return self._end(f"a gap fill: {error}", now_s, now_ns)
            if new <= expected:
                return self._end(f"a gap fill from {expected} to {new}", now_s, now_ns)
            self._count(new)
            return []
        self._count(expected + 1)
        match came.kind:
            case "0":
                if not self._awaited or came.get(TEST_REQ_ID) != self._awaited:
                    return []
                self._awaited = ""
                return [Up()]
            case "1":
                answer = came.get(TEST_REQ_ID)
                if not all(" " <= c <= "~" for c in answer):
                    return self._end("a TestReqID that cannot be said back", now_s, now_ns)
                return [self._send(HEARTBEAT, [(TEST_REQ_ID, answer)] if answer else [], now_s, now_ns)]
            case "2":
                return [] if kept else self._fill(came, now_s, now_ns)
            case "5":
                mine = self.state is State.LOGGING_OUT
                steps: list[Step] = [] if mine else [self._send(LOGOUT, [], now_s, now_ns)]
                self.state = State.DOWN
                return [*steps, Over(f"logged out: {came.get(TEXT)[:200]}")]
            case "A":
                return [] if kept else self._end("a second log-on", now_s, now_ns)
        return [Deliver(came)]

    def _fill(self, came: Message, now_s: float, now_ns: int) -> list[Step]:
        """An answer to a ResendRequest that sends nothing of ours again."""
        try:
            first = came.whole(BEGIN_SEQ_NO)
        except ValueError as error:
            return self._end(f"a ResendRequest: {error}", now_s, now_ns)
        if not 0 < first < self.numbers.next_out:
            return []
        at = stamp(now_ns)
        fields = [(MSG_SEQ_NUM, str(first)), (POSS_DUP, "Y"), (SENDING_TIME, at), (ORIG_SENDING_TIME, at),
                  (GAP_FILL, "Y"), (NEW_SEQ_NO, str(self.numbers.next_out))]  # fmt: skip
        self._sent_s = now_s
        filled = Send(encode(SEQUENCE_RESET, [(SENDER, self.sender), (TARGET, self.target), *fields]))
        # the test request was among what is filled now
        return [filled, self._agree(now_s, now_ns)] if self._awaited else [filled]

    def _agree(self, now_s: float, now_ns: int) -> Send:
        """Asks for an answer that comes only when nothing of ours is missing there."""
        self._awaited, self._awaited_s = f"n{self.numbers.next_out}-{now_ns}", now_s
        return self._send(TEST_REQUEST, [(TEST_REQ_ID, self._awaited)], now_s, now_ns)

    def _ask(self, now_s: float, now_ns: int) -> Send:
        self._asked_s, self._asked = now_s, self._asked + 1
        fields = [(BEGIN_SEQ_NO, str(self.numbers.next_in)), (END_SEQ_NO, "0")]
        return self._send(RESEND_REQUEST, fields, now_s, now_ns)

    def _end(self, why: str, now_s: float, now_ns: int) -> list[Step]:
        """Says why, and that it is over."""
        logged_on, self.state = self.state is not State.LOGGING_ON, State.DOWN
        text = "".join(c if " " <= c <= "~" else "?" for c in why)[:200]
        return [*([self._send(LOGOUT, [(TEXT, text)], now_s, now_ns)] if logged_on else []), Over(why)]

    def _count(self, next_in: int) -> None:
        self.numbers.set(self.numbers.next_out, next_in)

    def _send(self, kind: str, fields: Sequence[Pair], now_s: float, now_ns: int) -> Send:
        return Send(self.say(kind, fields, now_s, now_ns)[1])

    def _compose(self, kind: str, fields: Sequence[Pair], now_ns: int) -> bytes:
        number = self.numbers.next_out
        header = [(SENDER, self.sender), (TARGET, self.target), (MSG_SEQ_NUM, str(number)), (SENDING_TIME, stamp(now_ns))]  # fmt: skip
        frame = encode(kind, [*header, *fields])
        self.numbers.set(number + 1, self.numbers.next_in)
        return frame
