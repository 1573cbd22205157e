"""A book is in sequence or it is stale: after a gap, a reconnection or a silence no level of before survives unproved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from paper import Door, paper, session

from agent.domain.errors import Retry
from agent.ports import VenueBook
from agent.venues.binance_spot import BinanceSpot

GHOST = Decimal("2999.99")


async def started(door: Door) -> BinanceSpot:
    venue = session(door.url)
    await venue.start()
    book = await venue.book("ETHUSDC")
    assert book.bids[0][0] == GHOST
    return venue


async def eventually(
    venue: BinanceSpot, right: Callable[[VenueBook], bool], within_s: float = 6.0
) -> VenueBook:
    end = time.monotonic() + within_s
    while True:
        try:
            book = await venue.book("ETHUSDC")
            if right(book):
                return book
        except Retry as stale:
            assert stale.code == "STALE_BOOK"
        assert time.monotonic() < end, "the book never came right"
        await asyncio.sleep(0.05)


def without_ghost(book: VenueBook) -> bool:
    return GHOST not in dict(book.bids)


async def test_a_level_removed_while_we_were_away() -> None:
    async with paper() as door:
        venue = await started(door)
        await door.disconnect()
        await door.level("BUY", str(GHOST), "0")
        await eventually(venue, without_ghost)
        await venue.close()


async def test_a_missed_update_is_a_gap_and_not_a_guess() -> None:
    async with paper() as door:
        venue = await started(door)
        await door.fault("depth", "drop", count=1)
        await door.level("BUY", str(GHOST), "0")
        await asyncio.sleep(0.3)
        await door.level("SELL", "3040.00", "7")
        book = await eventually(venue, lambda b: dict(b.asks).get(Decimal("3040.00")) == 7)
        assert without_ghost(book)
        await venue.close()


async def test_a_silent_socket_is_found_out_by_its_silence() -> None:
    async with paper() as door:
        venue = await started(door)
        await door.fault("depth", "silence", count=None)
        await door.level("BUY", str(GHOST), "0")
        await eventually(venue, without_ghost)
        await venue.close()


async def test_a_quiet_market_stays_fresh_by_proof() -> None:
    async with paper() as door:
        venue = await started(door)
        before = (await venue.book("ETHUSDC")).at_ns
        await eventually(venue, lambda book: book.at_ns > before, 20)
        await venue.close()


async def test_while_no_snapshot_can_be_had_the_book_is_refused() -> None:
    async with paper() as door:
        venue = await started(door)
        await door.fault("depth", "drop", count=1)
        await door.level("BUY", str(GHOST), "0")
        await asyncio.sleep(0.3)
        await door.fault("depth.rest", "error_before", count=None)
        await door.level("SELL", "3040.00", "7")
        await asyncio.sleep(0.4)
        with pytest.raises(Retry) as refused:
            await venue.book("ETHUSDC")
        assert refused.value.code == "STALE_BOOK"
        await door.clear()
        assert without_ghost(await eventually(venue, without_ghost))
        await venue.close()
