"""Exits that Fairlead watches itself: a stop and a take-profit of which one ends the other, in manual time, over the real road.

Number 12 of the failures this must survive: partly filled and then cancelled, the rest is protected to the last unit.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from desk import PAPER, Grave, Office, order

from agent.algos import exit as exits
from agent.algos.step import Progress, slice_of
from agent.app.carrier import Carrier
from agent.domain.errors import Usage
from agent.domain.events import CancelRequested, ParentClosed, Sliced
from agent.domain.orders import ParentOrder, Side
from agent.execution.spine import work

D = Decimal
PAIR, NEAR = (
    (("stop-loss", "2900"), ("take-profit", "3100")),
    (("stop-loss", "2990"), ("take-profit", "3010")),
)


def slices(grave: Grave) -> list[Sliced]:
    return [event for event in grave.seen if isinstance(event, Sliced)]


@pytest.mark.parametrize(
    ("move", "px", "least", "most"), [("SELL", "2985", 2970, 2990), ("BUY", "3015", 3010, 3016)]
)
async def test_whichever_price_comes_first_ends_the_other(
    tmp_path: Path, move: str, px: str, least: int, most: int
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    before, grave = office.held(), Grave()
    parent = order(office, "2", algo="exit", params=NEAR, life_s=60)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(3)
        assert not slices(grave) and not doing.done()
        venue.house(move, px, "1200", tif="GTC")
        await doing
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED", closed
        got = desk.book.positions["USDC"].qty / desk.book.positions["ETH"].qty * -1
    assert least <= got <= most and before[0] - office.held()[0] == 2
    assert len(slices(grave)) == 1


async def test_an_exit_of_an_earlier_run_is_watched_on_and_holds_no_other_order_up(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    parent = order(office, "2", algo="exit", params=NEAR, life_s=60)
    name, told_by = parent.cl_ord_id, list[str]()
    async with office.open(Grave()) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(3)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    async with office.open(Grave()) as desk:
        carrier = Carrier(None, desk, told_by.append)  # type: ignore[arg-type]
        assert carrier.waiting() == (name,) and await carrier.take_up((name,)) == ()
        carrier.start(parent)
        await carrier.rest((name,))
        assert carrier.busy == (name,), "it waits on, and nobody waits for it"
        venue.house("SELL", "2985", "1200", tif="GTC")
        await carrier.rest()
        closed = desk.book.parents[name].closed
        assert closed is not None and closed.status == "FILLED" and not carrier.waiting()
        assert len(told_by) == 1 and name in told_by[0]


async def test_cancelled_as_one_nothing_is_sold_whatever_the_price_does(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    before, grave = office.held(), Grave()
    parent = order(office, "2", algo="exit", params=NEAR, life_s=60)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(3)
        await desk.journal.record(CancelRequested(parent.cl_ord_id, "test", desk.clock.now_ns()))
        venue.house("SELL", "2985", "1200", tif="GTC")
        end = await doing
        assert isinstance(end, ParentClosed) and end.status == "CANCELED"
    assert office.held() == before and not slices(grave)


def told(parent: ParentOrder, leaves: str, px: str | None, **more: object) -> exits.Step:
    facts = {
        "leaves": D(leaves), "working": D(0), "children": 0, "failed": 0, "unsettled": 0, "denied": False,
        "accepted_ns": 0, "px_now": None if px is None else D(px), "lot": D("0.0001"),
    } | more  # fmt: skip
    return exits.step(parent, Progress(**facts), parent.intent.created_ns)  # type: ignore[arg-type]


def test_a_stop_that_was_reached_stays_reached_for_exactly_what_is_left(tmp_path: Path) -> None:
    parent = order(Office(tmp_path), "2", algo="exit", params=PAIR, life_s=3600)
    assert not told(parent, "2", "3000").children and not told(parent, "2", None).children
    (first,) = told(parent, "2", "2899").children
    assert (first.qty, first.limit_px) == (2, None)
    (rest,) = told(parent, "1.2345", "3000", children=1, last=first).children
    assert (rest.qty, rest.limit_px) == (D("1.2345"), None) and rest.cl_ord_id != first.cl_ord_id
    (unpriced,) = told(parent, "1.2345", None, children=1, last=first).children
    assert unpriced.qty == D("1.2345")
    assert not told(parent, "1.2345", "2800", children=1, last=first, working=D("0.5")).children, (
        "never twice at once"
    )


def test_a_take_profit_done_in_part_leaves_the_rest_to_either(tmp_path: Path) -> None:
    parent = order(Office(tmp_path), "2", algo="exit", params=PAIR, life_s=3600)
    (first,) = told(parent, "2", "3100").children
    assert first.limit_px == 3100
    again = {"children": 1, "last": first}
    assert not told(parent, "0.7", "3050", **again).children
    assert [c.limit_px for c in told(parent, "0.7", "2900", **again).children] == [None]
    assert [c.limit_px for c in told(parent, "0.7", "3101", **again).children] == [3100]


def test_a_purchase_has_them_the_other_way_round_and_a_stop_alone_needs_no_profit(tmp_path: Path) -> None:
    office = Office(tmp_path)
    short = order(office, "2", Side.BUY, algo="exit", params=(("stop-loss", "3100"), ("take-profit", "2900")))
    assert told(short, "2", "3100").children[0].limit_px is None
    assert told(short, "2", "2900").children[0].limit_px == 2900 and not told(short, "2", "3000").children
    alone = order(office, "2", algo="exit", params=(("stop-loss", "2900"),), limit="2850")
    (first,) = told(alone, "2", "2900").children
    assert first.limit_px == 2850
    assert told(alone, "1", "3500", children=1, last=first).children[0].qty == 1


def test_what_fails_is_tried_again_with_growing_pauses_to_the_end(tmp_path: Path) -> None:
    parent = order(Office(tmp_path), "2", algo="exit", params=PAIR, life_s=3600)
    now = parent.intent.created_ns
    last = slice_of(parent, 0, D(2), parent.intent.expire_ns)
    pauses = []
    for failed in range(1, 40):
        waiting = told(parent, "2", "2800", children=failed, failed=failed, last=last, last_ns=now)
        assert not waiting.children and not waiting.done and waiting.wake_ns is not None
        pauses.append((waiting.wake_ns - now) / 1e9)
    assert pauses == sorted(pauses) and pauses[0] == 1 and pauses[-1] == 60
    greedy = replace(last, limit_px=D(3100))
    failing = {"children": 9, "failed": 9, "last": greedy, "last_ns": now}
    assert not told(parent, "2", "3100", **failing).children, "the take-profit waits for its next attempt"
    assert told(parent, "2", "2900", **failing).children, "a stop waits for no take-profit that failed"


def test_prices_that_make_no_sense_are_refused_before_anything_else() -> None:
    with pytest.raises(Usage, match="--stop-loss"):
        exits.check({})
    with pytest.raises(Usage, match="--stop-loss"):
        exits.check({"stop-loss": "cheap"})
    for side, limit, params, said in (
        (Side.SELL, None, {"stop-loss": "3100", "take-profit": "2900"}, "not below"),
        (Side.BUY, None, {"stop-loss": "2900", "take-profit": "3100"}, "not below"),
        (Side.SELL, "2950", {"stop-loss": "2900"}, "never be met"),
        (Side.BUY, "3050", {"stop-loss": "3100"}, "never be met"),
        (Side.SELL, "3050", {"take-profit": "3100"}, "is a limit already"),
    ):
        with pytest.raises(Usage, match=said):
            exits.fits(side, D(limit) if limit else None, params)
    exits.fits(Side.SELL, D(2850), {"stop-loss": "2900", "take-profit": "3100"})
