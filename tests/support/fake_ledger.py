"""A Ledger with its Ethereum app, from the published specification: APDUs in, status words and data out, what its screen showed recorded.

It derives keys by BIP-32, decodes what it is asked to sign by itself, and speaks both USB HID packets (`HidDevice`, the interface of
hidapi's `hid.device`) and Speculos' TCP (`emulator`). Not the vendor's firmware: screens carry its facts, not its exact words.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import rlp
from coincurve import PrivateKey

from contracts.hashing import checksum, keccak
from keys.curve import ORDER

PATH = "44'/60'/0'/0/0"


class Gone(Exception):
    """The cable was pulled."""


def derive(seed: bytes, path: list[int]) -> bytes:
    """BIP-32: the private key at `path`."""
    node = hmac.new(b"Bitcoin seed", seed, hashlib.sha512).digest()
    for index in path:
        key, chain = node[:32], node[32:]
        data = b"\0" + key if index >> 31 else PrivateKey(key).public_key.format()
        step = hmac.new(chain, data + index.to_bytes(4, "big"), hashlib.sha512).digest()
        node = ((int.from_bytes(step[:32], "big") + int.from_bytes(key, "big")) % ORDER).to_bytes(
            32, "big"
        ) + step[32:]
    return node[:32]


@dataclass
class LedgerApp:
    """`person`: approve, refuse, away (presses only once `pressed` is set) or unplug. `dies_after`: commands until the cable is pulled."""

    seed: bytes
    person: str = "approve"
    app: str = "Ethereum"
    locked: bool = False
    blind: bool = True
    high_s: bool = False
    dies_after: int | None = None
    screens: list[str] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    pressed: threading.Event = field(default_factory=threading.Event)
    verbose: bool = True
    _pending: tuple[int, list[int], bytes] | None = None
    _types: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _filled: dict[str, list[bytes]] = field(default_factory=dict)
    _half: bytes = b""

    def handle(self, apdu: bytes) -> tuple[int, bytes]:
        self.commands.append(apdu)
        if self.dies_after is not None:
            if self.dies_after == 0:
                raise Gone
            self.dies_after -= 1
        if self.locked:
            return 0x5515, b""
        cla, ins, p1, p2, size, data = *apdu[:5], apdu[5:]
        if size != len(data):
            return 0x6700, b""
        if self.app != "Ethereum" or cla != 0xE0:
            return 0x6E00, b""
        match ins:
            case 0x06:
                return 0x9000, bytes((0x01 if self.blind else 0, 1, 14, 2))
            case 0x02:
                return self._address(p1, p2, data)
            case 0x04 | 0x08:
                return self._stream(ins, p1, p2, data)
            case 0x0C:
                return self._fields_signed(data) if p2 == 0x01 else self._typed(p1, p2, data)
            case 0x1A:
                return self._define(p1, p2, data)
            case 0x1C:
                return self._fill(p1, p2, data)
        return 0x6D00, b""

    @staticmethod
    def _path(data: bytes) -> tuple[list[int], bytes]:
        count = data[0]
        path = [int.from_bytes(data[1 + 4 * i : 5 + 4 * i], "big") for i in range(count)]
        return path, data[1 + 4 * count :]

    def key(self, path: list[int]) -> PrivateKey:
        return PrivateKey(derive(self.seed, path))

    def _address(self, p1: int, p2: int, data: bytes) -> tuple[int, bytes]:
        if p1 > 1 or p2 > 1:
            return 0x6B00, b""
        path, rest = self._path(data)
        if rest:
            return 0x6700, b""
        public = self.key(path).public_key.format(compressed=False)
        text = keccak(public[1:])[12:].hex().encode()
        return 0x9000, bytes((65,)) + public + bytes((40,)) + text

    def _stream(self, ins: int, p1: int, p2: int, data: bytes) -> tuple[int, bytes]:
        if p2 or p1 not in (0x00, 0x80):
            return 0x6B00, b""
        if p1 == 0x00:
            path, data = self._path(data)
            self._pending = (ins, path, data)
        elif self._pending is None or self._pending[0] != ins:
            return 0x6A80, b""
        else:
            self._pending = (ins, self._pending[1], self._pending[2] + data)
        _, path, body = self._pending
        return self._transaction(path, body) if ins == 0x04 else self._message(path, body)

    def _transaction(self, path: list[int], body: bytes) -> tuple[int, bytes]:
        if body[0] != 0x02:
            return 0x6501, b""
        prefix = body[1] if len(body) > 1 else 0xF8
        head = 1 + max(0, prefix - 0xF7)
        if len(body) < 1 + head:
            return 0x9000, b""
        size = prefix - 0xC0 if prefix <= 0xF7 else int.from_bytes(body[2 : 1 + head], "big")
        if len(body) < 1 + head + size:
            return 0x9000, b""
        self._pending = None
        if len(body) > 1 + head + size:
            return 0x6A80, b""
        chain, _, _, fee, gas, to, value, data, _ = rlp.decode(body[1:])
        if data and not self.blind:
            return 0x6A80, b""

        def number(raw: bytes) -> int:
            return int.from_bytes(raw, "big")

        if data:
            self.screens.append("Blind signing ahead: the device cannot show what the data does")
        self.screens += [
            f"Amount: {ether(number(value))} ETH",
            f"To: {checksum(to)}",
            f"Network: chain id {number(chain)}",
            f"Max fees: {ether(number(fee) * number(gas))} ETH",
        ]
        return self._confirm(path, keccak(body), 0)

    def _message(self, path: list[int], body: bytes) -> tuple[int, bytes]:
        size, text = int.from_bytes(body[:4], "big"), body[4:]
        if len(text) < size:
            return 0x9000, b""
        self._pending = None
        if len(text) > size:
            return 0x6A80, b""
        printable = all(32 <= b < 127 for b in text)
        self.screens.append("Message: " + (text.decode() if printable else "0x" + text.hex()))
        return self._confirm(path, keccak(b"\x19Ethereum Signed Message:\n%d" % size + text), 27)

    def _typed(self, p1: int, p2: int, data: bytes) -> tuple[int, bytes]:
        if p1 or p2:
            return 0x6B00, b""
        path, rest = self._path(data)
        if len(rest) != 64 or not self.blind:
            return 0x6A80, b""
        self.screens += [f"Domain hash: 0x{rest[:32].hex()}", f"Message hash: 0x{rest[32:].hex()}"]
        return self._confirm(path, keccak(b"\x19\x01" + rest), 27)

    def _define(self, p1: int, p2: int, data: bytes) -> tuple[int, bytes]:
        """The types, one member a command. A definition after values begins another message."""
        if p1 or p2 not in (0x00, 0xFF):
            return 0x6B00, b""
        if self._filled:
            self._types, self._filled = {}, {}
        if p2 == 0x00:
            self._types[data.decode()] = []
            return 0x9000, b""
        description, rest = data[0], data[1:]
        size = rest[0] if description & 0x40 else 0
        rest = rest[1:] if description & 0x40 else rest
        kind = {2: f"uint{size * 8}", 3: "address", 7: "bytes"}.get(description & 0x0F)
        if kind is None or description & 0xB0 or rest[0] != len(rest) - 1 or not self._types:
            return 0x6A80, b""
        self._types[list(self._types)[-1]].append((kind, rest[1:].decode()))
        return 0x9000, b""

    def _fill(self, p1: int, p2: int, data: bytes) -> tuple[int, bytes]:
        """The values, in the order of the types; each is shown as it comes, and may be refused there."""
        if p2 == 0x00:
            if data.decode() not in self._types or self._half:
                return 0x6A80, b""
            self._filled[data.decode()] = []
            return 0x9000, b""
        if p2 != 0xFF or p1 > 1 or not self._filled:
            return 0x6A80, b""
        self._half += data
        if p1 == 1:
            return 0x9000, b""
        raw, self._half = self._half, b""
        name = list(self._filled)[-1]
        members = self._types[name]
        if int.from_bytes(raw[:2], "big") != len(raw) - 2 or len(self._filled[name]) == len(members):
            return 0x6A80, b""
        kind, label = members[len(self._filled[name])]
        value = raw[2:]
        if (kind == "address" and len(value) != 20) or (
            kind.startswith("uint") and not 1 <= len(value) <= int(kind[4:]) // 8
        ):
            return 0x6A80, b""
        self._filled[name].append(value)
        if self.person == "refuse":
            return 0x6985, b""
        if self.verbose or name == "EIP712Domain":
            shown = {"address": checksum, "bytes": lambda v: "0x" + v.hex()}.get(
                kind, lambda v: str(int.from_bytes(v, "big"))
            )
            self.screens.append(f"{label}: {shown(value)}")
        return 0x9000, b""

    def _struct_hash(self, name: str) -> bytes | None:
        """EIP-712's hashStruct from what was defined and filled here, and nothing else."""
        members, values = self._types.get(name, []), self._filled.get(name, [])
        if len(members) != len(values) or not members:
            return None
        type_hash = keccak((name + "(" + ",".join(f"{k} {n}" for k, n in members) + ")").encode())
        return keccak(
            type_hash
            + b"".join(
                keccak(v) if k == "bytes" else v.rjust(32, b"\0")
                for (k, _), v in zip(members, values, strict=True)
            )
        )

    def _fields_signed(self, data: bytes) -> tuple[int, bytes]:
        path, rest = self._path(data)
        domain, primary = self._struct_hash("EIP712Domain"), list(self._filled)[-1:]
        message = self._struct_hash(primary[0]) if primary else None
        self._types, self._filled = {}, {}
        if rest or domain is None or message is None:
            return 0x6A80, b""
        if not self.verbose:
            self.screens.append(f"Message hash: 0x{message.hex()}")
        return self._confirm(path, keccak(b"\x19\x01" + domain + message), 27)

    def _confirm(self, path: list[int], digest: bytes, v: int) -> tuple[int, bytes]:
        if self.person == "unplug":
            raise Gone
        if self.person == "away":
            self.pressed.wait(30)
        if self.person == "refuse":
            return 0x6985, b""
        raw = self.key(path).sign_recoverable(digest, hasher=None)
        s, parity = int.from_bytes(raw[32:64], "big"), raw[64]
        if self.high_s:
            s, parity = ORDER - s, 1 - parity
        return 0x9000, bytes((v + parity,)) + raw[:32] + s.to_bytes(32, "big")


def ether(wei: int) -> str:
    """Exactly, without trailing zeros."""
    whole, part = divmod(wei, 10**18)
    return f"{whole}.{part:018d}".rstrip("0").rstrip(".")


class HidDevice:
    """hidapi's `hid.device` in front of an app: 64-byte packets of channel 0101, tag 05. Any breach of the framing is an error."""

    def __init__(self, app: LedgerApp, stale: list[bytes] | None = None) -> None:
        self.app, self._incoming, self._size, self._next = app, b"", 0, 0
        self._packets: list[bytes] = list(stale or ())
        self._ready = threading.Condition()
        self.opened, self._gone = True, False

    def write(self, report: bytes) -> int:
        if self._gone or not self.opened:
            return -1
        assert len(report) == 65 and report[0] == 0, "a report id and 64 bytes"
        packet = bytes(report[1:])
        assert packet[:3] == b"\x01\x01\x05" and int.from_bytes(packet[3:5], "big") == self._next
        if self._next == 0:
            self._size, self._incoming = int.from_bytes(packet[5:7], "big"), packet[7:]
        else:
            self._incoming += packet[5:]
        self._next += 1
        if len(self._incoming) >= self._size:
            apdu, rest = self._incoming[: self._size], self._incoming[self._size :]
            assert not any(rest), "padding is zeros"
            self._next = 0
            threading.Thread(target=self._answer, args=(apdu,), daemon=True).start()
        return len(report)

    def _answer(self, apdu: bytes) -> None:
        try:
            status, data = self.app.handle(apdu)
        except Gone:
            with self._ready:
                self._gone = True
                self._ready.notify_all()
            return
        body = data + status.to_bytes(2, "big")
        payload = len(body).to_bytes(2, "big") + body
        packets = [
            (b"\x01\x01\x05" + n.to_bytes(2, "big") + payload[i : i + 59]).ljust(64, b"\0")
            for n, i in enumerate(range(0, len(payload), 59))
        ]
        with self._ready:
            self._packets += packets
            self._ready.notify_all()

    def read(self, size: int, timeout_ms: int = 0) -> list[int]:
        assert size == 64 and timeout_ms > 0, "a read without a time-out would hang"
        with self._ready:
            self._ready.wait_for(lambda: self._packets or self._gone or not self.opened, timeout_ms / 1000)
            if self._gone or not self.opened:
                raise OSError("read error")
            return list(self._packets.pop(0)) if self._packets else []

    def close(self) -> None:
        with self._ready:
            self.opened = False
            self._ready.notify_all()

    def set_nonblocking(self, on: bool) -> None:
        """hidapi has it; every read here names its time-out."""


@contextmanager
def emulator(app: LedgerApp) -> Iterator[int]:
    """The port of a TCP server that speaks as Speculos does; one connection after another."""
    server = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def read(connection: socket.socket, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = connection.recv(size - len(found))
            if not piece:
                raise OSError("closed")
            found += piece
        return found

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError, Gone):
            while True:
                status, data = app.handle(read(connection, int.from_bytes(read(connection, 4), "big")))
                connection.sendall(len(data).to_bytes(4, "big") + data + status.to_bytes(2, "big"))

    def accept() -> None:
        while not stopped.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        stopped.set()
        app.pressed.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def wait_for(condition: object, within_s: float = 5.0) -> None:
    """Polls until `condition()` is true."""
    until = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.005)
