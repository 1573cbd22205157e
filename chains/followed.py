"""What an account itself holds at a lending market, kept from look to look and dropped when an event of the account changes it.

Prices, indices, rates and parameters move with no event of the account, and are read anew at each block; so is all that comes with the
same requests: a position at Compound, Morpho or Maker costs no further one. What does is kept: Aave's scaled balances, two or three calls for
each asset of the market. Before it is used at a later block, the logs of every block between are asked for, of those very tokens and with the
account as either of the two parties they name (aave core-v3: Transfer, Mint, Burn, BalanceTransfer): what a token logged for the account is
read again. It is used for one block only, and of one branch: before and after are named by their hashes.

Nothing rests on the events alone. Every `check_every` blocks the account is read whole, and where that differs the events are believed
no more (`distrusted` says why); whoever finds the market's own figures to be other ones calls `forget`. Logs that do not come, a gap, or
a reorganisation: read whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.errors import Reject, Retry
from chains.evm import address_of, selector, word
from chains.types import Address, BlockRef, Call, CallResult, Hash32, Log, ViewReader

CHECK_EVERY = 20
"""Blocks that were followed between two whole reads."""
MOST_BLOCKS = 200
"""A longer way is not followed: whoever looks so seldom reads whole."""
MOST_KEPT = 4_096
MOST_CHANGES = 32


KEPT = frozenset({selector("scaledBalanceOf(address)"), selector("principalBalanceOf(address)")})
"""Views of one account, their only argument, that change with an event of that account alone."""


class LogReader(Protocol):
    """What `chains.gateway.Gateway` is: logs that a quorum of endpoints agrees on, and blocks by their number."""

    async def block(self, tag: int | str = "latest") -> BlockRef: ...

    async def logs_agreed(
        self,
        address: Address | Sequence[Address],
        topics: Sequence[bytes | Sequence[bytes] | None],
        first: int,
        last: int,
    ) -> list[Log]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction in which a kept contract changed what it holds of the account."""

    account: Address
    block: int
    tx_hash: Hash32


def account_in(call: Call) -> Address | None:
    """Whose own state a call asks for, and nobody else's event changes; None for any other call."""
    if call.data[:4] not in KEPT or call.value or len(call.data) != 36:
        return None
    return address_of(call.data[4:])


class Followed:
    """One chain's: lives across looks. `over` gives the view that one look reads by."""

    def __init__(self, *, check_every: int = CHECK_EVERY) -> None:
        self._check_every = check_every
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._at: BlockRef | None = None
        self._kept: dict[Call, CallResult] = {}
        self._accounts: set[Address] = set()
        self._since_check = 0
        self.changes: list[Change] = []
        """The newest last."""
        self.distrusted = ""
        """Why events are no longer believed here; "" while they are."""
        self.spared = 0
        """Calls that were answered from what is kept."""

    def over(self, view: ViewReader, logs: LogReader) -> FollowedView:
        """`view` answers for all that is not kept, `logs` for what happened since. Both are used during that look only."""
        return FollowedView(self, view, logs)

    def forget(self) -> None:
        """Have everything read anew."""
        self._at, self._kept = None, {}

    async def reach(self, ref: BlockRef, logs: LogReader) -> None:
        """Follow what is kept up to `ref`, or drop it. Raises Halt, where an endpoint is of another chain."""
        async with self._own_lock():
            at = self._at
            if at is None or self.distrusted or at.hash == ref.hash or ref.number <= at.number:
                return
            news = await _news(logs, at, ref, list(self._kept)) if self._kept else []
            if news is None:
                self.forget()
                return
            for one in news:
                self._drop(one)
            self._at = ref
            self._since_check = self._since_check % self._check_every + 1

    def _own_lock(self) -> asyncio.Lock:
        """One for each event loop: a view that is drawn again and again runs each look in a loop of its own."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        return self._lock[1]

    def _drop(self, log: Log) -> None:
        named = {address_of(topic) for topic in log.topics[1:] if topic[:12] == bytes(12)}
        for call in [c for c in self._kept if c.to == log.address and account_in(c) in named]:
            del self._kept[call]
        told = [
            Change(who, log.block_number, log.tx_hash)
            for who in sorted(named & self._accounts)
            # A transaction moves several tokens, and each logs it more than once.
            if not any((one.account, one.tx_hash) == (who, log.tx_hash) for one in self.changes)
        ]
        self.changes = [*self.changes, *told][-MOST_CHANGES:]

    def answers(self, calls: Sequence[Call], ref: BlockRef) -> dict[Call, CallResult]:
        """What is kept of these at that very block; nothing where it is time to read whole."""
        if self._at is None or self._at.hash != ref.hash or self._since_check >= self._check_every:
            return {}
        return {call: self._kept[call] for call in calls if call in self._kept}

    def learn(self, read: Sequence[tuple[Call, CallResult]], ref: BlockRef) -> None:
        """Answers of the chain at `ref`: kept, and held against what was kept for that block."""
        if self.distrusted or (
            self._at is not None and self._at.hash != ref.hash and self._at.number >= ref.number
        ):
            return
        if self._at is None or self._at.hash != ref.hash:
            self._at, self._kept, self._since_check = ref, {}, 0
        for call, answer in read:
            known = self._kept.get(call)
            if known is not None and known != answer:
                self.distrusted = (
                    f"{call.to} told another state of {account_in(call)} in block {ref.number} than its events did: accounts of"
                    " this chain are read whole from now on"
                )
                self.forget()
                return
            if answer.ok and len(answer.data) >= 32:
                self._kept[call] = answer
                self._accounts.add(account_in(call) or call.to)
        if len(self._kept) > MOST_KEPT:
            self.forget()


class FollowedView:
    """Implements `chains.types.ViewReader` for one look."""

    def __init__(self, followed: Followed, view: ViewReader, logs: LogReader) -> None:
        self._followed, self._view, self._logs = followed, view, logs
        self._seen: dict[int | str, BlockRef] = {}

    def forget(self) -> None:
        self._followed.forget()

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        """As the view it stands before. What is asked of "latest" is asked of the chain: that request is needed for the block itself."""
        ref = self._seen.get(block)
        own = (
            [call for call in dict.fromkeys(calls) if account_in(call) is not None] if ref is not None else []
        )
        if ref is None or not own:
            # The logs are asked for beside what has to be asked in any case: they cost no time of their own.
            asked = self._view.multicall(calls, block)
            (at, found), _ = await asyncio.gather(asked, self._reach(ref))
            self._seen |= {at.number: at, at.hash: at}
            return at, found
        await self._reach(ref)
        known = self._followed.answers(own, ref)
        missing = [call for call in dict.fromkeys(calls) if call not in known]
        if missing:
            at, told = await self._view.multicall(missing, ref.hash)
            if at.hash != ref.hash:
                return await self._view.multicall(calls, block)
            read = dict(zip(missing, told, strict=True))
            self._followed.learn([(call, read[call]) for call in own if call in read], ref)
            known = known | read
        self._followed.spared += len(calls) - len(missing)
        return ref, [known[call] for call in calls]

    async def _reach(self, ref: BlockRef | None) -> None:
        if ref is not None:
            await self._followed.reach(ref, self._logs)


async def _news(logs: LogReader, at: BlockRef, ref: BlockRef, kept: Sequence[Call]) -> list[Log] | None:
    """The logs between two blocks that name an account kept of, by the contracts kept of; None where the way between is not known."""
    if ref.number - at.number > MOST_BLOCKS:
        return None
    contracts = sorted({call.to for call in kept})
    accounts = sorted({who for call in kept if (who := account_in(call)) is not None})
    named = [word(who) for who in accounts]
    try:
        found = await asyncio.gather(
            *(
                logs.logs_agreed(contracts, [*[None] * place, named], at.number + 1, ref.number)
                for place in (1, 2)
            )
        )
        # After the logs: what was another branch's then is none of this block's.
        if (await logs.block(ref.number)).hash != ref.hash:
            return None
        if ref.parent_hash != at.hash and (await logs.block(at.number)).hash != at.hash:
            return None
    except (Retry, Reject):
        return None
    every = {(one.block_number, one.log_index): one for some in found for one in some}
    return [every[place] for place in sorted(every)]
