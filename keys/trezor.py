"""A key on a Trezor, asked through the Bridge on this machine. SIGNER of the name `trezor`.

The device is acquired for each request and given back after it; before the person is asked anything it must give the address the settings
name (another device, passphrase or path is Denied SIGNER_OTHER_KEY). It decodes what it signs and shows it: recipient, amount and fee of
a transaction, and of typed data each field (`typed` = "fields", every model but the Trezor One) or the two hashes (`typed` = "hashes",
the Trezor One).

A PIN of a Trezor One is typed here by the positions its screen shows, where a person is at a terminal; other models ask on their own
screen. A passphrase comes from a reference, else it is typed on the device; the device's session keeps it between two requests.
EIP-7702 authorizations it does not sign, and we do not ask it to (`keys.delegations`).

Errors: Denied OWNER_REFUSED, SIGNER_OTHER_KEY; Retry TREZOR_LOCKED, TREZOR_NOT_FOUND, TREZOR_NO_BRIDGE, TREZOR_GONE, TREZOR_SILENT,
TREZOR_BUSY, TREZOR_CONFUSED; Usage TREZOR_PATH, TREZOR_BRIDGE, TREZOR_AMBIGUOUS, TREZOR_NOT_INITIALIZED, TREZOR_PASSPHRASE, TREZOR_TYPE;
Reject TREZOR_INVALID_DATA, TREZOR_UNSUPPORTED, TREZOR_FAILED.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Context

from chains.errors import Denied, Retry, Usage
from chains.types import Address, Environment, SignedTx, UnsignedTx
from contracts.hashing import to_checksum
from keys import curve, transactions
from keys import trezor_wire as wire
from keys.secrets import Secret, resolve
from keys.signers import Ask, Option, Request, SignerFacts, SignerSpec, other_key
from keys.trezor_bridge import DEFAULT_URL, QUICK_S, Bridge, Conversation
from keys.trezor_wire import Kind, Message, confused
from keys.typed import TypedHash

DEFAULT_PATH = "44'/60'/0'/0/0"
_WIDE = Context(prec=120)
_LONGEST_PASSPHRASE = 50


class Talk:
    """One conversation: what the device asks in between (a press, a PIN, a passphrase) is answered here."""

    def __init__(
        self, line: Conversation, ask: Ask | None, passphrase: Secret | None, one: bool = False
    ) -> None:
        self._line, self._ask, self._passphrase, self.one = line, ask, passphrase, one

    def call(self, message: Message, until: float) -> Message:
        """The answer that is meant for us. Raises what a Failure means."""
        answer = self._line.call(message, until)
        while True:
            match answer.kind:
                case Kind.BUTTON_REQUEST:
                    answer = self._line.call(Message(Kind.BUTTON_ACK), until)
                case Kind.PIN_MATRIX_REQUEST:
                    answer = self._line.call(Message(Kind.PIN_MATRIX_ACK, self._pin()), until)
                case Kind.PASSPHRASE_REQUEST:
                    answer = self._line.call(Message(Kind.PASSPHRASE_ACK, self._phrase()), until)
                case Kind.FAILURE:
                    raise wire.failure(answer.body)
                case _:
                    return answer

    def _pin(self) -> bytes:
        if self._ask is None:
            raise Retry(
                "TREZOR_LOCKED", "the device wants its PIN", "Unlock it in Trezor Suite, then ask again."
            )
        typed = self._ask("PIN of the Trezor, by the positions its screen shows (789/456/123): ").reveal()
        if not typed.isdigit() or b"0" in typed:
            raise Denied("OWNER_REFUSED", "no PIN was given", "Nothing was signed.")
        return wire.encode([(1, typed)])

    def _phrase(self) -> bytes:
        if self._passphrase is not None:
            return wire.encode([(1, self._passphrase.reveal())])
        if self.one:
            raise Usage(
                "TREZOR_PASSPHRASE",
                "this model takes no passphrase on itself",
                "Give passphrase, a reference.",
            )
        return wire.encode([(3, 1)])

    def cancel(self) -> None:
        self._line.cancel()


class Trezor:
    """One path of one device. `timeout_s` is what a person is given to read and press, as a whole."""

    def __init__(
        self,
        address: Address | None,
        environment: Environment,
        path: Sequence[int],
        bridge: Bridge,
        device_id: str | None = None,
        ask: Ask | None = None,
        passphrase: Secret | None = None,
        timeout_s: float = 120.0,
        by_fields: bool = True,
    ) -> None:
        self.facts, self.environment, self._path, self._bridge = SIGNER, environment, tuple(path), bridge
        self._device_id, self._ask, self._passphrase = device_id, ask, passphrase
        self.timeout_s, self._by_fields = timeout_s, by_fields
        self._lock, self._session = threading.Lock(), b""
        self.address = address if address is not None else self._found()

    def shows(self, request: Request) -> tuple[str, ...]:
        match request:
            case TypedHash() if self._by_fields and request.structs:
                return tuple(f"{f.name}: {f.text}" for struct in request.structs for f in struct.fields)
            case TypedHash():
                return (f"Domain hash: 0x{request.domain.hex()}", f"Message hash: 0x{request.message.hex()}")
            case UnsignedTx():
                fee = request.gas * request.fees.max_fee_wei
                data = (f"Data: {len(request.data)} bytes",) if request.data else ()
                return (
                    f"Recipient: {request.to}",
                    f"Amount: {_ether(request.value)}",
                    f"Network: chain id {request.chain_id}",
                    f"Maximum fee: {_ether(fee)}",
                    *data,
                )
        said = request.decode("ascii", errors="ignore")
        plain = said.encode() == request and said.isprintable()
        return (f"Message: {said if plain else '0x' + request.hex()}",)

    def sign_transaction(self, tx: UnsignedTx) -> SignedTx:
        with self._talk() as (talk, until):
            answer = talk.call(wire.sign_transaction(self._path, tx), until)
            sent = min(len(tx.data), wire.CHUNK)
            while True:
                fields = _expect(answer, Kind.TX_REQUEST)
                more = wire.integer(fields, 1)
                if not more:
                    break
                if more > wire.CHUNK or sent + more > len(tx.data):
                    raise confused("a request for what is left of the data")
                answer = talk.call(wire.tx_ack(tx.data[sent : sent + more]), until)
                sent += more
            if sent != len(tx.data):
                raise confused("a request for the rest of the data")
            r, s = (int.from_bytes(wire.octets(fields, n)[:33], "big") for n in (3, 4))
        return transactions.assemble(
            tx, curve.complete(transactions.digest(tx), r, s, self.address), self.address
        )

    def sign_typed(self, typed: TypedHash) -> bytes:
        with self._talk() as (talk, until):
            if self._by_fields and typed.structs and not talk.one:
                answer = self._fields(talk, typed, until)
            else:
                answer = talk.call(wire.sign_typed_hash(self._path, typed), until)
            r, s = wire.read_signature(wire.octets(_expect(answer, Kind.TYPED_SIGNATURE), 1))
        return curve.complete(typed.digest, r, s, self.address)

    def _fields(self, talk: Talk, typed: TypedHash, until: float) -> Message:
        """The device asks for each struct and each value; what it hashes is checked against ours by its signature."""
        structs = {struct.name: struct for struct in typed.structs}
        answer = talk.call(wire.sign_typed_data(self._path, typed.structs[-1].name), until)
        while answer.kind in (Kind.STRUCT_REQUEST, Kind.VALUE_REQUEST):
            if answer.kind == Kind.STRUCT_REQUEST:
                name = wire.text(wire.decode(answer.body), 1)
                if name not in structs:
                    raise confused("a question about this message's types")
                answer = talk.call(wire.struct_ack(structs[name]), until)
                continue
            at = wire.member_path(answer.body)
            if len(at) != 2 or at[0] >= len(typed.structs) or at[1] >= len(typed.structs[at[0]].fields):
                raise confused("a question about this message's values")
            answer = talk.call(wire.value_ack(typed.structs[at[0]].fields[at[1]]), until)
        return answer

    def sign_message(self, message: bytes) -> bytes:
        with self._talk() as (talk, until):
            answer = talk.call(wire.sign_message(self._path, message), until)
            r, s = wire.read_signature(wire.octets(_expect(answer, Kind.MESSAGE_SIGNATURE), 2))
        return curve.complete(curve.personal_digest(message), r, s, self.address)

    def close(self) -> None:
        """Ends a pending call with Retry TREZOR_GONE; the next call acquires the device again."""
        self._bridge.cut()

    def _found(self) -> Address:
        with self._device() as (talk, until):
            return read_address(talk, self._path, until)

    @contextmanager
    def _talk(self) -> Iterator[tuple[Talk, float]]:
        """A device that has shown it has our key."""
        with self._device() as (talk, until):
            found = read_address(talk, self._path, until)
            if found != self.address:
                raise other_key("trezor", self.address, found)
            yield talk, until

    @contextmanager
    def _device(self) -> Iterator[tuple[Talk, float]]:
        if not self._lock.acquire(blocking=False):
            raise Retry("TREZOR_BUSY", "the device is asking about something else", "Answer it there first.")
        try:
            until = time.monotonic() + self.timeout_s
            line, features = self._begin(until)
            self._session = features.session
            talk, done = Talk(line, self._ask, self._passphrase, features.model == "1"), False
            try:
                yield talk, until
                done = True
            finally:
                if not done:  # it must not go on showing what nobody waits for
                    talk.cancel()
                line.close()
        finally:
            self._lock.release()

    def _begin(self, until: float) -> tuple[Conversation, wire.Features]:
        devices = self._bridge.devices()
        if not devices:
            raise Retry("TREZOR_NOT_FOUND", "no Trezor is plugged in", "Plug it in, then ask again.")
        if len(devices) > 1 and self._device_id is None:
            raise Usage(
                "TREZOR_AMBIGUOUS", f"{len(devices)} Trezors are plugged in", "Name one by device_id."
            )
        for path, held in devices:
            line = self._bridge.acquire(path, held)
            kept = False
            try:
                patience = min(until, time.monotonic() + QUICK_S)
                features = wire.read_features(_body(line.call(wire.initialize(self._session), patience)))
                if self._device_id in (None, features.device_id):
                    _ready(features)
                    kept = True
                    return line, features
            finally:
                if not kept:
                    line.close()
        raise Retry(
            "TREZOR_NOT_FOUND", "no Trezor with that device_id is plugged in", "Plug it in, then ask again."
        )

    def __repr__(self) -> str:
        return f"Trezor({self.address}, {self.environment.value})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signer is never serialised")


def _ready(features: wire.Features) -> None:
    if features.bootloader or not features.initialized:
        raise Usage(
            "TREZOR_NOT_INITIALIZED", "the device has no seed, or is in its bootloader", "Set it up first."
        )


def _body(answer: Message) -> bytes:
    if answer.kind == Kind.FAILURE:
        raise wire.failure(answer.body)
    if answer.kind != Kind.FEATURES:
        raise confused("a device's features")
    return answer.body


def _expect(answer: Message, kind: Kind) -> wire.Fields:
    if answer.kind != kind:
        raise confused("an answer to this question")
    return wire.decode(answer.body)


def read_address(talk: Talk, path: Sequence[int], until: float) -> Address:
    """The device's address at a path. Raises Retry, or what a Failure means."""
    said = wire.text(_expect(talk.call(wire.get_address(path), until), Kind.ADDRESS), 2)
    try:
        return Address(to_checksum(said))
    except ValueError:
        raise confused("an address") from None


def _ether(wei: int) -> str:
    said = format(_WIDE.scaleb(_WIDE.create_decimal(wei), -18), "f")
    return f"{said.rstrip('0').rstrip('.') if '.' in said else said} ETH"


def _open(spec: SignerSpec, ask: Ask | None) -> Trezor:
    options = spec.options
    mode = options.get("typed", "fields")
    if mode not in ("hashes", "fields"):
        raise Usage("SIGNER_CONFIG_INVALID", "trezor: typed must be hashes or fields")
    passphrase = resolve(options["passphrase"]) if "passphrase" in options else None
    if passphrase is not None and len(passphrase.reveal()) > _LONGEST_PASSPHRASE:
        raise Usage(
            "TREZOR_PASSPHRASE", f"passphrase is longer than the device's {_LONGEST_PASSPHRASE} bytes"
        )
    return Trezor(
        None,
        spec.environment,
        wire.read_path(options.get("path", DEFAULT_PATH)),
        Bridge(options.get("bridge", DEFAULT_URL)),
        options.get("device_id"),
        ask,
        passphrase,
        spec.number("timeout_s", 120.0),
        mode == "fields",
    )


SIGNER = SignerFacts(
    "trezor",
    True,
    "the Trezor, which never gives it away",
    "shows what it signs on its own screen; a person presses",
    _open,
    (
        Option("path", f"the derivation path; {DEFAULT_PATH} when left out"),
        Option("device_id", "which device, where several are plugged in"),
        Option("bridge", f"where the Bridge listens on this machine; {DEFAULT_URL} when left out"),
        Option("passphrase", "reference to the passphrase; typed on the device when left out", secret=True),
        Option(
            "typed", "fields (the device shows them and hashes) or hashes (Trezor One); fields when left out"
        ),
        Option("timeout_s", "how long a person is given, in seconds; 120 when left out"),
    ),
)
