"""A key that runs code (EIP-7702): the authorization it signs, the type-4 transaction that carries it, and when neither is signed. Pure.

    authorization   keccak256(0x05 ‖ rlp([chain id, delegate, nonce])); parity, r, s beside them in the transaction's list
    transaction     0x04 ‖ rlp([…as type 2…, access list, [authorization, …], parity, r, s])

Whoever's code a key runs can move everything the key can, at once and for good: the account's own rules are then that code's. So the
signer's policy takes only delegates its settings list (`ChainPolicy.delegates`), only for the one chain (never chain id 0, which is all of
them), and taking a delegation back (the zero address) always. Only a key in a keystore signs one: devices have to be asked by a message
of their own that shows the delegate, which the Ledger's and Trezor's signers here do not speak, and shares and services would sign bytes
that their holders' rules do not read; each is refused by name.
A signed authorization is a bearer instrument until the account's nonce passes: anybody may put it into a transaction of his own.

Errors: Denied POLICY_DELEGATE, DELEGATION_UNSUPPORTED, SIGNATURE_NOT_OURS; Usage DELEGATION_INVALID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import rlp

from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address, Hash32, SignedTx, UnsignedTx
from chains.userops import UserOperation
from chains.userops_08 import MARKER, domain_separator, struct_hash
from contracts.hashing import address_bytes, keccak
from keys import curve
from keys.policy_settings import ChainPolicy
from keys.signers import Signer
from keys.typed import TypedHash

MAGIC = b"\x05"
TYPE = b"\x04"


@dataclass(frozen=True, slots=True)
class Authorization:
    """`delegate` is the code the key will run; ZERO_ADDRESS takes it back. `nonce` is the account's own, at the time it takes effect: one
    more than its transaction's where the account sends that itself."""

    chain_id: int
    delegate: Address
    nonce: int


@dataclass(frozen=True, slots=True)
class SignedAuthorization:
    authorization: Authorization
    signature: bytes

    @property
    def account(self) -> Address:
        return curve.recover(keccak(preimage(self.authorization)), self.signature)


@runtime_checkable
class DelegatingSigner(Protocol):
    """A signer that signs the bytes of authorizations and type-4 transactions: `keys.keystore` alone."""

    @property
    def address(self) -> Address: ...
    def sign_delegation(self, preimage: bytes) -> bytes:
        """r ‖ s ‖ v over keccak256 of bytes that begin with 0x04 or 0x05."""
        ...


def _fields(auth: Authorization) -> list[object]:
    if not 0 <= auth.chain_id < 1 << 256 or not 0 <= auth.nonce < (1 << 64) - 1:
        raise Usage("DELEGATION_INVALID", "chain id or nonce is out of EIP-7702's range")
    return [auth.chain_id, address_bytes(auth.delegate), auth.nonce]


def preimage(auth: Authorization) -> bytes:
    """The bytes that are hashed and signed. Raises Usage DELEGATION_INVALID."""
    encoded: bytes = rlp.encode(_fields(auth))
    return MAGIC + encoded


def judge(auth: Authorization, policy: ChainPolicy) -> None:
    """Raises Denied POLICY_DELEGATE naming the delegate, where the settings do not list it."""
    if auth.chain_id != policy.chain_id:
        scope = "every chain at once" if auth.chain_id == 0 else f"chain {auth.chain_id}"
        raise Denied(
            "POLICY_DELEGATE",
            f"the delegation is for {scope}, not for chain {policy.chain_id}",
            "Sign one for each chain.",
        )
    if auth.delegate != ZERO_ADDRESS and auth.delegate not in policy.delegates:
        raise Denied(
            "POLICY_DELEGATE",
            f"{auth.delegate} is not among the delegates of chain {policy.chain_id}: its code could move all the key can",
            "List it in the signer's settings only once you know that code.",
        )


def sign(signer: Signer, auth: Authorization, policy: ChainPolicy) -> SignedAuthorization:
    """Judged, then signed. Raises Denied."""
    judge(auth, policy)
    signature = _able(signer).sign_delegation(preimage(auth))
    found = SignedAuthorization(auth, signature)
    if found.account != signer.address:
        raise Denied("SIGNATURE_NOT_OURS", f"the authorization is not signed by {signer.address}")
    return found


def _able(signer: Signer) -> DelegatingSigner:
    if not isinstance(signer, DelegatingSigner):
        raise Denied(
            "DELEGATION_UNSUPPORTED",
            f"the {signer.facts.name} signer of {signer.address} signs no EIP-7702 delegation",
            "Use a key in a keystore, or a Safe, which needs none.",
        )
    return signer


def _set_code(tx: UnsignedTx, auths: Sequence[SignedAuthorization]) -> list[object]:
    if not auths:
        raise Usage("DELEGATION_INVALID", "a type-4 transaction carries at least one authorization")
    listed = []
    for one in auths:
        r, s = int.from_bytes(one.signature[:32], "big"), int.from_bytes(one.signature[32:64], "big")
        listed.append([*_fields(one.authorization), one.signature[64] - 27, r, s])
    fees = (tx.fees.max_priority_fee_wei, tx.fees.max_fee_wei)
    return [tx.chain_id, tx.nonce, *fees, tx.gas, address_bytes(tx.to), tx.value, tx.data, [], listed]


def sign_set_code(
    signer: Signer, tx: UnsignedTx, auths: Sequence[SignedAuthorization], policy: ChainPolicy
) -> SignedTx:
    """The type-4 transaction; every authorization in it is judged again, whoever signed it. Raises Denied, Usage."""
    for one in auths:
        judge(one.authorization, policy)
    fields = _set_code(tx, auths)
    digest = TYPE + rlp.encode(fields)
    signature = _able(signer).sign_delegation(digest)
    if curve.recover(keccak(digest), signature) != signer.address:
        raise Denied("SIGNATURE_NOT_OURS", f"the transaction is not signed by {signer.address}")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw: bytes = TYPE + rlp.encode([*fields, signature[64] - 27, r, s])
    return SignedTx(tx.chain_id, signer.address, tx.nonce, raw, Hash32("0x" + keccak(raw).hex()))


def typed_operation(chain_id: int, op: UserOperation, delegate: Address, policy: ChainPolicy) -> TypedHash:
    """What a key that runs `delegate` signs of its own EntryPoint 0.8 operation; its signature field is r ‖ s ‖ v of it
    (Simple7702Account._validateSignature). The operation has to name its code (`userops_08.bound_to_code`): else what is signed would hold
    under whatever the key runs next. Raises Denied for a delegate that is not listed, or none."""
    if delegate == ZERO_ADDRESS:
        raise Denied(
            "POLICY_DELEGATE",
            f"{op.sender} is said to run no code: it has no operations",
            "A key that runs no code sends transactions.",
        )
    judge(Authorization(chain_id, delegate, 0), policy)
    if op.factory != MARKER:
        raise Denied(
            "POLICY_DELEGATE",
            f"the operation of {op.sender} does not name the code it is for",
            "Its factory is EIP-7702's marker in what Fairlead builds.",
        )
    about = f"user operation, nonce {op.nonce}"
    return TypedHash(domain_separator(chain_id), struct_hash(op, delegate), about)
