"""Private submission in Flashbots' dialect: `eth_sendPrivateTransaction`, `eth_sendBundle`, and the status API.

What it protects: nobody but the relay and the builders it forwards to sees the transaction before a block holds it, and a
transaction that would revert is not included, so it costs nothing. Nothing is ever sent to any other URL than the two
given: there is no fallback to a public endpoint.
"""

from __future__ import annotations

import uuid
from typing import Any

import aiohttp
import orjson

from chains.errors import Reconcile, Retry
from chains.evm import hash32
from chains.raw_send import CONSUMED, KNOWN
from chains.relay import Header, Received, RelayProfile, RelayStatus, Sendable, check_road
from chains.relay_auth import HEADER
from chains.rpc import RpcReject, SecretUrl, post, read_answer, result_of
from chains.types import Hash32, Protection

RELAY = RelayProfile(
    name="flashbots",
    honours=frozenset({Protection.PRIVATE}),
    chains=frozenset({1}),
    method="eth_sendPrivateTransaction",
    needs_auth=True,
    trusts=("the relay", "the builders it forwards to"),
    cancels=True,
)
STATUS_TIMEOUT_S = 5.0


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
        self._url = url if isinstance(url, SecretUrl) else SecretUrl(url)
        self._status_url = SecretUrl(status_url) if isinstance(status_url, str) else status_url
        self._session, self._timeout_s = session, timeout_s
        self._auth = auth

    async def send(self, item: Sendable, *, max_block: int | None = None) -> Received:
        """Raises Retry (nothing was sent), Reject (the relay said no), Reconcile (it may have arrived)."""
        check_road(item, self.profile)
        argument: dict[str, Any] = {"tx": "0x" + item.signed.raw.hex()}
        if max_block is not None:
            argument["maxBlockNumber"] = hex(max_block)
        try:
            answer = await self._call(self.profile.method, argument, write=True)
        except RpcReject as error:
            said = error.rpc_message.lower()
            if any(words in said for words in KNOWN):
                return Received(self.profile.name, item.signed.hash, "already known")
            if any(words in said for words in CONSUMED):
                raise Reconcile(
                    "NONCE_CONSUMED",
                    f"nonce {item.signed.nonce} is already used",
                    "look the transaction up by hash: it may be mined",
                ) from None
            raise
        if not isinstance(answer, str) or answer.lower() != hash32(item.signed.hash):
            raise Reconcile(
                "WRONG_HASH",
                f"{self._url.origin} answered with another transaction hash",
                "look it up by our own hash",
            )
        return Received(self.profile.name, item.signed.hash)

    async def send_bundle(
        self, items: list[Sendable], block: int, *, replacement: uuid.UUID | None = None
    ) -> Received:
        """All of them in this block, in this order, or none. Raises as `send`."""
        for item in items:
            check_road(item, self.profile)
        argument: dict[str, Any] = {
            "txs": ["0x" + i.signed.raw.hex() for i in items],
            "blockNumber": hex(block),
        }
        if replacement is not None:
            argument["replacementUuid"] = str(replacement)
        answer = await self._call("eth_sendBundle", argument, write=True)
        reference = answer.get("bundleHash", "") if isinstance(answer, dict) else ""
        return Received(self.profile.name, items[0].signed.hash, str(reference))

    async def cancel_bundle(self, replacement: uuid.UUID) -> None:
        await self._call("eth_cancelBundle", {"replacementUuid": str(replacement)}, write=True)

    async def cancel(self, tx_hash: Hash32) -> bool:
        """True where the relay withdrew it. It may still have been handed on: only the chain's nonce is proof."""
        return await self._call("eth_cancelPrivateTransaction", {"txHash": tx_hash}, write=True) is True

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        """A hint, not a proof. Raises Retry where no answer came."""
        if self._status_url is None:
            return RelayStatus.UNKNOWN
        base, timeout = self._status_url.reveal().rstrip("/"), aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S)
        try:
            async with self._session.get(
                f"{base}/tx/{hash32(tx_hash)}", timeout=timeout, allow_redirects=False
            ) as response:
                answer = read_answer(
                    response.status, await response.read(), write=False, origin=self._status_url.origin
                )
        except (aiohttp.ClientError, TimeoutError):
            raise Retry("NO_ANSWER", f"{self._status_url.origin} did not tell a status") from None
        said = answer.get("status") if isinstance(answer, dict) else None
        return RelayStatus(said) if said in RelayStatus.__members__ else RelayStatus.UNKNOWN

    async def _call(self, method: str, argument: dict[str, Any], *, write: bool) -> Any:
        # The header signs the exact bytes that travel: they are made once and never serialised again.
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [argument]})
        headers = {HEADER: await self._auth(body)}
        status, answer = await post(
            self._session, self._url, body, write=write, headers=headers, timeout_s=self._timeout_s
        )
        parsed = read_answer(status, answer, write=write, origin=self._url.origin)
        if not isinstance(parsed, dict):
            raise Reconcile(
                "MALFORMED_ANSWER", f"{self._url.origin} answered with a list", "look it up by hash"
            )
        return result_of(parsed, write=write, origin=self._url.origin)


def connect(url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> FlashbotsRelay:
    return FlashbotsRelay(url, session, header)
