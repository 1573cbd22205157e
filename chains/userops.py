"""ERC-4337 user operations of EntryPoint 0.7: fields, packing, hash, nonces, replacement, JSON. Pure.

    hash      keccak(abi.encode(keccak(packed fields without signature), EntryPoint, chain id)), as EntryPoint.getUserOpHash
    packed    accountGasLimits = verification gas ‖ call gas, gasFees = tip ‖ fee cap (16 bytes each); initCode = factory ‖ data;
              paymasterAndData = paymaster ‖ verification gas ‖ postOp gas ‖ data   (PackedUserOperation.sol, UserOperationLib.sol)
    nonce     key (192 bits) ‖ sequence (64 bits): every key counts for itself (NonceManager.sol)
    JSON      the unpacked fields of ERC-7769, quantities and bytes in 0x hex

Gas in units of gas, fees in wei per unit. Errors: Usage USER_OP_INVALID naming the field, Denied USER_OP_UNDERPRICED.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address, Call, Fees, Hash32
from contracts.abi_types import AbiError
from contracts.codec import decode_call, encode
from contracts.hashing import address_bytes, checksum, keccak, to_checksum

ENTRY_POINT = Address("0x0000000071727De22E5E9d8BAf0edAc6f37da032")
ENTRY_POINTS = (
    Address("0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789"),
    ENTRY_POINT,
    Address("0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"),
    Address("0x433709009B8330FDa32311DF1C2AFA402eD8D009"),
)
"""0.6, 0.7, 0.8 and 0.9, as eth-infinitism releases them: wherever a deposit may lie. What is built here is for 0.7, and for 0.8 in `userops_08`."""
_GAS_BITS = 120
"""EntryPoint._validatePrepayment refuses any larger gas or fee: AA94."""
_KEY_BITS, _SEQUENCE_BITS = 192, 64
_PAYMASTER_HEAD = 52
REPLACE_PERCENT = 10
_HEX = re.compile(r"0x[0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Paymaster:
    """Who pays instead of the sender, with the gas its two calls may take, and its own data (a signature, say)."""

    address: Address
    verification_gas: int
    post_op_gas: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class UserOperation:
    """`factory` and `factory_data` create the sender where it does not stand yet. Raises Usage for a value that does not fit."""

    sender: Address
    nonce: int
    call_data: bytes
    call_gas: int
    verification_gas: int
    pre_verification_gas: int
    fees: Fees
    factory: Address | None = None
    factory_data: bytes = b""
    paymaster: Paymaster | None = None
    signature: bytes = b""

    def __post_init__(self) -> None:
        _uint("nonce", self.nonce, 256)
        for name in ("call_gas", "verification_gas", "pre_verification_gas"):
            _uint(name, getattr(self, name), _GAS_BITS)
        _uint("max_fee_wei", self.fees.max_fee_wei, _GAS_BITS)
        _uint("max_priority_fee_wei", self.fees.max_priority_fee_wei, _GAS_BITS)
        if self.fees.max_priority_fee_wei > self.fees.max_fee_wei:
            raise _invalid("max_priority_fee_wei", "is above max_fee_wei")
        _address("sender", self.sender)
        if self.factory is not None:
            _address("factory", self.factory)
        elif self.factory_data:
            raise _invalid("factory_data", "is given without a factory")
        if self.paymaster is not None:
            _address("paymaster", self.paymaster.address)
            _uint("paymaster_verification_gas", self.paymaster.verification_gas, _GAS_BITS)
            _uint("paymaster_post_op_gas", self.paymaster.post_op_gas, _GAS_BITS)

    @property
    def init_code(self) -> bytes:
        return b"" if self.factory is None else address_bytes(self.factory) + self.factory_data

    @property
    def paymaster_and_data(self) -> bytes:
        p = self.paymaster
        return (
            b"" if p is None else address_bytes(p.address) + _pair(p.verification_gas, p.post_op_gas) + p.data
        )

    @property
    def gas_limit(self) -> int:
        """All the gas the operation can be charged for, in units of gas (EntryPoint._getRequiredPrefund)."""
        pays = (self.paymaster.verification_gas + self.paymaster.post_op_gas) if self.paymaster else 0
        return self.verification_gas + self.call_gas + self.pre_verification_gas + pays

    @property
    def prefund_wei(self) -> int:
        """What the EntryPoint takes before and gives back the rest of after: the most the operation can cost, in wei."""
        return self.gas_limit * self.fees.max_fee_wei


def _invalid(name: str, why: str) -> Usage:
    return Usage("USER_OP_INVALID", f"{name} {why}", f"correct the user operation's {name}")


def _uint(name: str, value: int, bits: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise _invalid(name, f"is {value!r}, not a uint{bits}")
    return value


def _address(name: str, value: str) -> bytes:
    try:
        raw = address_bytes(value)
    except (ValueError, TypeError) as error:
        raise _invalid(name, f"is not an address: {error}") from None
    if not any(raw):
        raise _invalid(name, "is the zero address")
    return raw


def _pair(high: int, low: int) -> bytes:
    return high.to_bytes(16, "big") + low.to_bytes(16, "big")


def packed(op: UserOperation) -> dict[str, Any]:
    """The struct PackedUserOperation, by field, as the codec encodes it."""
    return {
        "sender": op.sender,
        "nonce": op.nonce,
        "initCode": op.init_code,
        "callData": op.call_data,
        "accountGasLimits": _pair(op.verification_gas, op.call_gas),
        "preVerificationGas": op.pre_verification_gas,
        "gasFees": _pair(op.fees.max_priority_fee_wei, op.fees.max_fee_wei),
        "paymasterAndData": op.paymaster_and_data,
        "signature": op.signature,
    }


def unpacked(struct: Mapping[str, Any]) -> UserOperation:
    """The operation of a PackedUserOperation. Raises Usage for an initCode or paymasterAndData too short to be one."""
    init, pays = bytes(struct["initCode"]), bytes(struct["paymasterAndData"])
    if 0 < len(init) < 20:
        raise _invalid("init_code", f"of {len(init)} bytes names no factory")
    limits, fees = bytes(struct["accountGasLimits"]), bytes(struct["gasFees"])
    return UserOperation(
        Address(to_checksum(struct["sender"])),
        struct["nonce"],
        bytes(struct["callData"]),
        int.from_bytes(limits[16:], "big"),
        int.from_bytes(limits[:16], "big"),
        struct["preVerificationGas"],
        Fees(int.from_bytes(fees[16:], "big"), int.from_bytes(fees[:16], "big")),
        Address(checksum(init[:20])) if init else None,
        init[20:],
        _paymaster(pays),
        bytes(struct["signature"]),
    )


def _paymaster(pays: bytes) -> Paymaster | None:
    if not pays:
        return None
    if len(pays) < _PAYMASTER_HEAD:
        raise _invalid(
            "paymaster_and_data", f"has {len(pays)} bytes, at least {_PAYMASTER_HEAD} are needed (AA93)"
        )
    gas = (int.from_bytes(pays[20:36], "big"), int.from_bytes(pays[36:52], "big"))
    return Paymaster(Address(checksum(pays[:20])), *gas, pays[52:])


def user_op_hash(chain_id: int, op: UserOperation, entry_point: Address = ENTRY_POINT) -> Hash32:
    """The name of an operation, and what accounts other than a Safe sign; its signature is no part of it."""
    fields = (
        bytes(12) + address_bytes(op.sender),
        op.nonce.to_bytes(32, "big"),
        keccak(op.init_code),
        keccak(op.call_data),
        _pair(op.verification_gas, op.call_gas),
        op.pre_verification_gas.to_bytes(32, "big"),
        _pair(op.fees.max_priority_fee_wei, op.fees.max_fee_wei),
        keccak(op.paymaster_and_data),
    )
    inner = keccak(b"".join(fields))
    whole = inner + bytes(12) + address_bytes(entry_point) + chain_id.to_bytes(32, "big")
    return Hash32("0x" + keccak(whole).hex())


def join_nonce(key: int, sequence: int) -> int:
    """The nonce of the `sequence`-th operation under `key`. Raises Usage where one does not fit."""
    return _uint("nonce key", key, _KEY_BITS) << _SEQUENCE_BITS | _uint(
        "nonce sequence", sequence, _SEQUENCE_BITS
    )


def split_nonce(nonce: int) -> tuple[int, int]:
    """(key, sequence) of a nonce. Raises Usage for no uint256."""
    _uint("nonce", nonce, 256)
    return nonce >> _SEQUENCE_BITS, nonce & (1 << _SEQUENCE_BITS) - 1


def bumped(fee_wei: int) -> int:
    """The least fee that replaces `fee_wei`: ten percent more, rounded up."""
    return -(-fee_wei * (100 + REPLACE_PERCENT) // 100)


def replacement_fees(old: Fees, wanted: Fees | None = None) -> Fees:
    """Fees that replace `old` in a bundler's pool: both ten percent up, or `wanted` where that is more."""
    wanted = wanted or Fees(0, 0)
    tip = max(bumped(old.max_priority_fee_wei), wanted.max_priority_fee_wei)
    return Fees(max(bumped(old.max_fee_wei), wanted.max_fee_wei, tip), tip)


def check_replacement(old: UserOperation, new: UserOperation) -> None:
    """Whether `new` takes the place of `old`. Raises Denied USER_OP_UNDERPRICED naming the fee, Usage for another sender or nonce."""
    if (old.sender, old.nonce) != (new.sender, new.nonce):
        raise _invalid("nonce", "is not the one of the operation to replace: sender and nonce stay the same")
    for name in ("max_fee_wei", "max_priority_fee_wei"):
        least, given = bumped(getattr(old.fees, name)), getattr(new.fees, name)
        if given < least:
            raise Denied(
                "USER_OP_UNDERPRICED",
                f"{name} {given} does not replace an operation with {getattr(old.fees, name)}",
                f"both fees have to grow by {REPLACE_PERCENT} %: at least {least} wei here",
            )


def priced(op: UserOperation, fees: Fees) -> UserOperation:
    """The same operation at other fees, unsigned: the signature covers the fees."""
    return replace(op, fees=fees, signature=b"")


def handle_ops(
    ops: Sequence[UserOperation], beneficiary: Address, entry_point: Address = ENTRY_POINT
) -> Call:
    """The bundle: what a bundler sends. Fees are collected for `beneficiary`."""
    return Call(entry_point, encode("entry_point_07", "handleOps", (tuple(map(packed, ops)), beneficiary)))


def bundled(data: bytes) -> tuple[UserOperation, ...]:
    """The operations of handleOps calldata. Raises Usage where it is something else."""
    try:
        call = decode_call("entry_point_07", data)
    except AbiError as error:
        raise Usage("BUNDLE_INVALID", f"not a bundle: {error}") from None
    if call.function != "handleOps":
        raise Usage("BUNDLE_INVALID", f"{call.function} is not handleOps")
    return tuple(unpacked(struct) for struct in call.args["ops"])


def to_json(op: UserOperation) -> dict[str, str]:
    """ERC-7769's object. Fields of a factory or paymaster that is not there are left out."""
    shown = {
        "sender": op.sender,
        "nonce": hex(op.nonce),
        "callData": _hex(op.call_data),
        "callGasLimit": hex(op.call_gas),
        "verificationGasLimit": hex(op.verification_gas),
        "preVerificationGas": hex(op.pre_verification_gas),
        "maxFeePerGas": hex(op.fees.max_fee_wei),
        "maxPriorityFeePerGas": hex(op.fees.max_priority_fee_wei),
        "signature": _hex(op.signature),
    }
    if op.factory is not None:
        shown |= {"factory": op.factory, "factoryData": _hex(op.factory_data)}
    if op.paymaster is not None:
        shown |= {
            "paymaster": op.paymaster.address,
            "paymasterVerificationGasLimit": hex(op.paymaster.verification_gas),
            "paymasterPostOpGasLimit": hex(op.paymaster.post_op_gas),
            "paymasterData": _hex(op.paymaster.data),
        }
    return shown


_NEEDED = ("sender", "nonce", "callData", "signature")
_GAS = ("callGasLimit", "verificationGasLimit", "preVerificationGas", "maxFeePerGas", "maxPriorityFeePerGas")
_PAYS = ("paymasterVerificationGasLimit", "paymasterPostOpGasLimit")
_KNOWN = {*_NEEDED, *_GAS, *_PAYS, "factory", "factoryData", "paymaster", "paymasterData"}


def from_json(data: Any, *, estimating: bool = False) -> UserOperation:
    """The operation of ERC-7769's object; with `estimating`, gas and fees may be missing and count as zero.

    Raises Usage USER_OP_INVALID naming the field that is missing, unknown or malformed.
    """
    if not isinstance(data, Mapping):
        raise _invalid("user operation", "is not a JSON object")
    for name in _NEEDED if estimating else (*_NEEDED, *_GAS):
        if data.get(name) is None:
            raise _invalid(name, "is missing")
    if unknown := sorted(map(str, data.keys() - _KNOWN)):
        raise _invalid(unknown[0], "is no field of a user operation of EntryPoint 0.7")
    factory = _json_address(data, "factory")
    pays = _json_address(data, "paymaster")
    if pays is None and any(data.get(name) not in (None, "0x", "0x0") for name in (*_PAYS, "paymasterData")):
        raise _invalid("paymaster", "is missing where its gas or data are given")
    if factory is not None and data.get("factoryData") is None:
        raise _invalid("factoryData", "is missing beside the factory")
    for name in (*_PAYS, "paymasterData"):
        if pays is not None and not estimating and data.get(name) is None:
            raise _invalid(name, "is missing beside the paymaster")
    sender = _json_address(data, "sender")
    if sender is None:
        raise _invalid("sender", "is missing")
    call, verification, pre, cap, tip = (_json_int(data, name) for name in _GAS)
    verify, post = (_json_int(data, name) for name in _PAYS)
    return UserOperation(
        sender,
        _json_int(data, "nonce"),
        _json_bytes(data, "callData"),
        call,
        verification,
        pre,
        Fees(cap, tip),
        factory,
        _json_bytes(data, "factoryData"),
        Paymaster(pays, verify, post, _json_bytes(data, "paymasterData")) if pays else None,
        _json_bytes(data, "signature"),
    )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _json_hex(data: Mapping[str, Any], name: str, kind: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _invalid(name, f"is {value!r:.40}, not {kind} in 0x hex")
    return value[2:]


def _json_int(data: Mapping[str, Any], name: str) -> int:
    return int(_json_hex(data, name, "a quantity") or "0", 16)


def _json_bytes(data: Mapping[str, Any], name: str) -> bytes:
    text = _json_hex(data, name, "bytes")
    if len(text) % 2:
        raise _invalid(name, "has half a byte too many")
    return bytes.fromhex(text)


def _json_address(data: Mapping[str, Any], name: str) -> Address | None:
    value = data.get(name)
    if value in (None, "0x"):
        return None
    try:
        found = to_checksum(value)
    except (ValueError, TypeError, AttributeError):
        raise _invalid(name, "is not an address") from None
    if found == ZERO_ADDRESS:
        raise _invalid(name, "is the zero address")
    return Address(found)
