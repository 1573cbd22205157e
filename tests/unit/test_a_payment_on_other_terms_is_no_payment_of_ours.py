"""What anybody can write into a SpokePool's log under our deposit's name or number: it is neither our deposit nor its payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from chains.bridges import across
from chains.bridges.across import ABI, SPOKE_POOLS, Crossing, Deposit
from chains.bridges.flight import Flight, Stage
from chains.evm import checksum, word
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, CallResult, Hash32, Log
from contracts.codec import topic

SAFE, THERE, THIEF, JUNK = (checksum("0x" + one * 20) for one in ("a1", "b2", "66", "77"))
GIVEN, RECEIVED = checksum("0x" + "11" * 20), checksum("0x" + "22" * 20)
TX, RAW, OUT, DEADLINE = Hash32("0x" + "aa" * 32), 1_000_000_007, 999_000_000, 1_800_001_000
HEAD = 100


class Chain:
    """One chain's blocks and logs, which all of its endpoints tell alike."""

    def __init__(self, chain_id: int, logs: list[Log]) -> None:
        self.chain_id, self._logs = chain_id, logs

    async def block(self, tag: int | str = "latest") -> BlockRef:
        return BlockRef(HEAD, Hash32("0x" + "01" * 32), Hash32("0x" + "02" * 32), DEADLINE - 600, 1)

    async def logs(self, address: Address, topics: Any, first: int, last: int) -> list[Log]:
        assert address == SPOKE_POOLS[self.chain_id]
        wanted = [(i, t) for i, t in enumerate(topics) if t is not None]
        asked = [one for one in self._logs if first <= one.block_number <= last]
        return [one for one in asked if all(one.topics[i] == t for i, t in wanted)]

    logs_agreed = logs


class OneLies(Chain):
    """The endpoint that is asked first tells `lies` besides, and that everything was paid, at its head and in the past; no other does."""

    def __init__(self, chain_id: int, logs: list[Log], lies: list[Log]) -> None:
        super().__init__(chain_id, logs)
        self.first = Chain(chain_id, [*lies, *logs])

    async def logs(self, address: Address, topics: Any, first: int, last: int) -> list[Log]:
        return await self.first.logs(address, topics, first, last)

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        return await self.block(), [CallResult(True, word(across.FILLED)) for _ in calls]

    async def call_agreed(self, call: Call, block: int) -> CallResult:
        return CallResult(True, word(0))


def logged(chain: int, topics: tuple[bytes, ...], data: bytes, index: int, tx: Hash32 = TX) -> Log:
    return Log(SPOKE_POOLS[chain], topics, data, 50, Hash32("0x" + "05" * 32), tx, index)


def deposited(d: Deposit, index: int) -> Log:
    types = [
        "address",
        "address",
        "uint256",
        "uint256",
        "uint32",
        "uint32",
        "uint32",
        "address",
        "address",
        "bytes",
    ]
    words = [
        d.input_token, d.output_token, d.in_raw, d.out_raw, DEADLINE - 600, d.fill_deadline, d.exclusivity_deadline, d.recipient,
        d.exclusive_relayer, d.message,
    ]  # fmt: skip
    topics = (topic(ABI, "V3FundsDeposited"), word(d.destination), word(d.deposit_id), word(d.depositor))
    return logged(d.origin, topics, abi_encode(types, words), index, d.log.tx_hash)


def filled(d: Deposit, paid_raw: int, index: int) -> Log:
    types = [
        "address", "address", "uint256", "uint256", "uint256", "uint32", "uint32", "address", "address", "address", "bytes",
        "(address,bytes,uint256,uint8)",
    ]  # fmt: skip
    words = [
        d.input_token, d.output_token, d.in_raw, d.out_raw, d.origin, d.fill_deadline, d.exclusivity_deadline, d.exclusive_relayer,
        d.depositor, d.recipient, d.message, (d.recipient, b"", paid_raw, 0),
    ]  # fmt: skip
    topics = (topic(ABI, "FilledV3Relay"), word(d.origin), word(d.deposit_id), word(THIEF))
    return logged(d.destination, topics, abi_encode(types, words), index)


def ours() -> Deposit:
    log = Log(SPOKE_POOLS[8453], (), b"", 50, Hash32("0x" + "05" * 32), TX, 3)
    return Deposit(
        8453, 1, 7, SAFE, THERE, ZERO_ADDRESS, GIVEN, RECEIVED, RAW, OUT, DEADLINE, 0, b"", log
    )  # fmt: skip


OTHERS: dict[str, dict[str, Any]] = {
    "token that arrives": {"output_token": JUNK},
    "token that is given": {"input_token": JUNK},
    "recipient": {"recipient": THIEF},
    "amount that arrives": {"out_raw": OUT + 1},
    "exclusive relayer": {"exclusive_relayer": THIEF},
    "exclusivity": {"exclusivity_deadline": DEADLINE - 1},
    "message": {"message": b"\x01"},
    "depositor": {"depositor": THIEF},
    "amount that is given": {"in_raw": RAW + 1},
    "deadline": {"fill_deadline": DEADLINE + 1},
}


@pytest.mark.parametrize("what", OTHERS)
async def test_a_fill_of_another_relay_under_our_number_tells_nothing(what: str) -> None:
    forged = filled(replace(ours(), **OTHERS[what]), 5, 0)
    assert await across.paid_out(Chain(1, [forged]), ours(), HEAD, span=200) is None  # type: ignore[arg-type]
    for order in ([forged, filled(ours(), OUT, 1)], [filled(ours(), OUT, 0), forged]):
        assert await across.paid_out(Chain(1, order), ours(), HEAD, span=200) == OUT  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["token that arrives", "token that is given", "recipient", "destination"])
async def test_a_deposit_set_beside_ours_in_our_name_is_not_taken_for_it(what: str) -> None:
    other = replace(ours(), deposit_id=6, **OTHERS.get(what, {"destination": 42161}))
    crossing = Crossing(8453, 1, TX, 10, SAFE, THERE, (GIVEN, RECEIVED), Flight(RAW, OUT, DEADLINE))
    alone = await across.look(Chain(8453, [deposited(other, 2)]), Chain(1, []), crossing)  # type: ignore[arg-type]
    assert alone.flight.stage is Stage.SENT and alone.deposit is None
    both = Chain(8453, [deposited(other, 2), deposited(ours(), 3)])
    found = await across.look(both, Chain(1, []), crossing)  # type: ignore[arg-type]
    assert found.flight.stage is Stage.DEPOSITED and found.deposit is not None
    assert found.deposit.deposit_id == 7 and found.deposit.relay_hash() == ours().relay_hash()


async def test_a_deposit_in_a_block_below_the_head_it_was_made_on_is_found() -> None:
    """Made when block 52 was the head; another chain of blocks took its place, and its block 50 holds the deposit."""
    crossing = Crossing(8453, 1, TX, 52, SAFE, THERE, (GIVEN, RECEIVED), Flight(RAW, OUT, DEADLINE))
    found = await across.look(Chain(8453, [deposited(ours(), 3)]), Chain(1, []), crossing)  # type: ignore[arg-type]
    assert found.flight.stage is Stage.DEPOSITED


async def test_what_one_endpoint_alone_tells_moves_nothing() -> None:
    """An invented deposit, an invented payment and an invented refund: each could otherwise be believed for ever."""
    crossing = Crossing(8453, 1, TX, 10, SAFE, THERE, (GIVEN, RECEIVED), Flight(RAW, OUT, DEADLINE))
    alone = OneLies(8453, [], [deposited(ours(), 3)])
    assert (await across.look(alone, Chain(1, []), crossing)).flight.stage is Stage.SENT  # type: ignore[arg-type]

    here, there = OneLies(8453, [deposited(ours(), 3)], []), OneLies(1, [], [filled(ours(), OUT, 0)])
    flying = await across.look(here, there, crossing)  # type: ignore[arg-type]
    assert flying.flight.stage is Stage.DEPOSITED
    assert await across.look(here, there, flying) == flying  # type: ignore[arg-type]
    paid = replace(flying, flight=replace(flying.flight, stage=Stage.FILLED, paid_raw=OUT))
    assert (await across.look(here, there, paid)).flight.stage is Stage.FILLED, "not final by that one's word"  # type: ignore[arg-type]

    types = ["uint256", "uint256[]", "address", "address[]", "address"]
    words = abi_encode(types, [0, [RAW], GIVEN, [SAFE], THIEF])
    topics = (topic(ABI, "ExecutedRelayerRefundRoot"), word(8453), word(1), word(0))
    refund = logged(8453, topics, words, 9)
    for chain, back in ((Chain(8453, [refund]), RAW), (OneLies(8453, [], [refund]), 0)):
        assert await across.refunded_raw(chain, SAFE, GIVEN, 0, HEAD) == back  # type: ignore[arg-type]
