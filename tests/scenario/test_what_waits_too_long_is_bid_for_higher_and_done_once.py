"""A transaction that waits is signed again for its nonce with both fees at least 13 % higher; whichever is mined, it is done once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from desk import HERE, Grave, Office, order, statuses
from fake_chain import FakeChain

from agent.domain.events import CancelRequested, Replaced
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ParentOrder
from agent.execution.reconcile import resume
from agent.execution.replacing import MOST, fees_of
from agent.execution.spine import work
from chains.rawtx import decode_raw


def waiting(tmp_path: Path, **words: Any) -> tuple[Office, FakeChain, Any, ParentOrder]:
    office = Office(tmp_path, places=(HERE,), patience_s=36.0, **words)
    office.chains[1].mining = False
    return office, office.chains[1], office.held(), order(office, "4", life_s=7200)


def raised(office: Office) -> None:
    """Every signature replaces the one before: the same thing to do, both fees up by 13 % at least."""
    forms = [decode_raw(tx.raw) for tx in office.sender.signed]
    for old, new in zip(forms, forms[1:], strict=False):
        assert (new.nonce, new.to, new.value, new.data, new.gas) == (
            old.nonce, old.to, old.value, old.data, old.gas,
        )  # fmt: skip
        assert new.max_fee_wei * 100 >= old.max_fee_wei * 113
        assert new.max_priority_fee_wei * 100 >= old.max_priority_fee_wei * 113


async def test_fees_rise_and_the_last_bid_is_mined(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(80)
        assert len(office.sender.signed) == 3 == len(set(chain.sent)), "two replacements, to the same road"
        raised(office)
        (record,) = desk.book.parts.values()
        assert [f.tx_hash for f in record.signed] == [t.hash for t in reversed(office.sender.signed)]
        chain.mining = True
        await doing
        assert list(statuses(desk.book, parent)) == ["FILLED"]
        (fill,) = record.fills.values()
        assert fill.exec_id.startswith(office.sender.signed[-1].hash)
        assert record.gas_wei == chain.gas_spent() > 0
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


@pytest.mark.parametrize("winner", [0, 1])
async def test_an_earlier_bid_may_win_and_is_booked_once(tmp_path: Path, winner: int) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(80)
        chain.pending = [office.sender.signed[winner].raw]  # the builder had that one alone
        chain.mining = True
        await doing
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.FILLED and list(statuses(desk.book, parent)) == ["FILLED"]
        (fill,) = record.fills.values()
        assert fill.exec_id.startswith(office.sender.signed[winner].hash)
        assert record.gas_wei == chain.gas_spent() > 0
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_fees_rise_no_more_than_there_is_gas_money_for_and_never_past_the_deadline(
    tmp_path: Path,
) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(175)
        first = [
            tx
            for tx in office.sender.signed
            if decode_raw(tx.raw).data == decode_raw(office.sender.signed[0].raw).data
        ]
        assert len(first) == 1 + MOST
        await desk.clock.sleep(200)  # past the deadline the plan is made anew, for the same nonce
        assert len({tx.nonce for tx in office.sender.signed}) == 1
        chain.mining = True
        await doing
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_a_base_fee_that_outgrew_the_bid_is_answered_at_once(tmp_path: Path) -> None:
    office, chain, _, parent = waiting(tmp_path)
    office.patience_s = 1e9
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(30)
        assert len(office.sender.signed) == 1
        chain.base_fee_wei = fees_of(office.sender.signed[0].raw).max_fee_wei
        await desk.clock.sleep(15)
        assert len(office.sender.signed) == 2
        raised(office)
        chain.mining = True
        await doing
    assert chain.swaps() == 1


async def test_cancelled_after_a_replacement_nothing_of_it_is_done(tmp_path: Path) -> None:
    office, chain, before, parent = waiting(tmp_path)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(50)
        await desk.journal.record(CancelRequested(parent.cl_ord_id, "test", desk.clock.now_ns()))
        await desk.clock.sleep(20)
        bids = [fees_of(tx.raw) for tx in office.sender.signed]
        assert bids[-1].max_fee_wei * 100 >= bids[-2].max_fee_wei * 113, (
            "a cancel must outbid what it replaces"
        )
        chain.mining = True
        await doing
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.CANCELED
    assert office.held() == before


@pytest.mark.parametrize("moment", ["before", "after", "durable"])
async def test_killed_around_the_replacement_it_is_done_once(tmp_path: Path, moment: str) -> None:
    office, chain, before, parent = waiting(tmp_path)
    grave = Grave(strike=lambda at, event: at == moment and isinstance(event, Replaced))
    with pytest.raises(BaseExceptionGroup):
        async with office.open(grave) as desk:
            await work(parent, desk)
    assert grave.dead and len(office.sender.signed) == 2
    sent = len(chain.sent)
    async with office.open() as desk:
        doing = asyncio.create_task(resume(desk))
        await desk.clock.sleep(2)
        if (
            moment != "before"
        ):  # it is on record: it may have left, so it is sent; the other road would be to wait for nothing
            assert chain.sent[sent:] == [office.sender.signed[1].raw]
        chain.mining = True
        await doing
        assert list(statuses(desk.book, parent)) == ["FILLED"]
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1
