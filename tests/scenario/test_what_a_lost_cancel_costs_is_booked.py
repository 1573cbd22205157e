"""Somebody else executes what the owners signed, and our cancelling transaction is mined all the same: its gas is ours, to the wei."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from desk import HERE, Grave, Office, order
from fake_chain import FakeChain

from agent.domain.events import CancelRequested, CancelSigned
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ParentOrder
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work


@dataclass
class Case:
    office: Office
    chain: FakeChain
    parent: ParentOrder

    async def cancelled(self, desk: Desk) -> tuple[asyncio.Task[object], bytes]:
        """An order that waits at its relay, and its cancelling transaction that waits there instead; gives the order's bytes."""
        doing: asyncio.Task[object] = asyncio.create_task(work(self.parent, desk))
        await desk.clock.sleep(20)
        (swap,) = self.chain.pending
        now = desk.clock.now_ns()
        await desk.journal.record_durably(CancelRequested(self.parent.cl_ord_id, "test", now))
        await desk.clock.sleep(2)
        (cancel,) = self.chain.pending
        assert cancel != swap
        return doing, swap


def case(folder: Path, finality: int = 2) -> Case:
    office = Office(folder, places=(HERE,), finality=finality)
    office.chains[1].mining = False
    return Case(office, office.chains[1], order(office, "4"))


@pytest.mark.parametrize("dies", [False, True])
async def test_mined_after_somebody_elses_execution(tmp_path: Path, dies: bool) -> None:
    one = case(tmp_path)
    chain, held = one.chain, one.office.held()[0]
    async with one.office.open() as desk:
        doing, swap = await one.cancelled(desk)
        chain.elsewhere(swap)
        await desk.clock.sleep(12)
        (part,) = desk.book.parts.values()
        assert part.status is OrdStatus.FILLED and part.gas_wei == 0, "they paid"
        if dies:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        else:
            chain.mining = True
            await doing
    chain.mining = True
    if dies:
        async with one.office.open() as desk:
            await resume(desk)
    book = one.office.read_book()
    (part,) = book.parts.values()
    assert chain.gas_spent() > 0 and part.settled
    assert part.gas_wei == book.gas_wei[HERE] == chain.gas_spent()
    assert held - one.office.held()[0] == 4


async def test_mined_before_it_leaves_the_owners_signatures_worth_something(tmp_path: Path) -> None:
    one = case(tmp_path, finality=6)
    chain, held = one.chain, one.office.held()[0]
    async with one.office.open() as desk:
        doing, swap = await one.cancelled(desk)
        chain.mining = True
        await desk.clock.sleep(14)
        (part,) = desk.book.parts.values()
        assert part.status is OrdStatus.CANCELED and part.gas_wei == chain.gas_spent() > 0
        chain.elsewhere(swap)
        await doing
        assert [alarm.code for alarm in desk.book.alarms] == ["FILL_AFTER_END"]
        assert desk.book.filled_base(one.parent.cl_ord_id) == 4
        assert part.gas_wei == desk.book.gas_wei[HERE] == chain.gas_spent()
    assert held - one.office.held()[0] == 4


async def test_a_reorganisation_takes_its_gas_back_and_another_block_costs_it_again(tmp_path: Path) -> None:
    one = case(tmp_path, finality=8)
    chain = one.chain
    async with one.office.open() as desk:
        doing, swap = await one.cancelled(desk)
        chain.elsewhere(swap)
        await desk.clock.sleep(12)
        chain.mining = True
        await desk.clock.sleep(14)
        (part,) = desk.book.parts.values()
        assert part.gas_wei == chain.gas_spent() > 0
        chain.mining = False
        assert chain.head
        chain.reorg(next(depth for depth in range(1, 4) if chain.blocks[-depth].raws))
        await desk.clock.sleep(2)
        assert part.gas_wei == desk.book.gas_wei[HERE] == chain.gas_spent() == 0
        chain.mining, chain.base_fee_wei = True, chain.base_fee_wei + 7
        await doing
        assert part.gas_wei == desk.book.gas_wei[HERE] == chain.gas_spent() > 0


@pytest.mark.parametrize("left", [False, True])
async def test_an_earlier_runs_cancelling_transaction_is_known_by_its_hash(
    tmp_path: Path, left: bool
) -> None:
    """The process died once it was on the disk, before it left or after."""
    one = case(tmp_path)
    chain, held = one.chain, one.office.held()[0]
    grave = Grave(strike=lambda at, event: at == "durable" and isinstance(event, CancelSigned) and not left)
    async with one.office.open(grave) as desk:
        doing = asyncio.create_task(work(one.parent, desk))
        await desk.clock.sleep(20)
        now = desk.clock.now_ns()
        await desk.journal.record_durably(CancelRequested(one.parent.cl_ord_id, "test", now))
        await desk.clock.sleep(2)
        assert grave.dead is not left and len(chain.pending) == left
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    chain.mining = True
    await one.office.clock.sleep(60)
    assert chain.swaps() == left, "mined while nobody was there"
    async with one.office.open() as desk:
        await resume(desk)
        (part,) = desk.book.parts.values()
        assert part.status is OrdStatus.CANCELED and not part.fills
        assert part.gas_wei == desk.book.gas_wei[HERE] == chain.gas_spent() > 0
        assert not desk.book.alarms
    assert held == one.office.held()[0]
