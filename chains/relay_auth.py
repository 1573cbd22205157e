"""X-Flashbots-Signature: `address:signature` over the exact bytes of a request's body.

The signature is an EIP-191 personal signature of the 66-character text "0x" + hex(keccak256(body)).
"""

from __future__ import annotations

from collections.abc import Callable

from chains.errors import Reject
from chains.evm import checksum, keccak
from chains.relay import Header
from chains.types import Address

HEADER = "X-Flashbots-Signature"
# Half the group order: a signature with a larger s has a twin, and a canonical signer never makes it.
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def personal_digest(body: bytes) -> bytes:
    """The 32 bytes that are signed: EIP-191 (0x45) of the text of the body's Keccak-256."""
    text = "0x" + keccak(body).hex()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text.encode())


def header(body: bytes, address: Address, sign_digest: Callable[[bytes], bytes]) -> str:
    """The header's value. `sign_digest` maps 32 bytes to a 65-byte r||s||v signature by the key of `address`."""
    signature = sign_digest(personal_digest(body))
    return f"{address}:0x{signature.hex()}"


def local_signer(private_key: bytes) -> tuple[Address, Callable[[bytes], bytes]]:
    """An auth identity from a key held in memory: a reputation key of its own, never one that holds funds."""
    from eth_keys.datatypes import PrivateKey

    key = PrivateKey(private_key)

    def sign(digest: bytes) -> bytes:
        signature = bytes(key.sign_msg_hash(digest).to_bytes())
        return signature[:64] + bytes([signature[64] + 27])

    return checksum(key.public_key.to_checksum_address()), sign


def local_header(private_key: bytes) -> Header:
    """The header maker of a key held in memory."""
    address, sign = local_signer(private_key)

    async def make(body: bytes) -> str:
        return header(body, address, sign)

    return make


def verify(value: str | None, body: bytes) -> Address:
    """Who signed `body`. Accepts v of 0/1 and 27/28; raises Reject with the reason otherwise."""
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    if not value:
        raise Reject("RELAY_AUTH_MISSING", f"no {HEADER} header")
    address, colon, text = value.partition(":")
    if not colon or not text.startswith("0x") or not address.startswith("0x") or len(address) != 42:
        raise Reject("RELAY_AUTH_MALFORMED", f"{HEADER} is not 0xADDRESS:0xSIGNATURE")
    try:
        signature = bytes.fromhex(text[2:])
    except ValueError:
        raise Reject("RELAY_AUTH_MALFORMED", f"{HEADER}'s signature is not hex") from None
    if len(signature) != 65:
        raise Reject("RELAY_AUTH_MALFORMED", f"{HEADER}'s signature has {len(signature)} bytes, not 65")
    v = signature[64] - 27 if signature[64] >= 27 else signature[64]
    if v not in (0, 1) or int.from_bytes(signature[32:64], "big") > SECP256K1_N // 2:
        raise Reject("RELAY_AUTH_INVALID", "invalid signature")
    try:
        key = Signature(signature[:64] + bytes([v])).recover_public_key_from_msg_hash(personal_digest(body))
    except (BadSignature, ValidationError):
        raise Reject("RELAY_AUTH_INVALID", "invalid signature") from None
    signer = checksum(key.to_checksum_address())
    if signer.lower() != address.lower():
        raise Reject("RELAY_AUTH_INVALID", "the signature is not the named address's")
    return signer
