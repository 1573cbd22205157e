"""Another program has the sender's key, or the owners use the Safe by other means, while an order waits: noticed, survived, done once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from desk import HERE, Grave, Office, order, statuses
from fake_chain import FakeChain

from agent.domain.events import Observed, Replaced
from agent.domain.submission_state import Observation
from agent.execution.reconcile import resume
from agent.execution.spine import work

STALL = 2
"""Blocks within which an order goes on."""


def mined_at(office: Office) -> int:
    (seen,) = [e for e in office.events() if isinstance(e, Observed) and e.seen is Observation.INCLUDED]
    return seen.block_number


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("what", ["sender", "safe", "both"])
async def test_it_goes_on(tmp_path: Path, what: str, dead: bool) -> None:
    """`dead`: the desk is gone while it happens, and the next one finds out."""
    office = Office(tmp_path, places=(HERE,))
    chain: FakeChain = office.chains[1]
    chain.mining = False
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        if dead:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        if what != "safe":
            chain.foreign()
        if what != "sender":
            chain.foreign_batch()
        await office.clock.sleep(12)
        taken = chain.head.ref.number
        if not dead:
            chain.mining = True
            await doing
    if dead:
        async with office.open() as desk:
            chain.mining = True
            await resume(desk)
    book = office.read_book()
    kept = ["FILLED"] if what == "sender" else ["EXPIRED", "FILLED"]
    assert list(statuses(book, parent)) == kept
    told = "SAFE_NONCE_TAKEN" if what == "safe" else "NONCE_TAKEN"
    codes = [alarm.code for alarm in book.alarms]
    # Where both are gone, the sender's may be seen a block before the Safe's.
    assert codes == [told] or (what == "both" and codes == [told, "SAFE_NONCE_TAKEN"])
    assert mined_at(office) - taken <= STALL
    assert {tx.nonce for tx in office.sender.signed} == ({0} if what == "safe" else {0, 1})
    assert before[0] - office.held()[0] == 4 and book.gas_wei[HERE] == chain.gas_spent()
    closed = book.parents[parent.cl_ord_id].closed
    assert closed is not None and closed.status == "FILLED"


@pytest.mark.parametrize("moment", ["before", "durable", "after"])
async def test_dead_while_it_is_signed_for_the_next_nonce_it_is_done_once(
    tmp_path: Path, moment: str
) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain: FakeChain = office.chains[1]
    chain.mining = False
    before, parent = office.held(), order(office, "4")
    grave = Grave(strike=lambda at, event: at == moment and isinstance(event, Replaced))
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        chain.foreign()
        await desk.clock.sleep(14)
        assert grave.dead
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    chain.mining = True
    async with office.open() as desk:
        await resume(desk)
        assert list(statuses(desk.book, parent)) == ["FILLED"]
        assert desk.book.gas_wei[HERE] == chain.gas_spent()
    assert before[0] - office.held()[0] == 4


async def test_an_old_form_that_is_mined_after_a_reorganisation_is_the_orders_own(tmp_path: Path) -> None:
    """The foreign transaction is reorganised away, and what was signed first is mined at the first nonce after all."""
    office = Office(tmp_path, places=(HERE,), finality=6)
    chain: FakeChain = office.chains[1]
    chain.mining = False
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        (first,) = chain.pending
        fork = list(chain.blocks)
        chain.foreign()
        await desk.clock.sleep(14)
        assert len(office.sender.signed) == 2
        chain.adopt(fork)  # the branch without it
        chain.pending, chain.mining = [first], True
        await doing
        (part,) = desk.book.parts.values()
        assert part.winner == office.sender.signed[0].hash
        assert part.gas_wei == desk.book.gas_wei[HERE] == chain.gas_spent() > 0
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


@pytest.mark.parametrize(("returns", "keeps"), [(False, False), (False, True), (True, False)])
async def test_a_nonce_that_a_reorganisation_gave_back_below_ours_is_filled(
    tmp_path: Path, returns: bool, keeps: bool
) -> None:
    """Another program had used it before the order was signed. Gone with its block, it leaves a gap that nothing of ours would ever fill;
    where the next block brings it back there is nothing to do. A road that `keeps` what it has mines that too, and what its revert costs is
    booked."""
    office = Office(tmp_path, places=(HERE,), finality=6)
    chain: FakeChain = office.chains[1]
    chain.keeps = keeps
    chain.mining = False
    before, parent, fork = office.held(), order(office, "4"), list(chain.blocks)
    chain.foreign()
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        assert [tx.nonce for tx in office.sender.signed] == [1]
        held = list(chain.pending)
        chain.adopt(fork)  # the branch without it
        await desk.clock.sleep(3)
        if returns:
            chain.foreign()
        chain.pending = held
        given_back, chain.mining = chain.head.ref.number, True
        await doing
        assert list(statuses(desk.book, parent)) == ["FILLED"]
        assert desk.book.gas_wei[HERE] == chain.gas_spent()
        (part,) = desk.book.parts.values()
        assert len(part.side_gas) == keeps, "a revert that was paid for"
        assert [alarm.code for alarm in desk.book.alarms] == ([] if returns else ["NONCE_GAP"])
    nonces = {tx.nonce for tx in office.sender.signed}
    assert nonces == ({1} if returns else {0, 1})
    assert mined_at(office) - given_back <= 2 * STALL
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_a_form_that_reverts_in_the_gap_is_not_the_end_while_the_one_above_it_could_execute(
    tmp_path: Path,
) -> None:
    """The market is away when the gap's form is mined, and back when the first one is: the order was done, and is not done again."""
    office = Office(tmp_path, places=(HERE,))
    chain: FakeChain = office.chains[1]
    chain.keeps, chain.mining = True, False
    before, parent, fork = office.held(), order(office, "4"), list(chain.blocks)
    chain.foreign()
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        (first,) = chain.pending
        chain.adopt(fork)  # the branch without the other program's
        while len(office.sender.signed) < 2:
            await desk.clock.sleep(1)
        await desk.clock.sleep(2)
        (in_gap,) = [raw for raw in chain.pending if raw != first]
        market = chain.world
        chain.blocks[-1] = replace(chain.blocks[-1], world=replace(market, tokens={}))
        chain.pending, chain.mining = [in_gap], True
        chain.mine()
        chain.mining = False
        chain.blocks[-1] = replace(
            chain.blocks[-1], world=replace(chain.blocks[-1].world, tokens=market.tokens)
        )
        (part,) = desk.book.parts.values()
        while not part.winner:
            await desk.clock.sleep(1)
        await desk.clock.sleep(50)  # final since long
        chain.pending, chain.mining = [first], True
        await doing
        assert part.winner == office.sender.signed[0].hash and len(part.side_gas) == 1
        assert list(statuses(desk.book, parent)) == ["FILLED"]
        assert desk.book.gas_wei[HERE] == chain.gas_spent()
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


async def test_a_call_without_the_safes_nonce_is_not_done_again_while_it_could_come_back(
    tmp_path: Path,
) -> None:
    """By the agent's own key nothing but the sender's nonce keeps a call from being done twice, and a reorganisation gives that back."""
    office = Office(tmp_path, places=(HERE,), finality=6, alone=True)
    chain: FakeChain = office.chains[1]
    chain.mining = False
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        (first,) = chain.pending
        fork = list(chain.blocks)
        chain.foreign()
        await desk.clock.sleep(40)
        chain.adopt(fork)  # the branch without it
        chain.pending = [first, *(raw for raw in chain.pending if raw != first)]
        chain.mining = True
        await doing
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1


@pytest.mark.parametrize("comes", [True, False])
async def test_what_reverted_is_not_done_again_while_others_could_send_it(
    tmp_path: Path, comes: bool
) -> None:
    """A block that holds a revert shows everybody what the Safe's owners signed; its nonce is free, so whoever likes may send it until
    its deadline."""
    office = Office(tmp_path, places=(HERE,))
    chain: FakeChain = office.chains[1]
    chain.keeps, chain.mining = True, False
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(20)
        (first,) = chain.pending
        market = chain.world
        chain.blocks[-1] = replace(chain.blocks[-1], world=replace(market, tokens={}))
        chain.mining = True
        chain.mine()
        chain.mining = False
        chain.blocks[-1] = replace(
            chain.blocks[-1], world=replace(chain.blocks[-1].world, tokens=market.tokens)
        )
        (part,) = desk.book.parts.values()
        assert part.authorized is not None
        deadline_s = part.authorized.deadline_s
        await desk.clock.sleep(50)  # the revert is final since long
        assert part.winner and not part.settled and len(desk.book.parts) == 1
        if comes:
            chain.elsewhere(first)
        chain.mining = True
        await doing
        assert desk.book.gas_wei[HERE] == chain.gas_spent()
        assert list(statuses(desk.book, parent)) == (["FILLED"] if comes else ["REJECTED", "FILLED"])
        late = [b.ref.timestamp for b in chain.blocks if any(r.status for r in b.receipts.values())]
        assert len(late) == 1 and (late[0] > deadline_s) is not comes
    assert before[0] - office.held()[0] == 4 and chain.swaps() == 1
