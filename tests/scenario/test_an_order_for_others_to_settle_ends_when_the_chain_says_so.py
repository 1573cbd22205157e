"""Reorganisations, lagging endpoints, the last second, refusals and leftovers around an order that others settle: the final chain decides."""

from __future__ import annotations

from decimal import Decimal

import aiohttp
import custody as c
import pytest
from node_support import Node, block, running
from offer_world import World

from agent.domain.errors import Denied, Halt, Reconcile, Reject, Retry
from agent.domain.events import Alarmed, CancelRequested
from agent.domain.order_state import OrdStatus
from chains.gateway import Gateway
from chains.intents.cow import Told
from chains.rpc import Rpc
from chains.types import Address, Call

ALL, HALF = 10**18, 5 * 10**17
USDC = 10**6


async def test_a_reorganised_settlement_is_taken_back_and_the_next_one_counted() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(ALL, 2_990 * USDC)
        if number == 3:
            world.logs.clear()
            world.salt = 7
        if number == 6:
            world.allowance = 0
            world.trade(ALL, 2_980 * USDC)

    world = World(step)
    settled = await world.run()
    assert world.reports == ["NEW", "TRADE", "TRADE_CANCEL", "TRADE"]
    (fill,) = settled.fills
    assert fill.qty_out == 2_980 and world.record.status is OrdStatus.FILLED and world.posts == 1


async def test_a_block_that_comes_back_brings_its_fill_back() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(ALL, 2_990 * USDC)
            world.kept = list(world.logs)  # type: ignore[attr-defined]
        if number == 3:
            world.logs.clear()
        if number == 4:
            world.logs = world.kept  # type: ignore[attr-defined]
            world.allowance = 0

    world = World(step)
    world.depth = 4
    settled = await world.run()
    assert world.reports == ["NEW", "TRADE", "TRADE_CANCEL", "TRADE"] and len(settled.fills) == 1


async def test_an_endpoint_a_block_behind_takes_no_fill_back() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(ALL, 2_990 * USDC)
            world.allowance = 0
        if number == 3:
            world.head -= 1  # the same height again, and now one endpoint has not got that far
            world.lag_at = {world.head}
        if number == 4:
            world.lag_at = set()

    world = World(step)
    await world.run()
    assert world.reports == ["NEW", "TRADE"]


async def test_a_fill_in_the_last_second_is_counted_before_the_end_is_told() -> None:
    def step(world: World, number: int) -> None:
        if world.head == 125:  # valid_to itself
            world.trade(HALF, 1_480 * USDC)

    world = World(step)
    settled = await world.run()
    assert world.reports == ["NEW", "TRADE", "EXPIRED"]
    assert [f.qty_in for f in settled.fills] == [Decimal("0.5")]
    assert world.head - world.depth > 125, "told once a final block is past it"
    assert world.batches == ["let", "take"] and world.allowance == 0


async def test_what_cannot_be_taken_back_is_told_to_a_person() -> None:
    def step(world: World, number: int) -> None:
        world.batch_errors = [Denied("OWNER_DID_NOT_SIGN", "owner said no")]

    world = World(step)
    await world.run()
    assert world.alarms == ["ALLOWANCE_LEFT"] and world.record.settled
    assert world.record.status is OrdStatus.EXPIRED


async def test_what_fails_to_be_taken_back_once_is_tried_again() -> None:
    def step(world: World, number: int) -> None:
        if number == 1:
            world.batch_errors = [Retry("NONCE_HELD", "plan again"), Reject("BATCH_FAILED", "it reverted")]

    world = World(step)
    await world.run()
    assert world.alarms == [] and world.allowance == 0 and world.batches == ["let", "take"]


async def test_where_no_allowance_is_given_nobody_is_shown_the_order() -> None:
    world = World(batch_errors=[Denied("POLICY_CAP_PER_DAY", "too much today")])
    await world.run()
    assert world.posts == 0 and world.reports == ["REJECTED"] and not world.batches
    assert "POLICY_CAP_PER_DAY" in world.store.events[-2].report.text  # type: ignore[attr-defined]


async def test_a_refused_order_is_ended_on_chain_before_it_counts_as_rejected() -> None:
    world = World(post_errors=[Reject("COW_INVALID_SIGNATURE", "they say no")])
    await world.run()
    assert world.batches == ["let", "end"] and world.allowance == 0
    assert world.reports == ["PENDING_CANCEL", "REJECTED"] and world.posts == 1


async def test_a_refused_order_that_was_settled_all_the_same_is_believed() -> None:
    def step(world: World, number: int) -> None:
        if number == 1:
            world.trade(HALF, 1_480 * USDC)

    world = World(step, post_errors=[Reject("COW_INSUFFICIENT_BALANCE", "they say no")])
    settled = await world.run()
    assert [f.qty_in for f in settled.fills] == [Decimal("0.5")]
    assert world.record.status is OrdStatus.CANCELED


def filled_at_three(world: World, number: int) -> None:
    if number == 3:
        world.trade(ALL, 2_990 * USDC)
        world.allowance = 0


async def test_a_lost_answer_is_asked_after_by_uid_and_posted_again_only_where_it_is_unknown() -> None:
    lost = Reconcile("COW_SILENT", "no answer")
    known = World(filled_at_three, post_errors=[lost], hint=Told("open", 0, 0))
    await known.run()
    assert known.posts == 1 and known.record.status is OrdStatus.FILLED

    unknown = World(filled_at_three, post_errors=[Reconcile("COW_SILENT", "no answer")])
    await unknown.run()
    assert unknown.posts == 2 and unknown.record.status is OrdStatus.FILLED, "the same bytes, the same UID"


async def test_a_death_between_signature_and_allowance_ends_without_a_fill() -> None:
    world = World(post_errors=[Reject("COW_INSUFFICIENT_ALLOWANCE", "no allowance")])
    await world.run(submit=False)
    assert world.posts == 1 and world.reports == ["PENDING_CANCEL", "REJECTED"]
    assert world.batches == ["end"] and world.allowance == 0, "ended on chain: the book has seen it"


async def test_a_death_between_allowance_and_post_is_made_good() -> None:
    world = World(filled_at_three, allowance=ALL)
    await world.run(submit=False)
    assert world.posts == 1 and world.record.status is OrdStatus.FILLED and world.batches == []


async def test_another_orders_settlement_is_not_this_ones() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(ALL, 2_990 * USDC, uid="0x" + "11" * 56)

    world = World(step)
    settled = await world.run()
    assert settled.fills == () and world.record.status is OrdStatus.EXPIRED


async def test_an_order_book_that_is_away_costs_nothing_but_time() -> None:
    world = World(post_errors=[Retry("COW_UNREACHABLE", "away")] * 100)
    await world.run()
    assert world.record.status is OrdStatus.EXPIRED and world.allowance == 0


async def test_a_cancel_that_a_settlement_races_counts_what_was_settled() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.recorder.take(CancelRequested(world.part.cl_ord_id, "test", world.clock.now_ns()))
            world.trade(HALF, 1_490 * USDC)

    world = World(step)
    settled = await world.run()
    assert world.batches == ["let", "end"] and len(settled.fills) == 1
    assert world.reports == ["NEW", "TRADE", "PENDING_CANCEL", "CANCELED"]


async def test_a_book_that_claims_a_fill_twice_running_alarms_once() -> None:
    world = World(hint=Told("fulfilled", ALL, 2_990 * USDC))
    settled = await world.run()
    assert world.alarms == ["ORDER_BOOK_DIFFERS"] and settled.fills == ()


# ---------------------------------------------------------------------- purchases, and trades that no order allows


async def test_a_purchase_is_over_when_all_of_it_has_come_whatever_it_cost() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(HALF - 5, 1_500 * USDC)
        if number == 4:
            world.trade(HALF - 9 * 10**15, 1_450 * USDC)

    world = World(step, kind="buy")
    settled = await world.run()
    assert world.reports == ["NEW", "TRADE", "TRADE"] and world.record.status is OrdStatus.FILLED
    assert sum(fill.qty_out for fill in settled.fills) == 2_950
    assert world.batches == ["let", "take"] and world.allowance == 0, "what it did not cost is taken back"


async def test_a_purchase_of_which_a_part_came_expires_with_it() -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(HALF, 1_500 * USDC)

    world = World(step, kind="buy")
    settled = await world.run()
    assert world.reports == ["NEW", "TRADE", "EXPIRED"] and len(settled.fills) == 1
    assert world.record.status is OrdStatus.EXPIRED and world.allowance == 0


async def test_a_book_that_claims_more_of_a_purchase_than_came_alarms() -> None:
    world = World(hint=Told("fulfilled", ALL, 2_950 * USDC), kind="buy")
    settled = await world.run()
    assert world.alarms == ["ORDER_BOOK_DIFFERS"] and settled.fills == ()
    told = world.told_of(Alarmed)[0].message
    assert "holds 0 of 2950000000 bought" in told


@pytest.mark.parametrize("kind", ["sell", "buy"])
@pytest.mark.parametrize(
    "tokens,sold,bought,named",
    [
        ((c.WETH, c.USDC), ALL, 2_950 * USDC - 1, "sellAmount"),
        ((c.WETH, c.USDC), HALF + 1, 1_475 * USDC, "sellAmount"),
        ((c.WETH, c.USDT), ALL, 3_000 * USDC, "buyToken"),
        ((c.USDT, c.USDC), ALL, 3_000 * USDC, "sellToken"),
    ],
)
async def test_a_trade_that_the_order_does_not_allow_is_no_fill_and_stops_the_lane(
    kind: str, tokens: tuple[str, str], sold: int, bought: int, named: str
) -> None:
    def step(world: World, number: int) -> None:
        if number == 2:
            world.trade(sold, bought)

    world = World(step, kind=kind, tokens=tokens)
    with pytest.raises(Halt, match=f"TRADE_DIFFERS.*{named}"):
        await world.run()
    assert world.reports == ["NEW"] and not world.record.fills


# ---------------------------------------------------------------------- logs by a quorum


def log_of(number: int) -> dict[str, object]:
    return {
        "address": c.SAFE, "topics": ["0x" + "01" * 32], "data": "0x", "blockNumber": hex(number),
        "blockHash": block(number)["hash"], "transactionHash": "0x" + "02" * 32, "logIndex": "0x0",
    }  # fmt: skip


@pytest.mark.parametrize("told,count", [(([1], [1], [1]), 1), (([1], [1], []), 1), (([], [], [1]), 0)])
async def test_logs_that_two_of_three_endpoints_tell_decide(told: tuple[list[int], ...], count: int) -> None:
    nodes = [
        Node(extra={"eth_getLogs": lambda params, found=found: [log_of(99) for _ in found]}) for found in told
    ]
    async with running(*nodes), aiohttp.ClientSession() as session:
        gate = Gateway(
            1,
            [Rpc(n.url, session) for n in nodes],
        )
        assert len(await gate.logs_agreed(Address(c.SAFE), [[b"\1" * 32]], 90, 99)) == count


async def test_two_endpoints_that_differ_decide_nothing() -> None:
    nodes = [
        Node(extra={"eth_getLogs": lambda params: [log_of(99)]}),
        Node(extra={"eth_getLogs": lambda params: []}),
    ]
    async with running(*nodes), aiohttp.ClientSession() as session:
        gate = Gateway(
            1,
            [Rpc(n.url, session) for n in nodes],
        )
        with pytest.raises(Retry, match="ENDPOINTS_DIFFER"):
            await gate.logs_agreed(Address(c.SAFE), [[b"\1" * 32]], 90, 99)


@pytest.mark.parametrize("words", [("01", "01", "02"), ("01", "02", "01")])
async def test_a_state_that_two_of_three_endpoints_tell_decides(words: tuple[str, ...]) -> None:
    nodes = [Node(extra={"eth_call": lambda params, told=told: "0x" + told * 32}) for told in words]
    async with running(*nodes), aiohttp.ClientSession() as session:
        rpcs = [Rpc(n.url, session) for n in nodes]
        asked = Call(Address(c.SAFE), b"\1" * 4)
        assert (await Gateway(1, rpcs).call_agreed(asked, 90)).data == b"\1" * 32
        with pytest.raises(Retry, match="ENDPOINTS_DIFFER"):
            await Gateway(1, rpcs[:2] if words[0] != words[1] else rpcs[1:]).call_agreed(asked, 90)


async def test_a_fill_below_the_head_it_was_made_on_is_counted() -> None:
    """A reorganisation took the head away that it was made on: the block that holds its settlement has a lower number."""

    def step(world: World, number: int) -> None:
        if number == 1:
            world.trade(10**18, 2_990 * 10**6, block=world.authorized.offer.since_block - 2)  # type: ignore[union-attr]

    world = World(step)
    settled = await world.run()
    assert len(settled.fills) == 1 and world.record.status is OrdStatus.FILLED
