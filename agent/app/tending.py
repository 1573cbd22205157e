"""What is done at every new head for a transaction that waits at a relay: looked at again on this machine, withdrawn, handed over again.

A relay that leaves reverts out costs nothing when the market moves past the minimum, but what waits there may still be read by
whoever is trusted with it; so what would revert is taken back, and handed over again once it would succeed. A bundle counts for
one block: it is handed over for each. Any other road is told again at every head: it may have said that it has the transaction and
lost it, or a reorganisation may have taken it out of its block. One that includes what reverts, as a sequencer does, is told again only
what would succeed now: nobody could take it back there. While trading is halted nothing is handed
over again: somebody may have had the relay drop it. The signed bytes stay a possible winner until their nonce is mined, whatever is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.domain.errors import FairleadError
from chains.gateway import Gateway
from chains.rawtx import decode_raw
from chains.relay import Relay, sendable
from chains.simulate import Simulator, Step
from chains.types import BlockRef, Call, Hash32, Protection, SignedTx


def _never() -> str:
    return ""


AGAIN_BLOCKS = 1
"""A road that forgot costs no more than these."""


@dataclass
class Tending:
    """Per transaction: the last head it was tended at, the one it was last handed over at, and why it is withdrawn just now; and what
    this process itself handed over. What an earlier one did may have been lost since: it is told again at the first look."""

    at: dict[Hash32, Hash32] = field(default_factory=dict)
    handed: dict[Hash32, int] = field(default_factory=dict)
    withdrawn: dict[Hash32, str] = field(default_factory=dict)
    sent: set[Hash32] = field(default_factory=set)
    unsure: set[Hash32] = field(default_factory=set)
    """Of which the last look learnt nothing."""
    halted: Callable[[], str] = _never
    """Why nothing may be handed over now, or ''."""

    async def tend(
        self,
        signed: SignedTx,
        protection: Protection,
        head: BlockRef,
        max_block: int,
        relay: Relay,
        gateway: Gateway,
        simulator: Simulator | None,
    ) -> str:
        """Why it is withdrawn now, or ''. Raises nothing: the next head comes."""
        profile = relay.profile
        was = self.withdrawn.get(signed.hash, "")
        if self.at.get(signed.hash) == head.hash:
            return was
        looks = profile.cancels or profile.per_block
        due = was or profile.per_block or self._due(signed, head)
        self.at[signed.hash] = head.hash
        if head.number >= max_block and (looks or profile.reverts_free):
            return was  # a road that knows no last block is told for as long as the deadline in the calldata lets it succeed
        self.unsure.discard(signed.hash)
        try:
            if await gateway.nonce(signed.sender) != signed.nonce:
                return was  # mined, or behind another of ours: on this state it says nothing
            looked = looks or (due and not profile.reverts_free)
            why = await self._would_revert(signed, head, simulator) if looked and simulator else ""
        except FairleadError:  # nothing was learnt: the next look tries again, at this head too
            self.at.pop(signed.hash, None)
            self.unsure.add(signed.hash)
            if due and profile.reverts_free and not was and not self.halted():
                await self._hand_over(
                    relay, signed, protection, head, max_block
                )  # a revert would cost nothing
            return was
        if why and not looks:
            return ""  # it stays where it is
        if why:
            if not was and not await self._took_back(relay, signed):
                return ""
            self.withdrawn[signed.hash] = why
            return why
        if self.halted():
            return was
        if due:
            self.withdrawn.pop(signed.hash, None)
            await self._hand_over(relay, signed, protection, head, max_block)
        return ""

    def _due(self, signed: SignedTx, head: BlockRef) -> bool:
        """Whether a road that is told once should be told again; a head that went back is a reorganisation."""
        if signed.hash not in self.handed and signed.hash not in self.sent:
            return True
        last = self.handed.setdefault(signed.hash, head.number)
        return head.number < last or head.number - last >= AGAIN_BLOCKS

    async def _would_revert(self, signed: SignedTx, head: BlockRef, simulator: Simulator) -> str:
        tx = decode_raw(signed.raw)
        if tx.to is None:
            return ""
        step = Step(signed.sender, Call(tx.to, tx.data, tx.value), gas=tx.gas)
        result = (await simulator.run([step], at=head)).steps[0]
        return "" if result.ok else result.reason or "it would revert"

    async def _took_back(self, relay: Relay, signed: SignedTx) -> bool:
        try:
            await relay.cancel(signed)
        except FairleadError:
            return False  # tried again at the next head
        return True

    async def _hand_over(
        self, relay: Relay, signed: SignedTx, protection: Protection, head: BlockRef, max_block: int
    ) -> None:
        try:
            item = sendable(signed, protection, relay.profile)
            await relay.send(item, block=head.number + 1, max_block=max_block)
            self.handed[signed.hash] = head.number
            if self.halted():  # it may have crossed the very wish to drop it
                await relay.cancel(signed)
        except FairleadError:
            self.at.pop(signed.hash, None)  # tried again at the next look


__all__ = ["Tending"]
