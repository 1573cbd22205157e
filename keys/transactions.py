"""EIP-1559 transactions: the digest to sign and the raw signed bytes (type 2). Pure.

`rlp` encodes, the library inside eth-account. eth-account's own `TypedTransaction` gives the same bytes (a property test holds
the two together) and takes three times as long, 0.25 ms against 0.08, for it checks at run time what `UnsignedTx` states; its
`Account.sign_transaction` also wants the private key itself, which `SigningKey` does not hand out.
"""

from __future__ import annotations

import rlp

from chains.types import Address, Hash32, SignedTx, UnsignedTx
from contracts.hashing import address_bytes, keccak

TYPE = b"\x02"


def _fields(tx: UnsignedTx) -> list[object]:
    fees = (tx.fees.max_priority_fee_wei, tx.fees.max_fee_wei)
    return [tx.chain_id, tx.nonce, *fees, tx.gas, address_bytes(tx.to), tx.value, tx.data, []]


def preimage(tx: UnsignedTx) -> bytes:
    """0x02 ‖ rlp([chain id, nonce, tip, fee cap, gas, to, value, data, access list]): what is hashed, and what a device is sent."""
    encoded: bytes = rlp.encode(_fields(tx))
    return TYPE + encoded


def digest(tx: UnsignedTx) -> bytes:
    """keccak256 of `preimage`."""
    return keccak(preimage(tx))


def assemble(tx: UnsignedTx, signature: bytes, sender: Address) -> SignedTx:
    """The raw transaction with the parity, r and s of r ‖ s ‖ v put in."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw: bytes = TYPE + rlp.encode([*_fields(tx), signature[64] - 27, r, s])
    return SignedTx(tx.chain_id, sender, tx.nonce, raw, Hash32("0x" + keccak(raw).hex()))
