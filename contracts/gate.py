"""What is recorded of `contracts/src/Gate.sol`, and where a Safe's own Gate is.

Every Gate has the same runtime code (the Safe is in storage), so one EXTCODEHASH tells a genuine one; the owners opt in by
that hash. The address commits to the creation code and to the Safe: `contracts.own`.
"""

from __future__ import annotations

from contracts.hashing import address_bytes, keccak
from contracts.own import FACTORY, Own, placed_at

GATE = Own("Gate", "gate.json", keccak(b"fairlead.gate.1"))
SALT = GATE.salt
__all__ = ["FACTORY", "GATE", "SALT", "address", "creation_hash", "init_code", "record", "runtime_hash"]


def record() -> dict[str, str]:
    """`solc`, `creation_keccak` and `runtime_keccak` (0x hex), `runtime_bytes` (decimal)."""
    return GATE.record


def creation_hash() -> bytes:
    """keccak256 of the creation code without its argument."""
    return GATE.creation_hash


def runtime_hash() -> bytes:
    """The EXTCODEHASH of every Gate."""
    return GATE.runtime_hash


def init_code(creation: bytes, safe: str) -> bytes:
    """What the factory runs. Raises ValueError where `creation` is not the recorded code."""
    return GATE.init_code(creation, bytes(12) + address_bytes(safe))


def address(creation: bytes, safe: str, salt: bytes = SALT) -> str:
    """Where the factory puts the Gate of `safe`, checksummed. Raises ValueError as `init_code`."""
    return placed_at(salt, keccak(init_code(creation, safe)))
