"""A builder that takes bundles: every transaction travels as a bundle of its own for one block, replaced and withdrawn by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import aiohttp

from chains.bundles import Bundle
from chains.errors import Reconcile, Usage
from chains.relay import (
    Header,
    Received,
    RelayProfile,
    RelayStatus,
    Sendable,
    check_road,
    replacement_id,
)
from chains.relay_client import RelayClient
from chains.rpc import SecretUrl
from chains.types import Hash32, SignedTx


class BundleRelay(ABC):
    """`profile` and `wording` are the builder's."""

    profile: ClassVar[RelayProfile]

    def __init__(
        self, url: SecretUrl | str, session: aiohttp.ClientSession, auth: Header, *, timeout_s: float = 10.0
    ) -> None:
        self._client = RelayClient(url, session, auth, timeout_s)

    @abstractmethod
    def wording(self, bundle: Bundle) -> Mapping[str, Any]:
        """The object of `eth_sendBundle` as this builder wants it."""

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        """A bundle for `block` alone. Raises Retry (nothing was sent), Reject (they said no), Reconcile (it may have arrived),
        Usage RELAY_NEEDS_BLOCK."""
        if block is None:
            raise Usage(
                "RELAY_NEEDS_BLOCK", f"a bundle for {self.profile.name} names its one block", "give `block`"
            )
        return await self.send_bundle(Bundle((item,), block, replacement_id(item.signed)))

    async def send_bundle(self, bundle: Bundle) -> Received:
        """All of it in its block, in order, or none. Raises as `send`."""
        for item in bundle.items:
            check_road(item, self.profile)
        last = bundle.items[-1].signed
        answer = await self._client.hand_over("eth_sendBundle", self.wording(bundle), last)
        if answer is not None and not isinstance(answer, dict):
            raise Reconcile(
                "MALFORMED_ANSWER",
                f"{self._client.origin} answered a bundle with no bundleHash",
                "watch the nonce",
            )
        reference = "already known" if answer is None else str(answer.get("bundleHash", ""))
        return Received(self.profile.name, bundle.items[0].signed.hash, reference)

    async def cancel(self, signed: SignedTx) -> bool:
        """Withdraws whatever was sent for that nonce. True where the builder said yes: bids already placed stay placed."""
        return await self._client.call(
            "eth_cancelBundle", {"replacementUuid": str(replacement_id(signed))}, write=True
        ) in (True, 200)

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """UNKNOWN: builders keep no status that we may ask for."""
        return RelayStatus.UNKNOWN
