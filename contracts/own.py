"""What is recorded of a contract of our own: its code's hashes, and where CREATE2 puts it. Pure.

The bytecode itself is in no package: set-up compiles it into the cache, and a test derives the record anew from the source. The
address commits to the creation code and its arguments, on every chain alike:

    address = keccak256(0xff ‖ factory ‖ salt ‖ keccak256(creation ‖ arguments))[12:]        (EIP-1014)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from contracts.hashing import address_bytes, checksum, keccak

FACTORY = "0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7"
"""Safe's singleton factory: salt ‖ init code, on every chain of the Safe."""


@dataclass(frozen=True, slots=True)
class Own:
    """`file` is the record beside this module, `salt` what its addresses are made with (32 bytes)."""

    name: str
    file: str
    salt: bytes

    @property
    def record(self) -> dict[str, str]:
        """`solc`, `creation_keccak` and `runtime_keccak` (0x hex), `runtime_bytes` (decimal)."""
        return _read(self.file)

    @property
    def creation_hash(self) -> bytes:
        """keccak256 of the creation code without arguments."""
        return bytes.fromhex(self.record["creation_keccak"][2:])

    @property
    def runtime_hash(self) -> bytes:
        """The EXTCODEHASH of every genuine one."""
        return bytes.fromhex(self.record["runtime_keccak"][2:])

    def init_code(self, creation: bytes, arguments: bytes = b"") -> bytes:
        """What the factory runs. Raises ValueError where `creation` is not the recorded code."""
        if keccak(creation) != self.creation_hash:
            raise ValueError(
                f"this is not the {self.name} of {self.file}: its creation code hashes to 0x{keccak(creation).hex()}"
            )
        return creation + arguments


def placed_at(salt: bytes, init_code_hash: bytes) -> str:
    """Where the factory puts it, checksummed."""
    return checksum(keccak(b"\xff" + address_bytes(FACTORY) + salt + init_code_hash)[12:])


@cache
def _read(file: str) -> dict[str, str]:
    data: dict[str, str] = json.loads((Path(__file__).parent / file).read_text())
    return data
