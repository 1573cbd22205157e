"""Every feed codec against frames that were cut, mixed and changed: Retry BAD_FRAME or an exact reading, no trade out of nothing, no growth."""

from __future__ import annotations

import importlib
import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
from mangled import changed, numbers

import agent.market.reading
from agent.domain.errors import Retry
from agent.market.feed import BookDelta, BookSnapshot, Funding, Ticker, Trade
from agent.market.ladder import EARLY, Ladder

SEEDS: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "feed_frames.json").read_text()
)


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
