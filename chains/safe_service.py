"""A client of the Safe Transaction Service's documented HTTP API: proposals, confirmations, what waits at a Safe. JSON as it comes.

    GET, POST  /api/v2/safes/{safe}/multisig-transactions/
    GET        /api/v2/multisig-transactions/{hash}/
    POST       /api/v1/multisig-transactions/{hash}/confirmations/

What is posted there the service knows. Nothing it answers is believed: whoever reads it recomputes hash and signers.
Errors: Retry where a read was not answered, Reconcile where a write was not, Reject SERVICE_REFUSED with the service's reason,
Reject SERVICE_UNKNOWN_TRANSACTION.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from chains.bounded_json import loads
from chains.errors import FairleadError, Reconcile, Reject, Retry
from chains.rpc import SecretUrl

TIMEOUT_S = 10.0
PAGE = 100
MOST_PAGES = 20
_MAX_BYTES = 8 << 20


class SafeService:
    """`url` is the service of one chain; `key`, where given, is sent as a bearer token and never shown."""

    def __init__(self, url: SecretUrl, session: aiohttp.ClientSession, key: str | None = None) -> None:
        self._url, self._session = url, session
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def origin(self) -> str:
        return self._url.origin

    async def transaction(self, safe_tx_hash: str) -> Mapping[str, Any]:
        status, answer = await self._ask("GET", f"/api/v2/multisig-transactions/{safe_tx_hash}/")
        if status == 404:
            raise Reject(
                "SERVICE_UNKNOWN_TRANSACTION",
                f"{self.origin} knows no transaction {safe_tx_hash}",
                "is it the right chain's service?",
            )
        return _object(self._taken(status, answer), self.origin)

    async def open_transactions(self, safe: str, nonce_from: int) -> list[Mapping[str, Any]]:
        """Those not executed, from a nonce on, in order."""
        found: list[Mapping[str, Any]] = []
        for page in range(MOST_PAGES):
            query = (
                f"?executed=false&nonce__gte={nonce_from}&ordering=nonce&limit={PAGE}&offset={page * PAGE}"
            )
            status, answer = await self._ask("GET", f"/api/v2/safes/{safe}/multisig-transactions/{query}")
            results = _object(self._taken(status, answer), self.origin).get("results")
            if not isinstance(results, list):
                raise Retry(
                    "MALFORMED_ANSWER",
                    f"{self.origin} answered no list of transactions",
                    "is it a Safe Transaction Service?",
                )
            found += [_object(entry, self.origin) for entry in results]
            if len(results) < PAGE:
                break
        return found

    async def propose(self, safe: str, body: Mapping[str, Any]) -> None:
        """The service takes the same transaction any number of times."""
        status, answer = await self._ask("POST", f"/api/v2/safes/{safe}/multisig-transactions/", body)
        self._taken(status, answer)

    async def confirm(self, safe_tx_hash: str, signature: bytes) -> None:
        """An owner's further signature; the same one twice is taken once."""
        body = {"signature": "0x" + signature.hex()}
        status, answer = await self._ask(
            "POST", f"/api/v1/multisig-transactions/{safe_tx_hash}/confirmations/", body
        )
        self._taken(status, answer)

    def _taken(self, status: int, answer: Any) -> Any:
        if status < 300:
            return answer
        if status in (429, 502, 503, 504):
            raise Retry("SERVICE_BUSY", f"{self.origin} answered {status}", "try again in a while")
        reason = _reason(answer)
        raise Reject(
            "SERVICE_REFUSED", f"{self.origin} answered {status}: {reason}", "nothing was kept there"
        )

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        url = self._url.reveal().rstrip("/") + path
        lost = Retry if body is None else Reconcile
        try:
            async with self._session.request(
                method, url, json=body, headers=self._headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), allow_redirects=False
            ) as response:  # fmt: skip
                content = await response.content.read(_MAX_BYTES)
                status = response.status
        except aiohttp.ClientConnectorError:
            raise Retry(
                "SERVICE_UNREACHABLE", f"{self.origin} does not answer", "is --service right?"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            raise _lost(lost, self.origin, type(wrong).__name__) from None
        if not content:
            return status, None
        try:
            return status, loads(content)
        except ValueError:
            if status < 300:
                raise _lost(lost, self.origin, "an answer that is not JSON") from None
            return status, None


def _lost(kind: type[FairleadError], origin: str, what: str) -> FairleadError:
    return kind(
        "SERVICE_SILENT",
        f"{origin} gave no answer ({what})",
        "ask it again: it takes the same signature once",
    )


def _object(answer: Any, origin: str) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise Retry(
            "MALFORMED_ANSWER", f"{origin} answered no JSON object", "is it a Safe Transaction Service?"
        )
    return answer


def _reason(answer: Any) -> str:
    """Django REST framework's errors: {"field": ["why"]}, {"detail": "why"}, ["why"]."""
    text = json.dumps(answer, ensure_ascii=True) if answer is not None else "no reason"
    return text if len(text) <= 400 else text[:400] + "…"
