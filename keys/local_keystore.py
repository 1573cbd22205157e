"""The folder of keystore V3 files on this machine; `keys.keystore` is the signer over it.

A file is named ENVIRONMENT--NAME--ADDRESS.json: its content stays what geth and `cast wallet` read and write, its name says which
world the key belongs to. An address that is kept for one environment is refused in another.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from chains.errors import Denied, Usage
from chains.types import Address, Environment
from contracts.hashing import to_checksum
from keys import keystore_v3
from keys.curve import SigningKey
from keys.secrets import Secret

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


@dataclass(frozen=True, slots=True)
class StoredKey:
    environment: Environment
    name: str
    address: Address
    path: Path


def parse_name(path: Path) -> StoredKey | None:
    """What a file's name says, or None when it is not one of ours."""
    parts = path.name.removesuffix(".json").split("--")
    if len(parts) != 3 or not path.name.endswith(".json"):
        return None
    environment, name, address = parts
    try:
        return StoredKey(Environment(environment), name, Address(to_checksum("0x" + address.lower())), path)
    except ValueError:
        return None


class LocalKeystore:
    """A folder of keys (mode 0700). All errors are Usage, except another environment's key: Denied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> tuple[StoredKey, ...]:
        if not self.folder.is_dir():
            return ()
        found = (parse_name(p) for p in sorted(self.folder.iterdir()))
        return tuple(k for k in found if k is not None)

    def find(self, which: str, environment: Environment) -> StoredKey:
        """By name, address or file. Raises Usage KEY_UNKNOWN, Denied KEY_OTHER_ENVIRONMENT."""
        path = Path(which)
        if path.suffix == ".json" or "/" in which:
            stored = parse_name(path)
            if stored is None:
                raise Usage(
                    "KEY_ENVIRONMENT_UNKNOWN",
                    f"{path.name} does not say which environment it belongs to",
                    "`fairlead keys import FILE --environment …` takes it in.",
                )
            candidates = [stored]
        else:
            candidates = [k for k in self.list() if which.lower() in (k.name, k.address.lower())]
        if not candidates:
            raise Usage(
                "KEY_UNKNOWN",
                f"there is no key {which!r} in {self.folder}",
                "`fairlead keys list` shows what is there.",
            )
        for key in candidates:
            if key.environment is environment:
                return key
        raise _other(candidates[0], environment)

    def open(self, key: StoredKey, password: Secret) -> SigningKey:
        """Raises Usage WRONG_PASSWORD, KEYSTORE_INVALID, KEYSTORE_UNREADABLE."""
        opened = SigningKey(keystore_v3.decrypt(keystore_v3.read(key.path), password))
        if opened.address != key.address:
            raise Usage(
                "KEYSTORE_INVALID",
                f"{key.path.name} holds the key of {opened.address}",
                "The file was renamed.",
            )
        return opened

    def create(
        self, name: str, environment: Environment, password: Secret, n: int = keystore_v3.STANDARD_N
    ) -> StoredKey:
        """A fresh key from the system's randomness."""
        while True:
            secret = secrets.token_bytes(32)
            if 0 < int.from_bytes(secret, "big"):
                return self.add(name, environment, keystore_v3.encrypt(secret, password, n))

    def import_secret(
        self,
        name: str,
        environment: Environment,
        secret: Secret,
        password: Secret,
        n: int = keystore_v3.STANDARD_N,
    ) -> StoredKey:
        return self.add(name, environment, keystore_v3.encrypt(secret.reveal(), password, n))

    def import_file(self, name: str, environment: Environment, path: Path, password: Secret) -> StoredKey:
        """Takes in another program's keystore V3 file, unchanged, once its password opened it."""
        store = keystore_v3.read(path)
        secret = keystore_v3.decrypt(store, password)
        store["address"] = SigningKey(secret).address[2:].lower()
        return self.add(name, environment, store)

    def add(self, name: str, environment: Environment, store: dict[str, object]) -> StoredKey:
        """Writes a keystore object under its name; never over another."""
        if not _NAME.fullmatch(name) or "--" in name:
            raise Usage(
                "KEY_NAME_INVALID",
                f"{name!r} is not a name for a key",
                "Lower-case letters, digits, one - _ or . at a time.",
            )
        address = Address(to_checksum("0x" + str(store["address"])))
        for key in self.list():
            if key.address == address and key.environment is not environment:
                raise _other(key, environment)
            if key.environment is environment and (key.name == name or key.address == address):
                raise Usage(
                    "KEY_EXISTS",
                    f"{key.name} ({key.address}) is already there",
                    "Choose another name, or use that key.",
                )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{environment.value}--{name}--{address[2:].lower()}.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            json.dump(store, out)
            out.flush()
            os.fsync(out.fileno())
        return StoredKey(environment, name, address, path)


def _other(key: StoredKey, environment: Environment) -> Denied:
    return Denied(
        "KEY_OTHER_ENVIRONMENT",
        f"{key.name} ({key.address}) is a {key.environment.value} key and was asked for in {environment.value}",
        f"Keys never cross environments: make one with `fairlead keys new --environment {environment.value}`.",
    )
