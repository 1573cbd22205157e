"""The public mempool: everybody sees the transaction at once and may trade around it; a revert is included and paid.

Usable only by plans whose protection is PUBLIC, which somebody chose before signing. Nothing falls back to this road.
"""

from __future__ import annotations

import aiohttp

from chains.raw_send import send_raw
from chains.relay import Header, Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.rpc import Rpc, SecretUrl
from chains.types import Hash32, Protection, SignedTx

RELAY = RelayProfile(
    name="public",
    honours=frozenset({Protection.PUBLIC}),
    chains=frozenset({1, 10, 8453, 42161}),
    method="eth_sendRawTransaction",
    needs_auth=False,
    trusts=(),
)


class PublicRelay:
    """`max_block` cannot be enforced by a mempool: the deadline in the calldata is what expires."""

    profile = RELAY

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        """Raises Retry (nothing was sent), Reject (refused), Reconcile (it may have arrived)."""
        check_road(item, self.profile)
        return await send_raw(self._rpc, item.signed, self.profile.name)

    async def cancel(self, signed: SignedTx) -> bool:
        """Always False: what was published stays published; only another transaction of the same nonce can stand in."""
        return False

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """PENDING while the endpoint's mempool holds it, INCLUDED once in a block, else UNKNOWN."""
        found = await self._rpc.call("eth_getTransactionByHash", [tx_hash])
        if not isinstance(found, dict):
            return RelayStatus.UNKNOWN
        return RelayStatus.INCLUDED if found.get("blockNumber") else RelayStatus.PENDING


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> PublicRelay:
    """`header` is not needed on this road."""
    return PublicRelay(Rpc(url, session))
