"""A trove, a loan at crvUSD and a position at GMX are read at each block; what changed them is named, and what changed with no log of it ends the belief in logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from answering_chain import AnsweringChain, place
from fake_crvusd import CONTROLLER, FakeLoan
from fake_gmx import CORE, READER, FakeGmx, FakePosition
from fake_gmx import WHO as TRADER
from fake_liquity import MANAGER, REGISTRY, FakeTrove

from chains.account_views import account_of
from chains.evm import word
from chains.followed import Followed
from chains.lending.crvusd import read_loan
from chains.lending.gmx_v2 import read_positions
from chains.lending.liquity_v2 import read_trove
from chains.types import Address, BlockRef, Call, CallResult, Hash32, Log

WAD, TROVE, WHO = 10**18, 77, place(0x17)
LOAN = FakeLoan(((0, 3 * WAD, WAD, WAD), (0, 2 * WAD, WAD, WAD)), 5_000 * WAD)


class Growing:
    """A chain whose contracts are `fake`'s, a block longer whenever it is told; `logs` are what a node tells."""

    def __init__(self, fake: Any) -> None:
        self.fake, self.number, self.logs = fake, 1, list[Log]()

    def grow(self, fake: Any, *logs: tuple[Address, tuple[bytes, ...]]) -> Hash32:
        self.fake, self.number = fake, self.number + 1
        tx = Hash32(f"0x{self.number + 900:064x}")
        self.logs += [
            Log(at, topics, b"", self.number, self._hash(self.number), tx, n)
            for n, (at, topics) in enumerate(logs)
        ]
        return tx

    def _hash(self, number: int) -> Hash32:
        return Hash32(f"0x{number:064x}")

    async def block(self, tag: int | str = "latest") -> BlockRef:
        n = self.number if tag == "latest" else int(tag, 16) if isinstance(tag, str) else tag
        return BlockRef(n, self._hash(n), self._hash(n - 1), 1_700_000_100, 10**9)

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        chain: AnsweringChain = self.fake.chain()
        return await self.block(block), (await chain.multicall(calls))[1]

    async def logs_agreed(
        self, address: Address | Sequence[Address], topics: Sequence[bytes | Sequence[bytes] | None], first: int, last: int
    ) -> list[Log]:  # fmt: skip
        return [
            one
            for one in self.logs
            if one.address in address and first <= one.block_number <= last and len(one.topics) >= len(topics)
            and all(wanted is None or told in wanted for told, wanted in zip(one.topics, topics, strict=False))
        ]  # fmt: skip


async def look(followed: Followed, chain: Growing, read: Any) -> Any:
    view = followed.over(chain, chain)
    found = await read(view)
    await view.settle()
    assert found == await read(chain)
    return found


async def test_a_troves_changes_are_named_and_one_without_a_log_ends_the_belief() -> None:
    chain, followed = Growing(FakeTrove()), Followed()

    async def read(view: Any) -> Any:
        return await read_trove(view, REGISTRY, TROVE)

    first = await look(followed, chain, read)
    tx = chain.grow(
        FakeTrove(debt=21_000 * WAD),
        (MANAGER, (b"\1" * 32, word(TROVE))),
        (MANAGER, (b"\1" * 32, word(TROVE + 1))),
    )
    assert await look(followed, chain, read) != first
    (change,) = followed.changes
    assert change.tx_hash == tx and int.from_bytes(change.subject, "big") == TROVE
    # Prices and interest of others need no log.
    chain.grow(FakeTrove(debt=21_000 * WAD, price=2_500 * WAD, redistributed=(5, 5)))
    await look(followed, chain, read)
    assert not followed.distrusted
    chain.grow(FakeTrove(debt=22_000 * WAD))
    await look(followed, chain, read)
    assert MANAGER in followed.distrusted


@pytest.mark.parametrize("other", [False, True])
async def test_what_changed_a_loan_at_crvusd_is_named(other: bool) -> None:
    chain, followed = Growing(LOAN), Followed()

    async def read(view: Any) -> Any:
        return await read_loan(view, CONTROLLER, WHO)

    await look(followed, chain, read)
    # Interest, and trades in its bands, change it with no log of its own.
    chain.grow(replace(LOAN, debt_raw=5_001 * WAD))
    await look(followed, chain, read)
    tx = chain.grow(
        replace(LOAN, debt_raw=4_000 * WAD), (CONTROLLER, (b"\2" * 32, word(place(9) if other else WHO)))
    )
    await look(followed, chain, read)
    assert [(one.tx_hash, account_of(one.subject)) for one in followed.changes] == (
        [] if other else [(tx, WHO)]
    )
    assert not followed.distrusted


@pytest.mark.parametrize("known", [False, True])
async def test_what_changed_a_position_at_gmx_is_named_by_the_logs_of_another_contract(known: bool) -> None:
    emitter, name = place(0xEE), b"\4" * 32
    chain, followed = Growing(FakeGmx()), Followed()

    async def look_at() -> Any:
        view = followed.over(chain, chain, {READER: emitter} if known else {})
        _, found = await read_positions(view, CORE, TRADER)
        await view.settle()
        return found

    first = await look_at()
    tx = chain.grow(
        FakeGmx((FakePosition(size=150_000 * 10**30),)), (emitter, (b"\3" * 32, name, word(TRADER)))
    )
    assert await look_at() != first
    assert [(one.tx_hash, account_of(one.subject)) for one in followed.changes] == [(tx, TRADER)] * known
    # The price needs no log; another size does.
    chain.grow(FakeGmx((FakePosition(size=150_000 * 10**30),), price=48_000 * 10**8))
    await look_at()
    assert not followed.distrusted
    chain.grow(FakeGmx((FakePosition(size=170_000 * 10**30),)))
    await look_at()
    assert bool(followed.distrusted) is known
