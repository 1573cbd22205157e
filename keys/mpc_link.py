"""The line between the coordinator and one share: a socket, a Noise channel over it, JSON objects inside. For `keys.mpc`.

    HOST:PORT or unix:PATH · frames: length (4, big endian) ‖ bytes · first the two handshake messages, then sealed JSON

A share answers one question with one object, `{"error": {code, verb, message, hint}}` where it will not.
Errors: Retry MPC_UNREACHABLE, MPC_SILENT, MPC_GONE; Usage MPC_ADDRESS; Denied CHANNEL_NOT_AUTHENTIC; and what the share answers.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from chains import errors
from chains.errors import Denied, FairleadError, Retry, Usage
from keys.noise import Channel, Handshake, broken

MAX_FRAME = 1 << 24
_VERBS: Mapping[str, type[FairleadError]] = {
    c.verb: c for c in (errors.Retry, errors.Reject, errors.Usage, errors.Denied)
}


def prologue(environment: str, party: int) -> bytes:
    """What a line is for: it cannot be taken for another share's, or another world's."""
    return f"fairlead mpc/1 line {environment} {party}".encode()


def read_address(text: str) -> tuple[str, int] | Path:
    """(host, port), or the path of a Unix socket. Raises Usage MPC_ADDRESS."""
    if text.startswith("unix:") and 5 < len(text.encode()) <= 105:
        return Path(text[5:])
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Usage("MPC_ADDRESS", f"{text[:60]!r} is neither HOST:PORT nor unix:PATH")
    return host, int(port)


def dial(address: tuple[str, int] | Path, within_s: float) -> socket.socket:
    """Raises Retry MPC_UNREACHABLE."""
    try:
        if isinstance(address, Path):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(within_s)
            try:
                made.connect(str(address))
            except OSError:
                made.close()
                raise
            return made
        return socket.create_connection(address, within_s)
    except OSError as error:
        raise Retry(
            "MPC_UNREACHABLE",
            f"no share answers at {_shown(address)}: {type(error).__name__}",
            "Start it, then ask again.",
        ) from None


def _shown(address: tuple[str, int] | Path) -> str:
    return str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"


def write_frame(line: socket.socket, body: bytes) -> None:
    line.sendall(len(body).to_bytes(4, "big") + body)


def read_frame(line: socket.socket, until: float | None = None, longest: int = MAX_FRAME) -> bytes:
    """Raises OSError at the end of the stream, TimeoutError after `until` (time.monotonic() seconds), Denied for a frame too long."""
    size = int.from_bytes(_exactly(line, 4, until), "big")
    if size > longest:
        raise broken(f"a frame of {size} bytes")
    return _exactly(line, size, until)


def _exactly(line: socket.socket, size: int, until: float | None) -> bytes:
    found = bytearray()
    while len(found) < size:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            line.settimeout(left)
        piece = line.recv(min(size - len(found), 1 << 16))
        if not piece:
            raise ConnectionError("the other side went away")
        found += piece
    return bytes(found)


def pack(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def unpack(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises Denied where it is none."""
    try:
        orjson.loads(raw)  # bounds its depth, before json reads whole numbers of any size
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise broken("something that is not a JSON object")
    return found


def error_of(error: FairleadError) -> dict[str, Any]:
    return {"error": {"code": error.code, "verb": error.verb, "message": error.message, "hint": error.hint}}


class Line:
    """The coordinator's end. `ask` may be split into `send` and `receive`, so that several shares work at once."""

    def __init__(self, party: int, line: socket.socket, channel: Channel) -> None:
        self.party, self._line, self._channel = party, line, channel

    @classmethod
    def open(
        cls,
        party: int,
        at: tuple[str, int] | Path,
        secret: bytes,
        peer: bytes,
        environment: str,
        until: float,
    ) -> Line:
        """Raises Retry, or Denied where the share there is not the pinned one (or does not know us)."""
        left = until - time.monotonic()
        if left <= 0:
            raise _silent(party)
        line = dial(at, left)
        kept = False
        try:
            shake = Handshake(True, secret, peer, prologue(environment, party))
            write_frame(line, shake.write())
            shake.read(read_frame(line, until, 48))
            kept = True
            return cls(party, line, shake.channel())
        except TimeoutError:
            raise _silent(party) from None
        except OSError:
            raise Denied(
                "CHANNEL_NOT_AUTHENTIC",
                f"share {party} hung up on our key",
                "Compare coordinator and shares in both settings, and the environment.",
            ) from None
        finally:
            if not kept:
                line.close()

    def send(self, message: Mapping[str, Any], until: float) -> None:
        try:
            self._line.settimeout(max(0.001, until - time.monotonic()))
            write_frame(self._line, self._channel.seal(pack(message)))
        except TimeoutError:
            raise _silent(self.party) from None
        except OSError:
            raise _gone(self.party) from None

    def receive(self, until: float) -> dict[str, Any]:
        """Raises Retry, or the share's own verdict."""
        try:
            answer = unpack(self._channel.open(read_frame(self._line, until)))
        except TimeoutError:
            raise _silent(self.party) from None
        except OSError:
            raise _gone(self.party) from None
        error = answer.get("error")
        if isinstance(error, dict):
            kind = _VERBS.get(str(error.get("verb")), errors.Reject)
            said = (str(error.get(k, ""))[:400] for k in ("message", "hint"))
            raise kind(str(error.get("code", ""))[:40], f"share {self.party}: {next(said)}", next(said))
        return answer

    def ask(self, message: Mapping[str, Any], until: float) -> dict[str, Any]:
        self.send(message, until)
        return self.receive(until)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()


def _silent(party: int) -> Retry:
    return Retry("MPC_SILENT", f"share {party} did not answer in time", "Its holder may be asked; ask again.")


def _gone(party: int) -> Retry:
    return Retry("MPC_GONE", f"share {party} went away in the middle", "Start it, then ask again.")
