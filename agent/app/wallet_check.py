"""Whether the Safe is what the settings say it is, asked of its chain shortly before anything is signed for it."""

from __future__ import annotations

from collections.abc import Mapping

from agent.app.settings_tree import Settings
from agent.domain.instruments import Place, chain_of
from chains.types import Address, Call, ChainReader, Environment
from contracts.codec import decode_result, encode


class WalletCheck:
    def __init__(self, settings: Settings, gateways: Mapping[int, ChainReader]) -> None:
        self._settings, self._gateways = settings, gateways

    async def why_not(self, place: Place) -> str:
        """Why the wallet cannot sign at a place, in a sentence; empty where it can. Exchanges need no wallet."""
        chain_id = chain_of(place)
        if chain_id is None:
            return ""
        wallet = self._settings.wallet
        safe = Address(wallet.address)
        calls = [Call(safe, encode("safe", name)) for name in ("getOwners", "getThreshold")]
        _, (owners, threshold) = await self._gateways[chain_id].multicall(calls)
        if not (owners.ok and threshold.ok and owners.data and threshold.data):
            return f"there is no Safe at {safe}"
        found = {str(o) for o in decode_result("safe", "getOwners", owners.data)[0]}
        needed = int(decode_result("safe", "getThreshold", threshold.data)[0])
        listed = {owner.address for owner in wallet.owners}
        if needed != wallet.threshold:
            return f"the Safe wants {needed} signatures, the settings say {wallet.threshold}"
        if strangers := sorted(listed - found):
            return f"{strangers[0]} is no owner of the Safe"
        unattended = self._settings.signer.unattended and self._settings.environment is not Environment.LIVE
        able = [o for o in wallet.owners if o.keystore is not None or o.signer is not None or unattended]
        if len(able) < needed:
            return f"the Safe wants {needed} signatures and {len(able)} owners can sign here"
        return ""
