"""The four forms of an owner's signature that a Safe checks, ordered and packed as `checkNSignatures` reads them. Pure.

    v 27, 28   an ECDSA signature of the transaction's hash
    v 31, 32   eth_sign: an ECDSA signature of that hash as an EIP-191 message, its v raised by 4
    v 1        pre-approved: r is the owner, who called `approveHash` before or sends the transaction itself
    v 0        a contract (EIP-1271): r is the owner, s the place of its data behind all the 65-byte parts: length (32) ‖ data

A key's forms are proved here by recovery. The other two are only facts on the chain: `check_call` asks the Safe itself, for all of them.
Where the owner is a Safe, its data is its own owners' packed signatures of a SafeMessage (`safe_message`).
Source: Safe.checkNSignatures and CompatibilityFallbackHandler of safe-smart-account 1.3.0, 1.4.1 and 1.5.0.
Errors: Denied SAFE_SIGNATURE_INVALID, …_FOREIGN, …_DUPLICATE, …_UNSORTED, SAFE_BELOW_THRESHOLD; Usage SAFE_THRESHOLD_INVALID.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from chains.errors import Denied, Usage
from chains.types import Address, Call
from contracts.codec import encode
from contracts.hashing import address_bytes, checksum, keccak, to_checksum
from keys import curve
from keys.safe import domain_separator
from keys.typed import TypedHash

SAFE_MESSAGE_TYPEHASH = keccak(b"SafeMessage(bytes message)")
_PART = 65


class Form(Enum):
    KEY = "key"
    ETH_SIGN = "eth_sign"
    APPROVED = "approved"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class OwnerSignature:
    """`part`: the 65 bytes as they are packed (a contract's place is filled in by `pack`); `data`: a contract's own bytes."""

    owner: Address
    form: Form
    part: bytes
    data: bytes = b""

    @property
    def proved(self) -> bool:
        """True where recovery proved it; the rest is for the chain to say."""
        return self.form in (Form.KEY, Form.ETH_SIGN)

    @property
    def alone(self) -> bytes:
        """As files and the Safe Transaction Service keep it: by itself, a contract's data right behind its own 65 bytes."""
        if self.form is not Form.CONTRACT:
            return self.part
        place = _PART.to_bytes(32, "big")
        return self.part[:32] + place + b"\0" + len(self.data).to_bytes(32, "big") + self.data


def by_key(digest: bytes, signature: bytes) -> OwnerSignature:
    """r ‖ s ‖ v with v 27 or 28 over the hash, or 31 or 32 over it as a message. Raises Denied SAFE_SIGNATURE_INVALID."""
    v = signature[64] if len(signature) == _PART else 0
    if v in (27, 28):
        return OwnerSignature(curve.recover(digest, signature), Form.KEY, signature)
    if v in (31, 32):
        plain = signature[:64] + bytes((v - 4,))
        return OwnerSignature(curve.recover(curve.personal_digest(digest), plain), Form.ETH_SIGN, signature)
    raise _invalid(f"{len(signature)} bytes with v {v} are no key's signature")


def by_message(digest: bytes, signature: bytes) -> OwnerSignature:
    """A signature of the hash as an EIP-191 message, as wallets without typed data make it: v 27 or 28 becomes 31 or 32."""
    if len(signature) != _PART or signature[64] not in (27, 28):
        raise _invalid("a message's signature has 65 bytes and v 27 or 28")
    return by_key(digest, signature[:64] + bytes((signature[64] + 4,)))


def by_approval(owner: str) -> OwnerSignature:
    """For an owner who approved the hash on chain, or will send the transaction."""
    return OwnerSignature(_owner(owner), Form.APPROVED, _word(owner) + bytes(32) + b"\x01")


def by_contract(owner: str, data: bytes) -> OwnerSignature:
    """For an owner that is a contract; `data` is what its isValidSignature is given."""
    return OwnerSignature(_owner(owner), Form.CONTRACT, _word(owner) + bytes(33), data)


def pack(signatures: Iterable[OwnerSignature], owners: Collection[str], threshold: int) -> bytes:
    """Ascending by owner, cut to `threshold`, contracts' data behind: what execTransaction takes."""
    owned = {to_checksum(o) for o in owners}
    if not 1 <= threshold <= len(owned):
        raise Usage("SAFE_THRESHOLD_INVALID", f"a threshold of {threshold} does not fit {len(owned)} owners")
    by_owner: dict[str, OwnerSignature] = {}
    for signature in signatures:
        if signature.owner not in owned:
            raise Denied(
                "SAFE_SIGNATURE_FOREIGN",
                f"a signature is {signature.owner}'s, which is not an owner of this Safe",
                "It was made by another key, or for another transaction, nonce, Safe or chain.",
            )
        if signature.owner in by_owner:
            raise Denied(
                "SAFE_SIGNATURE_DUPLICATE", f"owner {signature.owner} signed twice", "Each owner counts once."
            )
        by_owner[signature.owner] = signature
    if len(by_owner) < threshold:
        missing = ", ".join(sorted(owned - by_owner.keys()))
        raise Denied(
            "SAFE_BELOW_THRESHOLD",
            f"{len(by_owner)} of the {threshold} signatures needed are there",
            f"Owners who have not signed: {missing}.",
        )
    # What costs no call and cannot fail on chain comes first where more are there than needed.
    cheapest = sorted(by_owner.values(), key=lambda s: (not s.proved, int(s.owner, 16)))[:threshold]
    parts, tail = b"", b""
    for signature in sorted(cheapest, key=lambda s: int(s.owner, 16)):
        if signature.form is Form.CONTRACT:
            place = threshold * _PART + len(tail)
            parts += signature.part[:32] + place.to_bytes(32, "big") + b"\0"
            tail += len(signature.data).to_bytes(32, "big") + signature.data
        else:
            parts += signature.part
    return parts + tail


def unpack(
    digest: bytes, packed: bytes, owners: Collection[str], threshold: int
) -> tuple[OwnerSignature, ...]:
    """The signatures of a packed blob, read as the contract reads them. Raises Denied for what it would revert on."""
    fixed = threshold * _PART
    if threshold < 1 or len(packed) < fixed:
        raise Denied("SAFE_BELOW_THRESHOLD", f"{len(packed)} bytes of signatures where {fixed} are needed")
    found: list[OwnerSignature] = []
    for at in range(0, fixed, _PART):
        part = packed[at : at + _PART]
        match part[64]:
            case 0:
                found.append(
                    by_contract(_named(part), _data(packed, int.from_bytes(part[32:64], "big"), fixed))
                )
            case 1:
                found.append(by_approval(_named(part)))
            case _:
                found.append(by_key(digest, part))
        if found[-1].owner not in owners:
            raise Denied("SAFE_SIGNATURE_FOREIGN", f"{found[-1].owner} is not an owner of this Safe")
    _ascending(found)
    return tuple(found)


def unpack_exactly(
    digest: bytes, packed: bytes, owners: Collection[str], threshold: int
) -> tuple[OwnerSignature, ...]:
    """As `unpack`, and not a byte more than that: a 4337 module refuses padding, which would only cost gas. Raises Denied."""
    found = unpack(digest, packed, owners, threshold)
    needed = threshold * _PART + sum(32 + len(s.data) for s in found if s.form is Form.CONTRACT)
    if len(packed) != needed:
        raise _invalid(f"{len(packed)} bytes of signatures where {needed} are needed")
    return found


def read(digest: bytes, given: bytes) -> OwnerSignature:
    """One signature by itself, as `OwnerSignature.alone` writes it. Raises Denied SAFE_SIGNATURE_INVALID."""
    found = read_all(digest, given)
    if len(found) != 1:
        raise _invalid(f"{len(found)} signatures where one owner's is expected")
    return found[0]


def read_all(digest: bytes, packed: bytes) -> tuple[OwnerSignature, ...]:
    """The signatures of a packed blob whose number and owners are not known: its 65-byte parts end where the first contract's data
    begin. Raises Denied SAFE_SIGNATURE_INVALID, SAFE_SIGNATURE_UNSORTED."""
    found: list[OwnerSignature] = []
    at, end, used = 0, len(packed), 0
    while at < end:
        part = packed[at : at + _PART]
        if len(part) < _PART:
            raise _invalid(f"{len(packed)} bytes are no whole number of signatures")
        match part[64]:
            case 0:
                place = int.from_bytes(part[32:64], "big")
                data = _data(packed, place, at + _PART)
                end, used = min(end, place), max(used, place + 32 + len(data))
                found.append(by_contract(_named(part), data))
            case 1:
                found.append(by_approval(_named(part)))
            case _:
                found.append(by_key(digest, part))
        at += _PART
    if at != end:
        raise _invalid("a contract signature's data begin inside another signature")
    if used not in (0, len(packed)):
        raise _invalid("there are bytes behind the signatures that belong to none of them")
    _ascending(found)
    return tuple(found)


def _ascending(found: Sequence[OwnerSignature]) -> None:
    if any(int(a.owner, 16) >= int(b.owner, 16) for a, b in zip(found, found[1:], strict=False)):
        raise Denied(
            "SAFE_SIGNATURE_UNSORTED", "the signatures are not in strictly ascending order of owners"
        )


def _data(packed: bytes, place: int, fixed: int) -> bytes:
    if place < fixed or place + 32 > len(packed):
        raise _invalid("a contract signature's place is outside the data")
    size = int.from_bytes(packed[place : place + 32], "big")
    if place + 32 + size > len(packed):
        raise _invalid("a contract signature is longer than the data")
    return packed[place + 32 : place + 32 + size]


def _named(part: bytes) -> str:
    if any(part[:12]):
        raise _invalid("the owner in a signature is no address")
    return checksum(part[12:32])


def _owner(owner: str) -> Address:
    return Address(to_checksum(owner))


def _word(owner: str) -> bytes:
    return bytes(12) + address_bytes(to_checksum(owner))


def _invalid(why: str) -> Denied:
    return Denied("SAFE_SIGNATURE_INVALID", why, "Ask that owner to sign again.")


def check_call(safe: Address, typed: TypedHash, packed: bytes) -> Call:
    """checkSignatures of the Safe itself: as an eth_call it reverts (GS020 to GS026) unless every form holds on chain right now."""
    return Call(safe, encode("safe", "checkSignatures", (typed.digest, typed.preimage, packed)))


def check_one(safe: Address, typed: TypedHash, signature: OwnerSignature) -> Call:
    """checkNSignatures of the Safe itself for one owner: reverts unless this owner's signature holds on chain right now.

    What it hands to an endpoint is a hash and a signature of it, never the transaction: nobody can execute from that.
    """
    args = (typed.digest, typed.preimage, signature.alone, 1)
    return Call(safe, encode("safe", "checkNSignatures", args))


def safe_message(chain_id: int, wallet: Address, message: bytes) -> TypedHash:
    """What the owners of `wallet` sign so that it, as a contract, approves `message` (SafeMessage, EIP-712)."""
    struct = keccak(SAFE_MESSAGE_TYPEHASH + keccak(message))
    return TypedHash(domain_separator(chain_id, wallet), struct, "message of a Safe that is an owner")


def nested_message(typed: TypedHash, version: str) -> bytes:
    """What a Safe of `version` hands to an owner that is a contract: before 1.5.0 the hashed bytes, from then on their hash."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return typed.preimage if (major, minor) < (1, 5) else typed.digest
