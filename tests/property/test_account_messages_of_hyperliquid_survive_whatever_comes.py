"""What Hyperliquid says of an account, cut, mixed and changed: a fill that the bytes tell, or an error that says what to do next."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import orjson
import pytest

from agent.domain.errors import Halt, Reconcile, Reject, Retry
from agent.ports import VenueInstrument
from agent.venues.hyperliquid import codec

D = Decimal
PAIR = codec.Market(
    VenueInstrument("PURR/USDC", "PURR", "USDC", D("0.001"), D("0.01"), D("0.01"), D(10), D(7), D(4)),
    "PURR/USDC",
    10_000,
)
FILL = '{"coin":"PURR/USDC","px":"20.1","sz":"1.5","side":"B","time":1800000000000,"oid":100,"tid":7000,"fee":"0.01","feeToken":"USDC","cloid":"0x666c0100000000000000000000000000"}'
ORDER = '{"coin":"PURR/USDC","side":"B","limitPx":"20.1","origSz":"2","sz":"0.5","oid":100,"timestamp":1800000000000,"cloid":null}'
ANSWER = '{"status":"ok","response":{"type":"order","data":{"statuses":[{"resting":{"oid":100}},{"error":"Insufficient spot balance"}]}}}'
OTHERS = ["null", "-1", '"-1"', "1e999", '"NaN"', '"Infinity"', "[]", "{}", '""', "true", '"1e9"', "9" * 400, '"A"', '"canceled"']  # fmt: skip


def changed(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(text)) if text else 0
        match chance.randrange(5):
            case 0:
                text = text[:at] + str(chance.randrange(10)) + text[at + chance.randrange(2) :]
            case 1:
                text = text[:at] + text[at + chance.randrange(1, 20) :]
            case 2:
                text = text[:at]
            case _:
                begin = text.rfind(":", 0, at + 1)
                end = next((i for i in range(begin + 1, len(text)) if text[i] in ",}]"), len(text))
                if begin >= 0:
                    text = text[: begin + 1] + chance.choice(OTHERS) + text[end:]
    return text


def attack(count: int, seed: int) -> tuple[int, int]:
    """(refused, read)."""
    chance, refused, read = random.Random(seed), 0, 0
    for number in range(count):
        reader = codec.Reader("hl", {"PURR/USDC": PAIR})
        source = (FILL, ORDER, ANSWER)[number % 3]
        text = changed(source, chance)
        try:
            data = codec.load(text.encode(), "a message", write=source is ANSWER)
            if source is FILL:
                found = reader.fill(data)
                if found is not None:
                    fill, told = found[2], json.loads(text, parse_float=D)
                    size, worth = D(told["sz"]), D(told["sz"]) * D(told["px"])
                    assert {fill.qty_in, fill.qty_out} == {size, worth}
                    assert fill.qty_in > 0 and fill.qty_out > 0 and fill.fee_qty >= 0
                    assert fill.qty_in.is_finite() and fill.qty_out.is_finite() and fill.fee_qty.is_finite()
            elif source is ORDER:
                order = reader.order(data, "open", 1_800_000_000_000)
                assert 0 <= order.cum_qty <= order.order_qty
            else:
                codec.statuses(data)
            read += 1
        except (Halt, Retry):
            assert source is not ANSWER, "an answer to a write that cannot be read is asked after"
            refused += 1
        except (Reconcile, Reject):
            assert source is ANSWER
            refused += 1
    return refused, read


def test_no_message_ends_otherwise_than_read_or_refused() -> None:
    refused, read = attack(6_000, 1)
    assert refused > 1_000 and read > 400


@pytest.mark.full
def test_two_hundred_thousand_messages_end_no_otherwise() -> None:
    refused, read = attack(200_000, 2)
    assert refused + read == 200_000


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(Retry):
        codec.load(b"[" * 100_000, "a message")
    assert orjson.loads(FILL)["tid"] == 7_000
