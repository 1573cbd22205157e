"""Whether a wallet's batch took effect is told of final blocks alone: what one block reverted, the one that replaces it may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from manual_clock import ManualClock
from offer_world import MemoryStore, World

from agent.domain.events import Authorized, Instructed, Settled
from agent.domain.ids import ClOrdId
from agent.domain.submission_state import Observation as Seen
from agent.execution.outbox import observed
from agent.execution.recorder import Recorder
from agent.execution.wallet_batches import WalletBatches
from agent.journal.book import Book
from chains.types import Hash32

FIRST, SECOND = "0x" + "01" * 32, "0x" + "02" * 32


class Chain:
    """Follows a batch through what is seen of it until that is final."""

    def __init__(self, recorder: Recorder, after: list[tuple[Seen, str]]) -> None:
        self.recorder, self.after, self.followed = recorder, after, 0

    async def follow(self, authorized: Authorized) -> Settled:
        self.followed += 1
        for seen, block in self.after:
            await self.recorder.record(observed(authorized, seen, 1, block_number=7, block_hash=block))
        return Settled(authorized.part, (), 0, 2)


@pytest.mark.parametrize(
    ("after", "took"),
    [
        ([], False),
        ([(Seen.REORGED, ""), (Seen.INCLUDED, SECOND), (Seen.FINALIZED, "")], True),
        ([(Seen.REORGED, ""), (Seen.REVERTED, SECOND)], False),
    ],
)
async def test_it_took_effect_where_the_last_block_says_so(after: list[tuple[Seen, str]], took: bool) -> None:
    recorder = Recorder(MemoryStore(), Book())
    world = World()
    part = replace(world.part, cl_ord_id=ClOrdId("fl-1-1"), child=ClOrdId(world.part.cl_ord_id), in_raw=0)
    signed = replace(
        world.authorized, part=part, offer=None, tx_hash=Hash32("0x" + "aa" * 32), request_digest=""
    )
    for event in (Instructed(part, "open", 0), signed, observed(signed, Seen.REVERTED, 1, block_hash=FIRST)):
        await recorder.record(event)
    chain: Any = Chain(recorder, after)
    nobody: Any = None
    batches = WalletBatches(ManualClock(), recorder, nobody, nobody, chain)
    assert await batches.took_effect(world.part) is took
    assert await batches.took_effect(world.part) is took and chain.followed == 1, "followed once, to its end"
