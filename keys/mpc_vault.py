"""What one share keeps at rest: its channel key and its part of the key, in one encrypted file of its own (mode 0600).

    {"fairlead": "mpc-vault/1", "scrypt": {n, r, p, salt}, "nonce", "box"}   ChaCha20-Poly1305 over the content, the header authenticated

Two parts may stand in it: the one in use, and, during a key generation or refresh, the next one (`pending`), which replaces the first
once every share has said that it has written its own. Written whole to a new file, flushed, then put in the old one's place.
Errors: Usage MPC_VAULT_UNREADABLE, MPC_VAULT_INVALID, WRONG_PASSWORD, MPC_VAULT_EXISTS.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.errors import Usage
from contracts.hashing import load_crypto_alone
from keys.noise import KEY, public_of
from keys.secrets import Secret

STANDARD_N = 1 << 16
_FORMAT = "mpc-vault/1"
_MOST_N = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One generation of a share: what the engine needs, and the joint public key (33 bytes, compressed)."""

    generation: int
    public: bytes
    secret: Secret


@dataclass(frozen=True, slots=True)
class Content:
    identity: Secret
    current: Part | None = None
    pending: Part | None = None


def _key(password: Secret, salt: bytes, n: int) -> bytes:
    load_crypto_alone()
    from Crypto.Protocol.KDF import scrypt

    return bytes(scrypt(password.reveal(), salt, KEY, n, 8, 1))  # type: ignore[arg-type]


class Vault:
    """The opened file. Not safe between threads: its process has one writer."""

    def __init__(self, path: Path, key: bytes, header: dict[str, Any], content: Content) -> None:
        self._path, self._key, self._header, self.content = path, key, header, content

    @property
    def public_identity(self) -> bytes:
        return public_of(self.content.identity.reveal())

    def stage(self, part: Part) -> None:
        """Writes the next generation beside the one in use."""
        self._write(replace(self.content, pending=part))

    def commit(self, generation: int) -> None:
        """The staged generation replaces the one in use, which is gone from then on. Nothing where it is in use already."""
        pending = self.content.pending
        if pending is not None and pending.generation == generation:
            self._write(Content(self.content.identity, pending))

    def _write(self, content: Content) -> None:
        _save(self._path, self._key, self._header, content)
        self.content = content

    def __repr__(self) -> str:
        return f"Vault({self._path.name})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a vault is never serialised")


def create(path: Path, password: Secret, n: int = STANDARD_N) -> Vault:
    """A new file with a fresh channel key and no part of a key. Raises Usage MPC_VAULT_EXISTS."""
    if path.exists():
        raise Usage("MPC_VAULT_EXISTS", f"{path} is already there", "A share's file is never written over.")
    salt = secrets.token_bytes(16)
    header = {"fairlead": _FORMAT, "scrypt": {"n": n, "r": 8, "p": 1, "salt": salt.hex()}}
    content = Content(Secret(secrets.token_bytes(KEY)))
    key = _key(password, salt, n)
    _save(path, key, header, content)
    return Vault(path, key, header, content)


def unlock(path: Path, password: Secret) -> Vault:
    """Raises Usage WRONG_PASSWORD (also for a file that was tampered with), MPC_VAULT_UNREADABLE, MPC_VAULT_INVALID."""
    load_crypto_alone()
    from Crypto.Cipher import ChaCha20_Poly1305

    try:
        raw = read_at_most(path, SETTINGS_BYTES)
    except OSError as error:
        raise Usage(
            "MPC_VAULT_UNREADABLE", f"{path}: {error.strerror}", "Name the share's own file."
        ) from None
    try:
        data = json.loads(raw)
        header = {"fairlead": data["fairlead"], "scrypt": dict(data["scrypt"])}
        n, salt = header["scrypt"]["n"], bytes.fromhex(header["scrypt"]["salt"])
        if header["fairlead"] != _FORMAT or type(n) is not int or not 2 <= n <= _MOST_N or n & (n - 1):
            raise ValueError
        nonce, box = bytes.fromhex(data["nonce"]), bytes.fromhex(data["box"])
        key = _key(password, salt, n)
        cipher = ChaCha20_Poly1305.new(key=key, nonce=nonce)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Usage("MPC_VAULT_INVALID", f"{path} is not a share's file") from None
    cipher.update(_bytes(header))
    try:
        opened = json.loads(cipher.decrypt_and_verify(box[:-16], box[-16:]))
    except ValueError:
        raise Usage(
            "WRONG_PASSWORD", f"the password does not open {path.name}", "Or the file was changed."
        ) from None
    parts = [_part(opened.get(name)) for name in ("current", "pending")]
    return Vault(path, key, header, Content(Secret(bytes.fromhex(opened["identity"])), *parts))


def _part(data: Any) -> Part | None:
    if data is None:
        return None
    return Part(data["generation"], bytes.fromhex(data["public"]), Secret(bytes.fromhex(data["secret"])))


def _bytes(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _save(path: Path, key: bytes, header: dict[str, Any], content: Content) -> None:
    from Crypto.Cipher import ChaCha20_Poly1305

    def shown(part: Part | None) -> dict[str, Any] | None:
        if part is None:
            return None
        return {
            "generation": part.generation,
            "public": part.public.hex(),
            "secret": part.secret.reveal().hex(),
        }

    body = {
        "identity": content.identity.reveal().hex(),
        "current": shown(content.current),
        "pending": shown(content.pending),
    }
    nonce = secrets.token_bytes(12)
    cipher = ChaCha20_Poly1305.new(key=key, nonce=nonce)
    cipher.update(_bytes(header))
    box, tag = cipher.encrypt_and_digest(json.dumps(body).encode())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        json.dump(header | {"nonce": nonce.hex(), "box": bytes(box + tag).hex()}, out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
