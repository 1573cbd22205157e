"""BuilderNet, builders in attested enclaves that share order flow: `eth_sendBundle`, one bundle for each block.

What it protects: operators cannot read what runs inside the enclaves, as far as their hardware holds; what would revert is left
out. A bundle is withdrawn by an empty one of the same replacementUuid.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from chains import bundles
from chains.bundle_relay import BundleRelay
from chains.bundles import Bundle
from chains.relay import Header, RelayProfile, replacement_id
from chains.rpc import SecretUrl
from chains.types import Protection, SignedTx

RELAY = RelayProfile(
    name="buildernet",
    honours=frozenset({Protection.PRIVATE}),
    chains=frozenset({1}),
    method="eth_sendBundle",
    needs_auth=True,
    trusts=("the enclaves' hardware", "the builders of BuilderNet"),
    cancels=True,
    per_block=True,
    reverts_free=True,
)


class BuilderNetRelay(BundleRelay):
    profile = RELAY

    def wording(self, bundle: Bundle) -> dict[str, Any]:
        return bundles.buildernet(bundle)

    async def cancel(self, signed: SignedTx) -> bool:
        """An empty bundle takes the place of whatever was sent for that nonce."""
        nothing = {"txs": [], "replacementUuid": str(replacement_id(signed))}
        await self._client.call("eth_sendBundle", nothing, write=True)
        return True


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> BuilderNetRelay:
    return BuilderNetRelay(url, session, header)
