"""The Trezor signer against a device behind a bridge that speak the published messages: bytes, chunks, screens, and each thing a person may find."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import custody as c
import pytest
from eth_account import Account
from fake_trezor import TrezorBridge, TrezorDevice, bridging, put
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import Address, Environment, Fees, UnsignedTx
from keys import curve, safe
from keys import trezor_wire as wire
from keys.curve import address_of
from keys.secrets import Secret
from keys.signers import open_signer, read_spec
from keys.trezor import Trezor
from keys.trezor_bridge import Bridge, read_url
from keys.typed import Field, Struct, TypedHash

SEED = b"the seed of a device on a desk"
PATH = (44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0)
TYPED = safe.typed(1, Address(c.SAFE), c.sell())
ASKS: list[tuple[str, object]] = [
    ("sign_typed", TYPED),
    ("sign_transaction", c.outer(b"\x07" * 3_000)),
    ("sign_message", b"gm"),
]


@pytest.fixture
def device() -> TrezorDevice:
    return TrezorDevice(SEED)


@pytest.fixture
def bridge(device: TrezorDevice) -> Iterator[TrezorBridge]:
    with bridging(device) as found:
        yield found


def spec(bridge: TrezorBridge, **more: Any) -> dict[str, Any]:
    key = TrezorDevice(SEED).key(list(PATH))
    address = address_of(key.public_key)
    return {
        "kind": "trezor",
        "environment": "devnet",
        "address": address,
        "bridge": bridge.url,
        "timeout_s": 2,
    } | more


def opened(bridge: TrezorBridge, **more: Any) -> Trezor:
    signer = open_signer(read_spec(spec(bridge, **more)), Environment.DEVNET)
    assert isinstance(signer, Trezor)
    return signer


def refused(signer: Trezor, ask: str = "sign_message", what: object = b"gm") -> FairleadError:
    with pytest.raises(FairleadError) as error:
        getattr(signer, ask)(what)
    return error.value


def test_a_transaction_is_the_bytes_googles_protobuf_writes() -> None:
    """Made by its Python library from the published definition of EthereumSignTxEIP1559."""
    path = (*PATH[:4], 300)
    tx = UnsignedTx(
        8453,
        7,
        Address("0x0000000071727De22E5E9d8BAf0edAc6f37da032"),
        0,
        b"\xab" * 3,
        21_000,
        Fees(40 * 10**9, 10**9),
    )
    asked = wire.sign_transaction(path, tx)
    assert asked.kind == 452
    assert asked.body.hex() == (
        "08ac8080800808bc80808008088080808008080008ac021201071a0509502f900022043b9aca002a025208322a"
        "3078303030303030303037313732374465323245354539643842416630656441633666333764613033323a004203ababab4803508542"
    )
    assert wire.to_hex(wire.get_address(path))[:12] == "00380000" + f"{len(wire.get_address(path).body):04x}"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 2**64 - 1) | st.binary(max_size=300)), max_size=20)
)
def test_what_is_encoded_is_read_back(fields: list[tuple[int, int | bytes]]) -> None:
    wanted: dict[int, list[int | bytes]] = {}
    for number, value in fields:
        wanted.setdefault(number, []).append(value)
    assert wire.decode(wire.encode(fields)) == wanted
    assert wire.encode(fields) == put(*fields)
    message = wire.Message(452, wire.encode(fields))
    if len(message.body) < 1 << 16:
        assert wire.from_hex(wire.to_hex(message)) == message


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_of_a_bridge_end_in_anything_but_a_retry(raw: bytes) -> None:
    for read in (wire.decode, wire.member_path, wire.read_features, wire.failure):
        try:
            read(raw)
        except Retry as error:
            assert error.code == "TREZOR_CONFUSED"
    with pytest.raises(Retry):
        wire.from_hex(raw.hex() + "f")


@pytest.mark.parametrize("ask", ASKS, ids=lambda a: a[0])
@pytest.mark.parametrize("packed", [False, True])
def test_the_screens_say_what_the_person_was_told_and_the_signature_is_over_it(
    device: TrezorDevice, bridge: TrezorBridge, ask: tuple[str, Any], packed: bool
) -> None:
    device.packed = packed
    signer = opened(bridge)
    getattr(signer, ask[0])(ask[1])
    told = signer.shows(ask[1])
    if ask[0] == "sign_message":
        assert told == ("Message: gm",) and "gm" in device.screens[-1]
    else:
        assert tuple(device.screens) == told


def test_fields_are_shown_by_name_and_hashes_on_a_trezor_one(
    device: TrezorDevice, bridge: TrezorBridge
) -> None:
    assert curve.recover(TYPED.digest, opened(bridge).sign_typed(TYPED)) == spec(bridge)["address"]
    assert "operation: 1" in device.screens and f"verifyingContract: {c.SAFE}" in device.screens
    device.screens.clear()
    device.model = "1"
    signer = opened(bridge, typed="hashes")
    assert curve.recover(TYPED.digest, signer.sign_typed(TYPED)) == signer.address
    assert tuple(device.screens) == signer.shows(TYPED) and len(device.screens) == 2
    assert curve.recover(TYPED.digest, opened(bridge).sign_typed(TYPED)) == signer.address, (
        "the model decides"
    )


def test_a_type_it_cannot_say_and_fields_that_are_not_there(
    device: TrezorDevice, bridge: TrezorBridge
) -> None:
    structs = (
        Struct("EIP712Domain", (Field("uint256", "chainId", 1),)),
        Struct("M", (Field("int64", "x", 1),)),
    )
    error = refused(opened(bridge), "sign_typed", TypedHash(bytes(32), bytes(32), "", structs))
    assert isinstance(error, Usage) and error.code == "TREZOR_TYPE" and "x is a int64" in error.message
    error = refused(opened(bridge), "sign_typed", TypedHash(bytes(32), bytes(32)))
    assert isinstance(error, Reject) and error.code == "TREZOR_UNSUPPORTED"


def test_random_transactions_recover_whatever_their_size(bridge: TrezorBridge) -> None:
    random.seed(7)
    signer = opened(bridge)
    for size in (0, 1, 1023, 1024, 1025, 2048, 2049, 9_999):
        tx = UnsignedTx(
            random.choice([1, 8453, 42161]), random.randrange(2**40), Address(c.SAFE), random.randrange(2**100),
            random.randbytes(size), random.randrange(2**30), Fees(random.randrange(2**60), random.randrange(2**50)),
        )  # fmt: skip
        signed = signer.sign_transaction(tx)
        assert Account.recover_transaction(signed.raw) == signer.address
        assert signed.raw.startswith(b"\x02") and tx.data in signed.raw


@pytest.mark.parametrize("ask", ASKS, ids=lambda a: a[0])
@pytest.mark.parametrize(
    ("person", "kind", "code"),
    [("refuse", Denied, "OWNER_REFUSED"), ("away", Retry, "TREZOR_SILENT"), ("unplug", Retry, "TREZOR_GONE")],
)
def test_each_thing_a_person_may_do(
    device: TrezorDevice,
    bridge: TrezorBridge,
    ask: tuple[str, Any],
    person: str,
    kind: type[FairleadError],
    code: str,
) -> None:
    signer, device.person = opened(bridge, timeout_s=0.5), person
    started = time.monotonic()
    error = refused(signer, *ask)
    assert isinstance(error, kind) and error.code == code and error.hint
    assert time.monotonic() - started < 3
    assert not bridge.held, "the device was given back"
    device.person = "approve"
    getattr(signer, ask[0])(ask[1])


def test_what_the_person_walked_away_from_is_taken_off_the_screen(
    device: TrezorDevice, bridge: TrezorBridge
) -> None:
    signer, device.person = opened(bridge, timeout_s=0.3), "away"
    assert refused(signer).code == "TREZOR_SILENT"
    assert device.cancelled.wait(2) and any(r.startswith("/post/") for r in bridge.requests)


def test_a_bridge_that_is_stuck_or_cut_off_is_a_retry(bridge: TrezorBridge) -> None:
    signer = opened(bridge, timeout_s=0.4)
    bridge.change = lambda path, text: text[:-3]
    assert refused(signer).code == "TREZOR_CONFUSED"
    bridge.change = lambda path, text: "ffff00000000"
    assert refused(signer).code == "TREZOR_CONFUSED"
    bridge.change = None
    bridge.held = {0: "somebodyelse"}
    assert refused(signer).code == "TREZOR_BUSY"
    bridge.held = {}
    signer.sign_message(b"gm")
    bridge.devices.clear()
    assert refused(signer).code == "TREZOR_NOT_FOUND"
    assert (
        refused(Trezor(signer.address, Environment.DEVNET, PATH, Bridge("http://127.0.0.1:9"))).code
        == "TREZOR_NO_BRIDGE"
    )


def test_a_session_we_could_not_give_back_is_taken_up_again(
    device: TrezorDevice, bridge: TrezorBridge
) -> None:
    signer = opened(bridge)
    signer.sign_message(b"gm")
    bridge.held = {0: str(bridge.taken)}
    signer._bridge._ours.add(str(bridge.taken))
    signer.sign_message(b"gm")
    assert bridge.requests.count(f"/acquire/0/{bridge.taken - 1}") == 1


def test_another_device_and_another_seed_sign_nothing(device: TrezorDevice, bridge: TrezorBridge) -> None:
    signer = opened(bridge)
    bridge.devices[0] = TrezorDevice(b"some other seed in the drawer")
    error = refused(signer)
    assert isinstance(error, Denied) and error.code == "SIGNER_OTHER_KEY" and not bridge.devices[0].screens


def test_of_two_devices_the_one_that_is_named(bridge: TrezorBridge, device: TrezorDevice) -> None:
    bridge.devices.insert(0, TrezorDevice(b"another device of the owner's", device_id="FFFF"))
    with pytest.raises(Usage) as usage:
        opened(bridge)
    assert usage.value.code == "TREZOR_AMBIGUOUS"
    opened(bridge, device_id="A1B2").sign_message(b"gm")
    assert device.screens and not bridge.devices[0].screens and not bridge.held
    with pytest.raises(Retry, match="no Trezor with that device_id"):
        opened(bridge, device_id="0000")


def test_a_pin_is_asked_of_the_person_and_without_one_it_is_locked(
    device: TrezorDevice, bridge: TrezorBridge
) -> None:
    device.model, device.locked = "1", True
    with pytest.raises(Retry) as retry:
        opened(bridge)
    assert retry.value.code == "TREZOR_LOCKED"
    asked: list[str] = []

    def person(answer: bytes) -> Any:
        def ask(question: str) -> Secret:
            asked.append(question)
            return Secret(answer)

        return ask

    for wrong, code in ((b"", "OWNER_REFUSED"), (b"12a", "OWNER_REFUSED"), (b"111", "TREZOR_LOCKED")):
        with pytest.raises(FairleadError) as error:
            open_signer(read_spec(spec(bridge)), Environment.DEVNET, person(wrong))
        assert error.value.code == code and not bridge.held
    open_signer(read_spec(spec(bridge)), Environment.DEVNET, person(b"159")).sign_message(b"gm")
    assert len(asked) == 4 and "positions" in asked[0]


def test_other_models_ask_for_the_pin_on_their_own_screen(device: TrezorDevice, bridge: TrezorBridge) -> None:
    device.locked = True
    opened(bridge).sign_message(b"gm")
    assert device.screens[0] == "Enter PIN"


def test_a_passphrase_is_given_once_a_session_and_a_wrong_one_is_another_wallet(
    device: TrezorDevice, bridge: TrezorBridge, tmp_path: Any
) -> None:
    device.passphrase = b"hunter2 and more"
    path = tmp_path / "passphrase"
    path.write_bytes(b"hunter2 and more")
    path.chmod(0o600)
    with pytest.raises(Denied) as denied:
        opened(bridge, passphrase=f"file:{path}")
    assert denied.value.code == "SIGNER_OTHER_KEY", "the passphrase is part of the seed"
    key = TrezorDevice(SEED + b"hunter2 and more").key(list(PATH))
    signer = opened(bridge, passphrase=f"file:{path}", address=address_of(key.public_key))
    signer.sign_message(b"gm")
    signer.sign_message(b"gm")
    assert device.asked.count(42) == 2, "once for each signer: its session remembers"
    device.on_device = b"hunter2 and more"
    opened(bridge, address=address_of(key.public_key)).sign_message(b"gm")
    device.model = "1"
    with pytest.raises(Usage) as usage:
        opened(bridge)
    assert usage.value.code == "TREZOR_PASSPHRASE"
    path.write_bytes(b"x" * 51)
    with pytest.raises(Usage) as usage:
        opened(bridge, passphrase=f"file:{path}")
    assert usage.value.code == "TREZOR_PASSPHRASE" and "xxx" not in str(usage.value)


def test_a_device_without_a_seed_and_a_forbidden_path(device: TrezorDevice, bridge: TrezorBridge) -> None:
    signer = opened(bridge)
    device.initialized = False
    assert refused(signer).code == "TREZOR_NOT_INITIALIZED"
    device.initialized = True
    other = address_of(device.key([1]).public_key)
    error = refused(opened(bridge, path="1", address=other))
    assert (
        isinstance(error, Reject)
        and error.code == "TREZOR_INVALID_DATA"
        and "Forbidden key path" in error.message
    )


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://example.org", "http://10.0.0.1:21325", "127.0.0.1:1", "http://127.0.0.1/x", "http://u@127.0.0.1", "http://[", "http://127.0.0.1:x"]
)  # fmt: skip
def test_only_a_bridge_on_this_machine_is_spoken_to(url: str) -> None:
    with pytest.raises(Usage, match="bridge must be"):
        read_url(url)


@pytest.mark.parametrize("path", ["", "44'/60'/x", "m/", "44'/2147483648", "1/" * 11 + "1", "44h"])
def test_paths_are_read_strictly(path: str) -> None:
    with pytest.raises(Usage, match="is no derivation path"):
        wire.read_path(path)


def test_one_person_is_asked_one_thing_at_a_time(device: TrezorDevice, bridge: TrezorBridge) -> None:
    signer, device.person = opened(bridge, timeout_s=3), "away"
    ended: list[bytes] = []
    thread = threading.Thread(target=lambda: ended.append(signer.sign_message(b"gm")))
    thread.start()
    until = time.monotonic() + 3
    while not device.screens and time.monotonic() < until:
        time.sleep(0.01)
    assert refused(signer).code == "TREZOR_BUSY"
    device.person = "approve"
    device.pressed.set()
    thread.join(5)
    assert ended and curve.recover(curve.personal_digest(b"gm"), ended[0]) == signer.address
