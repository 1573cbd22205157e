"""The one request for a block: what does not prove to be of the head that was told is not used, and the gateway is asked instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eth_abi.abi import encode
from told_heads import ToldHeads

from chains.ending import ended
from chains.errors import Retry
from chains.evm import selector
from chains.gas import FeeHistory
from chains.types import Address, BlockRef, Call, CallResult, Hash32
from chains.warm import FAILURES, FORGOTTEN_AFTER, REST_BLOCKS, Warm

WHO, POOL = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
VIEW = Call(POOL, selector("slot0()"))


def ref(number: int, branch: int = 0) -> BlockRef:
    def name(n: int) -> Hash32:
        return Hash32(f"0x{branch:032x}{n:032x}")

    return BlockRef(number, name(number), name(number - 1), 1_700_000_000 + number, 7)


class ScriptedGateway:
    """A chain at one head, each answer of the batch as `twist` leaves it; counts what passes through to plain reads."""

    chain_id, own_numbers = 1, True

    def __init__(self, quorum: int = 1) -> None:
        self.quorum, self.head, self.highest, self.plain, self.batches = quorum, ref(10), 0, 0, 0
        self.twist: Callable[[list[Any]], Any] = lambda answers: answers

    async def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        self.batches += 1
        answers: list[Any] = []
        for method, params in requests:
            if method == "eth_call":
                count = int(params[0]["data"][2 + 8 + 64 : 2 + 8 + 128], 16)
                proofs = [self.head.number, self.head.timestamp, int(self.head.parent_hash, 16)]
                views = [(True, n.to_bytes(32, "big")) for n in (*proofs, *range(500, 500 + count - 3))]
                answers.append("0x" + encode(["(bool,bytes)[]"], [views]).hex())
            elif method == "eth_feeHistory":
                answers.append({"oldestBlock": "0x1", "baseFeePerGas": [hex(7), hex(8)], "reward": []})
            elif method == "eth_getTransactionCount":
                answers.append(hex(3))
            elif method == "eth_getLogs":
                answers.append([{"address": POOL, "topics": [], "data": "0x", "blockNumber": hex(self.head.number), "blockHash": params[0]["blockHash"], "transactionHash": self.head.hash, "logIndex": "0x0"}])  # fmt: skip
            else:
                answers.append(hex(self.head.number))
        return self.twist(answers)  # type: ignore[no-any-return]

    async def block(self, tag: int | str = "latest") -> BlockRef:
        self.plain += 1
        return self.head

    async def multicall(self, calls: Sequence[Call], block: int | str = "latest") -> Any:
        self.plain += 1
        return self.head, [CallResult(True, (1).to_bytes(32, "big")) for _ in calls]

    async def nonce(self, address: Address, block: int | str = "latest") -> int:
        self.plain += 1
        return 99 if block == "latest" else 4

    async def fee_history(self) -> FeeHistory:
        self.plain += 1
        return FeeHistory(1, (7, 8), ())


async def asked_once() -> tuple[ScriptedGateway, ToldHeads, Warm]:
    """A Warm that has learnt what is asked, at block 10, and was told block 11 since."""
    chain: Any = ScriptedGateway()
    heads = ToldHeads(1)
    warm = Warm(chain, heads, fresh_s=60, ahead_s=0)
    warm.follow([((POOL,), ())])
    heads.say(chain.head)
    await warm.multicall([VIEW])
    await warm.nonce(WHO)
    chain.head, chain.plain, chain.batches = ref(11), 0, 0
    heads.say(chain.head)
    return chain, heads, warm


async def test_everything_asked_before_is_there_after_one_request() -> None:
    chain, _, warm = await asked_once()
    at, (view,) = await warm.multicall([VIEW])
    assert at == ref(11) and int.from_bytes(view.data, "big") == 500
    assert await warm.nonce(WHO) == 3 and (await warm.fee_history()).base_fee_wei == (7, 8)
    assert await warm.block() == ref(11) and (await warm.multicall([VIEW], 11))[0] == at
    news = await warm.news(ref(10).hash)
    assert news is not None and [(b, [log.address.lower() for log in logs]) for b, logs in news] == [
        (at, [POOL])
    ]
    assert await warm.news(at.hash) == [] and await warm.news(ref(9, 1).hash) is None
    assert (chain.batches, chain.plain) == (1, 0)


def other_block(answers: list[Any]) -> list[Any]:
    proofs = [12, 1, 2, 500]
    return [
        "0x" + encode(["(bool,bytes)[]"], [[(True, n.to_bytes(32, "big")) for n in proofs]]).hex(),
        *answers[1:],
    ]


TWISTS: dict[str, Callable[[list[Any]], Any]] = {
    "the views are another block's": other_block,
    "the endpoint is ahead of the head told": lambda a: [*a[:-1], hex(12)],
    "the logs are another block's": lambda a: [*a[:-2], [{**a[-2][0], "blockHash": ref(11, 5).hash}], a[-1]],
    "the block is not known there": lambda a: [*a[:-2], Retry("NO_ANSWER", "unknown block"), a[-1]],
    "the fees are another block's": lambda a: [a[0], {**a[1], "baseFeePerGas": [hex(9), hex(8)]}, *a[2:]],
    "the answer is cut short": lambda a: [a[0][:-64], *a[1:]],
}


@pytest.mark.parametrize("what", TWISTS)
async def test_what_is_not_of_the_block_told_is_not_used(what: str) -> None:
    chain, _, warm = await asked_once()
    chain.twist = TWISTS[what]
    _, (view,) = await warm.multicall([VIEW])
    assert int.from_bytes(view.data, "big") == 1, "the gateway's own answer"
    assert await warm.nonce(WHO) == 99 and await warm.news(ref(10).hash) is None
    assert chain.batches == 1, "not tried again for the same head"


async def test_a_head_that_is_no_longer_the_newest_answers_nothing() -> None:
    chain, heads, warm = await asked_once()
    await warm.multicall([VIEW])
    chain.highest = 12  # some read of this process, a receipt say, has seen a later block
    assert await warm.nonce(WHO) == 99 and chain.plain == 1
    chain.highest, heads.live = 0, False
    assert await warm.nonce(WHO) == 99
    heads.live, heads.told_at_s = True, heads.told_at_s - 61
    assert await warm.nonce(WHO) == 99


async def test_where_a_quorum_decides_nonces_the_gateway_is_asked_for_them_at_that_block() -> None:
    chain, _, warm = await asked_once()
    chain.quorum = 2
    await warm.multicall([VIEW])
    assert await warm.nonce(WHO) == 4 and chain.plain == 1


async def test_an_endpoint_that_takes_no_such_request_is_let_be() -> None:
    chain, heads, warm = await asked_once()
    chain.twist = lambda answers: answers[:1] and [Retry("MALFORMED_ANSWER", "no batches")] * len(answers)
    for number in range(11, 11 + FAILURES + 5):
        chain.head = ref(number)
        heads.say(chain.head)
        await warm.block()
    assert chain.batches == FAILURES
    chain.twist, chain.head = (lambda answers: answers), ref(11 + FAILURES + REST_BLOCKS)
    heads.say(chain.head)
    assert await warm.block() == chain.head and chain.batches == FAILURES + 1


async def test_logs_that_were_asked_for_others_than_are_followed_now_are_no_news() -> None:
    """Whoever begins to follow while a block is on its way would else take its silence for a block in which nothing happened."""
    chain, heads, warm = await asked_once()
    other = [((Address("0x" + "cc" * 20),), ())]

    def meanwhile(answers: list[Any]) -> list[Any]:
        warm.follow(other)
        return answers

    chain.twist = meanwhile
    await warm.block()
    assert chain.batches >= 1 and await warm.news(ref(10).hash) is None
    chain.head = ref(12)
    heads.say(chain.head)
    news = await warm.news(ref(11).hash)
    assert news is not None and [block for block, _ in news] == [ref(12)]


async def test_what_was_asked_lately_is_read_before_anybody_asks_again() -> None:
    chain, heads, warm = await asked_once()
    reading = asyncio.create_task(warm.ahead())
    for _ in range(50):
        await asyncio.sleep(0)
    assert chain.batches == 0, "nobody wants heads: nothing is read ahead"
    warm.want()
    for _ in range(50):
        await asyncio.sleep(0)
    assert chain.batches == 1
    assert (await warm.multicall([VIEW]))[0] == ref(11) and chain.batches == 1
    for number in range(12, 12 + 2 * FORGOTTEN_AFTER):
        chain.head = ref(number)
        heads.say(chain.head)
        for _ in range(20):
            await asyncio.sleep(0)
    assert FORGOTTEN_AFTER <= chain.batches <= FORGOTTEN_AFTER + 2, "nobody looks any more"
    await ended([reading])
