"""How commands reach a Ledger: USB HID in 64-byte packets, or TCP as the Speculos emulator speaks it.

    HID   channel 0x0101 ‖ tag 0x05 ‖ sequence (2) ‖ payload; the first packet's payload begins with the length (2); zero-padded
    TCP   length (4) ‖ command; answer: length of the data (4) ‖ data ‖ status word (2)

Source: "Transport protocol" in the Ethereum app's specification. `hidapi` (used under its BSD licence) moves the packets and is
imported only when a device is opened; the framing is ours because the ready-made one (ledgercomm) reads without a time-out, and a
person who walked away must not hang the program. A late answer of an earlier question is dropped when the channel opens.

Errors: Retry LEDGER_NOT_FOUND, LEDGER_GONE, LEDGER_SILENT, LEDGER_CONFUSED; Usage LEDGER_EXTRA_MISSING, LEDGER_AMBIGUOUS.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

from chains.errors import Retry, Usage
from keys.ledger_apdu import confused

VENDOR = 0x2C97
_CHANNEL, _TAG, _PACKET = b"\x01\x01", b"\x05", 64
_SLICE_MS = 200
"""A read waits this long at a time, so that Ctrl-C and close() are heard."""
_LONGEST = 0xFFFF


class Device(Protocol):
    """What hidapi's `hid.device` offers; a report starts with its id, 0."""

    def write(self, report: bytes) -> int: ...
    def read(self, size: int, timeout_ms: int = 0) -> Sequence[int]: ...
    def close(self) -> None: ...


class Channel(Protocol):
    """One open connection to a device. `until`: time.monotonic() seconds."""

    def exchange(self, command: bytes, until: float) -> tuple[int, bytes]: ...
    def close(self) -> None: ...


def gone() -> Retry:
    return Retry("LEDGER_GONE", "the device went away in the middle", "Plug it in again and ask again.")


def silent() -> Retry:
    return Retry(
        "LEDGER_SILENT",
        "nobody confirmed on the device in time",
        "Dismiss what it still shows, then ask again.",
    )


def frames(command: bytes) -> list[bytes]:
    """The packets of a command, each behind its report id."""
    payload = len(command).to_bytes(2, "big") + command
    room = _PACKET - 5
    return [
        b"\0" + (_CHANNEL + _TAG + n.to_bytes(2, "big") + payload[i : i + room]).ljust(_PACKET, b"\0")
        for n, i in enumerate(range(0, len(payload), room))
    ]


class HidChannel:
    """Commands over one HID device."""

    def __init__(self, device: Device) -> None:
        self._device: Device | None = device
        with contextlib.suppress(OSError, ValueError):
            while device.read(_PACKET, 1):  # an answer nobody waited for
                pass

    def exchange(self, command: bytes, until: float) -> tuple[int, bytes]:
        """(status word, data). Raises Retry."""
        for frame in frames(command):
            self._write(frame)
        first = self._packet(0, until)
        size, body = int.from_bytes(first[:2], "big"), first[2:]
        if not 2 <= size <= _LONGEST:
            raise confused("an answer")
        sequence = 0
        while len(body) < size:
            sequence += 1
            body += self._packet(sequence, until)
        return int.from_bytes(body[size - 2 : size], "big"), body[: size - 2]

    def _write(self, frame: bytes) -> None:
        device = self._device
        try:
            if device is None or device.write(frame) < 0:
                raise gone()
        except (OSError, ValueError):
            raise gone() from None

    def _packet(self, sequence: int, until: float) -> bytes:
        while True:
            device, left = self._device, until - time.monotonic()
            if device is None:
                raise gone()
            if left <= 0:
                raise silent()
            try:
                packet = bytes(device.read(_PACKET, max(1, min(_SLICE_MS, int(left * 1000)))))
            except (OSError, ValueError):
                raise gone() from None
            if packet:
                break
        if packet[:5] != _CHANNEL + _TAG + sequence.to_bytes(2, "big"):
            raise confused("an answer to this question")
        return packet[5:]

    def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(OSError, ValueError):
                device.close()


class TcpChannel:
    """Commands to an emulator (Speculos)."""

    def __init__(self, host: str, port: int, timeout_s: float = 5.0) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError:
            raise Retry("LEDGER_NOT_FOUND", f"no emulator at {host}:{port}", "Start it.") from None

    def exchange(self, command: bytes, until: float) -> tuple[int, bytes]:
        """(status word, data). Raises Retry."""
        try:
            self._socket.sendall(len(command).to_bytes(4, "big") + command)
            size = int.from_bytes(self._read(4, until), "big")
            if size > _LONGEST:
                raise confused("an answer")
            body = self._read(size + 2, until)
        except TimeoutError:
            raise silent() from None
        except OSError:
            raise gone() from None
        return int.from_bytes(body[size:], "big"), body[:size]

    def _read(self, size: int, until: float) -> bytes:
        found = b""
        while len(found) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise silent()
            self._socket.settimeout(left)
            piece = self._socket.recv(size - len(found))
            if not piece:
                raise gone()
            found += piece
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def open_hid(serial: str | None) -> HidChannel:
    """The one Ledger that is plugged in, or the one of that serial number."""
    try:
        import hid
    except ImportError:
        raise Usage(
            "LEDGER_EXTRA_MISSING", "a Ledger needs the ledger extra", "Install fairlead[ledger]."
        ) from None
    found: list[dict[str, Any]] = [
        d
        for d in hid.enumerate(VENDOR, 0)
        if (d.get("interface_number") == 0 or d.get("usage_page") == 0xFFA0)
        and (serial is None or d.get("serial_number") == serial)
    ]
    paths = sorted({bytes(d["path"]) for d in found})
    if not paths:
        raise Retry(
            "LEDGER_NOT_FOUND",
            "no Ledger is plugged in",
            "Plug it in and unlock it; on Linux its udev rules must let this user open it.",
        )
    if len(paths) > 1:
        raise Usage("LEDGER_AMBIGUOUS", f"{len(paths)} Ledgers are plugged in", "Name one by its serial.")
    device = hid.device()
    try:
        device.open_path(paths[0])
    except OSError:
        raise Retry(
            "LEDGER_NOT_FOUND",
            "the Ledger cannot be opened",
            "Close other wallets; on Linux its udev rules must let this user open it.",
        ) from None
    return HidChannel(device)


def connect(transport: str, serial: str | None) -> Channel:
    """`hid`, or `tcp:HOST:PORT` for an emulator. Raises Usage LEDGER_TRANSPORT."""
    if transport == "hid":
        return open_hid(serial)
    kind, _, rest = transport.partition(":")
    host, _, port = rest.rpartition(":")
    if kind != "tcp" or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Usage("LEDGER_TRANSPORT", "transport is hid, or tcp:HOST:PORT of an emulator")
    return TcpChannel(host, int(port))
