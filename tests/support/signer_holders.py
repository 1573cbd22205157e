"""What stands behind each kind of signer in the conformance suite: the real file, a device, a service, each with its bad days.

A new `keys/<kind>.py` gets a holder here and is then tested by every case of the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coincurve import PrivateKey, PublicKey
from fake_ledger import LedgerApp, emulator
from fake_trezor import TrezorDevice, bridging
from fault_proxy import Proxy, forwarding
from kms_server import client, kms, new_key
from mpc_group import PASSWORD as SHARE_PASSWORD
from mpc_group import sharing
from web3signer_server import World, serving

from chains.types import Environment
from contracts.hashing import keccak
from keys.curve import SigningKey, address_of
from keys.local_keystore import LocalKeystore
from keys.secrets import Secret

PASSWORD, TOKEN, AWS_SECRET = "correct horse battery", "token-of-the-gateway", "secret-of-an-aws-principal"


def nothing() -> None:
    """A bad day that this kind does not have."""


@dataclass
class Holder:
    """`spec` opens it, `address` is its key's. `other` names another key of the same place; `key` the private key where it is known here.

    The bad days start when called and last until `well`: `refuses` says no, `silent` never answers (the time-out in `spec` is short), `dies`
    goes away in the middle, `lies` answers another key's signature. `asked()` counts what reached the place.
    """

    spec: dict[str, Any]
    address: str
    other: str
    key: bytes | None = None
    asked: Callable[[], int] = lambda: 0
    refuses: Callable[[], None] | None = None
    silent: Callable[[], None] | None = None
    dies: Callable[[], None] | None = None
    lies: Callable[[], None] | None = None
    well: Callable[[], None] = nothing
    secrets: tuple[str, ...] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    cancels_within_s: float = 2.0


def _secret(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return f"file:{path}"


@contextmanager
def keystore(folder: Path) -> Iterator[Holder]:
    secret = keccak(b"a kept key")
    store = LocalKeystore(folder / "keys")
    made = store.import_secret("mine", Environment.DEVNET, Secret(secret), Secret(PASSWORD.encode()), n=2)
    spec = {
        "kind": "keystore",
        "environment": "devnet",
        "keystore": str(folder / "keys"),
        "key": "mine",
        "password": _secret(folder, "password", PASSWORD),
    }
    other = SigningKey(keccak(b"somebody else")).address
    yield Holder(spec, made.address, other, secret, secrets=(PASSWORD, secret.hex()))


@contextmanager
def watch(folder: Path) -> Iterator[Holder]:
    address = SigningKey(keccak(b"elsewhere")).address
    spec = {"kind": "watch", "environment": "devnet", "address": address}
    yield Holder(spec, address, address)


@contextmanager
def ledger(folder: Path) -> Iterator[Holder]:
    app = LedgerApp(b"a seed of sixteen bytes or more")
    key = app.key([44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0])
    other = app.key([44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 1])
    honest = app.seed

    def refuses() -> None:
        app.person = "refuse"

    def silent() -> None:
        app.pressed.clear()
        app.person = "away"

    def dies() -> None:
        app.person = "unplug"

    def lies() -> None:
        # The device is exchanged between the question for its address and the signature.
        known, app.key = app.key, lambda path: PrivateKey(keccak(b"another device"))  # type: ignore[method-assign]
        answer = app._address

        def address(p1: int, p2: int, data: bytes) -> tuple[int, bytes]:
            app._address, app.key = answer, known  # type: ignore[method-assign]
            found = answer(p1, p2, data)
            app.key = lambda path: PrivateKey(keccak(b"another device"))  # type: ignore[method-assign]
            return found

        app._address = address  # type: ignore[method-assign]
        lied.append(known)

    lied: list[Any] = []

    def well() -> None:
        app.person = "approve"
        app.pressed.set()
        if lied:
            app.key = lied.pop()  # type: ignore[method-assign]

    with emulator(app) as port:
        spec = {
            "kind": "ledger",
            "environment": "devnet",
            "address": address_of(key.public_key),
            "transport": f"tcp:127.0.0.1:{port}",
            "timeout_s": 1,
        }
        yield Holder(
            spec, address_of(key.public_key), address_of(other.public_key), key.secret,
            asked=lambda: len(app.commands), refuses=refuses, silent=silent, dies=dies, lies=lies, well=well,
            secrets=(honest.hex(), key.secret.hex()),
            codes={"refuses": "OWNER_REFUSED", "silent": "LEDGER_SILENT", "dies": "LEDGER_GONE"},
        )  # fmt: skip


@contextmanager
def trezor(folder: Path) -> Iterator[Holder]:
    device = TrezorDevice(b"a seed of a device with a screen")
    path = [44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0]
    key, other = device.key(path), device.key([*path[:-1], 1])
    honest = device._signed

    def person(does: str) -> Callable[[], None]:
        def now() -> None:
            device.pressed.clear()
            device.person = does

        return now

    def lies() -> None:
        # Another key than the one whose address it told: as if exchanged in between.
        device._signed = lambda where, digest: honest([*where[:-1], 1], digest)  # type: ignore[method-assign]

    def well() -> None:
        device.person = "approve"
        device.pressed.set()
        device._signed = honest  # type: ignore[method-assign]

    with bridging(device) as bridge:
        spec = {
            "kind": "trezor",
            "environment": "devnet",
            "address": address_of(key.public_key),
            "bridge": bridge.url,
            "timeout_s": 1,
        }
        yield Holder(
            spec, address_of(key.public_key), address_of(other.public_key), key.secret,
            asked=lambda: len(device.asked), refuses=person("refuse"), silent=person("away"), dies=person("unplug"), lies=lies, well=well,
            secrets=(device.seed.hex(), key.secret.hex()),
            codes={"refuses": "OWNER_REFUSED", "silent": "TREZOR_SILENT", "dies": "TREZOR_GONE"},
        )  # fmt: skip


@contextmanager
def mpc(folder: Path) -> Iterator[Holder]:
    import custody as c

    wide = {
        "chains": [1],
        "to": [c.SAFE],
        "max_value_wei": "0",
        "max_fee_wei": str(10**20),
        "safes": [c.SAFE],
    }
    with sharing(rules=wide | {"messages": True, "ceremonies": True}) as shares:
        vaults = [shares.vault(n).content for n in range(3)]
        part = vaults[0].current
        assert part is not None
        address = address_of(PublicKey(part.public))
        secret = tuple(v.current.secret.reveal().hex()[:64] for v in vaults if v.current)

        def mood(text: str) -> Callable[[], None]:
            return lambda: None if shares.mood.write_text(text) else None

        def person(text: str) -> Callable[[], None]:
            return lambda: None if shares.holder.write_text(text) else None

        def well() -> None:
            shares.mood.write_text("")
            shares.holder.write_text("")

        spec = {
            "kind": "mpc",
            "environment": "devnet",
            "address": address,
            **shares.options,
            "timeout_s": 1.5,
        }
        yield Holder(
            spec, address, SigningKey(keccak(b"nobody's share")).address, None,
            asked=lambda: len(shares.shown()), refuses=person("refuse"), silent=person("away"), dies=mood("dies"), lies=mood("lies"), well=well,
            secrets=(SHARE_PASSWORD, *secret, (shares.folder / "coordinator").read_text()),
            codes={"refuses": "MPC_REFUSED", "silent": "MPC_SILENT", "dies": "MPC_ENGINE_GONE"},
        )  # fmt: skip


def _bad_days(
    proxy: Proxy, refusal: tuple[int, bytes], lie: Callable[[bytes], bytes]
) -> dict[str, Callable[[], None]]:
    def refuses() -> None:
        proxy.fault, (proxy.status, proxy.body) = "answer", refusal

    def silent() -> None:
        proxy.let_go.clear()
        proxy.fault = "hang"

    def dies() -> None:
        proxy.fault = "half"

    def lies() -> None:
        proxy.change = lie

    def well() -> None:
        proxy.fault, proxy.change = "", None
        proxy.let_go.set()

    return {"refuses": refuses, "silent": silent, "dies": dies, "lies": lies, "well": well}


@contextmanager
def aws_kms(folder: Path) -> Iterator[Holder]:
    with kms() as url, forwarding(url) as proxy:
        key_id, other = new_key(url), new_key(url)
        admin = client(url)
        from keys.aws_kms import address_of_spki

        address, second = (
            address_of_spki(admin.get_public_key(KeyId=k)["PublicKey"]) for k in (key_id, other)
        )

        def lie(text: bytes) -> bytes:
            """What the other key answers to the same question."""
            import base64
            import json

            asked = json.loads(proxy.asked[-1])
            digest = base64.b64decode(asked["Message"])
            told = admin.sign(
                KeyId=other, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
            )
            return json.dumps(
                json.loads(text) | {"Signature": base64.b64encode(told["Signature"]).decode()}
            ).encode()

        spec = {
            "kind": "aws_kms",
            "environment": "devnet",
            "address": address,
            "key_id": key_id,
            "region": "eu-central-1",
            "endpoint": proxy.url,
            "access_key_id": _secret(folder, "id", "an-access-key-id"),
            "secret_access_key": _secret(folder, "secret", AWS_SECRET),
            "timeout_s": 1,
        }
        refusal = (400, b'{"__type":"AccessDeniedException","message":"arn:aws:iam::1:user/x may not"}')
        yield Holder(
            spec, address, second, asked=lambda: proxy.seen, **_bad_days(proxy, refusal, lie), secrets=(AWS_SECRET, "arn:aws"),
            codes={"refuses": "KMS_REFUSED", "silent": "KMS_UNREACHABLE", "dies": "KMS_UNREACHABLE"},
        )  # fmt: skip
        admin.close()


@contextmanager
def web3signer(folder: Path) -> Iterator[Holder]:
    key, other = keccak(b"a remote key"), keccak(b"another remote key")
    world = World([other, key], token=TOKEN)

    def lie(text: bytes) -> bytes:
        import json

        from web3signer_server import sign

        return sign(other, bytes.fromhex(json.loads(proxy.asked[-1])["data"][2:])).encode()

    with serving(world) as url, forwarding(url) as proxy:
        spec = {
            "kind": "web3signer",
            "environment": "devnet",
            "address": SigningKey(key).address,
            "url": proxy.url,
            "token": _secret(folder, "token", TOKEN),
            "timeout_s": 1,
        }
        yield Holder(
            spec, SigningKey(key).address, SigningKey(keccak(b"not loaded")).address, key, asked=lambda: proxy.seen,
            **_bad_days(proxy, (403, b"no"), lie), secrets=(TOKEN, key.hex()),
            codes={"refuses": "SIGNER_REFUSED", "silent": "SIGNER_SILENT", "dies": "SIGNER_UNREACHABLE"},
        )  # fmt: skip


HOLDERS: dict[str, Callable[[Path], AbstractContextManager[Holder]]] = {
    "keystore": keystore,
    "watch": watch,
    "ledger": ledger,
    "trezor": trezor,
    "mpc": mpc,
    "aws_kms": aws_kms,
    "web3signer": web3signer,
}
