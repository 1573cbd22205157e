"""After a restart pairs and entries that stand at an exchange are followed, for weeks maybe: all of them, and new orders go there meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agent.domain.errors import FairleadError
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place
from agent.domain.orders import Part
from agent.execution.lanes import Lanes
from agent.execution.reconcile import settle_open_parts
from agent.journal.records import PartRecord

PAPER, CHAIN = Place("cex:paper"), Place("eip155:1")


def part(name: str, place: Place = PAPER) -> Part:
    return Part(ClOrdId(name), ClOrdId("c"), place, 1, AssetId("a"), AssetId("b"), 1, 1, 1, (0,))


def standing(name: str, place: Place = PAPER) -> PartRecord:
    """Signed by an earlier run, and at its place."""
    order = object() if place == PAPER else None
    signed: Any = SimpleNamespace(order=order, offer=None, part=part(name, place))
    return PartRecord(part(name, place), True, authorized=signed, submitted=True)


async def stopped(of: Part, error: FairleadError) -> None:
    raise AssertionError(f"{of.cl_ord_id}: {error}")


async def begun(records: list[PartRecord], place: Place) -> tuple[list[str], list[str]]:
    """Which of them are followed at once, and whether a new part got its turn beside them."""
    followed, new, lanes = list[str](), list[str](), Lanes(stopped)

    async def follow(signed: Any) -> None:
        followed.append(signed.part.cl_ord_id)
        await asyncio.Event().wait()

    async def goes() -> None:
        new.append("new")

    book = SimpleNamespace(open_parts=lambda: records, parts={r.part.cl_ord_id: r for r in records})
    tracker = SimpleNamespace(follow=follow, reaches=lambda place: True)
    journal = SimpleNamespace(record=stopped)
    desk: Any = SimpleNamespace(book=book, lanes=lanes, tracker=tracker, journal=journal)
    again = asyncio.create_task(settle_open_parts(desk))
    for _ in range(5):
        await asyncio.sleep(0)
    task = asyncio.create_task(lanes.run({part("fl-new", place): goes}))
    for _ in range(5):
        await asyncio.sleep(0)
    for one in (task, again):
        one.cancel()
    await asyncio.gather(task, again, return_exceptions=True)
    return followed, new


async def test_all_that_stand_are_followed_and_a_new_order_goes_beside_them() -> None:
    records = [standing("fl-entry"), standing("fl-exits")]
    assert await begun(records, PAPER) == (["fl-entry", "fl-exits"], ["new"])


@pytest.mark.parametrize(("place", "new"), [(CHAIN, []), (PAPER, ["new"])])
async def test_what_may_be_sent_again_to_a_chain_keeps_its_turn(place: Place, new: list[str]) -> None:
    records = [standing("fl-one", CHAIN), standing("fl-two", CHAIN)]
    assert await begun(records, place) == (["fl-one"], new)
