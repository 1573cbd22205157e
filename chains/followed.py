"""What an account itself holds at a lending market, followed from look to look by the events that change it.

Prices, indices, rates and parameters move with no event of the account, and are read anew at each block; so is all that comes with the
same requests: a position at Compound, Morpho, Maker, Liquity, crvUSD or GMX costs no further one. What does is kept: Aave's scaled balances, two or
three calls for each asset of the market, until a token logs an event of the account. `chains/account_views` has which logs those are.

At a later block the logs of every block between are asked for, of those very contracts and with the account where they name it. What is kept is
used for one block only, and of one branch: before and after are named by their hashes. What is read at each block is held against its events:
a state that changed without one means logs that were left out.

Nothing rests on the events alone. Every `check_every` blocks the account is read whole, and where that differs the events are believed
no more (`distrusted` says why); whoever finds the market's own figures to be other ones calls `forget`. Logs that do not come, a gap, or
a reorganisation: read whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.account_views import VIEWS, account_of, subject_of, view_of
from chains.errors import Halt, Reject, Retry
from chains.types import Address, BlockRef, Call, CallResult, Hash32, Log, ViewReader

CHECK_EVERY = 20
"""Blocks that were followed between two whole reads."""
MOST_BLOCKS = 200
"""A longer way is not followed: whoever looks so seldom reads whole."""
MOST_KEPT = 4_096
MOST_CHANGES = 32


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
    """A transaction in which a contract logged that what it holds of `subject` changed: an account, left-padded, or a trove's id."""

    subject: bytes
    block: int
    tx_hash: Hash32


class Followed:
    """One chain's: lives across looks. `over` gives the view that one look reads by."""

    def __init__(self, *, check_every: int = CHECK_EVERY) -> None:
        self._check_every = check_every
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._at: BlockRef | None = None
        self._kept: dict[Call, CallResult] = {}
        self._since_check = 0
        self._logged_by: dict[Address, Address] = {}
        self.changes: list[Change] = []
        """The newest last."""
        self.distrusted = ""
        """Why events are no longer believed here; "" while they are."""
        self.spared = 0
        """Calls that were answered from what is kept."""

    def over(
        self, view: ViewReader, logs: LogReader, logged_by: Mapping[Address, Address] | None = None
    ) -> FollowedView:
        """`view` answers for all that is not kept, `logs` for what happened since. Both are used during that look only. `logged_by`: by a contract that
        logs nothing itself the one that does."""
        self._logged_by |= logged_by or {}
        return FollowedView(self, view, logs)

    def watches(self, call: Call) -> bool:
        """Whether it is known which logs name what it asks for."""
        view = view_of(call)
        return view is not None and (not view.elsewhere or call.to in self._logged_by)

    def logs_of(self, call: Call) -> Address:
        return self._logged_by.get(call.to, call.to)

    def named(self, log: Log, call: Call) -> bool:
        """Whether it is a log of what `call` asks for."""
        subject, places = subject_of(call), VIEWS[call.data[:4]].places
        return self.logs_of(call) == log.address and any(log.topics[n : n + 1] == (subject,) for n in places)

    def forget(self) -> None:
        """Have everything read anew."""
        self._at, self._kept = None, {}

    async def reach(self, ref: BlockRef, logs: LogReader) -> None:
        """Follow what is known up to `ref`, or drop it. Raises Halt, where an endpoint is of another chain."""
        async with self._own_lock():
            at = self._at
            if at is None or self.distrusted or at.hash == ref.hash or ref.number <= at.number:
                return
            watched = list(self._kept)
            news = await self._news(logs, at, ref, watched) if watched else []
            if news is None:
                self.forget()
                return
            for one in news:
                self._heard(one, [call for call in watched if self.named(one, call)])
            self._at = ref
            self._since_check = self._since_check % self._check_every + 1

    async def _news(
        self, logs: LogReader, at: BlockRef, ref: BlockRef, watched: Sequence[Call]
    ) -> list[Log] | None:
        """The logs between two blocks that may name what is watched; None where the way between is not known."""
        if ref.number - at.number > MOST_BLOCKS:
            return None
        by_place: dict[int, list[Call]] = {}
        for call in watched:
            for place in VIEWS[call.data[:4]].places:
                by_place.setdefault(place, []).append(call)
        try:
            found = await asyncio.gather(
                *(
                    logs.logs_agreed(
                        sorted({self.logs_of(call) for call in calls}),
                        [*[None] * place, sorted({subject_of(call) for call in calls})],
                        at.number + 1,
                        ref.number,
                    )
                    for place, calls in sorted(by_place.items())
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

    def _own_lock(self) -> asyncio.Lock:
        """One for each event loop: a view that is drawn again and again runs each look in a loop of its own."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        return self._lock[1]

    def _heard(self, log: Log, touched: Sequence[Call]) -> None:
        for call in touched:
            self._kept.pop(call, None)
        told = [
            Change(subject, log.block_number, log.tx_hash)
            for subject in sorted({subject_of(call) for call in touched})
            # A transaction moves several tokens, and each logs it more than once.
            if not any((one.subject, one.tx_hash) == (subject, log.tx_hash) for one in self.changes)
        ]
        self.changes = [*self.changes, *told][-MOST_CHANGES:]

    def answers(self, calls: Sequence[Call], ref: BlockRef) -> dict[Call, CallResult]:
        """What is kept of these at that very block; nothing where it is time to read whole."""
        if self._at is None or self._at.hash != ref.hash or self._since_check >= self._check_every:
            return {}
        return {call: self._kept[call] for call in calls if call in self._kept and VIEWS[call.data[:4]].kept}

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
            if known is not None and not VIEWS[call.data[:4]].same(known, answer):
                who = account_of(subject_of(call)) or "a trove"
                self.distrusted = (
                    f"{call.to} told another state of {who} in block {ref.number} than its events did: accounts of this chain are"
                    " read whole from now on"
                )
                self.forget()
                return
            if answer.ok and len(answer.data) >= 32:
                self._kept[call] = answer
        if len(self._kept) > MOST_KEPT:
            self.forget()


class FollowedView:
    """Implements `chains.types.ViewReader` for one look; at whose end `settle` is called."""

    def __init__(self, followed: Followed, view: ViewReader, logs: LogReader) -> None:
        self._followed, self._view, self._logs = followed, view, logs
        self._seen: dict[int | str, BlockRef] = {}
        self._unheard: list[tuple[BlockRef, list[tuple[Call, CallResult]]]] = []

    def forget(self) -> None:
        self._followed.forget()

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        """As the view it stands before. What is asked of "latest" is asked of the chain: that request is needed for the block itself."""
        ref = self._seen.get(block)
        own = [call for call in dict.fromkeys(calls) if self._followed.watches(call)]
        if ref is None or not own:
            # The logs are asked for beside what has to be asked in any case: they cost no time of their own.
            asked = self._view.multicall(calls, block)
            (at, found), _ = await asyncio.gather(asked, self._reach(ref))
            self._seen |= {at.number: at, at.hash: at}
            if own:
                read = dict(zip(calls, found, strict=True))
                self._unheard.append((at, [(call, read[call]) for call in own]))
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

    async def settle(self) -> None:
        """Hold what was read of "latest", and no later request was made beside, against its events. Raises nothing: what stops a look
        stopped it before."""
        try:
            for ref in sorted({at for at, _ in self._unheard}, key=lambda at: at.number):
                await self._reach(ref)
        except Halt:
            self._followed.forget()

    async def _reach(self, ref: BlockRef | None) -> None:
        if ref is None:
            return
        await self._followed.reach(ref, self._logs)
        for at, read in [one for one in self._unheard if one[0].hash == ref.hash]:
            self._followed.learn(read, at)
        self._unheard = [one for one in self._unheard if one[0].hash != ref.hash]
