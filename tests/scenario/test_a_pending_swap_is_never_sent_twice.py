"""A swap that is pending past every patience gets no second swap: the same bytes wait, the same nonce is reused, or it is cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desk import BASE, HERE, Office, order, statuses
from fake_chain import FakeChain
from offer_world import World

from agent.domain.events import CancelRequested
from agent.domain.instruments import Place
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ParentOrder
from agent.execution.desk import Desk
from agent.execution.spine import work


def waiting(tmp_path: Path, **words: Any) -> tuple[Office, FakeChain, Any, ParentOrder]:
    """An order of 4 on a chain that builds no block yet, with what was held before it."""
    office = Office(tmp_path, places=(HERE,), **words)
    office.chains[1].mining = False
    return office, office.chains[1], office.held(), order(office, "4", life_s=7200)


async def ask_to_cancel(desk: Desk, parent: ParentOrder) -> None:
    await desk.journal.record(CancelRequested(parent.cl_ord_id, "test", desk.clock.now_ns()))


async def test_nothing_else_is_signed_while_it_is_pending(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(150)
        assert len(office.sender.signed) == 1 and len(chain.sent) == 1
        assert list(statuses(desk.book, parent)) == ["NEW"]
        chain.mining = True
        await doing
        assert desk.book.parents[parent.cl_ord_id].closed.status == "FILLED"  # type: ignore[union-attr]
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_past_its_deadline_the_next_one_takes_the_same_nonce(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(300)
        assert len(office.sender.signed) == 2
        first, second = office.sender.signed
        assert first.nonce == second.nonce and first.raw != second.raw
        chain.mining = True  # both are pending: the chain takes one
        await doing
    assert before[0] - office.held()[0] == 4, "both were mined"
    assert chain.swaps() == 1


@pytest.mark.parametrize(("place", "blocks"), [(HERE, 15), (BASE, 90)])
async def test_it_waits_as_long_on_a_chain_of_quick_blocks(tmp_path: Path, place: Place, blocks: int) -> None:
    office = Office(tmp_path, places=(place,))
    (chain,) = office.chains.values()
    chain.mining, parent = False, order(office, "4", life_s=7200)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(150)
        (record,) = (r for r in desk.book.parts.values() if r.authorized is not None)
        assert (
            record.authorized is not None and record.authorized.since_block == record.authorized.signed_block
        )
        assert record.authorized.max_block - record.authorized.signed_block == blocks
        chain.mining = True
        await doing
        assert desk.book.parents[parent.cl_ord_id].closed.status == "FILLED"  # type: ignore[union-attr]
    assert chain.swaps() == len(office.sender.signed) == 1, "its relay had not given it up"


def test_a_record_that_does_not_name_its_block_is_of_a_time_of_fifteen() -> None:
    offered = World().authorized
    assert replace(offered, max_block=115).since_block == 100
    assert replace(offered, max_block=190, signed_block=100).since_block == 100


async def test_cancelled_while_pending_it_is_replaced_by_nothing(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        await ask_to_cancel(desk, parent)
        await desk.clock.sleep(20)
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.PENDING_CANCEL
        assert [tx.nonce for tx in office.sender.signed] == [0, 0]
        chain.mining = True
        await doing
        assert record.status is OrdStatus.CANCELED
        assert desk.book.parents[parent.cl_ord_id].closed.status == "CANCELED"  # type: ignore[union-attr]
        assert record.gas_wei == chain.gas_spent() > 0, "the cancellation's own gas is not booked"
    assert office.held() == before


async def test_a_cancel_that_loses_the_race_leaves_a_fill_that_counts(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        swap = list(chain.pending)
        await ask_to_cancel(desk, parent)
        await desk.clock.sleep(20)
        chain.pending = swap  # the builder had taken the swap before the cancellation came
        chain.mining = True
        await doing
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.FILLED
        assert desk.book.filled_base(parent.cl_ord_id) == 4
    assert before[0] - office.held()[0] == 4


async def test_a_cancellation_that_is_reorganised_away_does_not_end_the_order(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path, finality=6)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        swap = list(chain.pending)
        await ask_to_cancel(desk, parent)
        await desk.clock.sleep(10)
        chain.mining = True
        await desk.clock.sleep(14)
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.CANCELED and not record.settled
        chain.reorg(2, keep=False)
        chain.pending = swap  # in the new branch the swap itself is taken
        await doing
        assert record.status is OrdStatus.FILLED
        assert record.gas_wei == chain.gas_spent()
        assert desk.book.gas_wei[HERE] == chain.gas_spent()
    assert before[0] - office.held()[0] == 4


async def test_a_foreign_transaction_with_our_nonce_is_noticed(tmp_path: Path) -> None:
    """Another program uses the same key: an alarm says so, and what the owners signed goes on at the sender's next nonce."""
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    chain.mining = False
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        chain.foreign()
        chain.mining = True
        await doing
        assert list(statuses(desk.book, parent)) == ["FILLED"]
        assert [alarm.code for alarm in desk.book.alarms] == ["NONCE_TAKEN"]
    assert [tx.nonce for tx in office.sender.signed] == [0, 1]
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1
