"""More updates than can be taken in at once: what has working orders is whole, what is watched is dropped, counted, and fetched again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from agent.market.conflation import Priority
from agent.market.ladder import Doubt
from agent.transport.books import Books
from agent.transport.clock import SystemClock
from agent.transport.stream import Down, StreamEvent, Text, Up
from agent.venues import binance_usdm

FACTS = replace(binance_usdm.FEED, rules=replace(binance_usdm.FEED.rules, skew_ns=0))


class Burst:
    """A line that says all it has to say before anybody can take it in, and then nothing."""

    def __init__(self, frames: list[str], go: asyncio.Event) -> None:
        self.frames, self.go, self.dropped = frames, go, list[str]()

    async def say(self, text: str) -> None:
        pass

    async def drop(self, why: str) -> None:
        self.dropped.append(why)

    async def events(self) -> AsyncIterator[StreamEvent]:
        yield Up(1)
        await self.go.wait()
        for frame in self.frames:
            yield Text(frame)
        await asyncio.Event().wait()
        yield Down("")


def delta(symbol: str, number: int) -> str:
    return json.dumps({
        "e": "depthUpdate", "E": 1_700_000_000_000, "s": symbol, "U": number, "u": number, "pu": number - 1,
        "b": [["99", str(number)]], "a": [],
    })  # fmt: skip


async def test_what_is_watched_gives_way_and_comes_back_by_itself() -> None:
    last = {"WATCHED": 130, "WORKING": 104}
    frames = [delta("WATCHED", n) for n in range(101, 131)]
    frames[5:5] = [delta("WORKING", n) for n in range(101, 105)]
    asked: list[str] = []

    async def fetch(path: str) -> bytes:
        symbol = "WATCHED" if "WATCHED" in path else "WORKING"
        asked.append(symbol)
        seq = 100 if asked.count(symbol) == 1 else last[symbol]
        return json.dumps({"lastUpdateId": seq, "bids": [["99", str(seq)]], "asks": [["101", "1"]]}).encode()

    go = asyncio.Event()
    line: Any = Burst(frames, go)
    rank = {"WORKING": Priority.WORKING}
    books = Books(
        FACTS, ("WATCHED", "WORKING"), line, SystemClock(), fetch,
        rank=lambda symbol: rank.get(symbol, Priority.WATCHED), each=8,
    )  # fmt: skip
    running = asyncio.create_task(books.run())
    for symbol in last:
        await books.first(symbol, 2)
    go.set()
    async with asyncio.timeout(3):
        while any(ladder.seq != last[s] or ladder.doubt for s, ladder in books.ladders.items()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    told = books.told()
    assert told["dropped"]["WATCHED"] >= 9 and told["dropped"]["WORKING"] == 0 and told["most_waiting"] == 8
    assert asked.count("WORKING") == 1 and asked.count("WATCHED") >= 2, "the wrong one was fetched again"
    assert Doubt.BEHIND in books.ladders["WATCHED"].times and not books.ladders["WORKING"].times
    assert books.book("WORKING").bids == ((Decimal(99), Decimal(104)),) and line.dropped == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
