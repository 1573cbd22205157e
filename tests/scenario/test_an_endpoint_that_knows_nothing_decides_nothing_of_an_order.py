"""No receipt for ten minutes, or no answer at all, ends no order: only a consumed nonce or a deadline the chain has passed does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from desk import HERE, Office, order, statuses

from agent.domain.order_state import OrdStatus
from agent.execution.spine import work


async def test_mined_at_once_and_hidden_for_ten_minutes(tmp_path: Path) -> None:
    """The receipt is missing, yet the nonce is consumed by our own transaction: wait, abort nothing, send nothing."""
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    before, parent = office.held(), order(office, "4", life_s=7200)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        while not office.sender.signed:
            await desk.clock.sleep(0.1)
        tx_hash = office.sender.signed[0].hash
        chain.deaf = True
        await desk.clock.sleep(600)
        assert chain_says(office, tx_hash)
        (record,) = desk.book.parts.values()
        assert record.status in (OrdStatus.PENDING_NEW, OrdStatus.NEW) and not record.ended
        assert len(office.sender.signed) == 1
        chain.deaf = False
        await doing
        assert list(statuses(desk.book, parent)) == ["FILLED"]
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_a_receipt_that_vanishes_for_a_while_is_a_reorganisation_that_comes_back(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, places=(HERE,), finality=6)
    chain = office.chains[1]
    before, parent = office.held(), order(office, "4", life_s=7200)
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        while not any(record.fills for record in desk.book.parts.values()):
            await desk.clock.sleep(1)
        tx_hash = office.sender.signed[0].hash
        chain.hidden.add(tx_hash)
        await desk.clock.sleep(1.5)
        assert desk.book.filled_base(parent.cl_ord_id) == 0
        chain.hidden.clear()
        await doing
        assert desk.book.filled_base(parent.cl_ord_id) == 4
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1 and len(office.sender.signed) == 1


def chain_says(office: Office, tx_hash: str) -> bool:
    chain = office.chains[1]
    chain._advance()
    return any(tx_hash in block.receipts for block in chain.blocks)
