"""The process died after its transaction had left. It was mined, or reverted, or lost meanwhile; the next start finds out."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import HERE, Grave, Office, order, statuses

from agent.domain.events import Authorized, Submitted
from agent.execution.reconcile import look, resume
from agent.execution.spine import work


async def die(office: Office, moment: str, kind: type) -> Grave:
    grave = Grave(strike=lambda m, event: m == moment and isinstance(event, kind))
    with pytest.raises(BaseExceptionGroup):
        async with office.open(grave) as desk:
            await work(order(office, "4", life_s=7200), desk)
    assert grave.dead
    return grave


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_its_receipt_is_adopted(tmp_path: Path, moment: str) -> None:
    """Dead right after the relay had it, before or after that was written down."""
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    before = office.held()
    await die(office, moment, Submitted)
    await office.clock.sleep(3600)
    assert chain.swaps() == 1, "mined while nobody was there"
    async with office.open() as desk:
        assert [place for _, place in look(desk).asked] == [HERE]
        (parent,) = await resume(desk)
        record = desk.book.parents[parent]
        assert record.closed is not None and record.closed.status == "FILLED"
        assert record.attributed is not None and record.attributed.qty_base == 4
        (part,) = desk.book.parts.values()
        assert part.gas_wei == chain.gas_spent()
    assert before[0] - office.held()[0] == 4
    assert len(office.sender.signed) == 1 and len(chain.sent) == 1


async def test_what_had_not_left_is_handed_over_unchanged(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    before = office.held()
    await die(office, "durable", Authorized)
    assert not chain.sent
    async with office.open() as desk:
        await resume(desk)
    assert len(chain.sent) == 1 and chain.sent[0] == office.sender.signed[0].raw
    assert len(office.sender.signed) == 1
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_too_late_it_is_not_handed_over_and_the_order_is_done_anew(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    before = office.held()
    await die(office, "durable", Authorized)
    await office.clock.sleep(1000)
    async with office.open() as desk:
        (parent,) = await resume(desk)
        assert list(statuses(desk.book, desk.book.parents[parent].parent)) == ["EXPIRED", "FILLED"]
    assert len(chain.sent) == 1 and chain.sent[0] == office.sender.signed[1].raw
    assert [tx.nonce for tx in office.sender.signed] == [0, 0]
    assert before[0] - office.held()[0] == 4


async def test_reverted_while_dead_its_gas_is_booked_and_the_order_goes_on(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    before = office.held()
    await die(office, "after", Submitted)
    token = next(iter(chain.world.tokens))
    held = chain.blocks[-1].world.tokens
    kept, held[token] = held[token], 0  # type: ignore[index]  # the wallet's ether is elsewhere for a while
    await office.clock.sleep(60)
    assert chain.swaps() == 0
    chain.blocks[-1].world.tokens[token] = kept  # type: ignore[index]
    assert chain.gas_spent() > 0
    async with office.open() as desk:
        (parent,) = await resume(desk)
        told = list(statuses(desk.book, desk.book.parents[parent].parent))
        assert told == ["REJECTED", "FILLED"]
        first, again = (part.authorized for part in desk.book.parts.values())
        assert first is not None and again is not None
        # a revert does not use up the Safe's nonce: until it has expired, whoever likes may send the old signature
        assert again.at_ns // 10**9 > first.deadline_s
        assert desk.book.gas_wei[HERE] == chain.gas_spent()
    assert before[0] - office.held()[0] == 4
