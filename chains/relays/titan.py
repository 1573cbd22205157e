"""Titan, a builder of Ethereum blocks, directly: `eth_sendBundle`, one bundle for each block, `eth_cancelBundle`.

What it protects: the builder says that it neither takes bundles apart nor tells anybody of them, and what would revert is left
out. It builds about half of all blocks; in the others nothing happens. Its private transactions are not used: they know no last
block.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from chains import bundles
from chains.bundle_relay import BundleRelay
from chains.bundles import Bundle
from chains.relay import Header, RelayProfile
from chains.rpc import SecretUrl
from chains.types import Protection

RELAY = RelayProfile(
    name="titan",
    honours=frozenset({Protection.PRIVATE}),
    chains=frozenset({1}),
    method="eth_sendBundle",
    needs_auth=True,
    trusts=("the builder Titan",),
    cancels=True,
    per_block=True,
    reverts_free=True,
)


class TitanRelay(BundleRelay):
    profile = RELAY

    def wording(self, bundle: Bundle) -> dict[str, Any]:
        return bundles.titan(bundle)


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> TitanRelay:
    return TitanRelay(url, session, header)
