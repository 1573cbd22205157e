"""Web3Signer's eth1 HTTP API as its openapi file and source describe it: publicKeys, sign, and JSON-RPC eth_signTransaction.

Local and ours: the real one is a Java program. It hashes what it signs (keccak256), answers r ‖ s ‖ v with v 27 or 28 as text, takes a key
by its 64-byte public key, and its JSON-RPC signs for its own chain id only, whatever the caller wants.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from contracts.hashing import keccak
from keys.curve import address_of


@dataclass
class World:
    keys: list[bytes]
    chain_id: int = 1
    token: str | None = None
    requests: list[str] = field(default_factory=list)

    def by_public(self) -> dict[str, bytes]:
        return {"0x" + PrivateKey(k).public_key.format(compressed=False)[1:].hex(): k for k in self.keys}


def sign(key: bytes, data: bytes) -> str:
    raw = PrivateKey(key).sign_recoverable(keccak(data), hasher=None)
    return "0x" + raw[:64].hex() + f"{raw[64] + 27:02x}"


def sign_transaction(world: World, call: Any) -> dict[str, Any]:
    from eth_account import Account

    by_address = {address_of(PrivateKey(k).public_key).lower(): k for k in world.keys}
    if not isinstance(call, dict) or "nonce" not in call:
        return {"error": {"code": -32602, "message": "Invalid params"}}
    if call.get("from") not in by_address:
        return {"error": {"code": -32000, "message": "Account is not unlocked"}}
    fields = {k: v for k, v in call.items() if k != "from"} | {"chainId": world.chain_id, "type": 2}
    fields["to"] = bytes.fromhex(call["to"][2:])
    signed = Account.from_key(by_address[call["from"]]).sign_transaction(fields)
    return {"result": "0x" + signed.raw_transaction.hex().removeprefix("0x")}


def handler(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            """Silence."""

        def _answer(self, status: int, text: str, kind: str = "application/json") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _allowed(self) -> bool:
            world.requests.append(f"{self.command} {self.path}")
            if world.token is not None and self.headers.get("Authorization") != f"Bearer {world.token}":
                self._answer(401, "Unauthorized", "text/plain")
                return False
            return True

        def do_GET(self) -> None:
            if not self._allowed():
                return
            if self.path == "/api/v1/eth1/publicKeys":
                self._answer(200, json.dumps(list(world.by_public())))
            else:
                self._answer(404, "Not Found", "text/plain")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if not self._allowed():
                return
            try:
                asked = json.loads(body)
                if self.path == "/":
                    call = asked["params"][0] if asked["method"] == "eth_signTransaction" else None
                    self._answer(
                        200, json.dumps({"jsonrpc": "2.0", "id": asked["id"]} | sign_transaction(world, call))
                    )
                    return
                data = bytes.fromhex(asked["data"].removeprefix("0x"))
            except (ValueError, KeyError, TypeError, IndexError):
                self._answer(400, "Bad Request", "text/plain")
                return
            key = world.by_public().get(self.path.removeprefix("/api/v1/eth1/sign/"))
            if key is None:
                self._answer(404, "Public Key not found", "text/plain")
            else:
                self._answer(200, sign(key, data), "text/plain; charset=utf-8")

    return Handler


@contextmanager
def serving(world: World, certificate: Path | None = None) -> Iterator[str]:
    """The server's URL; https where a PEM file of certificate and key is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(world))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
