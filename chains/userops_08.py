"""User operations of EntryPoint 0.8, as far as they differ from 0.7's: the hash, and a sender that is a key running code (EIP-7702). Pure.

    hash    EIP-712: domain ("ERC4337", "1", chain id, EntryPoint), struct PackedUserOperation without its signature
            (EntryPoint.getUserOpHash, UserOperationLib.encode): a wallet can name what it signs, which 0.7's hash does not let it
    7702    a factory of `MARKER` says that the sender runs a delegate's code; the hash then stands on the delegate's address,
            not on the marker (Eip7702Support), so that the operation is void once the key delegates elsewhere

Fields, packing, nonces and JSON are 0.7's (`chains.userops`). Errors: Usage USER_OP_INVALID naming the field.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from chains.errors import Usage
from chains.types import Address, Hash32
from chains.userops import ENTRY_POINTS, UserOperation, packed
from chains.userops import user_op_hash as hash_07
from contracts.hashing import address_bytes, keccak

ENTRY_POINT = ENTRY_POINTS[2]
MARKER = Address("0x7702000000000000000000000000000000000000")
"""The factory of a sender that is an EIP-7702 account (Eip7702Support.INITCODE_EIP7702_MARKER, padded)."""
_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_STRUCT = keccak(
    b"PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,"
    b"uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)"
)


@lru_cache(maxsize=64)
def domain_separator(chain_id: int, entry_point: Address = ENTRY_POINT) -> bytes:
    """As EntryPoint.getDomainSeparatorV4."""
    words = (
        _DOMAIN,
        keccak(b"ERC4337"),
        keccak(b"1"),
        chain_id.to_bytes(32, "big"),
        bytes(12) + address_bytes(entry_point),
    )
    return keccak(b"".join(words))


def struct_hash(op: UserOperation, delegate: Address | None = None) -> bytes:
    """EIP-712's hashStruct. `delegate`: the code the sender runs, needed exactly where the factory is `MARKER`. Raises Usage."""
    if (op.factory == MARKER) != (delegate is not None):
        why = (
            "is the EIP-7702 marker: the delegate is missing"
            if delegate is None
            else "is not the EIP-7702 marker"
        )
        raise Usage(
            "USER_OP_INVALID",
            f"factory {why}",
            "Give the delegate where the sender runs one, and only there.",
        )
    init = op.init_code if delegate is None else address_bytes(delegate) + op.factory_data
    fields = packed(op)
    words = (
        _STRUCT,
        bytes(12) + address_bytes(op.sender),
        op.nonce.to_bytes(32, "big"),
        keccak(init),
        keccak(op.call_data),
        fields["accountGasLimits"],
        op.pre_verification_gas.to_bytes(32, "big"),
        fields["gasFees"],
        keccak(op.paymaster_and_data),
    )
    return keccak(b"".join(words))


def user_op_hash(
    chain_id: int, op: UserOperation, delegate: Address | None = None, entry_point: Address = ENTRY_POINT
) -> Hash32:
    """The operation's name, and what a plain account signs. Raises Usage as `struct_hash`."""
    digest = keccak(b"\x19\x01" + domain_separator(chain_id, entry_point) + struct_hash(op, delegate))
    return Hash32("0x" + digest.hex())


def hash_at(
    entry_point: Address, chain_id: int, op: UserOperation, delegate: Address | None = None
) -> Hash32:
    """The operation's name at an EntryPoint, 0.7's or 0.8's. `delegate` as in `struct_hash`: at 0.8, and only where the factory is `MARKER`."""
    if entry_point == ENTRY_POINT:
        return user_op_hash(chain_id, op, delegate)
    return hash_07(chain_id, op, entry_point)


def bound_to_code(op: UserOperation) -> UserOperation:
    """The operation naming the code its sender runs: signed like this it is void under any other code. Unsigned."""
    return replace(op, factory=MARKER, factory_data=b"", signature=b"")
