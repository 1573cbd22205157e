"""What waits at a relay is looked at again at every head: taken back where it would revert, handed over again where it would not,
and a bundle for each block. Real relay process, real chain, the simulator's own fork."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from anvil_support import REVERTER, STORER, RelayWorld, anvil_or_skip, relay_world

from agent.app.tending import Tending
from chains.gateway import Gateway
from chains.relay import Relay, sendable
from chains.relay_auth import local_header
from chains.relays.flashbots import FlashbotsRelay
from chains.relays.titan import TitanRelay
from chains.simulate import Simulator
from chains.types import Protection, SignedTx

TARGET = "0x" + "7a" * 20
AUTH = local_header(bytes([1] * 31 + [99]))


@dataclass
class Waiting:
    world: RelayWorld
    relay: Relay
    gateway: Gateway
    simulator: Simulator
    tending: Tending

    async def look(self, tx: SignedTx, max_block: int = 99) -> str:
        head = await self.gateway.block("latest")
        return await self.tending.tend(
            tx, Protection.PRIVATE, head, max_block, self.relay, self.gateway, self.simulator
        )

    async def market(self, code: str) -> None:
        """What the transaction would meet in the next block."""
        await self.world.admin.call("anvil_setCode", [TARGET, code])

    async def send(self, tx: SignedTx, max_block: int = 99) -> None:
        head = await self.gateway.block("latest")
        item = sendable(tx, Protection.PRIVATE, self.relay.profile)
        await self.relay.send(item, block=head.number + 1, max_block=max_block)
        self.tending.sent.add(tx.hash)

    async def pending(self) -> int:
        return len((await self.world.truth())["private_pending"])

    async def included(self, tx: SignedTx) -> bool:
        return await self.world.rpc.call("eth_getTransactionReceipt", [tx.hash]) is not None


@asynccontextmanager
async def waiting(kind: str) -> AsyncIterator[Waiting]:
    async with relay_world() as world:
        url = world.url + "/relay"
        relay: Relay = (FlashbotsRelay if kind == "flashbots" else TitanRelay)(url, world.session, AUTH)
        gateway = Gateway(1, [world.rpc])
        await world.mine()
        async with Simulator(1, gateway, [world.rpc], binary=anvil_or_skip()) as simulator:
            yield Waiting(world, relay, gateway, simulator, Tending())


@pytest.mark.parametrize("kind", ["flashbots", "titan"])
async def test_it_is_taken_back_while_it_would_revert(kind: str) -> None:
    async with waiting(kind) as w:
        await w.market(STORER)
        await w.world.mine()
        tx = w.world.users[0].sign(TARGET, data="0x" + "11" * 32)
        await w.send(tx)
        assert await w.look(tx) == "" and await w.pending() == 1
        await w.market(REVERTER)
        await w.world.mine()
        assert not await w.included(tx), "nobody pays for a revert"
        why = await w.look(tx)
        assert why and await w.pending() == 0, "the relay does not hold it any more"
        assert await w.look(tx) == why, "and it stays so until a head shows another state"
        await w.market(STORER)
        await w.world.mine()
        assert not await w.included(tx)
        assert await w.look(tx) == "" and await w.pending() == 1, "and handed over again"
        await w.world.mine()
        assert await w.included(tx)
        assert await w.look(tx) == ""


async def test_a_bundle_is_handed_over_for_every_block_and_not_beyond_the_last() -> None:
    async with waiting("titan") as w:
        await w.market(STORER)
        await w.world.mine()
        tx = w.world.users[0].sign(TARGET, data="0x" + "11" * 32, tip_gwei=0)
        await w.send(tx)
        head = (await w.gateway.block("latest")).number
        await w.world.admin.call(
            "relay_fault", [{"road": "private", "kind": "delay", "count": 5, "blocks": 9}]
        )
        for number in range(head + 1, head + 4):
            await w.look(tx, max_block=head + 3)
            targets = {a["head"] + 1 for a in (await w.world.truth())["arrivals"] if a["hash"] == tx.hash}
            assert max(targets) == number, "one bundle for each block"
            await w.world.mine()
        before = len((await w.world.truth())["arrivals"])
        await w.look(tx, max_block=head + 3)
        assert len((await w.world.truth())["arrivals"]) == before


async def test_where_it_cannot_be_simulated_a_bundle_goes_on_and_is_judged_at_the_same_block_once_it_can() -> (
    None
):
    async with waiting("titan") as w:
        await w.market(STORER)
        await w.world.mine()
        tx = w.world.users[0].sign(TARGET, data="0x" + "11" * 32, tip_gwei=0)
        await w.world.admin.call(
            "relay_fault", [{"road": "private", "kind": "delay", "count": 3, "blocks": 9}]
        )
        await w.send(tx)
        await w.simulator.stop()
        for _ in range(2):
            await w.world.mine()
            head = (await w.gateway.block("latest")).number
            assert await w.look(tx) == ""
            arrivals = (await w.world.truth())["arrivals"]
            assert max(a["head"] for a in arrivals if a["hash"] == tx.hash) == head, (
                "no block is missed for it"
            )
        await w.market(REVERTER)
        await w.world.mine()
        assert await w.look(tx) == ""
        await w.simulator.start()
        assert await w.look(tx), "taken back without a new block"


async def test_behind_another_of_ours_it_is_neither_judged_nor_taken_back() -> None:
    async with waiting("flashbots") as w:
        await w.market(REVERTER)
        await w.world.mine()
        second = w.world.users[0].sign(TARGET, nonce=1)
        await w.send(second)
        assert await w.look(second) == "" and await w.pending() == 1


@pytest.mark.parametrize("lost", ["swallowed", "reorganised"])
async def test_what_the_relay_lost_after_saying_it_has_it_is_handed_over_again_within_two_blocks(
    lost: str,
) -> None:
    async with waiting("flashbots") as w:
        await w.market(STORER)
        await w.world.mine()
        tx = w.world.users[0].sign(TARGET, data="0x" + "11" * 32)
        if lost == "swallowed":
            await w.world.admin.call("relay_fault", [{"road": "private", "kind": "swallow"}])
        await w.send(tx)
        await w.look(tx)
        if lost == "reorganised":
            await w.world.mine()
            await w.world.admin.call("relay_reorg", [1, "drop"])
        for _ in range(2):
            assert not await w.included(tx)
            await w.world.mine()
            await w.look(tx)
        await w.world.mine()
        assert await w.included(tx)


async def test_what_an_earlier_process_handed_over_is_told_again_at_the_first_look() -> None:
    """Nobody knows whether it was lost while there was no process."""
    async with waiting("flashbots") as w:
        await w.market(STORER)
        await w.world.mine()
        tx = w.world.users[0].sign(TARGET, data="0x" + "11" * 32)
        await w.look(tx)
        assert await w.pending() == 1
        await w.world.mine()
        assert await w.included(tx)


async def test_while_trading_is_halted_nothing_is_handed_over_again_and_what_crossed_the_halt_is_dropped() -> (
    None
):
    async with waiting("flashbots") as w:
        await w.market(STORER)
        await w.world.mine()
        tx = w.world.users[0].sign(TARGET, data="0x" + "11" * 32)
        await w.send(tx)
        await w.look(tx)
        w.tending.halted = lambda: "panic"
        await w.relay.cancel(tx)  # what `fairlead panic` does, from another process
        for _ in range(4):
            await w.world.mine()
            await w.look(tx)
            assert await w.pending() == 0 and not await w.included(tx)
        answers = iter(["", "panic"])
        w.tending.halted = lambda: next(answers)
        await w.world.mine()
        await w.look(tx)
        assert await w.pending() == 0, "handed over while the switch was being set, and dropped again"
        assert next(answers, None) is None
        w.tending.halted = lambda: ""
        for _ in range(3):
            await w.world.mine()
            await w.look(tx)
        await w.world.mine()
        assert await w.included(tx), "and goes on once the halt is over"
