"""A plan over several places of which one fails, and a stop beside an order that takes for ever: over the real road, in manual time.

Numbers 19 and 28 of the failures this must survive.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from desk import PAPER, Grave, Office, order
from fake_venue import FakeVenue

from agent.domain.events import Planned, Sliced
from agent.domain.instruments import chain_of
from agent.execution.spine import work
from agent.ports import VenueBook


def planned(grave: Grave) -> list[Planned]:
    return [event for event in grave.seen if isinstance(event, Planned)]


async def test_what_one_leg_failed_to_do_is_planned_again_and_done_at_the_price(tmp_path: Path) -> None:
    """Number 19: the legs on chain fill, the exchange's never arrives; the rest is done, once, inside the price."""
    office, grave = Office(tmp_path), Grave()
    assert office.venue is not None
    office.venue.next_submit = ["lost_before"]
    before = office.held()
    parent = order(office, "10", limit="2985", life_s=600)
    async with office.open(grave) as desk:
        await work(parent, desk)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED", closed
        got = desk.book.positions["USDC"].qty / desk.book.positions["ETH"].qty * -1
    assert before[0] - office.held()[0] == 10, "neither more nor less than was wished for"
    first, *again = planned(grave)
    assert {chain_of(part.place) is None for part in first.parts} == {True, False}, (
        "both kinds of place had a leg"
    )
    assert again and sum(one.child.qty for one in again) < 10 and got >= Decimal(2985)


async def test_where_the_price_has_gone_the_rest_is_left_and_nothing_is_forced(tmp_path: Path) -> None:
    """Number 19: beyond the price agreed to, the other leg is not chased: what was done stands, what is left is told."""
    office, grave = Office(tmp_path, places=(PAPER,)), Grave()
    venue = office.venue
    assert venue is not None
    venue.next_submit = ["lost_before"]
    before = office.held()
    parent = order(office, "4", limit="2995", life_s=120)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(2)
        venue.house("SELL", "2980", "1200", tif="GTC")
        await doing
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status in ("FAILED", "EXPIRED"), closed
        assert "0 of 4 ETH" in closed.why
    assert office.held() == before


class Slow(FakeVenue):
    """Its next book takes as long as this says, in seconds."""

    hangs: float = 0.0

    async def book(self, symbol: str) -> VenueBook:
        seconds, self.hangs = self.hangs, 0.0
        if seconds:
            await self._clock.sleep(seconds)
        return await super().book(symbol)


async def test_a_stop_is_on_time_beside_an_order_whose_turn_takes_five_minutes(tmp_path: Path) -> None:
    """Number 28."""
    office, grave = Office(tmp_path, places=(PAPER,)), Grave()
    office.venue = venue = Slow(office.clock, seed=office.seed)
    stop = order(office, "2", algo="exit", params=(("stop-loss", "2990"),), life_s=600)
    async with office.open(grave) as desk:
        venue.hangs = 300.0
        slow = asyncio.create_task(work(order(office, "1", salt="slow", life_s=900), desk))
        await desk.clock.sleep(1)
        watching = asyncio.create_task(work(stop, desk))
        await desk.clock.sleep(3)
        venue.house("SELL", "2985", "1200", tif="GTC")
        fell_ns = desk.clock.now_ns()
        await watching
        closed = desk.book.parents[stop.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
        assert not slow.done(), "the other order's turn was not over"
        (let_go,) = [
            event
            for event in grave.seen
            if isinstance(event, Sliced) and event.child.parent == stop.cl_ord_id
        ]
        assert (let_go.at_ns - fell_ns) / 1e9 < 2
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
