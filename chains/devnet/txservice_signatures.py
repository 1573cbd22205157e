"""The signatures that the local Transaction Service is sent: taken apart, told by whom and of which type, and packed again. Pure.

One signature by itself is 65 bytes r ‖ s ‖ v, a contract's (v 0) followed by its data: length (32) ‖ data, s being 65. Written from the
Safe contracts' own description of the format, apart from the client's code. Raises `Odd` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coincurve import PublicKey

from chains.evm import checksum, hex_bytes, keccak

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_SAFE_TX = keccak(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    b"address gasToken,address refundReceiver,uint256 nonce)"
)


class Odd(Exception):
    """No signature of any kind."""


def split(packed: bytes) -> list[bytes]:
    """Each owner's signature by itself."""
    found, at, end = [], 0, len(packed)
    while at < end:
        part = packed[at : at + 65]
        if len(part) < 65:
            raise Odd(f"Signature of {len(packed)} bytes: a multiple of 65 is expected")
        if part[64] == 0:
            place = int.from_bytes(part[32:64], "big")
            size = int.from_bytes(packed[place : place + 32], "big") if place <= len(packed) else 0
            if place < at + 65 or place + 32 + size > len(packed):
                raise Odd("CONTRACT_SIGNATURE points outside of the signature")
            end = min(end, place)
            part = part[:32] + _word(65) + b"\0" + packed[place : place + 32 + size]
        found.append(part)
        at += 65
    return found


def packed(signatures: Iterable[tuple[str, bytes]]) -> bytes:
    """(owner, signature by itself) as execTransaction takes them, ascending by owner."""
    ordered = [s for _, s in sorted(signatures, key=lambda item: int(item[0], 16))]
    head, tail = b"", b""
    for alone in ordered:
        if alone[64] == 0:
            head += alone[:32] + _word(65 * len(ordered) + len(tail)) + b"\0"
            tail += alone[65:]
        else:
            head += alone
    return head + tail


def signer(digest: bytes, alone: bytes) -> tuple[str, str]:
    """(owner, type). A contract and an approved hash only name their owner: the chain has to confirm them."""
    v = alone[64]
    if v in (0, 1):
        return checksum("0x" + alone[12:32].hex()), "CONTRACT_SIGNATURE" if v == 0 else "APPROVED_HASH"
    kind = "ETH_SIGN" if v > 30 else "EOA"
    signed = keccak(b"\x19Ethereum Signed Message:\n32" + digest) if kind == "ETH_SIGN" else digest
    recovery = v - (31 if kind == "ETH_SIGN" else 27)
    try:
        if recovery not in (0, 1) or int.from_bytes(alone[32:64], "big") > _HALF_ORDER:
            raise ValueError
        public = PublicKey.from_signature_and_message(alone[:64] + bytes((recovery,)), signed, hasher=None)
    except ValueError:
        raise Odd(f"Signature={hex_bytes(alone)} is not valid") from None
    return checksum("0x" + keccak(public.format(compressed=False)[1:])[12:].hex()), kind


def preimage(domain: bytes, fields: tuple[Any, ...]) -> bytes:
    """What a SafeTx's hash is the hash of (EIP-712), out of its ten fields in the contract's order: an owner that is a contract is asked about it."""
    to, value, data, *numbers, token, receiver, nonce = fields
    words = [_SAFE_TX, _address(to), _word(value), keccak(data), *map(_word, numbers)]
    struct = keccak(b"".join([*words, _address(token), _address(receiver), _word(nonce)]))
    return b"\x19\x01" + domain + struct


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address(text: str) -> bytes:
    return bytes.fromhex(text[2:]).rjust(32, b"\0")
