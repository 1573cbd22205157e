"""A block is replaced: the fill in it is taken back (TRADE_CANCEL), the order is New again, and counts once when it returns."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from desk import HERE, Grave, Office, order

from agent.domain.events import Observed, Reported
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.submission_state import Observation
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work


async def until_filled(desk: Desk) -> None:
    while not any(record.fills for record in desk.book.parts.values()):
        await desk.clock.sleep(1)


def the_part(desk: Desk) -> tuple[str, OrdStatus | None]:
    (name,) = desk.book.parts
    return name, desk.book.parts[name].status


async def test_taken_back_and_mined_again_it_counts_once(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,), finality=6)
    chain = office.chains[1]
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await until_filled(desk)
        held = dict(desk.book.holdings)
        assert the_part(desk)[1] is OrdStatus.FILLED
        chain.mining = False
        chain.reorg(1)
        await desk.clock.sleep(3)
        name, status = the_part(desk)
        assert status is OrdStatus.NEW and not desk.book.parts[name].fills
        assert all(qty == 0 for qty in desk.book.holdings.values()), "what was taken back is still held"
        assert desk.book.gas_wei["eip155:1"] == 0
        assert not doing.done()
        chain.mining = True
        await doing
        assert the_part(desk)[1] is OrdStatus.FILLED
        assert desk.book.holdings == held
        assert desk.book.gas_wei["eip155:1"] == chain.gas_spent()
        assert desk.book.filled_base(parent.cl_ord_id) == 4
    assert before[0] - office.held()[0] == 4
    assert chain.swaps() == 1
    events = office.events()
    told = [e.report.exec_type for e in events if isinstance(e, Reported)]
    assert told == [ExecType.NEW, ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.TRADE]
    seen = [e.seen for e in events if isinstance(e, Observed)]
    assert seen == [
        Observation.RECEIVED, Observation.INCLUDED, Observation.REORGED, Observation.INCLUDED, Observation.FINALIZED,
    ]  # fmt: skip
    assert len(office.sender.signed) == 1


async def test_a_branch_that_comes_back_brings_the_same_execution_back(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,), finality=8)
    chain = office.chains[1]
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await until_filled(desk)
        branch = list(chain.blocks)
        chain.mining = False
        chain.reorg(1)
        await desk.clock.sleep(3)
        assert the_part(desk)[1] is OrdStatus.NEW
        chain.adopt(branch)
        chain.mining = True
        await doing
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.FILLED and len(record.fills) == 1 and not record.busted
        assert desk.book.filled_base(parent.cl_ord_id) == 4
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_taken_back_for_good_it_expires_and_is_done_again(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,), finality=6)
    chain = office.chains[1]
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await until_filled(desk)
        chain.reorg(1, keep=False)
        await doing
        one, two = desk.book.parts.values()
        assert (one.status, two.status) == (OrdStatus.EXPIRED, OrdStatus.FILLED)
        assert one.authorized is not None and two.authorized is not None
        assert one.authorized.nonce == two.authorized.nonce, "both could have been mined"
    assert before[0] - office.held()[0] == Decimal(4) and chain.swaps() == 1


async def test_dead_between_the_observation_and_its_report_the_fill_is_taken_back_by_the_next(
    tmp_path: Path,
) -> None:
    """The block is gone on record, the fill is not taken back yet: whoever goes on counts what is mined again once."""
    office = Office(tmp_path, places=(HERE,), finality=6)
    chain = office.chains[1]
    before, parent = office.held(), order(office, "4")
    gone = Observation.REORGED
    grave = Grave(strike=lambda at, e: at == "after" and isinstance(e, Observed) and e.seen is gone)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await until_filled(desk)
        chain.mining = False
        chain.reorg(1)
        await desk.clock.sleep(3)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    assert grave.dead
    chain.mining = True
    async with office.open() as desk:
        await resume(desk)
        (record,) = desk.book.parts.values()
        assert record.status is OrdStatus.FILLED and len(record.fills) == 1
        assert desk.book.filled_base(parent.cl_ord_id) == 4
        assert desk.book.gas_wei["eip155:1"] == chain.gas_spent()
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1
