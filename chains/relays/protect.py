"""Flashbots Protect's RPC: plain `eth_sendRawTransaction` with its own query words, and its status API.

What it protects: the transaction goes to the builders its URL names (Flashbots' alone without `builder=`), searchers see the hints
its URL allows, what would revert is left out. `useMempool` and `mempoolRpc` in that URL would make it public after a while, and
a cancellation at once: an endpoint with either is refused.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import aiohttp

from chains.errors import Denied
from chains.relay import Header, Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.relay_client import RelayClient, protect_status
from chains.rpc import SecretUrl
from chains.types import Hash32, Protection, SignedTx

RELAY = RelayProfile(
    name="protect",
    honours=frozenset({Protection.PRIVATE}),
    chains=frozenset({1}),
    method="eth_sendRawTransaction",
    needs_auth=True,
    trusts=("Flashbots", "the builders its URL names"),
    reverts_free=True,
)
STATUS = "https://protect.flashbots.net"
PUBLISHING = ("usemempool", "mempoolrpc")


class ProtectRelay:
    """`max_block` is the URL's `blockRange`, not the request's: the deadline in the calldata is what expires."""

    profile = RELAY

    def __init__(
        self,
        url: SecretUrl | str,
        session: aiohttp.ClientSession,
        auth: Header,
        *,
        status_url: SecretUrl | str = STATUS,
        timeout_s: float = 10.0,
    ) -> None:
        """Raises Denied RELAY_WOULD_PUBLISH where the URL asks for the public mempool."""
        secret = url if isinstance(url, SecretUrl) else SecretUrl(url)
        for name, values in parse_qs(urlsplit(secret.reveal()).query, keep_blank_values=True).items():
            if name.lower() in PUBLISHING and any(v.lower() not in ("", "false", "0") for v in values):
                raise Denied(
                    "RELAY_WOULD_PUBLISH",
                    f"the URL of Protect at {secret.origin} says {name}: it would go to the public mempool",
                    f"leave {name} out of it",
                )
        self._client = RelayClient(secret, session, auth, timeout_s)
        self._status = SecretUrl(status_url) if isinstance(status_url, str) else status_url
        self._session = session

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        """Raises Retry (nothing was sent), Reject (refused), Reconcile (it may have arrived)."""
        check_road(item, self.profile)
        raw = "0x" + item.signed.raw.hex()
        told = await self._client.hand_over_tx(self.profile.method, raw, item.signed)
        return Received(self.profile.name, item.signed.hash, told)

    async def cancel(self, signed: SignedTx) -> bool:
        """Always False: a self-transfer of the same nonce, sent here too, is its way of cancelling."""
        return False

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """A hint, not a proof. Raises Retry where no answer came."""
        return await protect_status(self._session, self._status, tx_hash)


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> ProtectRelay:
    return ProtectRelay(url, session, header)
