"""The header against an independent signer, in each form a relay meets."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import keccak

from chains.errors import Reject
from chains.relay_auth import SECP256K1_N, header, local_signer, verify

BODY = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[]}'
KEYS = [bytes([n] * 32) for n in (1, 7, 201)]


def reference(key: bytes, body: bytes) -> tuple[str, bytes]:
    account = Account.from_key(key)
    text = "0x" + keccak(body).hex()
    assert len(text) == 66
    return account.address, bytes(account.sign_message(encode_defunct(text=text)).signature)


@pytest.mark.parametrize("key", KEYS)
def test_our_header_is_what_the_documented_recipe_gives(key: bytes) -> None:
    address, signature = reference(key, BODY)
    assert header(BODY, *local_signer(key)) == f"{address}:0x{signature.hex()}"
    assert verify(f"{address}:0x{signature.hex()}", BODY) == address


@pytest.mark.parametrize("key", KEYS)
def test_both_forms_of_v_and_any_casing_of_the_address_pass(key: bytes) -> None:
    address, signature = reference(key, BODY)
    low = signature[:64] + bytes([signature[64] - 27])
    assert verify(f"{address}:0x{low.hex()}", BODY) == address
    assert verify(f"{address.lower()}:0x{signature.hex()}", BODY) == address


def bad_headers() -> dict[str, tuple[str | None, str]]:
    address, signature = reference(KEYS[0], BODY)
    other = reference(KEYS[1], BODY)[0]
    s = int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + (SECP256K1_N - s).to_bytes(32, "big") + bytes([55 - signature[64]])
    return {
        "absent": (None, "RELAY_AUTH_MISSING"),
        "empty": ("", "RELAY_AUTH_MISSING"),
        "no 0x": (f"{address}:{signature.hex()}", "RELAY_AUTH_MALFORMED"),
        "no colon": (f"{address}0x{signature.hex()}", "RELAY_AUTH_MALFORMED"),
        "short": (f"{address}:0x{signature[:64].hex()}", "RELAY_AUTH_MALFORMED"),
        "not hex": (f"{address}:0x{'zz' * 65}", "RELAY_AUTH_MALFORMED"),
        "another address": (f"{other}:0x{signature.hex()}", "RELAY_AUTH_INVALID"),
        "v 29": (f"{address}:0x{(signature[:64] + bytes([29])).hex()}", "RELAY_AUTH_INVALID"),
        "zeroes": (f"{address}:0x{'00' * 65}", "RELAY_AUTH_INVALID"),
        "high s": (f"{address}:0x{twin.hex()}", "RELAY_AUTH_INVALID"),
    }


@pytest.mark.parametrize("case", list(bad_headers()))
def test_everything_else_is_refused_with_its_reason(case: str) -> None:
    value, code = bad_headers()[case]
    with pytest.raises(Reject) as refused:
        verify(value, BODY)
    assert refused.value.code == code


def test_one_changed_byte_of_the_body_is_seen() -> None:
    good = header(BODY, *local_signer(KEYS[0]))
    for at in range(0, len(BODY), 7):
        changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        with pytest.raises(Reject):
            verify(good, changed)
