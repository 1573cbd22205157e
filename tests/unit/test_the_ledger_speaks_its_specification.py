"""The Ledger signer against a device that speaks the published protocol: packets, chunks, screens, and each thing a person may find."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import custody as c
import pytest
from fake_ledger import PATH, HidDevice, LedgerApp, derive, emulator

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import Address, Environment, UnsignedTx
from keys import curve, ledger_apdu, safe, transactions
from keys.curve import ORDER, address_of
from keys.ledger import Ledger
from keys.ledger_transport import HidChannel, TcpChannel, connect, frames, open_hid
from keys.signers import open_signer, read_spec
from keys.typed import Field, Struct, TypedHash

SEED = b"the seed of a device in a drawer"
NUMBERS = [44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0]
TYPED = safe.typed(1, Address(c.SAFE), c.sell())
ASKS: list[tuple[str, object]] = [
    ("sign_typed", TYPED),
    ("sign_transaction", c.outer(b"\x07" * 600)),
    ("sign_message", b"gm"),
]


def plugged(
    app: LedgerApp, timeout_s: float = 2.0, stale: list[bytes] | None = None
) -> tuple[Ledger, list[HidDevice]]:
    """A signer whose channel is a fresh HID connection each time, and the connections it made."""
    opened: list[HidDevice] = []

    def channel() -> HidChannel:
        opened.append(HidDevice(app, list(stale or ())))
        return HidChannel(opened[-1])

    address = address_of(app.key(NUMBERS).public_key)
    return Ledger(address, Environment.DEVNET, ledger_apdu.path(PATH), channel, timeout_s), opened


def test_the_fake_derives_keys_as_bip32_says() -> None:
    from bip32_reference import derive_by_eth_account

    mnemonic = "test test test test test test test test test test test junk"
    seed, wanted = derive_by_eth_account(mnemonic, f"m/{PATH}")
    assert derive(seed, NUMBERS) == wanted


def test_the_specifications_own_example_of_a_path() -> None:
    assert ledger_apdu.path("44'/60'/0'/0").hex() == "048000002c8000003c8000000000000000"
    assert ledger_apdu.get_address(ledger_apdu.path("m/44'/60'/0'/0"))[0].hex() == (
        "e002000011048000002c8000003c8000000000000000"
    )
    assert ledger_apdu.get_config() == [bytes.fromhex("e006000000")]
    for wrong in ("", "m/", "44'/x", "44'/-1", "1/" * 10 + "1", "2147483648", "44''"):
        with pytest.raises(Usage, match="LEDGER_PATH"):
            ledger_apdu.path(wrong)


def test_packets_are_64_bytes_with_channel_tag_and_sequence() -> None:
    for size in (5, 57, 58, 116, 117, 260):
        command = bytes(range(256))[:size].ljust(size, b"x")
        sent = frames(command)
        assert all(len(f) == 65 and f[:4] == b"\0\x01\x01\x05" for f in sent)
        assert [int.from_bytes(f[4:6], "big") for f in sent] == list(range(len(sent)))
        joined = b"".join(f[6:] for f in sent)
        assert joined[:2] == size.to_bytes(2, "big") and joined[2 : 2 + size] == command


def test_ledgercomm_and_we_speak_the_same() -> None:
    """The vendor's own transport library against the same device: same packets, same answers, over HID and over TCP."""
    from ledgercomm.interfaces.hid_device import HID
    from ledgercomm.interfaces.tcp_client import TCPClient

    app = LedgerApp(SEED)
    asked = ledger_apdu.sign_typed(ledger_apdu.path(PATH), TYPED.domain, TYPED.message)[0]

    class Blocking(HidDevice):
        """ledgercomm leaves the padding to hidapi, and reads 65 bytes without a time-out."""

        def write(self, report: bytes) -> int:
            return super().write(report.ljust(65, b"\0"))

        def read(self, size: int, timeout_ms: int = 0) -> list[int]:
            return super().read(64, timeout_ms or 5000)

    theirs = HID()
    theirs.device = Blocking(app)
    until = time.monotonic() + 5
    assert theirs.exchange(asked) == HidChannel(HidDevice(app)).exchange(asked, until)
    with emulator(app) as port:
        client = TCPClient("127.0.0.1", port)
        client.open()
        ours = TcpChannel("127.0.0.1", port)
        assert client.exchange(asked) == ours.exchange(asked, until)
        client.close()
        ours.close()


@pytest.mark.parametrize("size", [0, 1, 100, *range(184, 192), 209, 254, 255, 256, 439, 440, 441, 900, 9_999])
def test_a_transaction_of_any_length_arrives_whole(size: int) -> None:
    app = LedgerApp(SEED)
    signer, _ = plugged(app)
    tx = c.outer(random.Random(size).randbytes(size), 9)
    signed = signer.sign_transaction(tx)
    assert (
        signed.raw
        == transactions.assemble(
            tx, curve.SigningKey(app.key(NUMBERS).secret).sign(transactions.digest(tx)), signer.address
        ).raw
    )
    streamed = [a for a in app.commands if a[1] == 0x04]
    assert all(len(a) - 5 == a[4] <= 255 for a in streamed)
    assert [a[2] for a in streamed] == [0x00] + [0x80] * (len(streamed) - 1)
    whole = b"".join(a[5:] for a in streamed)
    assert whole == ledger_apdu.path(PATH) + transactions.preimage(tx)


def test_what_the_person_is_told_here_is_what_the_screen_says() -> None:
    rng = random.Random(2)
    for n in range(30):
        app = LedgerApp(SEED)
        signer, _ = plugged(app)
        fees = rng.choice([1, 10**9, 37 * 10**9 + 1])
        value = rng.choice([0, 1, 10**18, 123_456_789_012_345_678_901])
        request: UnsignedTx | TypedHash | bytes
        request = c.outer(rng.randbytes(n * 20), n, THIEF, value, 21_000 + n, fees)
        signer.sign_transaction(request)
        assert app.screens == list(signer.shows(request)), request
    for text in (b"hello world", b"\x00\x01", "grüß".encode(), b""):
        app = LedgerApp(SEED)
        signer, _ = plugged(app)
        signer.sign_message(text)
        assert app.screens == list(signer.shows(text))
    app = LedgerApp(SEED)
    signer, _ = plugged(app)
    signer.sign_typed(TYPED)
    assert app.screens == list(signer.shows(TYPED))
    assert app.screens[0].endswith(safe.domain_separator(1, Address(c.SAFE)).hex())


THIEF = c.THIEF


def ask(signer: Ledger, what: tuple[str, object]) -> object:
    return getattr(signer, what[0])(what[1])


def by_fields(app: LedgerApp, timeout_s: float = 2.0) -> Ledger:
    address = address_of(app.key(NUMBERS).public_key)
    where = ledger_apdu.path(PATH)
    return Ledger(address, Environment.DEVNET, where, lambda: HidChannel(HidDevice(app)), timeout_s, True)


def test_the_specifications_definition_of_a_member() -> None:
    made = ledger_apdu.sign_fields(ledger_apdu.path(PATH), TYPED.structs)
    assert made[0] == bytes.fromhex("e01a00000c") + b"EIP712Domain"
    assert made[1] == bytes.fromhex("e01a00ff0a") + b"\x42\x20\x07chainId"
    assert made[2] == bytes.fromhex("e01a00ff13") + b"\x03\x11verifyingContract"
    assert made[3] == bytes.fromhex("e01a000006") + b"SafeTx"
    assert b"\x42\x01\x09operation" in made[7] and b"\x07\x04data" in made[6]
    assert made[14] == bytes.fromhex("e01c00000c") + b"EIP712Domain"
    assert made[15] == bytes.fromhex("e01c00ff03000101")
    assert made[-1] == bytes.fromhex("e00c000115") + ledger_apdu.path(PATH)


def test_a_safe_transaction_is_shown_field_by_field_and_hashed_on_the_device() -> None:
    """The device hashes only what it was given and has shown; the signature holds for the hash the Safe computes. No blind signing."""
    rng = random.Random(3)
    for n in range(40):
        app = LedgerApp(SEED, blind=False, verbose=bool(n % 2))
        signer = by_fields(app)
        data = rng.randbytes(rng.choice([0, 1, 252, 253, 254, 255, 256, 508, 509, 3_000]))
        tx = safe.SafeTx(
            Address(c.THIEF),
            rng.getrandbits(rng.choice([1, 64, 256])),
            data,
            n % 2,
            rng.getrandbits(40),
            rng.getrandbits(200),
        )
        typed = safe.typed(rng.choice([1, 8453, 1 << 40]), Address(c.SAFE), tx)
        assert curve.recover(typed.digest, signer.sign_typed(typed)) == signer.address
        told = list(signer.shows(typed))
        if app.verbose:
            assert app.screens == told and f"to: {tx.to}" in told and f"value: {tx.value}" in told
        else:
            assert app.screens == [*told[:2], f"Message hash: 0x{typed.message.hex()}"]


def test_fields_are_refused_one_by_one_and_a_plain_hash_goes_the_old_way() -> None:
    app = LedgerApp(SEED, person="refuse")
    signer = by_fields(app)
    with pytest.raises(Denied, match="OWNER_REFUSED"):
        signer.sign_typed(TYPED)
    assert [a for a in app.commands if a[1] == 0x0C] == [], "refused at the first field"
    app.person = "approve"
    assert curve.recover(TYPED.digest, signer.sign_typed(TYPED)) == signer.address
    plain = TypedHash(TYPED.domain, TYPED.message)
    assert curve.recover(plain.digest, signer.sign_typed(plain)) == signer.address
    app.dies_after = 20
    with pytest.raises(Retry, match="LEDGER_GONE"):
        signer.sign_typed(TYPED)
    app.dies_after = None
    assert signer.sign_typed(TYPED)


def test_fields_that_do_not_give_the_hash_are_found_out() -> None:
    """The device hashes by itself: what it signed is then not what was asked for."""
    domain, message = TYPED.structs
    other = Struct("SafeTx", (Field("address", "to", bytes(20)), *message.fields[1:]))
    with pytest.raises(Denied, match="SIGNATURE_NOT_OURS"):
        by_fields(LedgerApp(SEED)).sign_typed(TypedHash(TYPED.domain, TYPED.message, "", (domain, other)))
    with pytest.raises(Usage, match="LEDGER_TYPE"):
        ledger_apdu.sign_fields(b"", [Struct("S", (Field("string", "x", b"y"),))])
    with pytest.raises(Usage, match="LEDGER_TOO_LONG"):
        ledger_apdu.sign_fields(b"", [Struct("S", (Field("bytes", "x", bytes(1 << 16)),))])


@pytest.mark.parametrize("what", ASKS, ids=lambda w: w[0])
@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"locked": True}, Retry, "LEDGER_LOCKED"),
        ({"app": "Bitcoin"}, Retry, "LEDGER_WRONG_APP"),
        ({"person": "refuse"}, Denied, "OWNER_REFUSED"),
        ({"person": "unplug"}, Retry, "LEDGER_GONE"),
        ({"person": "away"}, Retry, "LEDGER_SILENT"),
        ({"dies_after": 0}, Retry, "LEDGER_GONE"),
        ({"dies_after": 1}, Retry, "LEDGER_GONE"),
        ({"seed": b"the seed of somebody else's device"}, Denied, "SIGNER_OTHER_KEY"),
    ],
    ids=lambda x: str(x),
)
def test_what_a_person_may_find(
    what: tuple[str, object], change: dict[str, object], kind: type[FairleadError], code: str
) -> None:
    app = LedgerApp(SEED)
    signer, opened = plugged(app, timeout_s=0.3)
    for name, value in change.items():
        setattr(app, name, value)
    with pytest.raises(kind) as found:
        ask(signer, what)
    assert found.value.code == code and found.value.hint
    assert SEED.hex() not in str(found.value)
    if code == "SIGNER_OTHER_KEY":
        assert app.screens == [], "the wrong device is told from its address: its screen asks nothing"
    assert all(not device.opened for device in opened), "the device is let go"
    for name, value in vars(LedgerApp(SEED)).items():
        if name in change:
            setattr(app, name, value)
    app.pressed.set()
    assert ask(signer, what)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (0x5515, Retry, "LEDGER_LOCKED"),
        (0x6B0C, Retry, "LEDGER_LOCKED"),
        (0x6E00, Retry, "LEDGER_WRONG_APP"),
        (0x6D00, Retry, "LEDGER_WRONG_APP"),
        (0x6511, Retry, "LEDGER_WRONG_APP"),
        (0x6985, Denied, "OWNER_REFUSED"),
        (0x6982, Denied, "OWNER_REFUSED"),
        (0x6A80, Reject, "LEDGER_INVALID_DATA"),
        (0x6501, Reject, "LEDGER_UNSUPPORTED"),
        (0x6F00, Retry, "LEDGER_BUSY"),
        (0x1234, Reject, "LEDGER_FAILED"),
    ],
)
def test_each_status_word_is_one_of_the_verbs(status: int, kind: type[FairleadError], code: str) -> None:
    error = ledger_apdu.failure(status)
    assert type(error) is kind and error.code == code


def test_blind_signing_that_is_off_is_named_with_its_remedy() -> None:
    app = LedgerApp(SEED, blind=False)
    signer, _ = plugged(app)
    for what in ASKS[:2]:
        with pytest.raises(Usage) as off:
            ask(signer, what)
        assert off.value.code == "LEDGER_BLIND_SIGNING_OFF" and "Blind signing" in off.value.hint
    assert signer.sign_message(b"shown in full") and signer.sign_transaction(c.outer(b""))


def test_high_s_from_a_device_is_made_low() -> None:
    app = LedgerApp(SEED, high_s=True)
    signer, _ = plugged(app)
    signature = signer.sign_typed(TYPED)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    assert curve.recover(TYPED.digest, signature) == signer.address


def test_a_late_answer_to_an_earlier_question_is_dropped() -> None:
    """The person confirms after we gave up; the answer waits in the device's queue when it is opened again."""
    other = LedgerApp(SEED)
    first = HidDevice(other)
    HidChannel(first)._write(frames(ledger_apdu.sign_message(ledger_apdu.path(PATH), b"old")[0])[0])
    time.sleep(0.1)
    late = [bytes(p) for p in first._packets]
    assert late
    signer, _ = plugged(LedgerApp(SEED), stale=late)
    assert curve.recover(TYPED.digest, signer.sign_typed(TYPED)) == signer.address


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: b"\x01\x02" + p[2:],
        lambda p: p[:2] + b"\x06" + p[3:],
        lambda p: p[:3] + b"\0\x09" + p[5:],
        lambda p: p[:5] + b"\0\x01" + p[7:],
        lambda p: p[:7] + bytes(57),
    ],
)
def test_garbage_is_a_retry_and_never_an_answer(spoil: Callable[[bytes], bytes]) -> None:
    class Broken(HidDevice):
        def read(self, size: int, timeout_ms: int = 0) -> list[int]:
            packet = bytes(super().read(size, timeout_ms))
            return list(spoil(packet)) if packet else []

    address = address_of(LedgerApp(SEED).key(NUMBERS).public_key)
    signer = Ledger(
        address, Environment.DEVNET, ledger_apdu.path(PATH), lambda: HidChannel(Broken(LedgerApp(SEED))), 0.5
    )
    with pytest.raises((Retry, Reject)) as found:
        signer.sign_typed(TYPED)
    assert found.value.code.startswith("LEDGER_")


def test_whatever_a_device_answers_it_is_one_of_the_verbs() -> None:
    """Answers cut short, too long, of random bytes and random status, at each step."""
    rng = random.Random(11)

    class Odd(LedgerApp):
        at = 0

        def handle(self, apdu: bytes) -> tuple[int, bytes]:
            status, data = super().handle(apdu)
            self.at -= 1
            if self.at != 0:
                return status, data
            spoiled = rng.choice(
                [data[: rng.randrange(len(data) + 1)], data + b"x", rng.randbytes(rng.randrange(140))]
            )
            return rng.choice([0x9000, 0x9000, rng.getrandbits(16)]), spoiled

    seen = set()
    for n in range(600):
        app = Odd(SEED, blind=bool(n % 3))
        signer, _ = plugged(app, timeout_s=2)
        app.at = 1 + n % 4
        what = ASKS[n % len(ASKS)]
        try:
            given = ask(signer, what)
        except FairleadError as error:
            seen.add(error.code)
        else:
            assert given, what
    assert {"LEDGER_CONFUSED", "SIGNATURE_NOT_OURS"} & seen and "LEDGER_FAILED" in seen


def test_one_question_at_a_time() -> None:
    app = LedgerApp(SEED, person="away")
    signer, _ = plugged(app, timeout_s=5)
    done: list[bytes] = []
    thread = threading.Thread(target=lambda: done.append(signer.sign_typed(TYPED)))
    thread.start()
    while not app.screens:
        time.sleep(0.01)
    with pytest.raises(Retry) as busy:
        signer.sign_message(b"another")
    assert busy.value.code == "LEDGER_BUSY"
    app.pressed.set()
    thread.join(5)
    assert curve.recover(TYPED.digest, done[0]) == signer.address


def test_without_a_device_it_is_said_so() -> None:
    """hidapi itself is asked; this machine has no Ledger."""
    import hid

    if hid.enumerate(0x2C97, 0):
        pytest.skip("a Ledger is plugged into this machine")
    with pytest.raises(Retry) as none:
        open_hid(None)
    assert none.value.code == "LEDGER_NOT_FOUND"
    spec = {"kind": "ledger", "environment": "devnet", "address": c.SAFE}
    with pytest.raises(Retry):
        open_signer(read_spec(spec), Environment.DEVNET)
    with pytest.raises(Retry) as nobody:
        connect("tcp:127.0.0.1:1", None)
    assert nobody.value.code == "LEDGER_NOT_FOUND"
    for wrong in ("usb", "tcp:", "tcp:x:0", "tcp:127.0.0.1:99999", "tcp:127.0.0.1"):
        with pytest.raises(Usage, match="LEDGER_TRANSPORT"):
            connect(wrong, None)
