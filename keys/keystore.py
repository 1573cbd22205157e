"""A key in a keystore V3 file on this machine, as a signer. SIGNER of the name `keystore`; the folder itself is `keys.local_keystore`.

The key is opened when the signer is: the password comes from its reference, or from the person who is asked. Usage WRONG_PASSWORD,
KEYSTORE_…; Denied KEY_OTHER_ENVIRONMENT when the file says that it belongs to another world.
"""

from __future__ import annotations

from pathlib import Path

from chains.errors import Denied, Usage
from chains.types import Address, Environment
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.local_keystore import LocalKeystore, StoredKey
from keys.secrets import resolve
from keys.signers import Ask, Option, PreimageSigner, SignerFacts, SignerSpec, other_key


class KeystoreSigner(PreimageSigner):
    """An opened key: about 0.1 ms a signature, deterministic (RFC 6979)."""

    def __init__(self, key: SigningKey, environment: Environment) -> None:
        super().__init__(SIGNER, key.address, environment)
        self._key: SigningKey | None = key

    def _checked(self, preimage: bytes) -> bytes:
        if self._key is None:
            raise Usage("KEY_LOCKED", f"the key of {self.address} was closed", "Open it again.")
        # libsecp256k1 answers low s and the parity, and has just used the key itself: nothing is left to check.
        return self._key.sign(keccak(preimage))

    def sign_delegation(self, preimage: bytes) -> bytes:
        """For `keys.delegations`, which judges first. Raises Usage for the bytes of anything else."""
        if preimage[:1] not in (b"\x04", b"\x05"):
            raise Usage("DELEGATION_INVALID", "neither an authorization nor a type-4 transaction")
        return self._checked(preimage)

    def close(self) -> None:
        self._key = None


def find(
    keystore: Path, environment: Environment, which: str | None, address: str | None
) -> tuple[LocalKeystore, StoredKey]:
    """A key in a folder, or in one file, by name or address. Raises Usage KEY_UNKNOWN, Denied KEY_OTHER_ENVIRONMENT or KEY_UNKNOWN."""
    is_file = keystore.is_file()
    store = LocalKeystore(keystore.parent if is_file else keystore)
    name = str(keystore) if is_file else (which or address)
    if name is None:
        raise Usage("KEY_UNKNOWN", "no key was named", "Give --key, --address, or a keystore file.")
    stored = store.find(name, environment)
    if address is not None and stored.address.lower() != address.lower():
        raise Denied(
            "KEY_UNKNOWN",
            f"{stored.path.name} is not the key of {address}",
            "Check the owner's keystore in the settings.",
        )
    return store, stored


def open_stored(
    store: LocalKeystore, stored: StoredKey, password: str | None, ask: Ask | None, question: str
) -> KeystoreSigner:
    """Opens by the password's reference, or by asking. Raises Usage KEY_LOCKED, WRONG_PASSWORD …, Denied OWNER_REFUSED for an empty answer."""
    if password is not None:
        secret = resolve(password)
    elif ask is not None:
        secret = ask(question)
    else:
        raise Usage("KEY_LOCKED", f"{stored.name} has no password here", "Give its reference, or a terminal.")
    if not secret.reveal():
        raise Denied("OWNER_REFUSED", f"{stored.name} did not sign", "Nothing was signed.")
    return KeystoreSigner(store.open(stored, secret), stored.environment)


def _open(spec: SignerSpec, ask: Ask | None) -> KeystoreSigner:
    address: Address | None = spec.address
    store, stored = find(
        Path(spec.options["keystore"]).expanduser(), spec.environment, spec.options.get("key"), None
    )
    if address is not None and stored.address != address:
        raise other_key("keystore", address, stored.address)
    question = f"Password of {stored.environment.value} key {stored.name} ({stored.address}): "
    return open_stored(store, stored, spec.options.get("password"), ask, question)


SIGNER = SignerFacts(
    "keystore",
    False,
    "this machine's disk, encrypted",
    "keystore V3, interchangeable with geth and cast",
    _open,
    (
        Option("keystore", "the folder of keystores, or one keystore file", required=True),
        Option("key", "the key's name or address in that folder"),
        Option("password", "where its password is; without it a person is asked", secret=True),
    ),
    slow=False,
    needs_address=False,
)
