"""A TCP door to a server, with an address from the beginning and nobody behind it until it is opened."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class LateDoor:
    """`with` it; `url` refuses connections until `open`."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._to = (parts.hostname or "", parts.port or 0)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{parts.path}"
        self._lines: list[socket.socket] = []

    def __enter__(self) -> LateDoor:
        return self

    def open(self) -> None:
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                came, _ = self._socket.accept()
                there = socket.create_connection(self._to)
                self._lines += [came, there]
                for ends in ((came, there), (there, came)):
                    threading.Thread(target=_pump, args=ends, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        for line in (self._socket, *self._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


def _pump(source: socket.socket, drain: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            drain.sendall(chunk)
        drain.shutdown(socket.SHUT_WR)
