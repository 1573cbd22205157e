"""What is recorded of `contracts/src/Gate.sol`: its code's hashes, and where CREATE2 puts a Safe's own Gate.

The bytecode itself is in no package: set-up compiles it into the cache, and a test derives `gate.json` anew from the source.
Every Gate has the same runtime code (the Safe is in storage), so one EXTCODEHASH tells a genuine one; the owners opt in by
that hash. The address commits to the creation code and to the Safe, on every chain alike:

    address = keccak256(0xff ‖ factory ‖ salt ‖ keccak256(creation ‖ abi.encode(safe)))[12:]        (EIP-1014)
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from contracts.hashing import address_bytes, checksum, keccak

FACTORY = "0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7"  # Safe's singleton factory: salt ‖ init code, on every chain of the Safe
SALT = keccak(b"fairlead.gate.1")
_RECORD = Path(__file__).parent / "gate.json"


@cache
def record() -> dict[str, str]:
    """`solc`, `creation_keccak` and `runtime_keccak` (0x hex), `runtime_bytes` (decimal)."""
    data: dict[str, str] = json.loads(_RECORD.read_text())
    return data


def creation_hash() -> bytes:
    """keccak256 of the creation code without its argument."""
    return bytes.fromhex(record()["creation_keccak"][2:])


def runtime_hash() -> bytes:
    """The EXTCODEHASH of every Gate."""
    return bytes.fromhex(record()["runtime_keccak"][2:])


def init_code(creation: bytes, safe: str) -> bytes:
    """What the factory runs. Raises ValueError where `creation` is not the recorded code."""
    if keccak(creation) != creation_hash():
        raise ValueError(
            f"this is not the Gate of gate.json: its creation code hashes to 0x{keccak(creation).hex()}"
        )
    return creation + bytes(12) + address_bytes(safe)


def address(creation: bytes, safe: str, salt: bytes = SALT) -> str:
    """Where the factory puts the Gate of `safe`, checksummed. Raises ValueError as `init_code`."""
    digest = keccak(b"\xff" + address_bytes(FACTORY) + salt + keccak(init_code(creation, safe)))
    return checksum(digest[12:])
