"""Given a venue that loses, repeats or garbles what it sends, falls silent or goes away, a book is right or refused, and comes back by itself.

Number 10 of the failures this must survive, at every way a venue has of numbering its books.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent.domain.errors import Retry, Usage
from agent.market.feeds import FeedFacts
from agent.market.ladder import Doubt
from agent.ports import VenueBook
from agent.transport.books import Books
from agent.transport.clock import SystemClock
from agent.transport.stream import Stream
from agent.venues import binance_usdm, coinbase, deribit

D = Decimal


@dataclass
class Venue:
    """A server that says what it is told to say: `script` runs for each connection; `depth` answers REST."""

    script: Callable[[Venue, int], Awaitable[None]]
    depths: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    said: list[str] = field(default_factory=list)
    url: str = ""
    _ws: web.WebSocketResponse | None = None

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.connections += 1
        self._ws = ws
        telling = asyncio.create_task(self.script(self, self.connections))
        try:
            async for message in ws:
                self.said.append(message.data)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        return ws

    async def depth(self, request: web.Request) -> web.Response:
        return web.json_response(self.depths.pop(0) if len(self.depths) > 1 else self.depths[0])

    async def tell(self, frame: Any) -> None:
        assert self._ws is not None
        await self._ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))


@asynccontextmanager
async def following(
    venue: Venue, facts: FeedFacts, *symbols: str, quiet_s: float | None = None
) -> AsyncIterator[Books]:
    app = web.Application()
    app.router.add_get("/ws", venue.socket)
    app.router.add_get("/fapi/v1/depth", venue.depth)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as client:

        async def fetch(path: str) -> bytes:
            async with client.get(venue.url + path) as answer:
                return await answer.read()

        clock = SystemClock()
        stream = Stream(lambda: client, venue.url + "/ws", clock, quiet_s=quiet_s)
        facts = replace(facts, rules=replace(facts.rules, skew_ns=0))
        books = Books(facts, symbols, stream, clock, fetch)
        running = asyncio.create_task(books.run())
        try:
            yield books
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    await runner.cleanup()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def sound(books: Books, symbol: str) -> VenueBook | None:
    try:
        return books.book(symbol)
    except Retry as error:
        assert error.code == "STALE_BOOK"
        return None


def deribit_book(change: int, bids: list[Any], asks: list[Any], prev: int | None = None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "type": "snapshot" if prev is None else "change",
        "timestamp": 1_700_000_000_000,
        "instrument_name": "BTC-PERPETUAL",
        "change_id": change,
        "bids": bids,
        "asks": asks,
    }
    if prev is not None:
        data["prev_change_id"] = prev
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "book.X.100ms", "data": data}}


async def test_a_gap_takes_the_line_up_again_and_no_level_of_before_survives() -> None:
    async def script(venue: Venue, connection: int) -> None:
        if connection == 1:
            await venue.tell(deribit_book(10, [["new", 100.0, 10]], [["new", 101.0, 10]]))
            await venue.tell(deribit_book(11, [["new", 99.0, 7]], [], prev=10))
            await goes_on.wait()
            await venue.tell(deribit_book(14, [["new", 98.0, 7]], [], prev=13))
        else:
            await again.wait()
            await venue.tell(deribit_book(20, [["new", 97.5, 1]], [["new", 98.5, 2]]))

    goes_on, again = asyncio.Event(), asyncio.Event()
    async with following(Venue(script), deribit.FEED, "BTC-PERPETUAL") as books:
        await until(lambda: sound(books, "BTC-PERPETUAL") is not None)
        await until(lambda: len(books.book("BTC-PERPETUAL").bids) == 2)
        goes_on.set()
        await until(lambda: books.ladders["BTC-PERPETUAL"].doubt is not None)
        with pytest.raises(Retry, match="stale"):
            books.book("BTC-PERPETUAL")
        again.set()
        await until(lambda: sound(books, "BTC-PERPETUAL") is not None)
        assert books.book("BTC-PERPETUAL").bids == ((D("97.5"), D(1)),)
        assert books.gaps == 1
        with pytest.raises(Usage, match="not followed"):
            books.book("ETH-PERPETUAL")


async def test_it_subscribes_on_each_connection_and_answers_what_it_is_asked() -> None:
    async def script(venue: Venue, connection: int) -> None:
        await venue.tell({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})
        await venue.tell(deribit_book(10, [["new", 100.0, 10]], [["new", 101.0, 10]]))

    venue = Venue(script)
    async with following(venue, deribit.FEED, "BTC-PERPETUAL") as books:
        await until(lambda: sound(books, "BTC-PERPETUAL") is not None)
        await until(lambda: len(venue.said) == 3)
    said = [json.loads(text) for text in venue.said]
    assert {one["method"] for one in said} == {"public/set_heartbeat", "public/subscribe", "public/test"}
    (subscribed,) = [one for one in said if one["method"] == "public/subscribe"]
    assert "book.BTC-PERPETUAL.100ms" in subscribed["params"]["channels"]


def usdm(prev: int, first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    return {
        "e": "depthUpdate", "E": 1_700_000_000_000, "s": "BTCUSDT", "U": first, "u": last, "pu": prev, "b": bids, "a": asks,
    }  # fmt: skip


async def test_a_gap_at_binance_fetches_a_snapshot_and_keeps_what_was_heard_since() -> None:
    async def script(venue: Venue, connection: int) -> None:
        await venue.tell(usdm(98, 99, 101, [["99", "2"]], []))
        await venue.tell(usdm(101, 102, 105, [], [["102", "3"]]))
        await goes_on.wait()
        await venue.tell(usdm(110, 111, 112, [["98", "5"]], []))  # 106…110 never came

    goes_on = asyncio.Event()
    first = {"lastUpdateId": 100, "bids": [["99", "1"], ["50", "1"]], "asks": [["101", "1"]]}
    older = {"lastUpdateId": 106, "bids": [["99", "9"]], "asks": [["101", "9"]]}  # too old for what was heard
    newer = {"lastUpdateId": 111, "bids": [["99", "4"]], "asks": [["101", "4"]]}
    venue = Venue(script, [first, older, newer])
    async with following(venue, binance_usdm.FEED, "BTCUSDT") as books:
        await until(lambda: sound(books, "BTCUSDT") is not None and len(books.book("BTCUSDT").asks) == 2)
        assert books.book("BTCUSDT").bids == ((D(99), D(2)), (D(50), D(1)))
        goes_on.set()
        await until(lambda: sound(books, "BTCUSDT") is not None and len(books.book("BTCUSDT").asks) == 1)
        assert books.book("BTCUSDT").bids == ((D(99), D(4)), (D(98), D(5)))
        assert venue.connections == 1 and books.gaps == 1
        assert books.told()["gaps"] == 1 and len(books.waiting) == 0


async def test_a_hole_in_a_connections_own_count_puts_every_book_of_it_in_doubt() -> None:
    def level2(number: int, product: str, kind: str, side: str, px: str) -> dict[str, Any]:
        updates = [{"side": side, "price_level": px, "new_quantity": "1"}]
        event = {"type": kind, "product_id": product, "updates": updates}
        return {
            "channel": "l2_data",
            "timestamp": "2026-04-07T14:30:00Z",
            "sequence_num": number,
            "events": [event],
        }

    async def script(venue: Venue, connection: int) -> None:
        await venue.tell(level2(0, "A-USD", "snapshot", "bid", "10"))
        await venue.tell(level2(1, "B-USD", "snapshot", "offer", "20"))
        if connection == 1:
            await goes_on.wait()
            await venue.tell(level2(3, "A-USD", "update", "bid", "11"))  # whose the lost one was nobody knows

    goes_on = asyncio.Event()
    venue = Venue(script)
    async with following(venue, coinbase.FEED, "A-USD", "B-USD") as books:
        await until(lambda: not any(books.doubts().values()))
        goes_on.set()
        await until(lambda: all(books.doubts().values()))
        await until(lambda: not any(books.doubts().values()))
        assert venue.connections == 2 and books.book("A-USD").bids == ((D(10), D(1)),)


async def test_a_crossed_book_a_garbled_frame_and_silence_are_doubts_too() -> None:
    async def script(venue: Venue, connection: int) -> None:
        await venue.tell(deribit_book(10, [["new", 100.0, 10]], [["new", 101.0, 10]]))
        if connection == 1:
            await venue.tell(deribit_book(11, [["new", 102.0, 1]], [], prev=10))
        elif connection == 2:
            await venue.tell('{"jsonrpc":"2.0","method":"subscr')
        # the third says nothing more

    venue = Venue(script)
    async with following(venue, deribit.FEED, "BTC-PERPETUAL", quiet_s=0.3) as books:
        ladder = books.ladders["BTC-PERPETUAL"]
        await until(lambda: venue.connections >= 3 and Doubt.SILENT in ladder.times)
        assert set(ladder.times) == {Doubt.CROSSED, Doubt.FRAME, Doubt.SILENT} and books.bad_frames == 1


async def test_a_symbol_that_was_silent_for_too_long_is_stale_and_heals_when_the_line_speaks() -> None:
    async def script(venue: Venue, connection: int) -> None:
        await goes_on.wait()
        await venue.tell(usdm(100, 101, 102, [["98", "5"]], []))

    goes_on = asyncio.Event()
    first = {"lastUpdateId": 100, "bids": [["99", "1"]], "asks": [["101", "1"]]}
    later = {"lastUpdateId": 102, "bids": [["97", "1"]], "asks": [["101", "1"]]}
    quick = replace(binance_usdm.FEED, rules=replace(binance_usdm.FEED.rules, quiet_ns=200_000_000))
    async with following(Venue(script, [first, later]), quick, "BTCUSDT") as books:
        await until(lambda: sound(books, "BTCUSDT") is not None)
        await until(lambda: sound(books, "BTCUSDT") is None)
        assert books.ladders["BTCUSDT"].doubt is Doubt.SILENT
        goes_on.set()
        await until(lambda: sound(books, "BTCUSDT") is not None)
        assert books.book("BTCUSDT").bids == ((D(97), D(1)),)
