"""Signatures of orders that others settle: always judged by the signer process; signed there by throw-away keys, or by owners attended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.app.signatures import AttendedOwners
from chains.types import Address, CowOrder
from keys import cow_order
from keys.client import SignerClient


@dataclass
class SignerOrders:
    """`attended`: the owners who sign each in a process of their own, once the signer's policy has let the order pass; None where
    throw-away keys in the signer sign (devnet and fork only: the signer refuses them elsewhere)."""

    client: SignerClient
    attended: AttendedOwners | None

    async def sign_order(self, order: CowOrder, now_s: int, *, signed: bool) -> Mapping[Address, bytes]:
        uid = cow_order.uid(order)
        in_signer = signed and self.attended is None
        request = f"order-{'sign' if in_signer else 'judge'}-{uid[2:66]}"
        found = await self.client.sign_order(request, order, sign=in_signer, chain_time=now_s)
        if signed and self.attended is not None:
            return await self.attended.collect_order(order)
        return {Address(owner): signature for owner, signature in found.items()}
