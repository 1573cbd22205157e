"""FIX streams cut, mixed and changed, with and without sums that fit: nothing but messages, faults and our errors come of them, no fill
that the frame does not tell, and nothing that grows. The same for log-ons that the signer is asked for.
"""

from __future__ import annotations

import random
from decimal import Decimal
from functools import cache

import pytest
from fix_peer import AT_NS, documented, logged_on, summed
from paper import KEY, new_venue

from agent.app.testvenue.fix_wire import report as paper_report
from agent.domain.errors import FairleadError
from agent.market.reading import number
from agent.ports import VenueInstrument
from agent.transport.fix.dictionary import BadMessage, Record
from agent.transport.fix.message import LONGEST, Framer, Garbled, Message, decode, encode
from agent.transport.fix.rules import Deliver, State
from agent.venues.binance_spot import codec, fix_codec
from agent.venues.binance_spot.fix_dictionary import DICTIONARY
from chains.errors import Denied
from keys.signer import fix_logon

D = Decimal
READER = codec.Reader("x", {"ETHUSDC": VenueInstrument("ETHUSDC", "ETH", "USDC", D("0.01"), D("0.0001"), D("0.0001"), D(5), D(10), D(10))})  # fmt: skip
HOSTILE = [
    "",
    "-1",
    "1e9",
    "NaN",
    "9" * 30,
    "Y",
    "N",
    "0",
    "99999",
    "é",
    "\x01",
    "=",
    "20240611-09:01:46",
    "1_0",
    " 1",
    "٣",
    "F",
    "8",
]


@cache
def seeds() -> tuple[bytes, ...]:
    """What the documentation shows, and what the paper exchange says of a life of orders there."""
    from agent.app.testvenue.matching import NewOrder, Outcome

    told: list[Outcome] = []
    venue = new_venue(now_ms=lambda: 1_718_096_506_228)
    venue.listener = told.append
    for name, px, tif in (("a", "3100", "IOC"), ("b", "2990", "GTC"), ("c", "3001", "GTC")):
        venue.place(NewOrder(KEY, "ETHUSDC", name, "BUY", "LIMIT", tif, D(px), D(2), None))
    for order in venue.engine.open_orders(KEY):
        venue.cancel(order)
    executions = [one for outcome in told for one in outcome.executions if one.order.account == KEY]
    frames = [
        encode(
            "8",
            [
                (49, "PEER"),
                (56, "OURS"),
                (34, "2"),
                (52, "20240611-09:01:46.228950"),
                *paper_report(one, n, ""),
            ],
        )
        for n, one in enumerate(executions, 1)
    ]
    return tuple([summed(frame) for frame in documented()] + frames * 4)


def mangled(chance: random.Random) -> bytes:
    """A frame whose fields are others; its length and sum fit as often as not."""
    fields = chance.choice(seeds()).split(b"\x01")[:-1]
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, kind = chance.randrange(len(fields)), chance.randrange(6)
        tag, _, value = fields[at].partition(b"=")
        if kind == 0:
            fields[at] = tag + b"=" + chance.choice(HOSTILE).encode()
        elif kind == 1:
            fields[at] = (
                str(chance.choice((11, 31, 32, 34, 54, 136, 150, 1003, 95, 0, 99_999))).encode()
                + b"="
                + value
            )
        elif kind == 2:
            fields.insert(at, fields[chance.randrange(len(fields))])
        elif kind == 3 and len(fields) > 4:
            del fields[at]
        elif kind == 4:
            other = chance.choice(seeds()).split(b"\x01")
            fields[at] = chance.choice(other) or b"8=FIX.4.4"
        else:
            cut = chance.randrange(len(fields[at]) + 1)
            fields[at] = fields[at][:cut] + bytes([chance.randrange(256)]) + fields[at][cut:]
    body = b"\x01".join(fields[2:-1]) + b"\x01"
    if chance.random() < 0.3:
        return b"\x01".join(fields) + b"\x01"
    head = b"8=FIX.4.4\x019=%d\x01" % len(body)
    return head + body + b"10=%03d\x01" % (sum(head + body) % 256)


def told_by(record: Record) -> set[Decimal]:
    found = set()
    for value in record.values.values():
        try:
            found.add(number(value))
        except ValueError:
            continue
    return found


def judged(record: Record) -> str:
    """What the venue makes of a report; a fill must be in the frame, to the last digit."""
    try:
        event = fix_codec.event(record)
    except (KeyError, ValueError):
        return "unread"
    try:
        report = READER.report(event)
    except FairleadError:
        return "refused"
    if report is not None and report.fill is not None:
        fill, numbers = report.fill, told_by(record)
        assert fill.qty_in > 0 and fill.qty_out > 0 and fill.fee_qty >= 0
        base = READER.base_qty(fill)
        quote = fill.qty_in if base == fill.qty_out else fill.qty_out
        assert base in numbers and number(record[31]) * number(record[32]) in (quote, base)
        return "fill"
    return "report"


def survive(seed: int, count: int) -> dict[str, int]:
    """How often each thing came of `count` mangled frames."""
    chance, seen = (
        random.Random(seed),
        dict.fromkeys(("garbled", "bad", "unread", "refused", "report", "fill", "other", "ended"), 0),
    )
    framer, session = Framer(), logged_on()
    for _ in range(count):
        if session.state is not State.UP:
            seen["ended"] += 1
            framer, session = Framer(), logged_on()
        data = mangled(chance)
        if chance.random() < 0.1:
            data = data[: chance.randrange(len(data))]
        for came in framer.feed(data):
            assert framer.waiting <= LONGEST + len(data)
            if isinstance(came, Garbled):
                seen["garbled"] += 1
            steps = session.receive(came, 1.0, AT_NS)
            assert all(
                step.message.whole(34) == session.numbers.next_in - 1
                for step in steps[-1:]
                if isinstance(step, Deliver)
            )
            if not isinstance(came, Message):
                continue
            try:
                record = DICTIONARY.read(came, strict=chance.random() < 0.5)
            except BadMessage as bad:
                assert bad.reason in range(17) and bad.text
                seen["bad"] += 1
                continue
            seen[judged(record) if record.kind == "8" else "other"] += 1
    return seen


@pytest.mark.parametrize("count", [3_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_whatever_comes_over_a_line_is_a_message_a_fault_or_an_error_of_ours(count: int) -> None:
    seen = survive(7, count)
    assert min(seen.values()) > 0, seen  # every outcome was met


@pytest.mark.parametrize("count", [2_000, pytest.param(300_000, marks=pytest.mark.full)])
def test_no_mangled_log_on_is_signed_but_a_listed_senders_now(count: int) -> None:
    chance, granted = random.Random(5), 0
    fields = {
        "MsgType": "A",
        "SenderCompID": "FL1",
        "TargetCompID": "SPOT",
        "MsgSeqNum": "1",
        "SendingTime": "20240627-11:17:25.223",
    }
    now_ms = 1_719_487_045_223
    for _ in range(count):
        asked = dict(fields)
        for _ in range(chance.choice((0, 1, 1, 2))):
            name = chance.choice(list(asked))
            value = chance.choice(
                (chance.choice(HOSTILE), asked[name] + chance.choice(HOSTILE), asked[name][:-1], "FL2", "D")
            )
            asked[name] = value
        text = "&".join(f"{n}={v}" for n, v in asked.items())
        try:
            signed = fix_logon.check("FIX", "LOGON", text, senders=("FL1",), now_ms=now_ms)
        except Denied:
            continue
        granted += 1
        assert signed == b"A\x01FL1\x01SPOT\x011\x01" + asked["SendingTime"].encode()
    assert granted > count // 10


def test_a_documented_report_is_the_report_it_documents() -> None:
    """Numbers through and through: every digit of it is where it belongs."""
    frame = next(one for one in documented() if b"\x0135=8\x01" in one)
    read = decode(summed(frame))
    assert isinstance(read, Message)
    event = fix_codec.event(DICTIONARY.read(read, strict=True))
    assert (event["x"], event["X"], event["q"], event["p"]) == ("NEW", "NEW", "5.00000000", "10.00000000")
    assert (event["c"], event["i"], event["T"]) == ("1718096506197867067", "76", 1_718_096_506_228)
