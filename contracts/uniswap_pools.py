"""Where Uniswap's factories put their pools, as its routers and our RouteExecutor derive it (EIP-1014). Pure.

A pool of the same shape at any other address is another factory's: whoever names it by tokens and fee reaches a different pool.
"""

from __future__ import annotations

from contracts.hashing import address_bytes, checksum, keccak

_V2_INIT_CODE = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")
_V3_INIT_CODE = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")


def v2_pair(factory: str, token_a: str, token_b: str) -> str:
    """The pair that a V2 factory made for two tokens, checksummed."""
    return _made(factory, b"".join(_sorted(token_a, token_b)), _V2_INIT_CODE)


def v3_pool(factory: str, token_a: str, token_b: str, pips: int) -> str:
    """The pool that a V3 factory made for two tokens and a fee in millionths, checksummed."""
    words = [bytes(12) + token for token in _sorted(token_a, token_b)]
    return _made(factory, b"".join(words) + pips.to_bytes(32, "big"), _V3_INIT_CODE)


def _sorted(token_a: str, token_b: str) -> list[bytes]:
    return sorted((address_bytes(token_a), address_bytes(token_b)))


def _made(factory: str, salted: bytes, code_hash: bytes) -> str:
    return checksum(keccak(b"\xff" + address_bytes(factory) + keccak(salted) + code_hash)[12:])
