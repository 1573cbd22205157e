"""A typed message by its hashes (EIP-712): what Safe owners sign, in the form every kind of signer takes. Pure.

Beside the hashes its fields may stand, for a device that shows them and hashes by itself; what it then signs is checked against
the hashes all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import Usage
from contracts.hashing import checksum, keccak


@dataclass(frozen=True, slots=True)
class Field:
    """One member. `value`: an int for uintN, 20 bytes for an address, any bytes for bytes."""

    type: str
    name: str
    value: int | bytes

    @property
    def raw(self) -> bytes:
        """Big endian without leading zeros (0 is one zero byte); bytes as they are."""
        if isinstance(self.value, bytes):
            return self.value
        return self.value.to_bytes(max(1, (self.value.bit_length() + 7) // 8), "big")

    @property
    def text(self) -> str:
        """As a person reads it: decimal, an address with its checksum, 0x hex."""
        if isinstance(self.value, int):
            return str(self.value)
        return checksum(self.value) if self.type == "address" else "0x" + self.value.hex()


@dataclass(frozen=True, slots=True)
class Struct:
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class TypedHash:
    """`domain` and `message` are the 32-byte hashes; `about` says in a few words what it is, for the person; `structs` are the domain's
    and the message's fields, where they are known."""

    domain: bytes
    message: bytes
    about: str = "typed data"
    structs: tuple[Struct, ...] = ()

    def __post_init__(self) -> None:
        if len(self.domain) != 32 or len(self.message) != 32:
            raise Usage("BAD_DIGEST", "the domain's and the message's hash have 32 bytes each")

    @property
    def preimage(self) -> bytes:
        """0x19 0x01 ‖ domain hash ‖ message hash (66 bytes)."""
        return b"\x19\x01" + self.domain + self.message

    @property
    def digest(self) -> bytes:
        return keccak(self.preimage)
