"""A key on a Ledger, asked through its Ethereum app. SIGNER of the name `ledger`.

The device is opened for each request and closed after it, so it may be unplugged between two; before the person is asked anything,
the device must give the address the settings name (another device, passphrase or path is Denied SIGNER_OTHER_KEY).

What the person reads (`shows`) is to be compared with the device's own screen: amount, recipient, network and highest fee of a
transaction. Of typed data the device shows the domain hash and the message hash (`typed` = "hashes", every model), or is given the fields and
hashes them by itself (`typed` = "fields", app 1.9.19 or newer): then it shows each one where its "Raw messages" setting is on (older:
"Verbose EIP712"), else the domain and the message hash. Data that the device cannot show in full needs its "Blind signing" setting; without it, it answers 0x6A80.

Errors: Denied OWNER_REFUSED, SIGNER_OTHER_KEY; Retry LEDGER_LOCKED, LEDGER_WRONG_APP, LEDGER_NOT_FOUND, LEDGER_GONE, LEDGER_SILENT,
LEDGER_BUSY, LEDGER_CONFUSED; Usage LEDGER_BLIND_SIGNING_OFF, LEDGER_PATH, LEDGER_TRANSPORT, LEDGER_EXTRA_MISSING, LEDGER_AMBIGUOUS, LEDGER_TYPE, LEDGER_TOO_LONG;
Reject LEDGER_INVALID_DATA, LEDGER_UNSUPPORTED, LEDGER_FAILED.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Context

from chains.errors import Retry, Usage
from chains.types import Address, Environment, SignedTx, UnsignedTx
from keys import curve, transactions
from keys import ledger_apdu as apdu
from keys.ledger_transport import Channel, connect
from keys.signers import Ask, Option, Request, SignerFacts, SignerSpec, other_key
from keys.typed import TypedHash

QUICK_S = 10.0
"""What a device is given for an answer no person is asked for."""
DEFAULT_PATH = "44'/60'/0'/0/0"
_WIDE = Context(prec=120)


class Ledger:
    """One path of one device. `connect` opens a channel; `timeout_s` is what a person is given to read and press."""

    def __init__(
        self,
        address: Address,
        environment: Environment,
        where: bytes,
        connect: Callable[[], Channel],
        timeout_s: float = 120.0,
        by_fields: bool = False,
    ) -> None:
        self.facts, self.address, self.environment = SIGNER, address, environment
        self._by_fields = by_fields
        self._where, self._connect, self.timeout_s = where, connect, timeout_s
        self._lock = threading.Lock()
        self._channel: Channel | None = None

    def shows(self, request: Request) -> tuple[str, ...]:
        match request:
            case TypedHash() if self._by_fields and request.structs:
                return tuple(f"{f.name}: {f.text}" for struct in request.structs for f in struct.fields)
            case TypedHash():
                return ("Domain hash: 0x" + request.domain.hex(), "Message hash: 0x" + request.message.hex())
            case UnsignedTx():
                fee = request.gas * request.fees.max_fee_wei
                blind = (
                    ("Blind signing ahead: the device cannot show what the data does",)
                    if request.data
                    else ()
                )
                return (
                    *blind,
                    f"Amount: {_ether(request.value)}",
                    f"To: {request.to}",
                    f"Network: chain id {request.chain_id}",
                    f"Max fees: {_ether(fee)}",
                )
        text = request.decode("ascii", errors="ignore")
        plain = text.encode() == request and text.isprintable()
        return (f"Message: {text if plain else '0x' + request.hex()}",)

    def sign_transaction(self, tx: UnsignedTx) -> SignedTx:
        asked = apdu.sign_transaction(self._where, transactions.preimage(tx))
        signature = curve.complete(transactions.digest(tx), *self._sign(asked), self.address)
        return transactions.assemble(tx, signature, self.address)

    def sign_typed(self, typed: TypedHash) -> bytes:
        if self._by_fields and typed.structs:
            asked = apdu.sign_fields(self._where, typed.structs)
        else:
            asked = apdu.sign_typed(self._where, typed.domain, typed.message)
        return curve.complete(typed.digest, *self._sign(asked), self.address)

    def sign_message(self, message: bytes) -> bytes:
        asked = apdu.sign_message(self._where, message)
        return curve.complete(curve.personal_digest(message), *self._sign(asked), self.address)

    def close(self) -> None:
        """Ends a pending call with Retry LEDGER_GONE; the next call opens the device again."""
        channel = self._channel
        if channel is not None:
            channel.close()

    def _sign(self, asked: Sequence[bytes]) -> tuple[int, int]:
        with self._open() as channel:
            found = read_address(channel, self._where)
            if found != self.address:
                raise other_key("ledger", self.address, found)
            return apdu.read_signature(_talk(channel, asked, self.timeout_s))

    @contextmanager
    def _open(self) -> Iterator[Channel]:
        if not self._lock.acquire(blocking=False):
            raise Retry("LEDGER_BUSY", "the device is asking about something else", "Answer it there first.")
        try:
            self._channel = self._connect()
            try:
                yield self._channel
            finally:
                channel, self._channel = self._channel, None
                channel.close()
        finally:
            self._lock.release()

    def __repr__(self) -> str:
        return f"Ledger({self.address}, {self.environment.value})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signer is never serialised")


def _ether(wei: int) -> str:
    text = format(_WIDE.scaleb(_WIDE.create_decimal(wei), -18), "f")
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} ETH"


def _talk(channel: Channel, commands: Sequence[bytes], timeout_s: float) -> bytes:
    """The last command's answer. Raises what a status word means."""
    until, data = time.monotonic() + timeout_s, b""
    for command in commands:
        status, data = channel.exchange(command, until)
        if status == apdu.INVALID_DATA:
            raise apdu.failure(status, _blind(channel))
        if status != apdu.OK:
            raise apdu.failure(status)
    return data


def _blind(channel: Channel) -> bool:
    status, data = channel.exchange(apdu.get_config()[0], time.monotonic() + QUICK_S)
    return status != apdu.OK or apdu.read_config(data).blind


def read_address(channel: Channel, where: bytes) -> Address:
    """The device's address at a path; nobody is asked. Raises Retry, or what a status word means."""
    return apdu.read_address(_talk(channel, apdu.get_address(where), QUICK_S))


def _open(spec: SignerSpec, ask: Ask | None) -> Ledger:
    where = apdu.path(spec.options.get("path", DEFAULT_PATH))
    transport, serial = spec.options.get("transport", "hid"), spec.options.get("serial")
    timeout_s = spec.number("timeout_s", 120.0)

    mode = spec.options.get("typed", "hashes")
    if mode not in ("hashes", "fields"):
        raise Usage("SIGNER_CONFIG_INVALID", "ledger: typed must be hashes or fields")

    def channel() -> Channel:
        return connect(transport, serial)

    device = channel()
    try:
        found = read_address(device, where)
    finally:
        device.close()
    return Ledger(found, spec.environment, where, channel, timeout_s, mode == "fields")


SIGNER = SignerFacts(
    "ledger",
    True,
    "the Ledger, which never gives it away",
    "shows amounts and hashes on its own screen; a person presses",
    _open,
    (
        Option("path", f"the derivation path; {DEFAULT_PATH} when left out"),
        Option("serial", "which device, where several are plugged in"),
        Option("transport", "hid (USB), or tcp:HOST:PORT of the Speculos emulator"),
        Option(
            "typed", "hashes (every model) or fields (the device shows them and hashes); hashes when left out"
        ),
        Option("timeout_s", "how long a person is given, in seconds; 120 when left out"),
    ),
)
