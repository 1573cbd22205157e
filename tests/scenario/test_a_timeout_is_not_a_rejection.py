"""The create request times out. Whether the exchange took it is asked by the order's own id; nothing is sent again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from desk import HERE, PAPER, Office, order, statuses

from agent.domain.events import Indeterminate, PartFailed, Reported
from agent.domain.order_state import ExecType
from agent.execution.spine import work


async def test_accepted_and_the_answer_lost_is_filled_once(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    office.venue.next_submit = ["lost_after"]
    before, parent = office.held(), order(office, "3")
    async with office.open() as desk:
        await work(parent, desk)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
    assert before[0] - office.held()[0] == 3
    assert len(office.venue.sent) == 1
    events = office.events()
    assert any(isinstance(event, Indeterminate) for event in events)
    assert not any(isinstance(event, PartFailed) for event in events)
    told = [event.report.exec_type for event in events if isinstance(event, Reported)]
    assert ExecType.REJECTED not in told and ExecType.EXPIRED not in told


async def test_lost_on_the_way_is_unknown_until_it_can_no_longer_arrive(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    assert office.venue is not None
    office.venue.next_submit = ["lost_before"]
    before, parent = office.held(), order(office, "3")
    began_ns = office.clock.now_ns()
    async with office.open() as desk:
        await work(parent, desk)
        first, second = list(desk.book.parents[parent.cl_ord_id].children)
        assert list(statuses(desk.book, parent)) == ["EXPIRED", "FILLED"]
        assert first != second
    ends = [
        event.report.at_ns
        for event in office.events()
        if isinstance(event, Reported) and event.report.exec_type is ExecType.EXPIRED
    ]
    assert ends and ends[0] - began_ns > 15 * 10**9, "called dead while its request could still arrive"
    assert before[0] - office.held()[0] == 3


@pytest.mark.parametrize("trouble", ["lost_after", "lost_before"])
async def test_a_relay_that_does_not_answer_gets_no_second_transaction(tmp_path: Path, trouble: str) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    chain.relay_says = [trouble]
    before, parent = office.held(), order(office, "3")
    async with office.open() as desk:
        await work(parent, desk)
    assert before[0] - office.held()[0] == 3
    assert chain.swaps() == 1
    nonces = [tx.nonce for tx in office.sender.signed]
    if trouble == "lost_after":
        assert nonces == [0], "one signature was enough"
    else:  # it expired with its deadline; the next attempt competes for the same nonce, so that never both can be mined
        assert nonces == [0, 0]
        assert office.clock.now_ns() - 1_800_000_000 * 10**9 > 180 * 10**9
    assert Decimal(0) == office.held()[0] % 1
