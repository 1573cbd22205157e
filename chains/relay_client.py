"""JSON-RPC to a relay or builder: one object a request, signed over the exact bytes that travel; and what its refusals mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from chains.errors import Reconcile, Reject, Retry
from chains.evm import hash32
from chains.raw_send import CONSUMED, KNOWN
from chains.relay import Header, RelayStatus
from chains.relay_auth import HEADER
from chains.rpc import RpcReject, SecretUrl, post, read_answer, result_of
from chains.types import Hash32, SignedTx

STATUS_TIMEOUT_S = 5.0


class RelayClient:
    """One endpoint. `auth` makes the header over a body, by a reputation key that holds no funds; None where none is wanted."""

    def __init__(
        self,
        url: SecretUrl | str,
        session: aiohttp.ClientSession,
        auth: Header | None,
        timeout_s: float = 10.0,
    ) -> None:
        self._url = url if isinstance(url, SecretUrl) else SecretUrl(url)
        self._session, self._auth, self._timeout_s = session, auth, timeout_s

    @property
    def origin(self) -> str:
        return self._url.origin

    async def call(self, method: str, argument: Mapping[str, Any] | str, *, write: bool) -> Any:
        """`result` of one request. Raises Retry (nothing was sent), RpcReject (they said no), Reconcile (a write's answer is unclear)."""
        # The header signs the exact bytes that travel: they are made once and never serialised again.
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [argument]})
        headers = {} if self._auth is None else {HEADER: await self._auth(body)}
        status, answer = await post(
            self._session, self._url, body, write=write, headers=headers, timeout_s=self._timeout_s
        )
        parsed = read_answer(status, answer, write=write, origin=self.origin)
        if not isinstance(parsed, dict):
            raise self.unclear(write, "a list")
        return result_of(parsed, write=write, origin=self.origin)

    async def hand_over(self, method: str, argument: Mapping[str, Any] | str, signed: SignedTx) -> Any:
        """A write about one signed transaction: None where they have it already. Raises as `call`; Reconcile NONCE_CONSUMED."""
        try:
            return await self.call(method, argument, write=True)
        except RpcReject as error:
            said = error.rpc_message.lower()
            if any(words in said for words in KNOWN):
                return None
            if any(words in said for words in CONSUMED):
                raise Reconcile(
                    "NONCE_CONSUMED",
                    f"nonce {signed.nonce} is already used",
                    "look the transaction up by hash: it may be mined",
                ) from None
            raise

    async def hand_over_tx(self, method: str, argument: Mapping[str, Any] | str, signed: SignedTx) -> str:
        """`hand_over` where the answer is the transaction's hash; what is to be remembered. Reconcile WRONG_HASH for another."""
        answer = await self.hand_over(method, argument, signed)
        if answer is None:
            return "already known"
        if not isinstance(answer, str) or answer.lower() != hash32(signed.hash):
            raise Reconcile(
                "WRONG_HASH",
                f"{self.origin} answered with another transaction hash",
                "look it up by our own hash",
            )
        return ""

    def unclear(self, write: bool, what: str) -> Retry | Reconcile:
        message = f"{self.origin} answered with {what}"
        return (
            Reconcile("MALFORMED_ANSWER", message, "look it up by hash")
            if write
            else Retry("MALFORMED_ANSWER", message)
        )


async def protect_status(session: aiohttp.ClientSession, base: SecretUrl, tx_hash: Hash32) -> RelayStatus:
    """Flashbots Protect's status API, `GET /tx/HASH`: a hint, not a proof. Raises Retry where no answer came."""
    timeout = aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S)
    url = f"{base.reveal().rstrip('/')}/tx/{hash32(tx_hash)}"
    try:
        async with session.get(url, timeout=timeout, allow_redirects=False) as response:
            answer = read_answer(response.status, await response.read(), write=False, origin=base.origin)
    except (aiohttp.ClientError, TimeoutError):
        raise Retry("NO_ANSWER", f"{base.origin} did not tell a status") from None
    except Reject as error:
        raise Retry("NO_STATUS", error.message, "is the status URL right?") from None
    said = answer.get("status") if isinstance(answer, dict) else None
    return (
        RelayStatus(said)
        if isinstance(said, str) and said in RelayStatus.__members__
        else RelayStatus.UNKNOWN
    )
