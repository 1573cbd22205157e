"""A channel between two who know each other's keys: Noise_KK_25519_ChaChaPoly_SHA256 (noiseprotocol.org, revision 34).

    initiator                     responder
    first  = a.write()        →   b.read(first)          e, es, ss
    a.read(second)            ←   second = b.write()     e, ee, se
    a.channel().seal(…)       →   b.channel().open(…)    and the other way

Both sides are authenticated by their pinned static keys; fresh keys on both sides keep a recording worthless, also to who later
steals a static one; the prologue binds what the channel is for. Each direction counts its messages, so a repeated, dropped or
reordered one does not open. The first message carries nothing and moves nobody: only who answers the second can go on.
X25519, ChaCha20-Poly1305 and SHA-256 are PyCryptodome's and Python's; here stands only the order of things, tested against
another implementation's bytes. Errors: Denied CHANNEL_NOT_AUTHENTIC.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from chains.errors import Denied, Usage
from contracts.hashing import load_crypto_alone

KEY = 32
_NAME = b"Noise_KK_25519_ChaChaPoly_SHA256"
_TAG, _PIECE = 16, 65_000
"""Noise bounds a message to 65535 bytes; longer data goes in pieces, each behind its length and whether another follows."""


def broken(why: str) -> Denied:
    return Denied(
        "CHANNEL_NOT_AUTHENTIC",
        why,
        "Compare the keys that both sides have pinned; somebody may be in between.",
    )


def public_of(secret: bytes) -> bytes:
    """The X25519 public key. Raises Usage for a secret of another length than 32 bytes."""
    load_crypto_alone()
    from Crypto.Protocol.DH import import_x25519_private_key

    if len(secret) != KEY:
        raise Usage("CHANNEL_KEY", f"a channel's key has {KEY} bytes, not {len(secret)}")
    return bytes(import_x25519_private_key(secret).public_key().export_key(format="raw"))


def _shared(secret: bytes, public: bytes) -> bytes:
    load_crypto_alone()
    from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key, key_agreement

    try:
        found = bytes(
            key_agreement(
                static_priv=import_x25519_private_key(secret),
                static_pub=import_x25519_public_key(public),
                kdf=lambda raw: raw,
            )
        )
    except ValueError:
        raise broken("a key that is no point of the curve") from None
    if not any(found):
        raise broken("a key of low order")
    return found


class _Cipher:
    """One direction: a key and a counter."""

    def __init__(self, key: bytes) -> None:
        self._key, self._count = key, 0

    def _next(self, about: bytes) -> Any:
        from Crypto.Cipher import ChaCha20_Poly1305

        cipher = ChaCha20_Poly1305.new(key=self._key, nonce=bytes(4) + self._count.to_bytes(8, "little"))
        cipher.update(about)
        self._count += 1
        return cipher

    def encrypt(self, data: bytes, about: bytes = b"") -> bytes:
        body, tag = self._next(about).encrypt_and_digest(data)
        return bytes(body + tag)

    def decrypt(self, data: bytes, about: bytes = b"") -> bytes:
        try:
            return bytes(self._next(about).decrypt_and_verify(data[:-_TAG], data[-_TAG:]))
        except ValueError:
            raise broken("a message that was not written by the key that is pinned") from None


class Channel:
    """Messages both ways after the handshake; of any length."""

    def __init__(self, outgoing: _Cipher, incoming: _Cipher) -> None:
        self._out, self._in = outgoing, incoming

    def seal(self, data: bytes) -> bytes:
        pieces = [data[i : i + _PIECE] for i in range(0, len(data), _PIECE)] or [b""]
        sealed = (
            self._out.encrypt((b"\x01" if n < len(pieces) else b"\x00") + piece)
            for n, piece in enumerate(pieces, 1)
        )
        return b"".join(len(one).to_bytes(2, "big") + one for one in sealed)

    def open(self, sealed: bytes) -> bytes:
        """Raises Denied for anything but the next message of the other side."""
        found, at, more = b"", 0, True
        while more:
            size = int.from_bytes(sealed[at : at + 2], "big")
            if size <= _TAG or at + 2 + size > len(sealed):
                raise broken("a message that was cut off")
            piece = self._in.decrypt(sealed[at + 2 : at + 2 + size])
            found, at, more = found + piece[1:], at + 2 + size, piece[:1] == b"\x01"
        if at != len(sealed):
            raise broken("a message with something behind it")
        return found


class Handshake:
    """One side. `secret` is its static key, `peer` the other's public one; `ephemeral` is given by tests only."""

    def __init__(
        self, initiator: bool, secret: bytes, peer: bytes, prologue: bytes, ephemeral: bytes | None = None
    ) -> None:
        self._initiator, self._secret, self._peer = initiator, secret, peer
        self._fresh = ephemeral if ephemeral is not None else secrets.token_bytes(KEY)
        self._other = b""
        self._chain = self._hash = _NAME
        self._cipher: _Cipher | None = None
        self._mix(prologue)
        mine = public_of(secret)
        for static in (mine, peer) if initiator else (peer, mine):
            self._mix(static)

    def _mix(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _derive(self, material: bytes) -> tuple[bytes, bytes]:
        """HKDF of the Noise specification, two outputs."""
        root = hmac.digest(self._chain, material, "sha256")
        first = hmac.digest(root, b"\x01", "sha256")
        return first, hmac.digest(root, first + b"\x02", "sha256")

    def _mix_key(self, secret: bytes, public: bytes) -> None:
        self._chain, key = self._derive(_shared(secret, public))
        self._cipher = _Cipher(key)

    def _tokens(self, first: bool) -> None:
        """es, ss of the first message; ee, se of the second: each side has its half of every one."""
        if first:
            pair = (self._fresh, self._peer) if self._initiator else (self._secret, self._other)
            self._mix_key(*pair)
            self._mix_key(self._secret, self._peer)
        else:
            self._mix_key(self._fresh, self._other)
            pair = (self._secret, self._other) if self._initiator else (self._fresh, self._peer)
            self._mix_key(*pair)

    def write(self) -> bytes:
        """This side's message: a fresh key and the proof of what is known so far (48 bytes)."""
        fresh = public_of(self._fresh)
        self._mix(fresh)
        self._tokens(self._initiator)
        assert self._cipher is not None
        proof = self._cipher.encrypt(b"", self._hash)
        self._mix(proof)
        return fresh + proof

    def read(self, message: bytes) -> None:
        """The other side's. Raises Denied where it is not the pinned key's, or is about something else."""
        if len(message) != KEY + _TAG:
            raise broken(f"a handshake of {len(message)} bytes")
        self._other = message[:KEY]
        self._mix(self._other)
        self._tokens(not self._initiator)
        assert self._cipher is not None
        self._cipher.decrypt(message[KEY:], self._hash)
        self._mix(message[KEY:])

    def channel(self) -> Channel:
        """After both messages."""
        first, second = (_Cipher(key) for key in self._derive(b""))
        return Channel(first, second) if self._initiator else Channel(second, first)
