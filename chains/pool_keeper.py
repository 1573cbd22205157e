"""One chain's pools kept up with its blocks: what their own events say is applied, and only what events cannot tell is read.

    keeper = PoolKeeper(PoolReader(gateway, specs, v4), warm)
    snapshot = await keeper.snapshot()        # at the newest block

The first snapshot is read whole. From then on every block's logs, which `Warm` brings in the one request it makes for a block, move
the states on. A block that is not the child of the last one, a feed of heads that stands still, an event that is not understood:
then it is read again, the pool or all of them. And every `check_every` blocks all of it is read whole beside the road and compared:
a difference is told, and nothing that was followed is believed any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chains.errors import FairleadError
from chains.pool_events import consistent, doubtful_ticks, moved, without_ticks
from chains.pools import PoolReader, PoolSnapshot
from chains.types import Address, BlockRef, Log
from chains.warm import Warm

CHECK_EVERY = 100


class PoolKeeper:
    """`differed` is told, in a sentence, when a check found the followed states wrong. Raises as `PoolReader`."""

    def __init__(self, reader: PoolReader, warm: Warm, *, check_every: int = CHECK_EVERY) -> None:
        self._reader, self._warm, self._check_every = reader, warm, check_every
        self._kept: PoolSnapshot | None = None
        self._followed = 0
        self._check: asyncio.Task[str] | None = None
        self._lock = asyncio.Lock()
        self.differed: Callable[[str], None] = lambda _: None
        self.whole, self.steps, self.checks = 0, 0, 0

    @property
    def reads_any(self) -> bool:
        return self._reader.reads_any

    def v2_factories(self) -> dict[str, Address]:
        """As `PoolReader.v2_factories`."""
        return self._reader.v2_factories()

    async def snapshot(self) -> PoolSnapshot:
        """The pools at the newest block."""
        async with self._lock:
            await self._judge_check()
            kept = self._kept
            if kept is not None:
                news = await self._warm.news(kept.block.hash)
                if news == []:
                    return kept
                followed = await self._follow(kept, news) if news else None
                if followed is not None:
                    self._kept = followed
                    self._followed += 1
                    self.steps += 1
                    if self._followed >= self._check_every and self._check is None:
                        self._followed = 0
                        self._check = asyncio.create_task(self._compare(followed), name="pools checked")
                    return followed
            return await self._read_whole()

    async def _read_whole(self) -> PoolSnapshot:
        await self._check_ended()
        self.whole += 1
        self._kept = await self._reader.snapshot()
        self._followed = 0
        self._warm.follow(self._reader.log_sources())
        return self._kept

    async def _follow(
        self, kept: PoolSnapshot, news: list[tuple[BlockRef, tuple[Log, ...]]]
    ) -> PoolSnapshot | None:
        """The pools after these blocks; None where they have to be read whole."""
        at = news[-1][0]
        entries = {entry["id"]: entry for entry in kept.pools}
        names = {identity.rpartition("/")[2].lower(): identity for identity in entries}
        unknown = set(self._reader.changes_unheard(kept.block))
        for _, logs in news:
            for log in logs:
                identity = names.get(log.address.lower()) or (
                    names.get("0x" + log.topics[1].hex()) if len(log.topics) > 1 else None
                )
                if identity is None or identity in unknown:
                    continue
                after = moved(entries[identity], log)
                if after is None:
                    unknown.add(identity)
                else:
                    entries[identity] = after
        was = {entry["id"]: entry for entry in kept.pools}
        for identity, entry in entries.items():
            if entry is was[identity] or identity in unknown:
                continue
            if doubtful := doubtful_ticks(was[identity], entry):
                gone = await self._reader.ticks_gone(identity, doubtful, at)
                entries[identity] = entry = without_ticks(entry, gone)
            if not consistent(entry):
                return None
        if unknown:
            read = await self._reader.states_of(unknown, at, self._warm)
            for identity in unknown - read.keys():
                entries.pop(identity, None)  # it does not answer, and is asked again at the next block
            for identity, entry in read.items():
                # An event that is not understood may have moved ticks, which no state tells.
                if "ticks" in entry:
                    return None
                entries[identity] = was[identity] if entry == was.get(identity) else entry
        return replace(kept, block=at, pools=tuple(entries.values()), skipped=self._reader.skipped)

    # ------------------------------------------------------------------ the check

    async def _compare(self, followed: PoolSnapshot) -> str:
        """What is different at that block when it is read whole; empty where nothing is, or it could not be read."""
        try:
            whole = await self._reader.snapshot(followed.block.number)
        except FairleadError:
            return ""
        if whole.block.hash != followed.block.hash:
            return ""
        self.checks += 1
        ours: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in followed.pools}
        wrong = [entry["id"] for entry in whole.pools if ours.get(entry["id"]) != entry]
        if not wrong and len(ours) == len(whole.pools):
            return ""
        return f"at block {followed.block.number} the followed state of {', '.join(wrong) or 'some pools'} was not the chain's"

    async def close(self) -> None:
        """Ends a check under way."""
        if self._check is not None:
            self._check.cancel()
            await asyncio.gather(self._check, return_exceptions=True)
            self._check = None

    async def _judge_check(self) -> None:
        """Before anything is given out: a check that has ended is heeded."""
        if self._check is not None and self._check.done():
            await self._check_ended()

    async def _check_ended(self) -> None:
        check, self._check = self._check, None
        if check is not None and (wrong := await check):
            self._kept = None
            self.differed(wrong)
