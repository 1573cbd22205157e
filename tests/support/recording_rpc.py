"""An endpoint in front of an endpoint: everything passes both ways, and every body that came is kept, with its path and hour."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

KEPT = ("content-type", "x-flashbots-signature", "x-mbx-apikey")


@dataclass
class Heard:
    at_ns: int
    path: str
    headers: str
    body: bytes


@dataclass
class RecordingRpc:
    """`heard` in the order of arrival. HTTP alone; loopback alone."""

    upstream: str
    heard: list[Heard] = field(default_factory=list)

    def __enter__(self) -> RecordingRpc:
        outer = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.heard.append(Heard(time.time_ns(), self.path, str(self.headers), body))
                headers = {k: v for k, v in self.headers.items() if k.lower() in KEPT}
                request = urllib.request.Request(
                    outer.upstream + self.path, body if self.command == "POST" else None, headers,
                    method=self.command,
                )  # fmt: skip
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        status, said = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, said = error.code, error.read()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"
