"""Every feed codec against frames that were cut, mixed and changed: Retry BAD_FRAME or an exact reading, no trade out of nothing, no growth."""

from __future__ import annotations

import importlib
import json
import random
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

import agent.market.reading
from agent.domain.errors import Retry
from agent.market.feed import BookDelta, BookSnapshot, Funding, Ticker, Trade
from agent.market.ladder import EARLY, Ladder

SEEDS: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "feed_frames.json").read_text()
)
HOSTILE = ["null", "-1", "1e9", "1E-99", "1e999", "NaN", "Infinity", '"NaN"', '"-0"', "9" * 5_000, "[]", "{}", '""', "true", "[" * 2_000]  # fmt: skip
HOSTILE += ['"1_0"', '" 1"', '"١"', '"0x1"', '"1e400"', '"' + "9" * 60 + '"', "0.1e+99", "-0.0"]


def changed(text: str, chance: random.Random, others: list[str]) -> str:
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(text)) if text else 0
        kind = chance.choice((0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 6))
        if kind == 0:
            text = text[:at] + chr(chance.choice((0, 34, 44, 46, 48, 57, 45, 91, 123, 125, 255, 0xD800 - 1))) + text[at + 1 :]  # fmt: skip
        elif kind == 1:
            text = text[:at] + text[at + chance.randrange(1, 40) :]
        elif kind == 2:
            text = text[:at] + text[at : at + 30] * chance.choice((2, 3)) + text[at:]
        elif kind == 3:
            text = text[:at]
        elif kind == 4:
            other = chance.choice(others)
            text = text[:at] + other[chance.randrange(len(other)) :]
        elif kind == 5:
            text = _swapped(text, at, chance.choice(HOSTILE))
        else:
            text = text[:at] + str(chance.randrange(10)) + text[at:]
    return text


def _swapped(text: str, at: int, value: str) -> str:
    """The value after the next colon or comma is another."""
    begin = max(text.find(":", at), text.find(",", at))
    if begin < 0:
        return text
    end = next((i for i in range(begin + 1, len(text)) if text[i] in ",}]"), len(text))
    return text[: begin + 1] + value + text[end:]


def numbers(value: Any, found: set[Decimal]) -> set[Decimal]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            numbers(one, found)
    elif isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        try:
            found.add(Decimal(value))
        except (InvalidOperation, ValueError):
            pass
    return found


def attack(name: str, count: int, seed: int) -> tuple[int, int]:
    """(refused, read)."""
    facts, chance = importlib.import_module(f"agent.venues.{name}").FEED, random.Random(f"{name} {seed}")
    seeds = SEEDS[name]
    ladder, refused, read = Ladder("BTC", facts.rules), 0, 0
    for number in range(count):
        text = changed(chance.choice(seeds), chance, seeds)
        try:
            events = facts.decode(text if number % 2 else text.encode("utf-8", "surrogatepass"))
        except Retry as error:
            assert error.code == "BAD_FRAME" and len(str(error)) < 600
            refused += 1
            continue
        read += 1
        known: set[Decimal] | None = None
        for event in events:
            if isinstance(event, Trade):
                if known is None:
                    known = numbers(json.loads(text, parse_float=Decimal), set())
                assert event.qty > 0 and {event.px, event.qty} <= known, (
                    "a trade that the frame does not tell"
                )
            if isinstance(event, Ticker | Funding):
                for field in ("bid", "ask", "last", "mark", "rate"):
                    value = getattr(event, field, None)
                    assert value is None or (isinstance(value, Decimal) and value.is_finite())
            if isinstance(event, BookSnapshot):
                ladder.load(event, number)
            if isinstance(event, BookDelta):
                ladder.apply(event, number)
    assert len(agent.market.reading._numbers) <= agent.market.reading._numbers.KEPT
    assert len(ladder._early) <= EARLY
    return refused, read


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_no_frame_ends_otherwise_than_read_or_refused(name: str) -> None:
    refused, read = attack(name, 10_000, 1)
    assert refused > 2_000 and read > 1_000


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", sorted(SEEDS))
def test_a_million_frames_end_no_otherwise(name: str) -> None:
    refused, read = attack(name, 1_000_000 // len(SEEDS) + 1, 2)
    assert refused + read > 1_000_000 // len(SEEDS)
