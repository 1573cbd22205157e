"""What a share's holder agrees to sign: the request decoded by the share itself, his own rules, and his own yes. For `keys.mpc_share`.

    {"kind": "transaction", "preimage": hex}                        0x02 ‖ rlp(…), decoded here
    {"kind": "typed", "preimage": hex, "structs": [[name, [[type, member, value], …]], …]}      hashed here
    {"kind": "message", "message": hex}                             hashed here

The digest that is signed is computed from what was decoded and never taken from who asks. Rules, all of them closed where left out:

    chains        chain ids                       to            recipients of transactions
    max_value_wei, max_fee_wei   decimal texts    safes         Safes whose transactions are signed
    typed_hashes  typed data without its fields   messages      plain messages
    ceremonies    key generation and refresh      approve       a command that is shown each request as JSON and says yes by status 0

Errors: Denied MPC_REFUSED naming the rule; Usage MPC_REQUEST_INVALID, MPC_RULES_INVALID.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rlp

from chains import gate_code
from chains.errors import Denied, FairleadError, Usage
from chains.types import Address, Environment, UnsignedTx
from contracts.hashing import checksum, keccak, to_checksum
from keys import curve, landmarks, safe, transactions
from keys.reading import sentences_of
from keys.signers import Request
from keys.typed import Field, Struct, TypedHash


@dataclass(frozen=True, slots=True)
class Rules:
    """One holder's. `approve` empty: nobody is asked, the rules alone decide."""

    environment: Environment
    chains: frozenset[int] = frozenset()
    to: frozenset[str] = frozenset()
    max_value_wei: int = 0
    max_fee_wei: int = 0
    safes: frozenset[str] = frozenset()
    typed_hashes: bool = False
    messages: bool = False
    ceremonies: bool = False
    approve: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A decoded request: what is signed, and what its holder reads."""

    digest: bytes
    lines: tuple[str, ...]


def to_data(request: Request) -> dict[str, Any]:
    """What a share is told of a request."""
    match request:
        case UnsignedTx():
            return {"kind": "transaction", "preimage": transactions.preimage(request).hex()}
        case TypedHash():
            structs = [
                [
                    s.name,
                    [
                        [f.type, f.name, f.raw.hex() if isinstance(f.value, bytes) else str(f.value)]
                        for f in s.fields
                    ],
                ]
                for s in request.structs
            ]
            return {"kind": "typed", "preimage": request.preimage.hex(), "structs": structs}
    return {"kind": "message", "message": request.hex()}


def read_rules(data: Any, environment: Environment) -> Rules:
    """Raises Usage MPC_RULES_INVALID naming the rule."""
    if not isinstance(data, dict):
        raise _rules("rules", "is not an object")
    known = {
        "chains",
        "to",
        "max_value_wei",
        "max_fee_wei",
        "safes",
        "typed_hashes",
        "messages",
        "ceremonies",
        "approve",
    }
    if unknown := sorted(data.keys() - known):
        raise _rules(unknown[0], "is no rule")
    read: dict[str, Any] = {}
    for name, value in data.items():
        try:
            read[name] = _rule(name, value)
        except (ValueError, TypeError) as error:
            raise _rules(name, f"cannot be read: {error}") from None
    return Rules(environment, **read)


def _rule(name: str, value: Any) -> Any:
    if name in ("typed_hashes", "messages", "ceremonies"):
        if not isinstance(value, bool):
            raise ValueError("it is true or false")
        return value
    if name.startswith("max_"):
        if not isinstance(value, str) or not value.isdecimal():
            raise ValueError("it is a decimal text")
        return int(value)
    if not isinstance(value, list):
        raise ValueError("it is a list")
    if name == "chains":
        return frozenset(int(c) for c in value)
    if name == "approve":
        return tuple(str(word) for word in value)
    return frozenset(to_checksum(a) for a in value)


def _rules(name: str, why: str) -> Usage:
    return Usage("MPC_RULES_INVALID", f"rules.{name} {why}", "See keys/mpc_policy.py.")


def _bad(why: str) -> Usage:
    return Usage("MPC_REQUEST_INVALID", f"the request {why}")


def _no(rule: str, why: str) -> Denied:
    return Denied(
        "MPC_REFUSED", f"{why}, and this share's rule `{rule}` does not allow it", "Its holder may change it."
    )


def judge(data: Mapping[str, Any], rules: Rules) -> Asked:
    """The decoded request, where the rules allow it. Raises Denied MPC_REFUSED, Usage MPC_REQUEST_INVALID."""
    try:
        match data.get("kind"):
            case "transaction":
                return _transaction(bytes.fromhex(data["preimage"]), rules)
            case "typed":
                return _typed(bytes.fromhex(data["preimage"]), data["structs"], rules)
            case "message":
                return _message(bytes.fromhex(data["message"]), rules)
    except (ValueError, KeyError, TypeError, OverflowError, rlp.exceptions.RLPException) as error:
        raise _bad(f"cannot be read: {type(error).__name__}") from None
    raise _bad("is of no known kind")


def _transaction(preimage: bytes, rules: Rules) -> Asked:
    if preimage[:1] != transactions.TYPE:
        raise _bad("is no EIP-1559 transaction")
    fields = rlp.decode(preimage[1:])
    chain, _nonce, _tip, cap, gas, to, value, call, access = fields
    numbers = [int.from_bytes(f, "big") for f in (chain, cap, gas, value)]
    if len(to) != 20 or access or transactions.TYPE + rlp.encode(fields) != preimage:
        raise _bad("creates a contract, has an access list, or is not written as RLP is")
    chain_id, cap_wei, gas_units, value_wei = numbers
    recipient, fee_wei = checksum(to), cap_wei * gas_units
    if chain_id not in rules.chains:
        raise _no("chains", f"this is on chain {chain_id}")
    if recipient not in rules.to:
        raise _no("to", f"this goes to {recipient}")
    if value_wei > rules.max_value_wei:
        raise _no("max_value_wei", f"this sends {value_wei} wei")
    if fee_wei > rules.max_fee_wei:
        raise _no("max_fee_wei", f"this may cost {fee_wei} wei of gas")
    lines = (
        f"Transaction on chain {chain_id}, nonce {int.from_bytes(_nonce, 'big')}, to {recipient}.",
        f"Sends {value_wei} wei and costs at most {fee_wei} wei of gas.",
        f"Calls it with 0x{call[:4].hex()} and {len(call)} bytes." if call else "Calls nothing.",
    )
    return Asked(keccak(preimage), lines)


def _typed(preimage: bytes, structs: list[Any], rules: Rules) -> Asked:
    typed = TypedHash(preimage[2:34], preimage[34:])
    if preimage[:2] != b"\x19\x01":
        raise _bad("is no typed data")
    if not structs:
        if not rules.typed_hashes:
            raise _no("typed_hashes", "this typed data came without its fields")
        lines = (
            f"Typed data of domain 0x{typed.domain.hex()},",
            f"message 0x{typed.message.hex()}: NOT DECODED.",
        )
        return Asked(typed.digest, lines)
    domain, message = (_struct(s) for s in structs)
    if (_hash(domain), _hash(message)) != (typed.domain, typed.message):
        raise _bad("has fields that are not what is hashed")
    chain_id, wallet, tx = _safe_tx(domain, message)
    if chain_id not in rules.chains:
        raise _no("chains", f"this is on chain {chain_id}")
    if wallet not in rules.safes:
        raise _no("safes", f"this is a transaction of the Safe {wallet}")
    if safe.typed(chain_id, wallet, tx).digest != typed.digest:
        raise _bad("is no Safe transaction")
    try:
        read = sentences_of(chain_id, wallet, tx, landmarks.tokens(chain_id), gate_code.compiled())
    except FairleadError as error:
        raise _no("safes", f"this cannot be read ({error.message})") from None
    return Asked(typed.digest, tuple(read))


def _struct(data: Any) -> Struct:
    name, members = data
    fields = []
    for kind, label, value in members:
        fields.append(Field(kind, label, int(value) if kind.startswith("uint") else bytes.fromhex(value)))
    return Struct(name, tuple(fields))


def _hash(struct: Struct) -> bytes:
    """EIP-712's hashStruct of a struct without structs inside."""
    head = f"{struct.name}({','.join(f'{f.type} {f.name}' for f in struct.fields)})"
    words = []
    for field in struct.fields:
        if isinstance(field.value, int):
            words.append(field.value.to_bytes(32, "big"))
        else:
            words.append(keccak(field.value) if field.type == "bytes" else field.value.rjust(32, b"\0"))
    return keccak(keccak(head.encode()) + b"".join(words))


def _safe_tx(domain: Struct, message: Struct) -> tuple[int, Address, safe.SafeTx]:
    """Only a Safe's own transactions are read; of other typed data the type is named in the refusal."""
    if message.name != "SafeTx" or [f.name for f in domain.fields] != ["chainId", "verifyingContract"]:
        raise _no("typed_hashes", f"this is a {message.name[:40]!r} and not a Safe transaction")
    to, value, data, operation, safe_gas, base_gas, price, token, receiver, nonce = (
        f.value for f in message.fields
    )
    wallet = Address(checksum(_bytes(domain.fields[1].value)))
    to_, token_, receiver_ = (Address(checksum(_bytes(a))) for a in (to, token, receiver))
    gas = (_int(safe_gas), _int(base_gas), _int(price))
    tx = safe.SafeTx(to_, _int(value), _bytes(data), _int(operation), _int(nonce), *gas, token_, receiver_)
    return _int(domain.fields[0].value), wallet, tx


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("bytes where a number stands")
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes stand")
    return value


def _message(message: bytes, rules: Rules) -> Asked:
    if not rules.messages:
        raise _no("messages", "this is a plain message")
    said = message.decode("ascii", errors="ignore")
    plain = said.encode() == message and said.isprintable()
    return Asked(curve.personal_digest(message), (f"Message: {said if plain else '0x' + message.hex()}",))
