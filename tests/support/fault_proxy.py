"""A local HTTP forwarder that can hang, cut, answer for the server, or change what it answers: a network and a service on a bad day."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Proxy:
    """`fault`: "" (forward) | hang | trickle | cut (before a byte) | half (in the middle of the body) | answer (`status`, `body`)."""

    url: str = ""
    fault: str = ""
    status: int = 500
    body: bytes = b""
    change: Callable[[bytes], bytes] | None = None
    seen: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)


def _handler(proxy: Proxy, host: str, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            """Silence."""

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            proxy.seen += 1
            proxy.asked.append(body)
            proxy.headers = dict(self.headers)
            self.close_connection = True
            if proxy.fault == "answer":
                return self._send(proxy.status, proxy.body)
            if proxy.fault == "cut":
                return self.connection.close()
            if proxy.fault == "trickle":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not proxy.let_go.wait(0.1):
                    self.wfile.write(b"X-More: 1\r\n")
                return None
            # What follows has reached the service: it has signed.
            upstream = http.client.HTTPConnection(host, port, timeout=30)
            kept = {
                k: v for k, v in self.headers.items() if k.lower() not in ("connection", "content-length")
            }
            upstream.request(self.command, self.path, body or None, kept)
            answer = upstream.getresponse()
            text = answer.read()
            upstream.close()
            if proxy.fault == "hang":
                proxy.let_go.wait(30)
                return None
            if proxy.change is not None:
                text = proxy.change(text)
            if proxy.fault == "half":
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text[: len(text) // 2])
                return None
            return self._send(answer.status, text, answer.getheader("Content-Type"))

        def _send(self, status: int, text: bytes, kind: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Connection", "close")
            if 300 <= status < 400:
                self.send_header("Location", proxy.url + "/elsewhere")
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _handle

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what these tests are about."""


@contextmanager
def forwarding(to: str) -> Iterator[Proxy]:
    """A proxy in front of http://127.0.0.1:PORT."""
    host, _, port = to.removeprefix("http://").partition(":")
    proxy = Proxy()
    server = _Server(("127.0.0.1", 0), _handler(proxy, host, int(port)))
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
