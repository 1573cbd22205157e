"""A relay's no is on record and its process dies: the next one neither hands the same bytes over again nor stumbles over them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from desk import HERE, Grave, Office, order

from agent.domain.events import Observed
from agent.domain.order_state import OrdStatus
from agent.domain.submission_state import Observation
from agent.execution.reconcile import resume
from agent.execution.spine import work


async def test_it_is_planned_again_and_done_once(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    chain.relay_says = ["refuses"]
    before, parent = office.held(), order(office, "4")
    no = Observation.REFUSED
    grave = Grave(strike=lambda at, e: at == "durable" and isinstance(e, Observed) and e.seen is no)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await asyncio.gather(doing, return_exceptions=True)
    assert grave.dead and chain.sent == []
    async with office.open() as desk:
        await resume(desk)
        one, two = desk.book.parts.values()
        assert (one.status, two.status) == (OrdStatus.EXPIRED, OrdStatus.FILLED)
        assert len(chain.sent) == 1, "the second one alone"
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1
