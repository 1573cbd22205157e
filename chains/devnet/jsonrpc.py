"""A thin blocking JSON-RPC client for building and tending the devnet: one kept-alive connection, batches, no retries."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from chains.errors import Reject, Retry, Usage

_BATCH = 500


class RpcError(Reject):
    """The node answered with a JSON-RPC error; `data` is its revert data, where it gave some."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.rpc_code = error.get("code")
        self.data = error.get("data")
        super().__init__("RPC_ERROR", f"{method}: {error.get('message', error)}")


class Rpc:
    """JSON-RPC over HTTP to one url. Not safe for several threads at once.

    Raises Retry when the node cannot be reached, RpcError when it answers with an error.
    """

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Usage("BAD_URL", "the url given is not an http(s) url")
        self.url, self._path = url, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, port, timeout=timeout_s)
        # Keys live in paths, queries and user parts: errors show none of them.
        self.origin = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
        self._id = 0

    def __call__(self, method: str, *params: Any) -> Any:
        self._id += 1
        answer = self._post({"jsonrpc": "2.0", "id": self._id, "method": method, "params": list(params)})
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    def batch(self, calls: Iterable[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results in the order of the calls; the node may work on the calls of a batch in any order."""
        pending, results = list(calls), []
        for start in range(0, len(pending), _BATCH):
            part = pending[start : start + _BATCH]
            body = [
                {"jsonrpc": "2.0", "id": i, "method": m, "params": list(p)} for i, (m, p) in enumerate(part)
            ]
            answers = {answer["id"]: answer for answer in self._post(body)}
            for i, (method, _) in enumerate(part):
                if "error" in answers[i]:
                    raise RpcError(method, answers[i]["error"])
                results.append(answers[i]["result"])
        return results

    def transact(self, tx: dict[str, Any], timeout_s: float = 60.0) -> dict[str, Any]:
        """Sends from an unlocked account and waits for the receipt, on a node that mines by itself. Raises Retry NOT_MINED."""
        return self.mined(self("eth_sendTransaction", tx), timeout_s)

    def mined(self, tx_hash: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The receipt of what was sent, on a node that mines by itself, however slow. Raises Retry NOT_MINED."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            receipt: dict[str, Any] | None = self("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                return receipt
            time.sleep(0.005)
        raise Retry("NOT_MINED", f"{self.origin} did not mine a transaction within {timeout_s:g} s")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, body: Any) -> Any:
        payload = json.dumps(body).encode()
        for fresh in (False, True):
            try:
                self._connection.request("POST", self._path, payload, {"Content-Type": "application/json"})
                response = self._connection.getresponse()
                content = response.read()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as why:
                # A kept-alive connection that the server closed while idle: the request never arrived.
                self._connection.close()
                if fresh:
                    raise Retry("RPC_UNREACHABLE", f"{self.origin} dropped the connection") from why
            except (OSError, http.client.HTTPException) as why:
                self._connection.close()
                raise Retry("RPC_UNREACHABLE", f"{self.origin} does not answer: {why}") from why
        if response.status != 200 and not content.startswith((b"{", b"[")):
            raise Retry("RPC_UNREACHABLE", f"{self.origin} answered HTTP {response.status}")
        try:
            return json.loads(content)
        except ValueError as why:
            raise Reject("RPC_ANSWER", f"{self.origin} answered something that is not JSON") from why
