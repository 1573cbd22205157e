"""Private submission in Flashbots' dialect: `eth_sendPrivateTransaction`, `eth_sendBundle`, and the status API.

What it protects: nobody but the relay and the builders it forwards to sees the transaction before a block holds it, and a
transaction that would revert is not included, so it costs nothing. Nothing is ever sent to any other URL than the two
given: there is no fallback to a public endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chains import bundles
from chains.bundles import Bundle
from chains.errors import Retry
from chains.relay import Header, Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.relay_client import RelayClient, protect_status
from chains.rpc import SecretUrl
from chains.types import Hash32, Protection, SignedTx

RELAY = RelayProfile(
    name="flashbots",
    honours=frozenset({Protection.PRIVATE}),
    chains=frozenset({1}),
    method="eth_sendPrivateTransaction",
    needs_auth=True,
    trusts=("the relay", "the builders it forwards to"),
    cancels=True,
    reverts_free=True,
)


@dataclass(frozen=True, slots=True)
class CalledTx:
    """One transaction of a simulated bundle. `error` is empty where it succeeds; amounts in wei."""

    tx_hash: str
    gas_used: int
    coinbase_diff: int
    error: str


@dataclass(frozen=True, slots=True)
class CalledBundle:
    """What `eth_callBundle` answers: the relay's own simulation, on its state block."""

    state_block: int
    coinbase_diff: int
    total_gas: int
    txs: tuple[CalledTx, ...]

    @property
    def ok(self) -> bool:
        return not any(tx.error for tx in self.txs)


class FlashbotsRelay:
    """`auth` makes the header over a body, by a reputation key that holds no funds.

    `status_url` is the status API's base (`https://protect.flashbots.net`); left out, status is UNKNOWN.
    """

    profile = RELAY

    def __init__(
        self,
        url: SecretUrl | str,
        session: aiohttp.ClientSession,
        auth: Header,
        *,
        status_url: SecretUrl | str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._client = RelayClient(url, session, auth, timeout_s)
        self._status_url = SecretUrl(status_url) if isinstance(status_url, str) else status_url
        self._session = session

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        """Raises Retry (nothing was sent), Reject (the relay said no), Reconcile (it may have arrived)."""
        check_road(item, self.profile)
        argument: dict[str, Any] = {"tx": "0x" + item.signed.raw.hex()}
        if max_block is not None:
            argument["maxBlockNumber"] = hex(max_block)
        told = await self._client.hand_over_tx(self.profile.method, argument, item.signed)
        return Received(self.profile.name, item.signed.hash, told)

    async def send_bundle(self, bundle: Bundle) -> Received:
        """All of it in its block, in order, or none. Raises as `send`."""
        for item in bundle.items:
            check_road(item, self.profile)
        answer = await self._client.call("eth_sendBundle", bundles.flashbots(bundle), write=True)
        reference = answer.get("bundleHash", "") if isinstance(answer, dict) else ""
        return Received(self.profile.name, bundle.items[0].signed.hash, str(reference))

    async def call_bundle(self, items: Sequence[Sendable], block: int, state: str = "latest") -> CalledBundle:
        """The relay's simulation of them in `block`. They are told what they would be told by `send_bundle`, and nobody else is.
        Raises Retry, Reject."""
        for item in items:
            check_road(item, self.profile)
        argument = {
            "txs": ["0x" + i.signed.raw.hex() for i in items],
            "blockNumber": hex(block),
            "stateBlockNumber": state,
        }
        answer = await self._client.call("eth_callBundle", argument, write=False)
        try:
            return _called(answer)
        except (KeyError, TypeError, ValueError):
            raise Retry(
                "MALFORMED_ANSWER", f"{self._client.origin} answered a simulation that cannot be read"
            ) from None

    async def cancel_bundle(self, replacement: str) -> None:
        """Withdraws the bundle of that replacementUuid; bids already placed stay placed."""
        await self._client.call("eth_cancelBundle", {"replacementUuid": replacement}, write=True)

    async def cancel(self, signed: SignedTx) -> bool:
        """True where the relay withdrew it. It may still have been handed on: only the chain's nonce is proof."""
        return (
            await self._client.call("eth_cancelPrivateTransaction", {"txHash": signed.hash}, write=True)
            is True
        )

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """A hint, not a proof. Raises Retry where no answer came."""
        if self._status_url is None:
            return RelayStatus.UNKNOWN
        return await protect_status(self._session, self._status_url, tx_hash)


def _called(answer: Mapping[str, Any]) -> CalledBundle:
    txs = tuple(
        CalledTx(
            str(one["txHash"]),
            int(one["gasUsed"]),
            int(one["coinbaseDiff"]),
            str(one.get("error") or one.get("revert") or ""),
        )
        for one in answer["results"]
    )
    return CalledBundle(
        int(answer["stateBlockNumber"]), int(answer["coinbaseDiff"]), int(answer["totalGasUsed"]), txs
    )


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> FlashbotsRelay:
    return FlashbotsRelay(url, session, header)
