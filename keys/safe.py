"""Safe 1.3 to 1.5 transactions: hash (EIP-712), signatures packed the way the contract checks them, calldata, creation.

Every input is given, nothing is fetched. Hash: keccak256(0x19 0x01 ‖ domain separator ‖ keccak256(abi.encode(SAFE_TX_TYPEHASH, …)))
as `Safe.getTransactionHash`. Errors: Usage for input that cannot be right, Denied for signatures a Safe must not be sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address, Call
from contracts.abi_types import AbiError
from contracts.codec import encode
from contracts.hashing import address_bytes, checksum, keccak, to_checksum
from keys import curve
from keys.typed import Field, Struct, TypedHash

DOMAIN_TYPEHASH = keccak(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_SAFE_TX = (
    "address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    "address gasToken,address refundReceiver,uint256 nonce"
)
SAFE_TX_TYPEHASH = keccak(f"SafeTx({_SAFE_TX})".encode())
_MEMBERS: tuple[tuple[str, str], ...] = tuple((m.split()[0], m.split()[1]) for m in _SAFE_TX.split(","))
CALL, DELEGATECALL = 0, 1


@dataclass(frozen=True, slots=True)
class SafeTx:
    """What the owners sign. `value` in wei; gas, price and refund fields are zero in everything Fairlead builds."""

    to: Address
    value: int
    data: bytes
    operation: int
    nonce: int
    safe_tx_gas: int = 0
    base_gas: int = 0
    gas_price: int = 0
    gas_token: Address = ZERO_ADDRESS
    refund_receiver: Address = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class SafeSetup:
    """Arguments of Safe.setup plus the salt: they alone decide the counterfactual address."""

    owners: tuple[Address, ...]
    threshold: int
    fallback_handler: Address
    salt_nonce: int
    to: Address = ZERO_ADDRESS
    data: bytes = b""


def _u256(value: int) -> bytes:
    if not 0 <= value < 1 << 256:
        raise Usage(
            "SAFE_TX_INVALID",
            f"{value} is not a uint256",
            "Amounts, gas and nonces are non-negative integers.",
        )
    return value.to_bytes(32, "big")


def _address(value: str) -> bytes:
    try:
        return bytes(12) + address_bytes(value)
    except ValueError as error:
        raise Usage("BAD_ADDRESS", str(error), "Give a 0x address with its EIP-55 checksum.") from None


@lru_cache(maxsize=256)
def domain_separator(chain_id: int, safe: Address) -> bytes:
    """EIP-712 domain of a Safe (1.3.0 and newer: chain id and address)."""
    return keccak(DOMAIN_TYPEHASH + _u256(chain_id) + _address(safe))


def struct_hash(tx: SafeTx) -> bytes:
    """EIP-712's hashStruct of the transaction. Raises Usage for values out of range."""
    if tx.operation not in (CALL, DELEGATECALL):
        raise Usage(
            "SAFE_TX_INVALID",
            f"operation {tx.operation} is neither call (0) nor delegatecall (1)",
            "a Safe has no third",
        )
    return keccak(
        SAFE_TX_TYPEHASH
        + _address(tx.to)
        + _u256(tx.value)
        + keccak(tx.data)
        + _u256(tx.operation)
        + _u256(tx.safe_tx_gas)
        + _u256(tx.base_gas)
        + _u256(tx.gas_price)
        + _address(tx.gas_token)
        + _address(tx.refund_receiver)
        + _u256(tx.nonce)
    )


def typed(chain_id: int, safe: Address, tx: SafeTx) -> TypedHash:
    """What the owners sign, as the domain's and the message's hash: a hardware wallet shows these two. Raises Usage."""
    values: tuple[int | bytes, ...] = (
        address_bytes(tx.to), tx.value, tx.data, tx.operation, tx.safe_tx_gas, tx.base_gas, tx.gas_price,
        address_bytes(tx.gas_token), address_bytes(tx.refund_receiver), tx.nonce,
    )  # fmt: skip
    members = tuple(Field(*pair, value) for pair, value in zip(_MEMBERS, values, strict=True))
    domain = (
        Field("uint256", "chainId", chain_id),
        Field("address", "verifyingContract", address_bytes(safe)),
    )
    structs = (Struct("EIP712Domain", domain), Struct("SafeTx", members))
    about = f"Safe transaction, nonce {tx.nonce}"
    return TypedHash(domain_separator(chain_id, safe), struct_hash(tx), about, structs)


def safe_tx_hash(chain_id: int, safe: Address, tx: SafeTx) -> bytes:
    """The 32 bytes the owners sign, equal to the contract's getTransactionHash. Raises Usage for values out of range."""
    return keccak(b"\x19\x01" + domain_separator(chain_id, safe) + struct_hash(tx))


def recover_owner(digest: bytes, signature: bytes) -> Address:
    """Who made an EOA signature (v 27 or 28) of `digest`. Raises Denied when it is not one."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise Denied(
            "SAFE_SIGNATURE_INVALID",
            f"a signature of {len(signature)} bytes and v {signature[64] if len(signature) == 65 else '?'} is not an owner's ECDSA signature",
            "65 bytes r ‖ s ‖ v with v 27 or 28 are expected.",
        )
    return curve.recover(digest, signature)


def pack_signatures(
    digest: bytes, signatures: Iterable[bytes], owners: Collection[str], threshold: int
) -> bytes:
    """Signatures sorted by ascending owner and cut to `threshold`, as checkNSignatures wants them.

    Raises Denied: SAFE_SIGNATURE_INVALID, SAFE_SIGNATURE_FOREIGN (not an owner, or of another hash),
    SAFE_SIGNATURE_DUPLICATE, SAFE_BELOW_THRESHOLD. Raises Usage SAFE_THRESHOLD_INVALID.
    """
    owned = {to_checksum(o) for o in owners}
    if not 1 <= threshold <= len(owned):
        raise Usage("SAFE_THRESHOLD_INVALID", f"a threshold of {threshold} does not fit {len(owned)} owners")
    by_owner: dict[str, bytes] = {}
    for signature in signatures:
        who = recover_owner(digest, signature)
        if who not in owned:
            raise Denied(
                "SAFE_SIGNATURE_FOREIGN",
                f"a signature recovers to {who}, which is not an owner of this Safe",
                "It was made by another key, or for another transaction, nonce, Safe or chain.",
            )
        if who in by_owner:
            raise Denied("SAFE_SIGNATURE_DUPLICATE", f"owner {who} signed twice", "Each owner counts once.")
        by_owner[who] = signature
    if len(by_owner) < threshold:
        missing = sorted(owned - by_owner.keys())
        raise Denied(
            "SAFE_BELOW_THRESHOLD",
            f"{len(by_owner)} of the {threshold} signatures needed are there",
            f"Owners who have not signed: {', '.join(missing)}.",
        )
    ordered = sorted(by_owner.items(), key=lambda item: int(item[0], 16))
    return b"".join(signature for _, signature in ordered[:threshold])


def check_packed(
    digest: bytes, packed: bytes, owners: Collection[str], threshold: int
) -> tuple[Address, ...]:
    """The signers of a packed blob, checked as the contract would (EOA signatures only). Raises Denied like `pack_signatures`."""
    if len(packed) != 65 * threshold:
        raise Denied(
            "SAFE_BELOW_THRESHOLD", f"{len(packed)} bytes of signatures where {65 * threshold} are expected"
        )
    found = tuple(recover_owner(digest, packed[i : i + 65]) for i in range(0, len(packed), 65))
    foreign = [o for o in found if o not in owners]
    if foreign:
        raise Denied(
            "SAFE_SIGNATURE_FOREIGN",
            f"a signature recovers to {foreign[0]}, which is not an owner of this Safe",
        )
    if any(int(a, 16) >= int(b, 16) for a, b in zip(found, found[1:], strict=False)):
        raise Denied(
            "SAFE_SIGNATURE_UNSORTED", "the signatures are not in strictly ascending order of their owners"
        )
    return found


def exec_transaction(tx: SafeTx, packed_signatures: bytes) -> bytes:
    """Calldata of Safe.execTransaction. Raises Usage when a field does not fit."""
    args = (
        tx.to,
        tx.value,
        tx.data,
        tx.operation,
        tx.safe_tx_gas,
        tx.base_gas,
        tx.gas_price,
        tx.gas_token,
        tx.refund_receiver,
        packed_signatures,
    )
    try:
        return encode("safe", "execTransaction", args)
    except AbiError as error:
        raise Usage("SAFE_TX_INVALID", str(error)) from None


def exec_call(safe: Address, tx: SafeTx, packed_signatures: bytes) -> Call:
    """The outer call any account may submit."""
    return Call(safe, exec_transaction(tx, packed_signatures))


def setup_calldata(setup: SafeSetup) -> bytes:
    """Safe.setup for a new proxy. Raises Usage for owners the contract would refuse (none, double, zero, sentinel)."""
    owners = [to_checksum(o) for o in setup.owners]
    if not 1 <= setup.threshold <= len(owners):
        raise Usage(
            "SAFE_THRESHOLD_INVALID", f"a threshold of {setup.threshold} does not fit {len(owners)} owners"
        )
    if len(set(owners)) != len(owners) or any(int(o, 16) <= 1 for o in owners):
        raise Usage("SAFE_OWNERS_INVALID", "owners must be distinct and neither 0x0 nor the sentinel 0x1")
    payment = (ZERO_ADDRESS, 0, ZERO_ADDRESS)
    return encode(
        "safe", "setup", (owners, setup.threshold, setup.to, setup.data, setup.fallback_handler, *payment)
    )


def create_call(factory: Address, singleton: Address, setup: SafeSetup) -> Call:
    """The proxy factory call that creates the Safe."""
    data = encode(
        "safe_proxy_factory", "createProxyWithNonce", (singleton, setup_calldata(setup), setup.salt_nonce)
    )
    return Call(factory, data)


def counterfactual_address(
    factory: Address, singleton: Address, proxy_creation_code: bytes, setup: SafeSetup
) -> Address:
    """Where that call puts it (CREATE2): salt = keccak(keccak(initializer) ‖ salt nonce), init code = creation code ‖ singleton.

    `proxy_creation_code` is what the factory's own proxyCreationCode() answers.
    """
    salt = keccak(keccak(setup_calldata(setup)) + _u256(setup.salt_nonce))
    init_hash = keccak(proxy_creation_code + _address(singleton))
    return Address(checksum(keccak(b"\xff" + address_bytes(factory) + salt + init_hash)[12:]))


def to_json(chain_id: int, safe: Address, tx: SafeTx) -> dict[str, Any]:
    """A Safe transaction as a JSON object: money and gas as decimal strings, data as 0x hex."""
    return {
        "chain_id": chain_id,
        "safe": safe,
        "to": tx.to,
        "value": str(tx.value),
        "data": "0x" + tx.data.hex(),
        "operation": tx.operation,
        "safe_tx_gas": str(tx.safe_tx_gas),
        "base_gas": str(tx.base_gas),
        "gas_price": str(tx.gas_price),
        "gas_token": tx.gas_token,
        "refund_receiver": tx.refund_receiver,
        "nonce": str(tx.nonce),
    }


def from_json(data: Mapping[str, Any]) -> tuple[int, Address, SafeTx]:
    """(chain id, Safe, transaction) of `to_json`'s object. Raises Usage SAFE_TX_INVALID naming the field."""
    wanted = {"chain_id", "safe", "to", "value", "data", "operation", "nonce"}
    optional = {"safe_tx_gas", "base_gas", "gas_price", "gas_token", "refund_receiver"}
    if not isinstance(data, Mapping):
        raise Usage("SAFE_TX_INVALID", "a Safe transaction is a JSON object")
    if missing := wanted - data.keys():
        raise Usage("SAFE_TX_INVALID", f"missing {', '.join(sorted(missing))}")
    if unknown := data.keys() - wanted - optional:
        raise Usage("SAFE_TX_INVALID", f"unknown {', '.join(sorted(map(str, unknown)))}")
    try:
        tx = SafeTx(
            _json_address(data["to"]),
            _json_int(data["value"]),
            _json_bytes(data["data"]),
            _json_int(data["operation"]),
            _json_int(data["nonce"]),
            _json_int(data.get("safe_tx_gas", 0)),
            _json_int(data.get("base_gas", 0)),
            _json_int(data.get("gas_price", 0)),
            _json_address(data.get("gas_token", ZERO_ADDRESS)),
            _json_address(data.get("refund_receiver", ZERO_ADDRESS)),
        )
        return _json_int(data["chain_id"]), _json_address(data["safe"]), tx
    except (ValueError, TypeError) as error:
        raise Usage("SAFE_TX_INVALID", str(error)) from None


def _json_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r} is not an integer")
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 78):
        raise ValueError(f"{value!r} is not a decimal integer")
    number = int(value)
    if not 0 <= number < 1 << 256:
        raise ValueError(f"{value} is not a uint256")
    return number


def _json_address(value: Any) -> Address:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an address")
    return Address(to_checksum(value))


def _json_bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError("data must be 0x hex")
    return bytes.fromhex(value[2:])


def missing_signers(
    digest: bytes, signatures: Sequence[bytes], owners: Collection[str]
) -> tuple[Address, ...]:
    """Owners whose signature of `digest` is not among `signatures`, ascending. Raises Denied for a malformed one."""
    signed = {recover_owner(digest, s) for s in signatures}
    return tuple(sorted((Address(o) for o in owners if o not in signed), key=lambda o: int(o, 16)))
