"""The other side of a FIX session in a test, which says what it is told to; and the messages Binance's documentation shows."""

from __future__ import annotations

import re

from recordings import recording, unpacked

from agent.transport.fix.message import Message, Pair, decode, encode
from agent.transport.fix.numbers import Numbers
from agent.transport.fix.rules import Deliver, Over, Send, Session, Step, Up

AT_NS = 1_718_096_506_228_000_000


def documented() -> list[bytes]:
    """The sample messages of the documentation, SOH for |, in their own words."""
    text = unpacked(recording("fix", "fix-api.md.zst")).decode()
    return [
        one.replace("|", "\x01").encode() for one in re.findall(r"8=FIX\.4\.4\|[^\n`]*?\|10=\d{3}\|", text)
    ]


def summed(frame: bytes) -> bytes:
    """The same with the checksum it should have."""
    body = frame[: frame.rindex(b"10=")]
    return body + b"10=%03d\x01" % (sum(body) % 256)


def message(kind: str, number: int, *fields: Pair, stamp: str = "20240611-09:01:46.228") -> Message:
    """As the other side of OURS would say it."""
    found = decode(encode(kind, [(49, "PEER"), (56, "OURS"), (34, str(number)), (52, stamp), *fields]))
    assert isinstance(found, Message)
    return found


def session(*, resets: bool = False, resends: bool = True, numbers: Numbers | None = None) -> Session:
    return Session("OURS", "PEER", 30.0, numbers or Numbers(), resets=resets, resends=resends)


def logged_on(*, resets: bool = False, resends: bool = True, numbers: Numbers | None = None) -> Session:
    """At second 0, agreed on the numbers; what was said for that is not counted, so that a test's own begin at 2."""
    made = session(resets=resets, resends=resends, numbers=numbers)
    made.begin(0.0)
    made.logon([(98, "0"), (108, "30")], AT_NS)
    steps = made.receive(message("A", made.numbers.next_in, (98, "0"), (108, "30")), 0.0, AT_NS)
    for test in sent(steps):
        steps = made.receive(message("0", made.numbers.next_in, (112, test.get(112))), 0.0, AT_NS)
    assert steps == [Up()] and made.ready
    made.numbers.set(2, 2)
    return made


def sent(steps: list[Step]) -> list[Message]:
    found = [decode(step.frame) for step in steps if isinstance(step, Send)]
    assert all(isinstance(one, Message) for one in found)
    return found  # type: ignore[return-value]


def delivered(steps: list[Step]) -> list[int]:
    return [step.message.whole(34) for step in steps if isinstance(step, Deliver)]


def over(steps: list[Step]) -> str:
    return next((step.why for step in steps if isinstance(step, Over)), "")
