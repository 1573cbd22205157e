"""A transaction that waits too long is signed again for the same nonce with both fees at least 13 % higher, for the same roads.

What was signed before stays a possible winner until the nonce is mined: nothing here forgets it. Target, value, calldata and gas
stay as they are, so the owners' signatures and the deadline inside are the same, and nobody is asked again.
Source of the bump: nodes replace at +10 % (geth) or +12.5 % (others) on both fees, bundlers at +10 % (ERC-7769).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.domain.events import Authorized, Replaced
from agent.execution.outbox import Channel, signed_tx
from agent.ports import Clock
from chains import operations
from chains.gas import FeeHistory, Urgency, base_fee_after_up, bid, bump_up
from chains.rawtx import decode_raw
from chains.types import BlockRef, Call, Fees, SignedTx, UnsignedTx

MOST = 3
"""Replacements of one nonce: what `chains.gas.reserve_wei` keeps gas money for."""


class FeeSource(Protocol):
    async def fee_history(self, blocks: int = 10) -> FeeHistory: ...


class SenderSignature(Protocol):
    async def sign(
        self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False
    ) -> SignedTx: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a signed transaction waits before its fees are raised, seconds of our own clock."""

    fees: FeeSource
    wait_s: float


def fees_of(raw: bytes) -> Fees:
    """What signed bytes bid, wei a gas."""
    if operations.is_operation(raw):
        return operations.from_raw(raw).fees
    tx = decode_raw(raw)
    return Fees(tx.max_fee_wei, tx.max_priority_fee_wei)


def call_of(raw: bytes) -> tuple[Call, int]:
    """What signed bytes call, and the gas they give that call."""
    if operations.is_operation(raw):
        op = operations.from_raw(raw)
        return operations.call_inside(op), op.call_gas
    tx = decode_raw(raw)
    assert tx.to is not None
    return Call(tx.to, tx.data, tx.value), tx.gas


class Replacer:
    def __init__(
        self,
        clock: Clock,
        sender: SenderSignature,
        chains: Mapping[int, Patience],
        channels: Mapping[int, Channel],
    ) -> None:
        self._clock, self._sender, self._chains, self._channels = clock, sender, chains, channels

    async def better(
        self, authorized: Authorized, before: int, signed_ns: int, head: BlockRef
    ) -> Replaced | None:
        """The same transaction with higher fees, where that is due; None where it is not.

        Due: it has waited since `signed_ns`, or the next block's base fee may be above what it pays; at most MOST times, and only
        while its deadline leaves a block. Raises as the signer refuses, and Retry.
        """
        patience = self._chains.get(authorized.chain_id)
        if patience is None or before >= MOST or head.timestamp >= authorized.deadline_s:
            return None
        bids = fees_of(authorized.raw)
        waited = self._clock.now_ns() - signed_ns >= patience.wait_s * 1e9
        if not waited and bids.max_fee_wei >= base_fee_after_up(head.base_fee_wei, 1) + 1:
            return None
        fresh = bid(await patience.fees.fee_history(), Urgency.URGENT)
        call, gas = call_of(authorized.raw)
        again = UnsignedTx(
            authorized.chain_id,
            authorized.nonce,
            call.to,
            call.value,
            call.data,
            gas,
            bump_up(bids, at_least=fresh),
        )
        signed = await self._sender.sign(again, max(authorized.wallet_nonce, 0), head.timestamp)
        return Replaced(authorized.part, signed.hash, signed.raw, self._clock.now_ns())

    async def again_at(self, authorized: Authorized, nonce: int, head: BlockRef) -> Replaced | None:
        """The same call at the sender's next nonce, where another program used the one before; None where its time is over.

        What the owners signed is the same, and the Safe's own nonce lets it execute once. Raises as `better`.
        """
        patience = self._chains.get(authorized.chain_id)
        if patience is None or head.timestamp >= authorized.deadline_s:
            return None
        fresh = bid(await patience.fees.fee_history(), Urgency.URGENT)
        call, gas = call_of(authorized.raw)
        again = UnsignedTx(authorized.chain_id, nonce, call.to, call.value, call.data, gas, fresh)
        signed = await self._sender.sign(again, max(authorized.wallet_nonce, 0), head.timestamp)
        return Replaced(authorized.part, signed.hash, signed.raw, self._clock.now_ns(), nonce)

    async def hand_over(self, authorized: Authorized) -> None:
        """To all the roads that have the one before. Raises as they answer."""
        channel = self._channels[authorized.chain_id]
        await channel.send(signed_tx(authorized), authorized.protection, authorized.max_block)
