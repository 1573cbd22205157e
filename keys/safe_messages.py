"""What a Safe's owners sign so that the Safe itself has signed (EIP-1271): a permit, an off-chain order, any text. Pure.

The Safe's fallback handler answers isValidSignature(hash, signatures) when enough owners signed
keccak(0x19 0x01 ‖ the Safe's domain ‖ keccak(abi.encode(SAFE_MSG_TYPEHASH, keccak(abi.encode(hash))))), which is
CompatibilityFallbackHandler.getMessageHashForSafe of the 32 bytes. The 4337 module is such a handler too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chains.errors import Usage
from chains.types import Address
from contracts.hashing import keccak
from keys import safe_signatures
from keys.safe import domain_separator
from keys.typed import TypedHash

SAFE_MSG_TYPEHASH = keccak(b"SafeMessage(bytes message)")
MAGIC = bytes.fromhex("1626ba7e")
"""What isValidSignature(bytes32,bytes) answers for a signature that holds."""


def message_digest(chain_id: int, safe: Address, message: bytes) -> bytes:
    """The 32 bytes owners sign for `message`, as the handler's getMessageHashForSafe. Raises Usage for a wrong address."""
    struct = keccak(SAFE_MSG_TYPEHASH + keccak(message))
    return keccak(b"\x19\x01" + domain_separator(chain_id, safe) + struct)


def hash_digest(chain_id: int, safe: Address, data_hash: bytes) -> bytes:
    """The 32 bytes owners sign so that isValidSignature(data_hash, …) holds; `data_hash` is what a contract asks about,
    the EIP-712 hash of a Permit2 permit or of an order, say. Raises Usage where it has not 32 bytes."""
    if len(data_hash) != 32:
        raise Usage("BAD_DIGEST", f"a hash has 32 bytes, not {len(data_hash)}")
    return message_digest(chain_id, safe, data_hash)


def signature(
    chain_id: int,
    safe: Address,
    data_hash: bytes,
    signatures: Iterable[bytes],
    owners: Collection[str],
    threshold: int,
) -> bytes:
    """The Safe's own signature of `data_hash`: its owners', packed, of every form that a Safe takes. Raises Denied as `safe_signatures.pack`."""
    digest = hash_digest(chain_id, safe, data_hash)
    return safe_signatures.pack([safe_signatures.read(digest, s) for s in signatures], owners, threshold)


def hash_typed(chain_id: int, safe: Address, data_hash: bytes) -> TypedHash:
    """`hash_digest` with its two halves, for owners that are contracts. Raises Usage where it has not 32 bytes."""
    hash_digest(chain_id, safe, data_hash)
    return safe_signatures.safe_message(chain_id, safe, data_hash)
