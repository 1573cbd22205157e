"""What an agent wallet signs for Hyperliquid: the hash of an action in MessagePack, wrapped as a phantom agent in EIP-712. Pure.

Source: the venue's published API documentation; checked against the test vectors of its own SDK. The hash is keccak256 of

    msgpack(action) ‖ nonce (8 bytes) ‖ 00, or 01 and the vault's 20 bytes ‖ (00 and 8 bytes of expiresAfter, where given)

and the signed message Agent(string source, bytes32 connectionId) under the domain Exchange, version 1, chain id 1337, no contract;
`source` is "a" on the main network and "b" on the test network. MessagePack keeps the order of an action's keys: so does whoever
checks, and the order is part of what is signed.
"""

from __future__ import annotations

from typing import Any

from chains.errors import Usage
from contracts.hashing import keccak

MAX_DEPTH = 8
_DOMAIN = keccak(
    keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + keccak(b"Exchange")
    + keccak(b"1")
    + (1337).to_bytes(32, "big")
    + bytes(32)
)
_AGENT = keccak(b"Agent(string source,bytes32 connectionId)")


def pack(value: Any, depth: int = 0) -> bytes:
    """MessagePack in its shortest form, for what actions are made of. Raises Usage HYPERLIQUID_ACTION for anything else."""
    if depth > MAX_DEPTH:
        raise _bad(f"nested deeper than {MAX_DEPTH}")
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, str):
        body = value.encode("utf-8", "strict") if value.isascii() else _utf8(value)
        return _head(len(body), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + body
    if isinstance(value, list):
        head = _head(len(value), 0x90, 15, (None, 0xDC, 0xDD))
        return head + b"".join(pack(one, depth + 1) for one in value)
    if isinstance(value, dict):
        head = _head(len(value), 0x80, 15, (None, 0xDE, 0xDF))
        return head + b"".join(pack(_key(k)) + pack(v, depth + 1) for k, v in value.items())
    raise _bad(f"a {type(value).__name__} is none of an action's values")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _bad("a key that is no text")
    return key


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise _bad("text that is no Unicode") from None


def _head(size: int, short: int, most: int, longer: tuple[int | None, int, int]) -> bytes:
    if size <= most:
        return bytes((short | size,))
    one, two, four = longer
    if one is not None and size < 1 << 8:
        return bytes((one, size))
    if size < 1 << 16:
        return bytes((two,)) + size.to_bytes(2, "big")
    return bytes((four,)) + size.to_bytes(4, "big")


def _integer(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes((value,))
    if -32 <= value < 0:
        return value.to_bytes(1, "big", signed=True)
    for width, unsigned, signed in ((1, 0xCC, 0xD0), (2, 0xCD, 0xD1), (4, 0xCE, 0xD2), (8, 0xCF, 0xD3)):
        if 0 <= value < 1 << 8 * width:
            return bytes((unsigned,)) + value.to_bytes(width, "big")
        if value < 0 and -value <= 1 << 8 * width - 1:
            return bytes((signed,)) + value.to_bytes(width, "big", signed=True)
    raise _bad(f"{value} does not fit 64 bits")


def action_hash(
    action: Any, nonce: int, vault: bytes | None = None, expires_after: int | None = None
) -> bytes:
    """The connection id. `nonce` and `expires_after` are milliseconds of Unix time; `vault` is 20 bytes."""
    data = pack(action) + _eight(nonce)
    data += b"\x00" if vault is None else b"\x01" + vault
    if expires_after is not None:
        data += b"\x00" + _eight(expires_after)
    return keccak(data)


def _eight(value: int) -> bytes:
    if not 0 <= value < 1 << 64:
        raise _bad(f"{value} does not fit 64 bits")
    return value.to_bytes(8, "big")


def agent_digest(connection_id: bytes, *, mainnet: bool) -> bytes:
    """The EIP-712 digest that the agent wallet's key signs."""
    source = keccak(b"a" if mainnet else b"b")
    return keccak(b"\x19\x01" + _DOMAIN + keccak(_AGENT + source + connection_id))


def _bad(what: str) -> Usage:
    return Usage("HYPERLIQUID_ACTION", f"action: {what}", "Send an action as the venue documents it.")
