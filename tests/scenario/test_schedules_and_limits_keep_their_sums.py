"""TWAP, limit and purchases, in manual time: slices add up exactly, limits wait, cancels stop, failures are made up for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from desk import BASE, HERE, LIMITS, PAPER, Grave, Office, order, statuses

from agent.algos import twap
from agent.algos.step import Progress
from agent.domain.events import (
    Approved,
    Authorized,
    Breach,
    CancelRequested,
    Halted,
    ParentClosed,
    Planned,
    Proved,
    Sliced,
)
from agent.domain.instruments import Place
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import ExecutionReport, Fill
from agent.execution.spine import work

TWAP = (("over", "4h"), ("slices", "16"))


def slices(grave: Grave) -> list[Sliced]:
    return [event for event in grave.seen if isinstance(event, Sliced)]


async def test_four_hours_pass_in_a_moment_and_the_slices_are_equal_and_exact(tmp_path: Path) -> None:
    office = Office(tmp_path)
    before, grave = office.held(), Grave()
    parent = order(office, "10", algo="twap", params=TWAP, life_s=5 * 3600)
    began_ns = office.clock.now_ns()
    async with office.open(grave) as desk:
        await work(parent, desk)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
    made = slices(grave)
    assert len(made) == 16
    assert sum((event.child.qty for event in made), Decimal(0)) == 10
    assert {event.child.qty for event in made} == {Decimal("0.625")}
    offsets = [(event.at_ns - began_ns) / 1e9 for event in made]
    assert all(0 <= at - 900 * n < 6 for n, at in enumerate(offsets)), offsets
    # Nothing on the road waited for a proof of how good its plan was, and each has one in the end.
    plans = {e.child.cl_ord_id: e for e in grave.seen if isinstance(e, Planned)}
    proofs = [(n, e) for n, e in enumerate(grave.seen) if isinstance(e, Proved)]
    signed = {e.part.child: n for n, e in enumerate(grave.seen) if isinstance(e, Authorized)}
    assert {e.child for _, e in proofs} == set(plans) == set(signed) and len(proofs) == 16
    for n, proof in proofs:
        route = plans[proof.child].route
        assert route.certificate is None and n > signed[proof.child]
        assert proof.certificate.bound_raw >= route.net_out_raw
        assert proof.certificate.market_digest == route.market_digest
    assert before[0] - office.held()[0] == 10


@pytest.mark.parametrize("qty", ["1", "0.000003", "7.3333333", "0.000016"])
async def test_slices_of_any_quantity_add_up(qty: str) -> None:
    """The pure step: more slices than lots, odd rests, and never a step that wants nothing and does not wait."""
    parent_qty, lot = Decimal(qty), Decimal("0.000001")
    done, count, now = Decimal(0), 0, 0
    office = Office.__new__(Office)
    from manual_clock import ManualClock

    office.clock = ManualClock(0)
    parent = order(office, qty, algo="twap", params=(("over", "100s"), ("slices", "16")))
    for _ in range(200):
        progress = Progress(parent_qty - done, Decimal(0), count, 0, 0, False, 0, None, lot)
        step = twap.step(parent, progress, now)
        if step.done:
            break
        for child in step.children:
            assert child.qty > 0
            done, count = done + child.qty, count + 1
        if step.wake_ns is not None:
            assert step.wake_ns > now, "it would spin"
            now = step.wake_ns
    assert step.done == "FILLED"
    assert 0 <= parent_qty - done <= lot and count <= 16


async def test_what_a_slice_missed_is_spread_over_the_rest(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    before, grave = office.held(), Grave()
    parent = order(office, "8", algo="twap", params=(("over", "800s"), ("slices", "8")), life_s=3600)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(150)
        venue.stale = "resync"  # the third slice finds no market
        await desk.clock.sleep(100)
        venue.stale = ""
        await doing
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED", closed
    made = slices(grave)
    assert len(made) == 8
    failed = [event for event in grave.seen if isinstance(event, Breach)]
    assert len(failed) == 1
    assert made[0].child.qty == made[1].child.qty == 1
    assert made[3].child.qty > Decimal("1.19")
    assert before[0] - office.held()[0] == 8


async def test_cancelled_in_the_middle_nothing_more_is_sold(tmp_path: Path) -> None:
    office = Office(tmp_path)
    before, grave = office.held(), Grave()
    parent = order(office, "10", algo="twap", params=TWAP, life_s=5 * 3600)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(3 * 3600 + 60)
        await desk.journal.record(CancelRequested(parent.cl_ord_id, "test", desk.clock.now_ns()))
        asked_ns = desk.clock.now_ns()
        await doing
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "CANCELED"
        assert closed.at_ns - asked_ns < 60 * 10**9
        sold = desk.book.filled_base(parent.cl_ord_id)
    assert 0 < sold < 10 and before[0] - office.held()[0] == sold
    assert len(slices(grave)) == 13


@pytest.mark.parametrize(("side", "limit", "move"), [(Side.SELL, "3010", "BUY"), (Side.BUY, "2990", "SELL")])
async def test_a_limit_waits_for_its_price_and_then_goes(
    tmp_path: Path, side: Side, limit: str, move: str
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    before, grave = office.held(), Grave()
    parent = order(office, "2", side, algo="limit", limit=limit, life_s=300)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(12)
        assert not doing.done() and not slices(grave)
        px = "3015.00" if side is Side.SELL else "2987.00"
        venue.house(move, px, "1200", tif="GTC")  # somebody sweeps the book up to there, and stays
        await doing
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
        paid = desk.book.positions["USDC"].qty / desk.book.positions["ETH"].qty * -1
        assert paid >= Decimal(limit) if side is Side.SELL else paid <= Decimal(limit)
    moved = abs(before[0] - office.held()[0])
    assert Decimal(2) <= moved < Decimal("2.01")


@pytest.mark.full
async def test_a_limit_never_reached_expires_with_nothing_done(tmp_path: Path) -> None:
    office = Office(tmp_path)
    before, grave = office.held(), Grave()
    parent = order(office, "2", algo="limit", limit="3500", life_s=120)
    async with office.open(grave) as desk:
        end = await work(parent, desk)
        assert isinstance(end, ParentClosed) and end.status == "EXPIRED"
    assert office.held() == before and not slices(grave)


async def test_a_half_filled_exchange_order_is_still_working(tmp_path: Path) -> None:
    """Between two fills of one order nothing else may be sold for what it has left."""
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    venue.next_submit = ["lost_before"]
    parent = order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(2)
        (record,) = desk.book.parts.values()
        part = record.part
        fill = Fill(
            "t",
            PAPER,
            part.asset_in,
            part.asset_out,
            Decimal(1),
            Decimal(3000),
            part.asset_out,
            Decimal(3),
            0,
        )
        await desk.tracker.ingest(ExecutionReport(part.cl_ord_id, PAPER, ExecType.TRADE, 0, "1", fill))
        assert record.status is OrdStatus.PARTIALLY_FILLED
        progress = desk.progress(parent)
        assert (progress.leaves, progress.working) == (0, 3)
        await desk.clock.sleep(5)
        assert len(desk.book.parts) == 1, "its open rest was sold a second time"
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


async def test_two_orders_at_once_never_spend_the_same_headroom(tmp_path: Path) -> None:
    office = Office(tmp_path, limits=replace(LIMITS, per_day_usd=Decimal(40_000)))
    office.clock.now_ns()
    before, grave = office.held(), Grave()
    parents = [order(office, "8", salt=str(n)) for n in range(4)]  # 24,000 USD each: one fits, two do not
    async with office.open(grave) as desk:
        await asyncio.gather(*(work(parent, desk) for parent in parents))
        ends = sorted(desk.book.parents[parent.cl_ord_id].closed.status for parent in parents)  # type: ignore[union-attr]
        assert ends == ["FAILED", "FAILED", "FAILED", "FILLED"]
        assert not list(desk.book.reservations())
    reasons = {reason.rule for event in grave.seen if isinstance(event, Breach) for reason in event.reasons}
    assert reasons == {"DAY_LIMIT"}
    assert before[0] - office.held()[0] == 8


@pytest.mark.parametrize("place", [HERE, BASE])
async def test_two_slices_never_spend_the_same_inventory(tmp_path: Path, place: Place) -> None:
    office = Office(tmp_path, places=(place,), wallet_eth=10)
    before, grave = office.held(), Grave()
    parents = [order(office, "6", salt=str(n)) for n in range(2)]
    async with office.open(grave) as desk:
        await asyncio.gather(*(work(parent, desk) for parent in parents))
        ends = sorted(desk.book.parents[parent.cl_ord_id].closed.status for parent in parents)  # type: ignore[union-attr]
    assert ends == ["FAILED", "FILLED"]
    assert len([event for event in grave.seen if isinstance(event, Approved)]) == 1
    assert before[0] - office.held()[0] == 6 and len(office.sender.signed) == 1


async def test_what_a_child_reserved_is_free_again_when_it_ends(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,), limits=replace(LIMITS, per_day_usd=Decimal(30_000)))
    chain = office.chains[1]
    chain.relay_says = ["refuses"] * 3
    async with office.open() as desk:
        first = order(office, "8", salt="a")
        await work(first, desk)
        assert desk.book.parents[first.cl_ord_id].closed.status == "FAILED"  # type: ignore[union-attr]
        assert desk.book.day_notional_usd(office.clock.now_ns()) == 0, (
            "an order that filled nothing counts for nothing"
        )
        second = order(office, "8", salt="b")
        await work(second, desk)
        assert "FILLED" in list(statuses(desk.book, second))
        assert desk.book.day_notional_usd(office.clock.now_ns()) == 24_000


async def test_the_kill_switch_stops_new_risk_and_following_goes_on(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    chain.mining = False
    before, grave = office.held(), Grave()
    parent = order(office, "10", algo="twap", params=(("over", "1000s"), ("slices", "10")), life_s=7200)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        office.switch.set("a test")
        await desk.journal.record(Halted("test", "a test", desk.clock.now_ns()))
        chain.mining = True
        await desk.clock.sleep(400)
        (filled,) = [part for part in desk.book.parts.values() if part.authorized is not None]
        assert filled.status is OrdStatus.FILLED and filled.settled, (
            "what was under way is followed to its end"
        )
        assert len(office.sender.signed) == 1, "new risk left while halted"
        assert {r.rule for e in grave.seen if isinstance(e, Breach) for r in e.reasons} == {"HALTED"}
        office.switch.clear()
        await doing
        assert desk.book.parents[parent.cl_ord_id].closed.status == "FILLED"  # type: ignore[union-attr]
    assert before[0] - office.held()[0] == 10


async def test_the_same_seed_and_the_same_events_give_the_same_journal(tmp_path: Path) -> None:
    heads = set()
    for name in ("first", "second"):
        office = Office(tmp_path / name, seed=7, prompt_disk=True)
        async with office.open() as desk:
            await work(order(office, "25"), desk)
            await work(order(office, "3", Side.BUY), desk)
            journal = desk.journal.store.journal  # type: ignore[attr-defined]
            heads.add((journal.head().seq, journal.head().hash, desk.book.state_hash()))
    assert len(heads) == 1
