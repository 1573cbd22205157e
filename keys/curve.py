"""secp256k1 as Ethereum uses it: addresses, 65-byte signatures r ‖ s ‖ v (v 27 or 28, low s, RFC 6979), recovery. Pure."""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey

from chains.errors import Denied, Usage
from chains.types import Address
from contracts.hashing import checksum, keccak

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class SigningKey:
    """A private key that signs 32-byte digests and shows nothing of itself."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise Usage("BAD_PRIVATE_KEY", "a private key is 32 bytes between 1 and the group order")
        self._key = PrivateKey(secret)
        self.address: Address = address_of(self._key.public_key)

    def sign(self, digest: bytes) -> bytes:
        """r ‖ s ‖ v over a 32-byte digest."""
        if len(digest) != 32:
            raise Usage("BAD_DIGEST", f"a digest has 32 bytes, not {len(digest)}")
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes((raw[64] + 27,))

    @property
    def public(self) -> bytes:
        """The public key, compressed: 33 bytes."""
        return self._key.public_key.format(compressed=True)

    def __repr__(self) -> str:
        return f"SigningKey({self.address})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signing key is never serialised")


def address_of(public: PublicKey) -> Address:
    return Address(checksum(keccak(public.format(compressed=False)[1:])[12:]))


def recover(digest: bytes, signature: bytes) -> Address:
    """The address behind r ‖ s ‖ v. Raises Denied SIGNATURE_INVALID when there is none (also for malleable high s)."""
    if (
        len(signature) != 65
        or signature[64] not in (27, 28)
        or int.from_bytes(signature[32:64], "big") > ORDER // 2
    ):
        raise Denied("SIGNATURE_INVALID", "not a low-s signature of 65 bytes with v 27 or 28")
    try:
        public = PublicKey.from_signature_and_message(
            signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None
        )
    except ValueError:
        raise Denied("SIGNATURE_INVALID", "the signature recovers to no key") from None
    return address_of(public)


def complete(digest: bytes, r: int, s: int, signer: Address) -> bytes:
    """r ‖ s ‖ v of an (r, s) that came without a usable v: s made low (EIP-2), v found by recovering `signer`.

    A device, a KMS or a remote signer may answer with either s, and with a parity, 27/28, a chain's v or none at all.
    Raises Denied SIGNATURE_NOT_OURS when (r, s) is no signature of `digest` by `signer`.
    """
    if 0 < r < ORDER and 0 < s < ORDER:
        body = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
        for v in (27, 28):
            try:
                public = PublicKey.from_signature_and_message(body + bytes((v - 27,)), digest, hasher=None)
            except ValueError:
                continue
            if address_of(public) == signer:
                return body + bytes((v,))
    raise Denied(
        "SIGNATURE_NOT_OURS",
        f"the signature that came back is not one of {signer} over what was asked for",
        "Another key, another device, or an answer to another question: nothing was used of it.",
    )


def personal_preimage(message: bytes) -> bytes:
    """EIP-191 version 0x45: "\\x19Ethereum Signed Message:\\n" ‖ length ‖ message."""
    return b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message


def personal_digest(message: bytes) -> bytes:
    """keccak256 of `personal_preimage`."""
    return keccak(personal_preimage(message))
