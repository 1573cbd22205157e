"""A typed message by its hashes (EIP-712): what Safe owners sign, in the form every kind of signer takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import Usage
from contracts.hashing import keccak


@dataclass(frozen=True, slots=True)
class TypedHash:
    """`domain` and `message` are the 32-byte hashes; `about` says in a few words what it is, for the person."""

    domain: bytes
    message: bytes
    about: str = "typed data"

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
