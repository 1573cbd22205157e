"""A signed transaction's bytes read back: hash, sender and fields, for types 0, 1, 2 and 4. Pure.

`rlp` decodes and eth-account recovers the sender. Fields are read by position, for eth-account's `TypedTransaction` knows no
type 0 and would decode the others a second time.
Raises Usage where the bytes are no such transaction or the signature recovers to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chains.errors import Usage
from chains.evm import checksum, hash32, keccak
from chains.types import Address, Hash32, SignedTx


@dataclass(frozen=True, slots=True)
class RawTx:
    """`to` is None for a creation; `max_fee_wei` and `max_priority_fee_wei` are both the gas price before EIP-1559."""

    raw: bytes
    hash: Hash32
    kind: int
    chain_id: int | None
    sender: Address
    nonce: int
    to: Address | None
    value: int
    data: bytes
    gas: int
    max_fee_wei: int
    max_priority_fee_wei: int

    def tip_at(self, base_fee_wei: int) -> int:
        """What the block's producer earns per gas; negative where the transaction cannot pay the base fee."""
        return min(self.max_priority_fee_wei, self.max_fee_wei - base_fee_wei)

    def json(self) -> dict[str, Any]:
        """The JSON-RPC object of a transaction that is in no block yet."""
        shown: dict[str, Any] = {
            "hash": self.hash, "type": hex(self.kind), "from": self.sender, "nonce": hex(self.nonce), "to": self.to,
            "value": hex(self.value), "input": "0x" + self.data.hex(), "gas": hex(self.gas), "gasPrice": hex(self.max_fee_wei),
            "blockHash": None, "blockNumber": None, "transactionIndex": None,
        }  # fmt: skip
        if self.chain_id is not None:
            shown["chainId"] = hex(self.chain_id)
        if self.kind >= 2:
            shown |= {
                "maxFeePerGas": hex(self.max_fee_wei),
                "maxPriorityFeePerGas": hex(self.max_priority_fee_wei),
            }
        return shown


def decode_raw(raw: bytes) -> RawTx:
    import rlp
    from eth_account import Account
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError
    from rlp.exceptions import RLPException

    if not raw:
        raise Usage("BAD_TRANSACTION", "an empty transaction", "send the signed bytes as 0x hex")
    kind = raw[0] if raw[0] < 0x80 else 0
    if kind not in (0, 1, 2, 4) or (kind == 0 and raw[0] < 0xC0):
        raise Usage(
            "BAD_TRANSACTION", f"transaction type {raw[0]} is not supported", "types 0, 1, 2 and 4 are"
        )
    try:
        fields = rlp.decode(raw if kind == 0 else raw[1:])
        sender = Account.recover_transaction(raw)
        if kind == 0:
            nonce, price, gas, to, value, data, v = (fields[i] for i in range(7))
            fee = tip = price
            chain = (int.from_bytes(v, "big") - 35) // 2
            chain_id: int | None = chain if chain > 0 else None
        elif kind == 1:
            chain_bytes, nonce, price, gas, to, value, data = (fields[i] for i in range(7))
            fee = tip = price
            chain_id = int.from_bytes(chain_bytes, "big")
        else:
            chain_bytes, nonce, tip, fee, gas, to, value, data = (fields[i] for i in range(8))
            chain_id = int.from_bytes(chain_bytes, "big")
        if len(to) not in (0, 20):
            raise ValueError("recipient")
        ints = [int.from_bytes(b, "big") for b in (nonce, value, gas, fee, tip)]
    except (
        RLPException,
        BadSignature,
        ValidationError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
    ) as error:
        raise Usage("BAD_TRANSACTION", f"not a signed transaction: {type(error).__name__}") from None
    recipient = checksum("0x" + to.hex()) if to else None
    return RawTx(
        raw, hash32(keccak(raw)), kind, chain_id, checksum(str(sender)), ints[0], recipient, ints[1], bytes(data), ints[2], ints[3], ints[4]
    )  # fmt: skip


def signed_tx(raw: bytes) -> SignedTx:
    """The SignedTx of raw bytes. Raises Usage for a transaction that binds no chain id."""
    tx = decode_raw(raw)
    if tx.chain_id is None:
        raise Usage(
            "BAD_TRANSACTION", "the transaction binds no chain id", "sign an EIP-155 or typed transaction"
        )
    return SignedTx(tx.chain_id, tx.sender, tx.nonce, raw, tx.hash)
