"""MEV Blocker's RPC: plain `eth_sendRawTransaction`, handed to builders and, in part, shown to searchers who may only back-run.

What it protects: searchers see the transaction among invented ones, without its signature, and bid for the place behind it; nine
tenths of the bid come back. The operator, those searchers and the builders are trusted. `/noreverts` in the URL leaves out what
would revert; the other endpoints may include it, and it pays its gas.
"""

from __future__ import annotations

import aiohttp

from chains.raw_send import send_raw
from chains.relay import Header, Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.rpc import Rpc, SecretUrl
from chains.types import Hash32, Protection, SignedTx

RELAY = RelayProfile(
    name="mev_blocker",
    honours=frozenset({Protection.PRIVATE}),
    chains=frozenset({1}),
    method="eth_sendRawTransaction",
    needs_auth=False,
    trusts=("MEV Blocker's operator", "its searchers", "the builders it forwards to"),
)


class MevBlockerRelay:
    """`max_block` cannot be told to it: the deadline in the calldata is what expires."""

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
        """Always False: only another transaction of the same nonce, sent the same way, takes its place."""
        return False

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """UNKNOWN: it is not asked about hashes."""
        return RelayStatus.UNKNOWN


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> MevBlockerRelay:
    """`header` is not needed on this road."""
    return MevBlockerRelay(Rpc(url, session))
