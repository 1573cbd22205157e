"""The way to a Trezor: the HTTP API of the Bridge that Trezor Suite runs on this machine (or `trezord-go`).

    POST /enumerate                [{"path", "session"}]
    POST /acquire/PATH/PREVIOUS    {"session"}; PREVIOUS is the session that is taken over, or null
    POST /call/SESSION             a message in hex, answered by one; waits as long as the person reads
    POST /post/SESSION             a message without an answer (Cancel)
    POST /release/SESSION

Source: trezord-go's README. It answers only programs whose Origin it knows; the name of the vendor's Python programs is the one meant
for such as this. A session that another program holds is never taken over; one that we could not give back is.
Each request is whole within its time; `cut` ends the one under way from another thread.
Errors: Retry TREZOR_NO_BRIDGE, TREZOR_SILENT, TREZOR_GONE, TREZOR_BUSY, TREZOR_NOT_FOUND, TREZOR_CONFUSED; Usage TREZOR_BRIDGE.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from chains.errors import Retry, Usage
from keys.trezor_wire import Kind, Message, confused, from_hex, to_hex

DEFAULT_URL = "http://127.0.0.1:21325"
QUICK_S = 10.0
"""What is given to answers no person is asked for."""
_GOODBYE_S = 1.0
_LONGEST = 1 << 18


def read_url(text: str) -> tuple[str, int]:
    """(host, port): plain http, this machine only. Raises Usage TREZOR_BRIDGE."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port or 21325
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or url.scheme != "http" or url.path not in ("", "/") or url.query or url.username:
        raise Usage(
            "TREZOR_BRIDGE", "bridge must be http://127.0.0.1:PORT", f"Left out, it is {DEFAULT_URL}."
        )
    return host, port


class Bridge:
    """One bridge; one conversation at a time."""

    def __init__(self, url: str) -> None:
        self._host, self._port = read_url(url)
        self._open: http.client.HTTPConnection | None = None
        self._ours: set[str] = set()

    def devices(self) -> list[tuple[str, str | None]]:
        """(path, session or None) of what is plugged in."""
        found = self._json("/enumerate", QUICK_S)
        try:
            return [(str(d["path"]), d["session"]) for d in found]
        except (TypeError, KeyError):
            raise confused("a list of devices") from None

    def acquire(self, path: str, held: str | None) -> Conversation:
        """Raises Retry TREZOR_BUSY where another program holds it."""
        if held is not None and held not in self._ours:
            raise _busy()
        answer = self._json(f"/acquire/{path}/{held or 'null'}", QUICK_S)
        session = answer.get("session") if isinstance(answer, dict) else None
        if not isinstance(session, str) or not session.isalnum():
            raise confused("a session")
        self._ours.add(session)
        return Conversation(self, session)

    def release(self, session: str) -> None:
        with contextlib.suppress(Retry):
            self.post(f"/release/{session}", "", _GOODBYE_S)
            self._ours.discard(session)

    def cut(self) -> None:
        """Ends the request under way with Retry TREZOR_GONE."""
        connection = self._open
        if connection is not None:
            _shut(connection)

    def _json(self, path: str, within_s: float) -> Any:
        try:
            return orjson.loads(self.post(path, "", within_s))
        except orjson.JSONDecodeError:
            raise confused("the bridge's JSON") from None

    def post(self, path: str, body: str, within_s: float) -> str:
        """The answer's text. Raises Retry."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=within_s)
        late = threading.Event()

        def stop() -> None:
            late.set()
            _shut(connection)

        # The socket's own time-out is for one read; this bounds the whole.
        timer = threading.Timer(within_s, stop)
        timer.daemon = True
        try:
            connection.connect()
        except OSError:
            raise Retry(
                "TREZOR_NO_BRIDGE",
                f"no Trezor Bridge answers at {self._host}:{self._port}",
                "Start Trezor Suite or trezord.",
            ) from None
        self._open = connection
        timer.start()
        try:
            connection.request("POST", path, body, {"Origin": "https://python.trezor.io"})
            answer = connection.getresponse()
            raw = answer.read(_LONGEST)
            if answer.length:  # read() alone takes a body that was cut off for a whole one
                raise http.client.IncompleteRead(b"", answer.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise silent() if late.is_set() or isinstance(error, TimeoutError) else gone() from None
        finally:
            timer.cancel()
            self._open = None
            connection.close()
        if late.is_set():
            raise silent()
        return _judged(answer.status, raw)


class Conversation:
    """A device that is ours until `close`."""

    def __init__(self, bridge: Bridge, session: str) -> None:
        self._bridge, self._session = bridge, session

    def call(self, message: Message, until: float) -> Message:
        """`until`: time.monotonic() seconds. Raises Retry."""
        left = until - time.monotonic()
        if left <= 0:
            raise silent()
        return from_hex(self._bridge.post(f"/call/{self._session}", to_hex(message), left).strip())

    def cancel(self) -> None:
        """The device forgets what it was asked; as far as it can still be reached."""
        with contextlib.suppress(Retry):
            self._bridge.post(f"/post/{self._session}", to_hex(Message(Kind.CANCEL)), _GOODBYE_S)

    def close(self) -> None:
        self._bridge.release(self._session)


def gone() -> Retry:
    return Retry(
        "TREZOR_GONE", "the device or its bridge went away in the middle", "Plug it in and ask again."
    )


def silent() -> Retry:
    return Retry(
        "TREZOR_SILENT", "nobody confirmed on the device in time", "Look at its screen, then ask again."
    )


def _busy() -> Retry:
    return Retry(
        "TREZOR_BUSY",
        "another program holds the device",
        "Close it there, or unplug the device and plug it in.",
    )


def _shut(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _judged(status: int, raw: bytes) -> str:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise confused("the bridge's text") from None
    if status == 200:
        return text
    if status == 403:
        raise Usage("TREZOR_BRIDGE", "the bridge does not answer this program (403)", "Update Trezor Suite.")
    if "wrong previous session" in text or "other call in progress" in text:
        raise _busy()
    # "device disconnected during action", "device not found", "session not found" and whatever else ends a conversation.
    raise gone()
