"""The signer's own road to an exchange: an order's request goes from here to the host in its own settings, and its signature nowhere else.

    POST <sends_to><path>     X-MBX-APIKEY, the query and its signature as the form's body; or a body and headers of another dialect's

TLS by the system's authorities; plain http only to this machine. Redirects and proxies are not followed. A connection is kept for the
next order and given up where the exchange closed it meanwhile. Errors: Retry where nothing can have been sent, Reconcile where it may
have been, Usage EXCHANGE_TLS for a certificate nobody trusts.
"""

from __future__ import annotations

import http.client
import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from chains.errors import Reconcile, Retry, Usage

TIMEOUT_S = 5.0
_IDLE_S, _KEPT, _LONGEST = 30.0, 4, 1 << 20
_TOLD = ("x-mbx-used-weight-1m", "x-mbx-order-count-10s", "retry-after")
"""Headers that are handed back: what the exchange says of its limits."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str


def checked(url: str) -> SplitResult:
    """Where orders may be sent. Raises ValueError, saying why not."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError("is not an https:// address without user and query")
    if parts.scheme == "http" and not _here(parts.hostname):
        raise ValueError("is http:// to another machine, which anybody on the way can read")
    return parts


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Wire:
    """One exchange. Its calls block: they belong into a thread. Safe to use from several."""

    def __init__(self, name: str, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._name, self._url, self._timeout_s = name, checked(url), timeout_s
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it sends to."""
        return self._url.geturl()

    def send(self, method: str, path: str, query: str, signature: str, api_key: str) -> Answer:
        """The exchange's own answer, whatever its status. Raises as the module says."""
        headers = {"X-MBX-APIKEY": api_key, "Content-Type": "application/x-www-form-urlencoded"}
        return self.request(method, path, f"{query}&signature={signature}", headers)

    def request(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> Answer:
        """As `send`, where what is signed stands elsewhere."""
        connection = self._kept() or self._new()
        until = time.monotonic() + self._timeout_s
        timer = threading.Timer(self._timeout_s, _cut, (connection,))
        timer.daemon = True
        timer.start()
        try:
            connection.request(method, self._url.path.rstrip("/") + path, body, dict(headers))
            got = connection.getresponse()
            answer = got.read(_LONGEST + 1)
            if len(answer) > _LONGEST or got.length:
                raise http.client.IncompleteRead(b"")
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            late = time.monotonic() >= until
            what = f"did not answer within {self._timeout_s:g} s" if late else "broke the connection"
            raise Reconcile(
                "VENUE_TIMEOUT" if late else "VENUE_DISCONNECTED",
                f"{self._name} {what} ({type(error).__name__}); the request may have taken effect",
                "ask by client order id",
            ) from None
        finally:
            timer.cancel()
        told = {n: v for n in _TOLD if (v := got.getheader(n)) is not None}
        self._keep(connection, got)
        return Answer(got.status, told, answer.decode("utf-8", "replace"))

    def _new(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self._timeout_s, context=self._tls
            )
        else:
            made = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        try:
            made.connect()
        except ssl.SSLCertVerificationError:
            raise Usage(
                "EXCHANGE_TLS", f"the certificate of {self._name} is not trusted", "Check `sends_to`."
            ) from None
        except OSError as error:
            why = f"{self._name} cannot be reached at {self._url.netloc} ({type(error).__name__})"
            raise Retry("VENUE_UNREACHABLE", why, "Nothing was sent.") from None
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _kept(self) -> http.client.HTTPConnection | None:
        """One that is still open: an exchange that closed it, or said anything unasked, makes it readable."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            fresh = time.monotonic() - since < _IDLE_S and connection.sock is not None
            if fresh and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()

    def _keep(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        with self._lock:
            if answer.will_close or len(self._idle) >= _KEPT:
                connection.close()
            else:
                self._idle.append((time.monotonic(), connection))

    def close(self) -> None:
        with self._lock:
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()


def _cut(connection: http.client.HTTPConnection) -> None:
    """Ends what is under way also against a server that trickles."""
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
