"""The keys and secrets of a devnet's or a fork's home: made fresh, named after their environment, worth nothing anywhere else."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from chains.types import Environment
from keys.local_keystore import LocalKeystore, StoredKey
from keys.secrets import resolve

OWNERS, THRESHOLD = 3, 2
LIGHT_SCRYPT_N = 4096
"""geth's --lightkdf: these keys guard nothing, and opening five of them should not take five seconds."""
PAPER_KEY = "devnet-paper-key"


@dataclass
class Throwaway:
    """The keys of one home: three owners, the account that sends and pays gas, the relay's reputation key."""

    folder: Path
    environment: Environment
    owners: tuple[StoredKey, ...]
    sender: StoredKey
    relay_auth: StoredKey
    threshold: int = THRESHOLD

    @property
    def password(self) -> str:
        return f"file:{self.folder / 'password'}"

    @property
    def exchange_secret(self) -> str:
        return f"file:{self.folder / 'exchange-secret'}"


def private_file(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)


def make_keys(
    folder: Path, environment: Environment, owners: int = OWNERS, threshold: int = THRESHOLD
) -> Throwaway:
    """Fresh keys and secrets below `folder`, which must not exist yet."""
    folder.mkdir(parents=True, mode=0o700)
    private_file(folder / "password", secrets.token_hex(16))
    private_file(folder / "exchange-secret", secrets.token_hex(32))
    private_file(folder / "exchange-key", PAPER_KEY)
    store = LocalKeystore(folder / "keystore")
    password = resolve(f"file:{folder / 'password'}")

    def key(name: str) -> StoredKey:
        return store.create(name, environment, password, LIGHT_SCRYPT_N)

    made = tuple(key(f"owner-{i + 1}") for i in range(owners))
    return Throwaway(folder, environment, made, key("sender"), key("relay-auth"), threshold)
