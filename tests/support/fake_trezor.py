"""A Trezor behind its Bridge, from the published messages: HTTP in, protobuf both ways, what its screen showed recorded.

The device derives keys by BIP-32 and hashes by itself what it is asked to sign; the protobuf here is its own, not the client's. Not the
vendor's firmware: screens carry its facts, not its exact words.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import rlp
from coincurve import PrivateKey
from fake_ledger import derive

from contracts.hashing import checksum, keccak

Said = tuple[int, bytes]
Flow = Generator[Said, Said, Said]


class Unplugged(Exception):
    """The cable was pulled."""


class Refused(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([g | 0x80 for g in groups[:-1]] + groups[-1:])


def put(*members: tuple[int, Any]) -> bytes:
    """Protobuf of (number, int | bytes | str)."""
    out = b""
    for number, value in members:
        if isinstance(value, str):
            value = value.encode()
        out += varint(number * 8 + (2 if isinstance(value, bytes) else 0))
        out += varint(len(value)) + value if isinstance(value, bytes) else varint(value)
    return out


def take(data: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    stream = iter(data)

    def number() -> int:
        total, shift = 0, 0
        for byte in stream:
            total |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return total
        raise Refused(3, "cut off")

    while True:
        try:
            first = next(stream)
        except StopIteration:
            return found
        stream = iter(bytes([first]) + bytes(stream))
        tag = number()
        assert tag % 8 in (0, 2), "the messages have no other wire types"
        value: Any = number()
        if tag % 8 == 2:
            value, size = bytes(b for _, b in zip(range(value), stream, strict=False)), value
            if len(value) != size:
                raise Refused(3, "cut off")
        found.setdefault(tag // 8, []).append(value)


@dataclass
class TrezorDevice:
    """`person`: approve, refuse, away (presses only once `pressed` is set) or unplug."""

    seed: bytes
    device_id: str = "A1B2"
    model: str = "T"
    person: str = "approve"
    locked: bool = False
    pin: str = "159"
    initialized: bool = True
    passphrase: bytes | None = None
    on_device: bytes = b""
    packed: bool = False
    screens: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    pressed: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    sessions: dict[bytes, bytes] = field(default_factory=dict)
    _session: bytes = b""
    _flow: Flow | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def key(self, path: list[int]) -> PrivateKey:
        return PrivateKey(derive(self.seed + self.sessions.get(self._session, b""), path))

    def handle(self, kind: int, body: bytes) -> Said:
        """One message in, one out: a new question, or the answer a running one waits for. A question that was cancelled ends first."""
        with self._turn:
            return self._handled(kind, body)

    def _handled(self, kind: int, body: bytes) -> Said:
        self.asked.append(kind)
        try:
            if kind in (27, 19, 42, 60, 466, 468):
                if self._flow is None:
                    return self._failed(1, "Unexpected message")
                return self._flow.send((kind, body))
            self.cancelled.clear()
            self._flow = self._answer(kind, take(body))
            return next(self._flow)
        except StopIteration as done:
            self._flow = None
            return done.value  # type: ignore[no-any-return]
        except Refused as refused:
            self._flow = None
            return self._failed(refused.code, refused.text)

    @staticmethod
    def _failed(code: int, text: str) -> Said:
        return 3, put((1, code), (2, text))

    def _answer(self, kind: int, asked: dict[int, list[Any]]) -> Flow:
        if kind == 0:
            known = asked.get(1, [b""])[0]
            self._session = (
                known if known in self.sessions else keccak(bytes([len(self.asked) % 256]) + self.seed)
            )
            features = [(2, 2), (3, 8), (4, 1), (5, 0), (6, self.device_id), (12, int(self.initialized))]
            return 17, put(*features, (21, self.model), (35, self._session))
        if not self.initialized:
            raise Refused(11, "Device not initialized")
        path = asked.get(1, [])
        if self.locked:
            yield from self._unlock()
        if self._session not in self.sessions:
            self.sessions[self._session] = (yield from self._phrase()) if self.passphrase is not None else b""
        if kind == 56:
            return 57, put((2, self._address(path)))
        if path[:3] != [44 | 1 << 31, 60 | 1 << 31, 1 << 31]:
            raise Refused(3, "Forbidden key path")
        flow = {452: self._transaction, 64: self._message, 464: self._typed, 470: self._hashes}.get(kind)
        if flow is None:
            raise Refused(1, "Unexpected message")
        return (yield from flow(path, asked))

    def _address(self, path: list[int]) -> str:
        public = self.key(path).public_key.format(compressed=False)
        return checksum(keccak(public[1:])[12:])

    def _unlock(self) -> Flow:
        if self.model != "1":
            yield from self._confirm("Enter PIN")
        else:
            kind, body = yield 18, put((1, 1))
            if kind != 19 or take(body).get(1) != [self.pin.encode()]:
                raise Refused(7, "PIN invalid")
        self.locked = False
        return 2, b""

    def _phrase(self) -> Generator[Said, Said, bytes]:
        kind, body = yield 41, b""
        said = take(body)
        if kind != 42:
            raise Refused(1, "Unexpected message")
        return self.on_device if said.get(3) == [1] else said.get(1, [b""])[0]

    def _confirm(self, *lines: str) -> Flow:
        """The screens, one press for each; what the person does is `person`."""
        for line in lines:
            kind, _ = yield 26, put((1, 8))
            if kind != 27:
                raise Refused(1, "Unexpected message")
            self.screens.append(line)
            if self.person == "unplug":
                raise Unplugged
            while self.person == "away" and not self.pressed.wait(0.02):
                if self.cancelled.is_set():
                    raise Refused(4, "Cancelled")
            if self.person == "refuse" or self.cancelled.is_set():
                raise Refused(4, "Cancelled")
        return 2, b""

    def _signed(self, path: list[int], digest: bytes) -> bytes:
        raw = self.key(path).sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes([raw[64] + 27])

    def _transaction(self, path: list[int], asked: dict[int, list[Any]]) -> Flow:
        data, whole = asked.get(8, [b""])[0], asked[9][0]
        if len(data) > 1024 or len(data) != min(whole, 1024):
            raise Refused(3, "Invalid size of initial chunk")
        if any(asked[n][0][:1] == b"\0" for n in (2, 3, 4, 5, 7)):
            raise Refused(3, "Leading zeros")
        numbers = {n: int.from_bytes(asked[n][0], "big") for n in (2, 3, 4, 5, 7)}
        to = asked[6][0].decode()
        fee = numbers[3] * numbers[5]
        yield from self._confirm(
            f"Recipient: {to}", f"Amount: {ether(numbers[7])}", f"Network: chain id {asked[10][0]}", f"Maximum fee: {ether(fee)}"
        )  # fmt: skip
        if whole:
            yield from self._confirm(f"Data: {whole} bytes")
        while len(data) < whole:
            want = min(1024, whole - len(data))
            kind, body = yield 59, put((1, want))
            piece = take(body)[1][0]
            if kind != 60 or len(piece) != want:
                raise Refused(3, "Invalid data chunk")
            data += piece
        fields = [
            asked[10][0],
            numbers[2],
            numbers[4],
            numbers[3],
            numbers[5],
            bytes.fromhex(to[2:]),
            numbers[7],
            data,
            [],
        ]
        raw = self._signed(path, keccak(b"\x02" + rlp.encode(fields)))
        return 59, put((2, raw[64] - 27), (3, raw[:32]), (4, raw[32:64]))

    def _message(self, path: list[int], asked: dict[int, list[Any]]) -> Flow:
        message = asked.get(2, [b""])[0]
        yield from self._confirm(f"Message: {message[:40]!r}")
        prefix = f"\x19Ethereum Signed Message:\n{len(message)}".encode()
        return 66, put((2, self._signed(path, keccak(prefix + message))), (3, self._address(path)))

    def _hashes(self, path: list[int], asked: dict[int, list[Any]]) -> Flow:
        if self.model != "1":
            raise Refused(1, "Unexpected message")
        domain, message = asked[2][0], asked[3][0]
        yield from self._confirm(f"Domain hash: 0x{domain.hex()}", f"Message hash: 0x{message.hex()}")
        return 469, put(
            (1, self._signed(path, keccak(b"\x19\x01" + domain + message))), (2, self._address(path))
        )

    def _typed(self, path: list[int], asked: dict[int, list[Any]]) -> Flow:
        """Types first, then every value, each shown; hashed here and from nothing else."""
        if self.model == "1":
            raise Refused(1, "Unexpected message")
        hashes = []
        for root, name in enumerate(("EIP712Domain", asked[2][0].decode())):
            kind, body = yield 465, put((1, name))
            if kind != 466:
                raise Refused(1, "Unexpected message")
            members = [take(m) for m in take(body).get(1, [])]
            types = [_type_name(take(m[1][0])) for m in members]
            names = [m[2][0].decode() for m in members]
            encoded = keccak(
                f"{name}({','.join(f'{t} {n}' for t, n in zip(types, names, strict=True))})".encode()
            )
            for index, (kind_of, label) in enumerate(zip(types, names, strict=True)):
                where = put((1, bytes([root, index]))) if self.packed else put((1, root), (1, index))
                kind, body = yield 467, where
                value = take(body)[1][0]
                if kind != 468 or (
                    kind_of != "bytes"
                    and len(value) != (20 if kind_of == "address" else int(kind_of[4:]) // 8)
                ):
                    raise Refused(3, "Invalid length")
                shown = {"address": checksum, "bytes": lambda v: "0x" + v.hex()}.get(
                    kind_of, lambda v: str(int.from_bytes(v, "big"))
                )
                yield from self._confirm(f"{label}: {shown(value)}")
                encoded += keccak(value) if kind_of == "bytes" else value.rjust(32, b"\0")
            hashes.append(keccak(encoded))
        return 469, put(
            (1, self._signed(path, keccak(b"\x19\x01" + b"".join(hashes)))), (2, self._address(path))
        )


def _type_name(said: dict[int, list[Any]]) -> str:
    name = {1: "uint", 2: "int", 3: "bytes", 4: "string", 5: "bool", 6: "address"}[said[1][0]]
    return name + (str(said[2][0] * 8) if name in ("uint", "int") else "")


def ether(wei: int) -> str:
    whole, part = divmod(wei, 10**18)
    return f"{whole}.{part:018d}".rstrip("0").rstrip(".") + " ETH"


@dataclass
class TrezorBridge:
    """The Bridge: which devices are plugged in, whose each is, and its own bad days. `stuck` answers nothing at all."""

    devices: list[TrezorDevice]
    url: str = ""
    held: dict[int, str] = field(default_factory=dict)
    taken: int = 0
    requests: list[str] = field(default_factory=list)
    stuck: bool = False
    change: Callable[[str, str], str] | None = None
    let_go: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, body: str) -> tuple[int, str]:
        self.requests.append(path)
        if self.stuck:
            self.let_go.wait(30)
        match path.strip("/").split("/"):
            case [""]:
                return 200, json.dumps({"version": "2.0.33"})
            case ["enumerate"]:
                return 200, json.dumps(
                    [{"path": str(n), "session": self.held.get(n)} for n in range(len(self.devices))]
                )
            case ["acquire", where, previous]:
                if not where.isdigit() or int(where) >= len(self.devices):
                    return 400, '{"error":"device not found"}'
                if (self.held.get(int(where)) or "null") != previous:
                    return 400, '{"error":"wrong previous session"}'
                self.taken += 1
                self.held[int(where)] = str(self.taken)
                return 200, json.dumps({"session": str(self.taken)})
            case ["release", session]:
                self.held = {n: s for n, s in self.held.items() if s != session}
                return 200, "{}"
            case [("call" | "post") as how, session]:
                found = [n for n, s in self.held.items() if s == session]
                if not found:
                    return 400, '{"error":"session not found"}'
                device, raw = self.devices[found[0]], bytes.fromhex(body)
                assert int.from_bytes(raw[2:6], "big") == len(raw) - 6
                if how == "post":
                    device.cancelled.set()
                    return 200, ""
                try:
                    kind, said = device.handle(int.from_bytes(raw[:2], "big"), raw[6:])
                except Unplugged:
                    self.held.pop(found[0], None)
                    device._flow = None
                    return 400, '{"error":"device disconnected during action"}'
                text = (kind.to_bytes(2, "big") + len(said).to_bytes(4, "big") + said).hex()
                return 200, self.change(path, text) if self.change else text
        return 404, ""


def _handler(bridge: TrezorBridge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Silence."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            known = self.headers.get("Origin", "").endswith(".trezor.io")
            status, text = bridge.answer(self.path, body) if known else (403, "")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what these tests are about."""


@contextmanager
def bridging(*devices: TrezorDevice) -> Iterator[TrezorBridge]:
    """A bridge on a free port of this machine."""
    bridge = TrezorBridge(list(devices))
    server = _Server(("127.0.0.1", 0), _handler(bridge))
    bridge.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield bridge
    finally:
        bridge.let_go.set()
        for device in devices:
            device.pressed.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
