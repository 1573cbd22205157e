"""Plain submission to a rollup's sequencer.

What it protects: the sequencers of Base, OP Mainnet and Arbitrum One keep no public mempool, so other traders see the
transaction only once it is ordered. What it does not: the operator of the RPC endpoint and the sequencer itself see it
first, nothing stops either from acting on it, and a transaction that reverts is included and pays its gas. The real
bounds there are the minimum-out and the deadline in the calldata; give this road the sequencer's own endpoint, not a
third party's.
"""

from __future__ import annotations

import aiohttp

from chains.raw_send import send_raw
from chains.relay import Header, Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.rpc import Rpc, SecretUrl
from chains.types import Hash32, Protection, SignedTx

RELAY = RelayProfile(
    name="sequencer",
    honours=frozenset({Protection.PRIVATE, Protection.PUBLIC}),
    chains=frozenset({10, 8453, 42161}),
    method="eth_sendRawTransaction",
    needs_auth=False,
    trusts=("the sequencer", "the operator of the RPC endpoint"),
)


class SequencerRelay:
    """`max_block` cannot be enforced by a sequencer: the deadline in the calldata is what expires."""

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
        """Always False: a sequencer takes nothing back; only another transaction of the same nonce can."""
        return False

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """UNKNOWN: a sequencer keeps no status but its chain."""
        return RelayStatus.UNKNOWN


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> SequencerRelay:
    """`header` is not needed on this road."""
    return SequencerRelay(Rpc(url, session))
