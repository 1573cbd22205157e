"""A Safe's user operations: the Safe 4337 module 0.3.0 on EntryPoint 0.7. Pure; the operation itself is `chains.userops`.

    op = operation(...)                            what the Safe does, or `created` for a Safe that does not stand yet
    digest = safe_op_hash(chain, op, window)       each owner signs it (EIP-712 SafeOp, as the module's getOperationHash)
    op = signed(chain, op, window, signatures, owners, threshold)
    check_signed(chain, op, owners, threshold, now)     before it is sent, by whoever sends it

signature field = validAfter (6 bytes) ‖ validUntil (6 bytes) ‖ the owners' signatures, ascending by owner
(Safe4337Module._getSafeOp, Safe.checkSignatures). A signed operation is a bearer instrument until its nonce is used or
validUntil has passed, so one without validUntil is refused.
Errors: Usage USER_OP_INVALID naming the field; Denied SAFE_* as in `keys.safe`, USER_OP_EXPIRED, USER_OP_SIGNATURE_MISSING.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chains.errors import Denied, Usage
from chains.types import Address, Fees
from chains.userops import ENTRY_POINT, Paymaster, UserOperation, replacement_fees, split_nonce
from contracts.abi_types import AbiError
from contracts.codec import encode, selector
from contracts.hashing import address_bytes, keccak, to_checksum
from contracts.multisend import Part, calldata
from keys import safe_signatures
from keys.safe import (
    CALL,
    DELEGATECALL,
    DOMAIN_TYPEHASH,
    SafeSetup,
    counterfactual_address,
    create_call,
)
from keys.typed import TypedHash

MODULE = Address("0x75cf11467937ce3F2f357CE24ffc3DBF8fD5c226")
MODULE_SETUP = Address("0x2dd68b007B46fBe91B9A7c3EDa5A7a1063cB5b47")
SAFE_OP_TYPEHASH = keccak(
    b"SafeOp(address safe,uint256 nonce,bytes initCode,bytes callData,uint128 verificationGasLimit,uint128 callGasLimit,"
    b"uint256 preVerificationGas,uint128 maxPriorityFeePerGas,uint128 maxFeePerGas,bytes paymasterAndData,uint48 validAfter,"
    b"uint48 validUntil,address entryPoint)"
)
OWNER_GAS = 8_000
"""Verification gas of one owner's signature: ecrecover and a cold storage slot. A bundler estimates with signatures that do
not hold, and the Safe stops at the first of those, so that much an owner comes on top of its estimate."""
_WINDOW, _TIME_BITS = 12, 48
# r is the generator's x, so that it recovers to an address (nobody's) and takes the time of a real one.
_STAND_IN = (
    bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798") + b"\x55" * 32 + b"\x1b"
)


@dataclass(frozen=True, slots=True)
class Window:
    """When an operation may be included, in seconds of the chain's clock, both ends included; `until` 0 is for ever."""

    until: int
    after: int = 0

    def __post_init__(self) -> None:
        for name, value in (("valid_until", self.until), ("valid_after", self.after)):
            if not 0 <= value < 1 << _TIME_BITS:
                raise _invalid(name, f"is {value}, not a uint48 of seconds")
        if self.until and self.until < self.after:
            raise _invalid("valid_until", f"{self.until} is before valid_after {self.after}")

    def pack(self) -> bytes:
        return self.after.to_bytes(6, "big") + self.until.to_bytes(6, "big")


def _invalid(name: str, why: str) -> Usage:
    return Usage("USER_OP_INVALID", f"{name} {why}", f"correct the user operation's {name}")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@lru_cache(maxsize=64)
def module_domain(chain_id: int, module: Address = MODULE) -> bytes:
    """The module's EIP-712 domain: chain id and module, not the Safe (which the SafeOp names)."""
    return keccak(DOMAIN_TYPEHASH + _word(chain_id) + bytes(12) + address_bytes(module))


def safe_op_hash(
    chain_id: int,
    op: UserOperation,
    window: Window,
    module: Address = MODULE,
    entry_point: Address = ENTRY_POINT,
) -> bytes:
    """The 32 bytes each owner signs, equal to the module's getOperationHash; every field but the signature is in it."""
    return safe_op_typed(chain_id, op, window, module, entry_point).digest


def safe_op_typed(
    chain_id: int,
    op: UserOperation,
    window: Window,
    module: Address = MODULE,
    entry_point: Address = ENTRY_POINT,
) -> TypedHash:
    """The same with its two halves: what `safe_signatures.nested_message` hands to an owner that is a contract, and what
    `safe_signatures.check_call` asks the Safe about a signature that only the chain can confirm."""
    struct = (
        SAFE_OP_TYPEHASH,
        bytes(12) + address_bytes(op.sender),
        _word(op.nonce),
        keccak(op.init_code),
        keccak(op.call_data),
        _word(op.verification_gas),
        _word(op.call_gas),
        _word(op.pre_verification_gas),
        _word(op.fees.max_priority_fee_wei),
        _word(op.fees.max_fee_wei),
        keccak(op.paymaster_and_data),
        _word(window.after),
        _word(window.until),
        bytes(12) + address_bytes(entry_point),
    )
    return TypedHash(module_domain(chain_id, module), keccak(b"".join(struct)), "user operation of a Safe")


def signed(
    chain_id: int,
    op: UserOperation,
    window: Window,
    signatures: Iterable[bytes],
    owners: Collection[str],
    threshold: int,
    module: Address = MODULE,
) -> UserOperation:
    """The operation with its owners' signatures, sorted and cut to the threshold: of a key, of a message, a contract's or for a hash
    approved on chain, each as `safe_signatures.read` takes it. Raises Denied as `safe_signatures.pack`, Usage for a window without end."""
    if not window.until:
        raise _invalid("valid_until", "is missing: whoever sees a signed operation can send it for ever")
    digest = safe_op_hash(chain_id, op, window, module)
    given = [safe_signatures.read(digest, signature) for signature in signatures]
    return replace(op, signature=window.pack() + safe_signatures.pack(given, owners, threshold))


def window_of(op: UserOperation) -> tuple[Window, bytes]:
    """(when, packed signatures) of a signature field. Raises Denied where it is too short for one."""
    if len(op.signature) < _WINDOW:
        raise Denied(
            "USER_OP_SIGNATURE_MISSING",
            f"signature has {len(op.signature)} bytes, not even its {_WINDOW} bytes of times",
            "have the owners sign the operation first",
        )
    times, packed_signatures = op.signature[:_WINDOW], op.signature[_WINDOW:]
    return Window(int.from_bytes(times[6:], "big"), int.from_bytes(times[:6], "big")), packed_signatures


def check_signed(
    chain_id: int,
    op: UserOperation,
    owners: Collection[str],
    threshold: int,
    now: int,
    module: Address = MODULE,
) -> tuple[Address, ...]:
    """Who signed, checked as the module and the Safe will. `now` is the chain's time in seconds. A contract's signature and an approved
    hash are claims until the Safe itself confirms them (`safe_signatures.check_call` with `safe_op_typed`).

    Raises Denied: SAFE_BELOW_THRESHOLD, SAFE_SIGNATURE_FOREIGN (also for any field changed since), SAFE_SIGNATURE_UNSORTED,
    USER_OP_EXPIRED, USER_OP_SIGNATURE_MISSING. One that is not due yet passes: a bundler keeps it out, not us.
    """
    window, packed_signatures = window_of(op)
    if window.until and window.until < now:
        raise Denied(
            "USER_OP_EXPIRED",
            f"valid_until {window.until} passed {now - window.until} s ago",
            "have it signed anew with a later end",
        )
    digest = safe_op_hash(chain_id, op, window, module)
    found = safe_signatures.unpack_exactly(
        digest, packed_signatures, {to_checksum(o) for o in owners}, threshold
    )
    return tuple(signature.owner for signature in found)


def is_void(op: UserOperation, following: int, now: int) -> bool:
    """Whether a signed operation can no longer take effect: its nonce is used, or its validUntil has passed.

    `following` is the EntryPoint's next nonce of its key, `now` the chain's time in seconds, both of a settled block.
    Raises Denied where it is not signed.
    """
    window, _ = window_of(op)
    return split_nonce(op.nonce)[1] < split_nonce(following)[1] or 0 < window.until < now


def revoking(op: UserOperation, wanted: Fees | None = None) -> UserOperation:
    """An operation that does nothing and takes the place of `op`: the same nonce, both fees ten percent up (or `wanted`
    where that is more), unsigned. Once it is in a block, `op` is void. Its gas has to be estimated anew; a Safe that `op`
    creates is created all the same."""
    nothing = executed(Part(op.sender, 0, b""))
    return replace(
        op, call_data=nothing, fees=replacement_fees(op.fees, wanted), paymaster=None, signature=b""
    )


def to_estimate(op: UserOperation, window: Window, threshold: int) -> UserOperation:
    """The operation with signatures of the right length that hold for nobody: what a bundler estimates with."""
    return replace(op, signature=window.pack() + _STAND_IN * threshold)


def executed(part: Part, *, with_reason: bool = True) -> bytes:
    """callData of one call (or delegatecall) by the Safe. `with_reason` reverts with the call's own data
    (executeUserOpWithErrorString) and not with the module's ExecutionFailed(). Raises Usage where a field does not fit."""
    if part.operation not in (CALL, DELEGATECALL):
        raise _invalid("operation", f"{part.operation} is neither call (0) nor delegatecall (1)")
    name = "executeUserOpWithErrorString" if with_reason else "executeUserOp"
    try:
        return encode("safe_4337_module", name, (part.to, part.value, part.data, part.operation))
    except AbiError as error:
        raise _invalid("call_data", f"cannot be encoded: {error}") from None


def batch(multi_send: Address, parts: Sequence[Part], *, with_reason: bool = True) -> bytes:
    """callData of several calls in one, by MultiSendCallOnly: all of them or none. Raises Usage for an empty batch."""
    if not parts:
        raise _invalid("call_data", "is an empty batch")
    if len(parts) == 1:
        return executed(parts[0], with_reason=with_reason)
    return executed(Part(multi_send, 0, calldata(parts), DELEGATECALL), with_reason=with_reason)


EXECUTES = frozenset(
    selector("safe_4337_module", name) for name in ("executeUserOp", "executeUserOpWithErrorString")
)
"""The only selectors of callData that the module validates (UnsupportedExecutionFunction for any other)."""


def operation(
    safe: Address,
    nonce: int,
    call_data: bytes,
    fees: Fees,
    *,
    call_gas: int = 0,
    verification_gas: int = 0,
    pre_verification_gas: int = 0,
    paymaster: Paymaster | None = None,
) -> UserOperation:
    """An unsigned operation of a Safe that stands. Raises Usage for callData the module would refuse."""
    if call_data[:4] not in EXECUTES:
        raise _invalid(
            "call_data", f"calls 0x{call_data[:4].hex()}, which the Safe 4337 module does not execute"
        )
    gas = (call_gas, verification_gas, pre_verification_gas)
    return UserOperation(safe, nonce, call_data, *gas, fees, paymaster=paymaster)


def setup(owners: Sequence[Address], threshold: int, salt_nonce: int, module: Address = MODULE) -> SafeSetup:
    """A new Safe's set-up with the module enabled and as its fallback handler: Safe.setup delegatecalls enableModules."""
    enable = encode("safe_module_setup", "enableModules", ((module,),))
    return SafeSetup(tuple(owners), threshold, module, salt_nonce, MODULE_SETUP, enable)


def created(
    op: UserOperation, factory: Address, singleton: Address, proxy_creation_code: bytes, made: SafeSetup
) -> UserOperation:
    """The same operation as the one that creates its sender: initCode, and the sender is where the factory puts the Safe.

    `proxy_creation_code` is the factory's own proxyCreationCode(). Raises Usage for owners or a threshold Safe.setup refuses.
    """
    sender = counterfactual_address(factory, singleton, proxy_creation_code, made)
    data = create_call(factory, singleton, made).data
    return replace(op, sender=sender, factory=factory, factory_data=data, signature=b"")


def enabling(safe: Address, module: Address = MODULE) -> tuple[Part, Part]:
    """What a Safe that stands does, in one batch, to take user operations: the module enabled, and its fallback handler."""
    return (
        Part(safe, 0, encode("safe", "enableModule", (module,))),
        Part(safe, 0, encode("safe", "setFallbackHandler", (module,))),
    )
