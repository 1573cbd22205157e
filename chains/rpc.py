"""A thin JSON-RPC client for one HTTP endpoint, and the one POST every chain module sends with (`heads` has the WebSockets).

What an error's class says:
    Retry      no answer, 429, a server that says it is busy; for a read also a 5xx or an answer that is not JSON-RPC
    RpcReject  a JSON-RPC error: the endpoint understood and said no (carries `rpc_code` and `data`)
    Reconcile  only with `write=True`: the bytes may have left this machine and no clear answer came back

A URL's path, query and user part may hold an API key: errors and reprs name scheme, host and port alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from chains.errors import FairleadError, Reconcile, Reject, Retry, Usage

READ_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 10.0
# Rate limits and overloads that providers report inside a 200 answer: nothing happened, ask again.
BUSY_CODES = frozenset({-32005, -32016, 429})


class SecretUrl:
    """A URL whose path, query and user part never show. `origin` is what may be printed."""

    __slots__ = ("_url", "origin")

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError:  # a bracket that never closes
            parts = urlsplit("")
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise Usage(
                "BAD_RPC_URL",
                "an endpoint's URL must be http(s):// or ws(s)://host[:port]/…",
                "check the chain's rpc setting",
            )
        try:
            port = parts.port
        except ValueError:
            raise Usage(
                "BAD_RPC_URL", "an endpoint's URL has a port that is not a number", "check the rpc setting"
            ) from None
        self._url = url
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.origin = f"{parts.scheme}://{host}" + (f":{port}" if port else "")

    @property
    def is_socket(self) -> bool:
        return self.origin.startswith("ws")

    def reveal(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"SecretUrl({self.origin}/…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __reduce__(self) -> str:
        raise TypeError("a secret URL is not serialised")


def must_be_http(url: SecretUrl) -> SecretUrl:
    """The same URL. Raises Usage BAD_RPC_URL for a WebSocket."""
    if url.is_socket:
        raise Usage(
            "BAD_RPC_URL",
            f"{url.origin} is a WebSocket: it tells new heads and answers no calls",
            "give an http(s):// URL for calls",
        )
    return url


class RpcReject(Reject):
    """A JSON-RPC error object. `data` is whatever the endpoint attached (revert data as 0x hex, for instance)."""

    def __init__(self, rpc_code: int, message: str, data: Any = None, origin: str = "") -> None:
        super().__init__("RPC_REJECTED", f"{origin or 'the endpoint'} answered {rpc_code}: {message}")
        self.rpc_code, self.rpc_message, self.data = rpc_code, message, data


async def post(
    session: aiohttp.ClientSession,
    url: SecretUrl,
    body: bytes,
    *,
    write: bool,
    headers: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> tuple[int, bytes]:
    """POST exactly these bytes, following no redirect: (HTTP status, answer). Raises Retry or (writes) Reconcile."""
    must_be_http(url)
    limit = timeout_s if timeout_s is not None else (WRITE_TIMEOUT_S if write else READ_TIMEOUT_S)
    timeout = aiohttp.ClientTimeout(total=limit, sock_connect=min(limit, 5.0))
    sent_headers = {"Content-Type": "application/json", **(headers or {})}
    # aiohttp's own exceptions can quote the whole URL, hence `from None` everywhere below.
    try:
        async with session.post(
            url.reveal(), data=body, headers=sent_headers, timeout=timeout, allow_redirects=False
        ) as response:
            return response.status, await response.read()
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise Retry(
            "NO_CONNECTION", f"{url.origin} could not be reached", "is the endpoint up and the network there?"
        ) from None
    except TimeoutError:
        raise unclear(write, "NO_ANSWER", f"{url.origin} did not answer within {limit:g} s") from None
    except (aiohttp.ClientError, ConnectionError):
        raise unclear(
            write, "CONNECTION_LOST", f"{url.origin} closed the connection before it answered"
        ) from None


def unclear(write: bool, code: str, message: str) -> FairleadError:
    """The error of an answer that never came or makes no sense: a read may be made again, a write must be looked up."""
    if write:
        return Reconcile(
            code, message, "what was sent may have arrived: look it up by hash before sending again"
        )
    return Retry(code, message)


class Rpc:
    """One endpoint. Holds no chain knowledge; `Gateway` combines several of them."""

    def __init__(
        self, url: SecretUrl | str, session: aiohttp.ClientSession, *, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self._url = must_be_http(url if isinstance(url, SecretUrl) else SecretUrl(url))
        self._session = session
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)

    @property
    def origin(self) -> str:
        return self._url.origin

    def __repr__(self) -> str:
        return f"Rpc({self.origin})"

    async def call(
        self, method: str, params: Sequence[Any] = (), *, write: bool = False, timeout_s: float | None = None
    ) -> Any:
        """The result of one request. Raises Retry, RpcReject, or (writes) Reconcile."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        answer = await self._exchange(request, write, timeout_s)
        if not isinstance(answer, dict):
            raise unclear(
                write,
                "MALFORMED_ANSWER",
                f"{self.origin} answered {method} with something that is not JSON-RPC",
            )
        return self._result(answer, write)

    async def batch(
        self, requests: Sequence[tuple[str, Sequence[Any]]], *, timeout_s: float | None = None
    ) -> list[Any | FairleadError]:
        """Reads in one request, answers in order; a refused one is its error in the list. Raises Retry when none came."""
        if not requests:
            return []
        bodies = [
            {"jsonrpc": "2.0", "id": i, "method": m, "params": list(p)} for i, (m, p) in enumerate(requests)
        ]
        answer = await self._exchange(bodies, False, timeout_s)
        if not isinstance(answer, list):
            raise Retry(
                "MALFORMED_ANSWER",
                f"{self.origin} did not answer a batch with a list",
                "does it support batches?",
            )
        by_id = {a.get("id"): a for a in answer if isinstance(a, dict)}
        results: list[Any | FairleadError] = []
        for i in range(len(requests)):
            if i not in by_id:
                raise Retry("MALFORMED_ANSWER", f"{self.origin} left a request of a batch unanswered")
            try:
                results.append(self._result(by_id[i], False))
            except (Retry, Reject) as error:
                results.append(error)
        return results

    async def _exchange(self, request: object, write: bool, timeout_s: float | None) -> Any:
        status, body = await post(
            self._session,
            self._url,
            orjson.dumps(request),
            write=write,
            timeout_s=timeout_s or self._timeout_s,
        )
        return read_answer(status, body, write=write, origin=self.origin)

    def _result(self, answer: Mapping[str, Any], write: bool) -> Any:
        return result_of(answer, write=write, origin=self.origin)


def read_answer(status: int, body: bytes, *, write: bool, origin: str) -> Any:
    """The JSON of an HTTP answer; a status that forbids trusting it is raised first."""
    if status == 429:
        raise Retry(
            "RATE_LIMITED", f"{origin} is limiting the rate of requests", "wait, or add another endpoint"
        )
    if status >= 500:
        raise unclear(write, "SERVER_ERROR", f"{origin} answered HTTP {status}")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, (dict, list)) and answer:
        return answer
    if 400 <= status < 500:
        raise Reject(
            "HTTP_REFUSED", f"{origin} answered HTTP {status}", "is the URL, with its key, still valid?"
        )
    raise unclear(
        write, "MALFORMED_ANSWER", f"{origin} answered HTTP {status} with something that is not JSON-RPC"
    )


def result_of(answer: Mapping[str, Any], *, write: bool, origin: str) -> Any:
    """`result` of a JSON-RPC answer. Raises RpcReject, Retry (busy), or Reconcile/Retry for an answer with neither."""
    error = answer.get("error")
    if error is None and "result" in answer:
        return answer["result"]
    if isinstance(error, dict):
        code, message = error.get("code"), str(error.get("message", "no message"))
        if isinstance(code, int):
            if code in BUSY_CODES:
                raise Retry(
                    "RATE_LIMITED", f"{origin} answered {code}: {message}", "wait, or add another endpoint"
                )
            raise RpcReject(code, message, error.get("data"), origin)
    if error is not None:
        raise RpcReject(-32000, str(error)[:200], None, origin)
    raise unclear(write, "MALFORMED_ANSWER", f"{origin} answered with neither a result nor an error")
