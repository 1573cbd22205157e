"""A user operation where an ordinary transaction would stand: its nonces, its bytes for the record, the call inside it, its gas. Pure.

    nonce    a key of Fairlead's own ‖ sequence, so that nothing another program sends for the account stands in the way. An account's own
             transaction count stays below 2^64 - 1 (EIP-2681): a nonce of 2^64 and more is always an operation's
    bytes    ERC-7769's object as JSON, fields in alphabetical order: it begins with "{", which no transaction does (EIP-2718)
    call     the one plain call in the canonical executeUserOpWithErrorString of the Safe 4337 module

Errors: Usage USER_OP_INVALID naming the field.
"""

from __future__ import annotations

import json
from dataclasses import replace

from chains.errors import Usage
from chains.l1_data import DataPrices
from chains.types import Address, Call, Hash32, SignedTx
from chains.userops import (
    ENTRY_POINT,
    UserOperation,
    from_json,
    handle_ops,
    join_nonce,
    split_nonce,
    to_json,
    user_op_hash,
)
from contracts.abi_types import AbiError
from contracts.codec import decode_call, encode

NONCE_KEY = int.from_bytes(b"fairlead", "big")
VERIFICATION_GAS = 200_000
"""Of a Safe with one owner: about 90,000 on the genuine contracts, the payment to the EntryPoint included. What is not used is not paid."""
EMPTY_CALL_GAS = 80_000
"""For an operation that does nothing but use its nonce."""
_FULL_SIGNATURE = bytes(range(179, 256))
"""A time range and 65 bytes of signature: 77 bytes, no two alike, so that none of them can be compressed."""
_ONES = (1 << 120) - 1


def is_keyed(nonce: int) -> bool:
    """Whether a nonce is an operation's, by its size alone."""
    return nonce >= 1 << 64


def keyed(sequence: int) -> int:
    """The nonce of our `sequence`-th operation of an account."""
    return join_nonce(NONCE_KEY, sequence)


def sequence_of(nonce: int) -> int:
    """How many operations of its key go before it; an ordinary nonce is its own."""
    return split_nonce(nonce)[1]


def is_operation(raw: bytes) -> bool:
    """Whether recorded bytes are an operation's, not a transaction's."""
    return raw[:1] == b"{"


def to_raw(op: UserOperation) -> bytes:
    return json.dumps(to_json(op), sort_keys=True, separators=(",", ":")).encode()


def from_raw(raw: bytes) -> UserOperation:
    try:
        return from_json(json.loads(raw))
    except ValueError:
        raise Usage("USER_OP_INVALID", "the recorded bytes are no user operation") from None


def priced(op: UserOperation, prices: DataPrices | None = None) -> UserOperation:
    """The operation with what a bundler is owed beside the metered gas; on a rollup with its data on Ethereum."""
    data = prices.gas(bundled_alone(op), op.fees) if prices is not None else 0
    return replace(op, pre_verification_gas=pre_verification_gas(op) + data)


def as_signed(chain_id: int, op: UserOperation, entry_point: Address = ENTRY_POINT) -> SignedTx:
    """A signed operation as the road's signed transaction: its hash is the userOpHash, its sender the account."""
    return SignedTx(
        chain_id, op.sender, op.nonce, to_raw(op), Hash32(user_op_hash(chain_id, op, entry_point))
    )


def executing(call: Call) -> bytes:
    """callData of one plain call by the Safe, which reverts with the call's own reason."""
    try:
        return encode("safe_4337_module", "executeUserOpWithErrorString", (call.to, call.value, call.data, 0))
    except AbiError as error:
        raise Usage("USER_OP_INVALID", f"call_data cannot be encoded: {error}") from None


def call_inside(op: UserOperation) -> Call:
    """The call an operation carries, where `executing` writes exactly these bytes for it; Usage for anything else."""
    try:
        args = decode_call("safe_4337_module", op.call_data).args
        call = Call(Address(args["to"]), args["data"], args["value"])
    except (AbiError, KeyError) as error:
        raise Usage("USER_OP_INVALID", f"call_data is no call by the Safe 4337 module: {error}") from None
    if executing(call) != op.call_data:
        raise Usage("USER_OP_INVALID", "call_data is no plain call in its one canonical encoding")
    return call


def bundled_alone(op: UserOperation) -> bytes:
    """Calldata of a bundle of this operation alone, its numbers and signature as dear as they can become."""
    full = replace(
        op,
        call_gas=_ONES,
        verification_gas=_ONES,
        pre_verification_gas=(1 << 24) - 1,
        signature=_FULL_SIGNATURE,
    )
    return handle_ops([full], op.sender).data


def pre_verification_gas(op: UserOperation) -> int:
    """What a bundler is owed beside the metered gas, a tenth more than is usual, whatever the operation's other numbers become.

    A transaction of its own (21,000), its calldata (16 and 4 gas a byte, EIP-2028; at least 40 and 10, EIP-7623), and what the EntryPoint
    does for an operation that no limit meters (some 20,000). A rollup's fee for data on Ethereum is beside it (`chains.l1_data`).
    """
    data = bundled_alone(op)
    tokens = sum(4 if byte else 1 for byte in data)
    metered = 21_000 + 4 * tokens + 20_000 + 8 * (len(data) // 32)
    return max(metered, 10 * tokens) * 11 // 10
