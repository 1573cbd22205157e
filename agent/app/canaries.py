"""Who of the private roads tells: a harmless transaction that one road alone is given, and where it was seen.

A canary is a transfer of nothing from an account to itself, by a key that holds gas for canaries and nothing else. A road keeps its
word where its canary is seen nowhere before a block, and then only in a block of its own. Seen in the public pool, or in the
block of somebody who was not given it, the road leaked: it is named, and dropped from the set for as long as this process lives.
What a road shows of another's call (a Safe's inner signatures sent again from elsewhere) is found by `copied`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from chains.errors import FairleadError, Reject
from chains.gas import FeeHistory, Urgency, bid
from chains.gateway import Gateway
from chains.relay import Relay, sendable
from chains.relay_set import RelaySet
from chains.rpc import Rpc
from chains.types import Address, Hash32, Protection, SignedTx, UnsignedTx

CANARY_GAS = 40_000
"""A transfer with a note in its calldata; more than it takes."""
NOTE = b"fairlead canary "
WAIT_BLOCKS = 4
"""A canary is good for three blocks; one more shows what was made of it."""

Sign = Callable[[UnsignedTx], Awaitable[SignedTx]]
Copied = Callable[[bytes, str], Awaitable[str]]
"""Whose transaction, besides the one of that hash, carries this calldata: its hash, or ''."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One of them: which road had it, and what its calldata says."""

    road: str
    signed: SignedTx
    note: bytes


@dataclass
class Canaries:
    """`makers` maps a road to the fee recipients its blocks name; a road without an entry is judged by the public pool alone.

    Canaries are sent one at a time: `send`, then `look` at each head until `spent`.
    """

    chain_id: int
    gateway: Gateway
    roads: RelaySet
    sender: Address
    sign: Sign
    makers: Mapping[str, frozenset[Address]] = field(default_factory=dict)
    out: Canary | None = None
    sent: dict[str, int] = field(default_factory=dict)
    leaks: dict[str, str] = field(default_factory=dict)

    async def send(self, road: str, number: int) -> Canary:
        """One canary to that road alone. Raises as the road's `send`."""
        member = self._member(road)
        head = await self.gateway.block("latest")
        nonce = await self.gateway.nonce(self.sender)
        history: FeeHistory = await self.gateway.fee_history()
        note = (
            NOTE + f"{road} {number} {nonce}".encode()
        )  # no other of this account's says the same, in whichever flight
        tx = UnsignedTx(self.chain_id, nonce, self.sender, 0, note, CANARY_GAS, bid(history, Urgency.PATIENT))
        signed = await self.sign(tx)
        self.out = Canary(road, signed, note)
        self.sent[road] = self.sent.get(road, 0) + 1
        await member.send(
            sendable(signed, Protection.PRIVATE, member.profile),
            block=head.number + 1,
            max_block=head.number + 3,
        )
        return self.out

    def _member(self, road: str) -> Relay:
        return next(m for m in self.roads.members if m.profile.name == road)

    async def look(self, copied: Copied | None = None) -> str:
        """Why the road of the canary that is out must have told, or ''. It is dropped then. Raises Retry where nobody answers.

        `copied` looks for the canary's calldata in the public pool and in blocks: another's transaction with it, or ''.
        """
        canary = self.out
        if canary is None or canary.road in self.leaks:
            return ""
        why = await self._seen(canary)
        if not why and copied is not None:
            other = await copied(canary.note, canary.signed.hash)
            why = f"its calldata was in {other}" if other else ""
        if why:
            self.leaks[canary.road] = why
            self.roads.drop(canary.road, f"leaked canary {self.sent[canary.road]}: {why}")
        return why

    async def let_fly(
        self,
        road: str,
        number: int,
        copied: Copied,
        next_head: Callable[[], Awaitable[None]],
    ) -> bool:
        """One canary from its sending until it can tell nothing more, or `WAIT_BLOCKS` heads have come; whether a block holds it.
        Raises as `send` and `look`."""
        await self.send(road, number)
        for _ in range(WAIT_BLOCKS):
            if await self.look(copied) or await self.spent():
                break
            await next_head()
        await self.look(copied)
        return await self.spent()

    async def _seen(self, canary: Canary) -> str:
        found = await self.gateway.transaction(canary.signed.hash)
        if found is None:
            return ""
        if found.get("blockNumber") is None:
            return "it stood in the public pool"
        makers = self.makers.get(canary.road)
        if makers is None:
            return ""
        receipt = await self.gateway.receipt(Hash32(canary.signed.hash))
        maker = await self.gateway.maker(receipt.block_number) if receipt is not None else None
        if maker is not None and maker not in makers:
            return f"a block of {maker} held it, who was not given it"
        return ""

    async def spent(self) -> bool:
        """Whether the canary that is out can tell nothing more: its nonce is used."""
        if self.out is None:
            return True
        return await self.gateway.nonce(self.sender) > self.out.signed.nonce

    async def back(self) -> None:
        """Takes the canary that is out back from its road, as far as the road lets it."""
        if self.out is not None and self.out.road not in self.roads.dropped:
            try:
                await self._member(self.out.road).cancel(self.out.signed)
            except FairleadError:
                return  # it counts for three blocks only


def in_public(rpc: Rpc) -> Copied:
    """Looks for calldata in an endpoint's public pool and its last two blocks; the hash of what else holds it, or ''.

    An endpoint without `txpool_content` shows its blocks alone. Raises Retry where it does not answer.
    """

    async def copied(note: bytes, own: str) -> str:
        wanted = note.hex()
        found: list[dict[str, object]] = []
        with suppress(Reject):
            content = await rpc.call("txpool_content")
            found += [tx for by_nonce in content["pending"].values() for tx in by_nonce.values()]
        head = int(await rpc.call("eth_blockNumber"), 16)
        for number in range(max(head - 1, 0), head + 1):
            block = await rpc.call("eth_getBlockByNumber", [hex(number), True])
            found += block["transactions"] if block is not None else []
        holding = (str(tx["hash"]) for tx in found if wanted in str(tx.get("input") or tx.get("data")))
        return next((other for other in holding if other != own), "")

    return copied
