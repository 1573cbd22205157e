"""When a block comes: once every desk that is at work has seen the last one, or has had its time.

Blocks on the clock would be too fast for a loaded machine or too slow for ten thousand orders. A desk that rests says so here; one
that does not is waited for no longer than `patience_s`, a real slot's length, as a real slot waits for nobody: less, and a machine busy
with other things would be told of nonces that stall.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent.app.chain_desk import ChainDesk
from chains.rawtx import decode_raw
from chains.types import BlockRef, Protection, SignedTx


@dataclass
class Pace:
    """`block` counts the blocks told so far; `busy` are the desks that have not rested since the last one."""

    patience_s: float = 12.0
    block: int = 0
    working: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    building: bool = False
    """The desks have rested, and the next block is under way: it waits for nobody that begins now."""
    alone: int = 0
    """Desks in processes of their own: they cannot say that they rest."""
    guests: list[str] = field(default_factory=list)
    """Signed transactions (hex) of other programs, each for a block of its own."""
    _told: asyncio.Event = field(default_factory=asyncio.Event)
    _rested: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, name: str) -> None:
        self.working.add(name)
        self.busy.add(name)

    def end(self, name: str) -> None:
        self.working.discard(name)
        self._rest(name)

    def _rest(self, name: str) -> None:
        self.busy.discard(name)
        if not self.busy:
            self._rested.set()

    async def next_block(self, name: str, seen: int, wait_s: float) -> None:
        """Returns when block number `seen + 1` is told, or after `wait_s`."""
        if self.block > seen:
            return
        self._rest(name)
        try:
            async with asyncio.timeout(wait_s):
                await self._told.wait()
        except TimeoutError:
            pass
        if name in self.working:
            self.busy.add(name)

    async def reach(self, block: int) -> None:
        """Returns when that many blocks were told."""
        while self.block < block:
            await self._told.wait()

    async def invite(self, raw: str) -> None:
        """Returns once a block was built for it: one that every desk sees before the next, as it sees all others."""
        self.guests.append(raw)
        while raw in self.guests:
            await self._told.wait()

    async def all_rest(self) -> None:
        """Returns when nobody is busy any more, or after `patience_s`; those alone get 0.3 s in any case."""
        if self.alone:
            await asyncio.sleep(0.3)
        self._rested.clear()
        if self.busy:
            try:
                async with asyncio.timeout(self.patience_s):
                    await self._rested.wait()
            except TimeoutError:
                pass
        self.building = True

    def tell(self) -> None:
        """A block was built."""
        self.block += 1
        self.building = False
        self.busy |= self.working
        told, self._told = self._told, asyncio.Event()
        told.set()


@dataclass
class PacedDesk(ChainDesk):
    """A chain at a desk that is told of heads by the pace, where there is one in its process."""

    pace: Pace | None = None
    name_at_pace: str = ""
    mistake: str = ""
    """A control: what this desk does wrong, and the referee must find."""

    async def send(self, signed: SignedTx, protection: Protection, max_block: int) -> str:
        rpc = self.gateway.endpoints[0].rpc
        if self.mistake == "public":
            await rpc.call("eth_sendRawTransaction", ["0x" + signed.raw.hex()], write=True)
        elif self.mistake == "estimate":
            tx = decode_raw(signed.raw)
            told = {"from": tx.sender, "to": tx.to, "data": "0x" + tx.data.hex()}
            await rpc.call("eth_estimateGas", [told])
        elif self.mistake == "silent":
            return "never handed over"
        return await super().send(signed, protection, max_block)

    async def tend(self, signed: SignedTx, protection: Protection, head: BlockRef, max_block: int) -> str:
        if self.mistake == "silent" and head.number + self.profile.max_blocks < max_block + 6:
            return ""
        return await super().tend(signed, protection, head, max_block)

    def heads_told(self) -> int:
        return self.pace.block if self.pace is not None else 0

    async def next_look(self, told: int, *, learnt: bool = True) -> None:
        if self.pace is None:
            return await super().next_look(told, learnt=learnt)
        if not learnt or self.tending.unsure:  # it looks again after a poll, and does not rest till then
            self.tending.unsure.clear()
            return await self.clock.sleep(self.poll_s)
        await self.pace.next_block(self.name_at_pace, told, 5.0)
