"""Around an order under the agent's key: opened before it is shown, ended only while it is the one that lies there, brought home at the end,
and told to a person where the key that opened it does not sign here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import custody as c
from offer_world import World

from agent.domain.errors import Reject, Retry, Usage
from agent.domain.events import Alarmed
from agent.domain.order_state import OrdStatus
from chains.types import Address, Call, CowOrder

HOLDER = "0x3333333333333333333333333333333333333333"
ROLES = Address("0x1111111111111111111111111111111111111111")
ALL, USDC = 10**18, 10**6


class Agents:
    """What the chain holds of the order; `closed`: the agent's key does not sign in this process."""

    def __init__(self) -> None:
        self.lies, self.closed = 0, False

    def opening(self, order: CowOrder) -> Sequence[Call]:
        return (Call(ROLES, b"open"),)

    async def ending(self, order: CowOrder) -> Sequence[Call]:
        if not self.lies:
            return ()
        if self.closed:
            raise Usage("NO_AGENTS_ROAD", "it does not sign here")
        return (Call(ROLES, b"end"),)

    async def left(self, order: CowOrder) -> int:
        return self.lies


class AgentsWorld(World):
    """The batches go to the Roles modifier: what opens it puts it apart, what ends it invalidates and brings it home.
    `flickers`: the block that holds the opening reverts it, and the one that replaces that block does not."""

    flickers = False

    async def included(self, part: Any, what: str, calls: Sequence[Call], chain: Any, watch: Any) -> None:
        if self.batch_errors:
            raise self.batch_errors.pop(0)
        self.batches.append(what.split(" ")[0])
        if self.flickers:
            # Decided as failed, and held by a later block after all.
            self.flickers, self.agents[1].lies = False, ALL
            raise Reject("BATCH_FAILED", "the transaction ended REVERTED")
        (call,) = calls
        assert call.to == ROLES
        if call.data == b"open":
            self.agents[1].lies = ALL
        else:
            if self.ref(self.head).timestamp <= self.authorized.deadline_s:
                self.invalidate()
            self.agents[1].lies = 0


def world_of(step: Any = lambda world, number: None, **more: Any) -> AgentsWorld:
    return AgentsWorld(step, owner=HOLDER, agents={1: Agents()}, **more)


async def test_it_is_opened_filled_and_nothing_is_left() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(ALL, 2_990 * USDC)
            world.agents[1].lies = 0

    world = world_of(step)
    settled = await world.run()
    assert world.batches == ["open"] and world.posts == 1 and len(settled.fills) == 1
    assert world.record.status is OrdStatus.FILLED and not world.alarms


async def test_what_a_purchase_did_not_cost_is_brought_home() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(ALL * 98 // 100, 2_950 * USDC)
            world.agents[1].lies = ALL * 2 // 100

    world = world_of(step, kind="buy")
    await world.run()
    assert world.batches == ["open", "take"] and world.agents[1].lies == 0 and not world.alarms


async def test_a_cancel_ends_it_and_a_lapse_brings_it_home() -> None:
    async def cancelled() -> AgentsWorld:
        def step(world: World, number: int) -> None:
            if number == 3:
                world.record.cancel_requested = True

        world = world_of(step)
        await world.run()
        return world

    ended = await cancelled()
    assert ended.batches == ["open", "end"] and ended.record.status is OrdStatus.CANCELED
    lapsed = world_of()
    await lapsed.run()
    assert lapsed.batches == ["open", "take"] and lapsed.record.status is OrdStatus.EXPIRED
    assert lapsed.agents[1].lies == 0 and not lapsed.alarms


async def test_an_order_that_could_not_be_opened_is_shown_to_nobody_and_ends_nothing() -> None:
    world = world_of(batch_errors=[Reject("WOULD_REVERT", "gate: StillOpen")])
    settled = await world.run()
    assert world.posts == 0 and not settled.fills and world.batches == []
    assert world.record.status is OrdStatus.REJECTED and not world.alarms


async def test_what_is_not_there_any_more_is_not_ended_in_anothers_place() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.agents[1].lies = 0  # an owner ended it, and another order of the token may lie there now
            world.record.cancel_requested = True

    world = world_of(step)
    await world.run()
    assert world.batches == ["open"], "nothing was ended that is not this order"


async def test_where_the_agents_key_does_not_sign_a_person_is_told_where_it_lies() -> None:
    def step(world: World, number: int) -> None:
        if number == 1:
            world.agents[1].closed = True

    world = world_of(step)
    await world.run()
    (told,) = world.told_of(Alarmed)
    assert told.code == "OFFER_LEFT" and HOLDER in told.message and "whoever calls it" in told.message
    assert c.WETH in told.message and world.record.status is OrdStatus.EXPIRED


async def test_an_opening_that_a_reorganisation_brings_after_all_is_ended_and_brought_home() -> None:
    def step(world: World, number: int) -> None:
        if number == 1:
            world.trade(
                ALL // 10, 299 * USDC
            )  # whoever reads its fields may settle it: it needs no order book

    world = world_of(step)
    world.flickers = True
    settled = await world.run()
    assert world.posts == 0 and world.batches == ["open", "end"] and world.agents[1].lies == 0
    assert len(settled.fills) == 1 and world.record.status is OrdStatus.CANCELED and not world.alarms


async def test_a_cancel_before_its_block_or_while_nothing_answers_is_not_forgotten() -> None:
    def step(world: World, number: int) -> None:
        if number == 1:
            world.record.cancel_requested, world.agents[1].lies = (
                True,
                0,
            )  # the block that holds it was taken back
        if number == 6:
            world.agents[1].lies = ALL
            world.batch_errors = [Retry("NO_ENDPOINT", "nothing answers")] * 4

    world = world_of(step)
    await world.run()
    assert world.batches == ["open", "end"] and world.agents[1].lies == 0 and not world.alarms
    assert world.record.status is OrdStatus.CANCELED
