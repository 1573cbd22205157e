"""Given an exchange of the family whose library has a socket for books, its book comes by it, exactly, and by REST whenever it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from ccxt_rig import at_paper
from paper import Door, paper
from wire import Wire, wired

from agent.venues.ccxt import Ccxt

D = Decimal
PX = D("2990.07")


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def depths(wire: Wire) -> int:
    return sum(path.endswith("/depth") for _, path in wire.asked)


async def moved(door: Door, venue: Ccxt, qty: str) -> None:
    """Somebody stands there with that, and the socket has told it."""
    before = venue.streamed.heard.get("ETHUSDC", 0)
    await door.level("BUY", str(PX), qty)
    await until(lambda: venue.streamed.heard.get("ETHUSDC", 0) > before)


async def test_it_follows_the_exchange_and_outlives_the_line() -> None:
    async with paper() as door:
        venue = at_paper(door.url)
        await venue.start()
        async with wired(venue) as wire:
            first = await venue.book("ETHUSDC")
            assert depths(wire) >= 1 and first.bids[0][0] < first.asks[0][0]
            await asyncio.sleep(0.2)
            await moved(door, venue, "1.2345")
            asked = depths(wire)
            for qty in ("7.0001", "3.5", "0"):
                await moved(door, venue, qty)
                told = await venue.book("ETHUSDC")
                assert dict(told.bids).get(PX, D(0)) == D(qty)
            assert depths(wire) == asked, "none of it was asked for"
            theirs = [(D(px), D(size)) for px, size in await door.bids()]
            assert list(told.bids) == theirs[: len(told.bids)]

            await door.disconnect()
            await until(lambda: venue.streamed.book("ETHUSDC", 0) is None)
            await door.level("BUY", str(PX), "9")
            await asyncio.sleep(0.31)  # what REST told before is too old by then
            assert dict((await venue.book("ETHUSDC")).bids)[PX] == 9 and depths(wire) > asked
            await until(lambda: bool(venue.library.raw.orderbooks))
            await moved(door, venue, "4.25")
            assert dict((await venue.book("ETHUSDC")).bids)[PX] == D("4.25")
        await venue.close()


async def test_an_update_that_was_lost_leaves_no_book_behind() -> None:
    """The library counts updates; what it finds missing is doubted here at once, and begun anew."""
    async with paper() as door:
        venue = at_paper(door.url)
        await venue.start()
        await venue.book("ETHUSDC")
        await asyncio.sleep(0.2)
        await moved(door, venue, "1")
        await door.fault("depth", "drop")
        await door.level("BUY", str(PX), "2")
        await asyncio.sleep(0.15)  # it was told, and lost
        assert dict((venue.streamed.book("ETHUSDC", 0) or await venue.book("ETHUSDC")).bids)[PX] == 1
        await door.level("SELL", "3090", "5")  # the next one shows that one is missing
        await until(lambda: venue.streamed.book("ETHUSDC", 0) is None)
        told = await venue.book("ETHUSDC")
        assert dict(told.bids)[PX] == 2
        await venue.close()


async def test_half_a_message_ends_the_line_and_a_silent_one_is_passed_over() -> None:
    """Number 10: what cannot be read leaves no book behind, and what is not heard any more is asked for."""
    async with paper() as door:
        venue = at_paper(door.url)
        await venue.start()
        async with wired(venue) as wire:
            await venue.book("ETHUSDC")
            await asyncio.sleep(0.2)
            await moved(door, venue, "1")
            lines = set(map(id, venue.library.raw.clients.values()))
            await door.fault("depth", "partial")
            await door.level("BUY", str(PX), "2")
            await until(lambda: venue.streamed.book("ETHUSDC", 0) is None)
            assert dict((await venue.book("ETHUSDC")).bids)[PX] == 2
            await until(lambda: bool(venue.library.raw.orderbooks))
            await door.level("BUY", str(PX), "3")

            def told(qty: str) -> bool:
                book = venue.streamed.book("ETHUSDC", 0)
                return book is not None and dict(book.bids).get(PX) == D(qty)

            await until(lambda: told("3"))  # by another line
            assert lines.isdisjoint(map(id, venue.library.raw.clients.values()))

            await door.fault("depth", "silence", count=None)
            await door.level("BUY", str(PX), "4")
            await asyncio.sleep(0.31)  # what the socket told is too old by then
            asked = depths(wire)
            assert dict((await venue.book("ETHUSDC")).bids)[PX] == 4 and depths(wire) > asked
        await venue.close()
