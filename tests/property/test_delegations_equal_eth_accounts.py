"""EIP-7702 by two hands: ours and eth_account's give the same authorizations and the same type-4 transactions, byte for byte."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address, Environment, Fees, UnsignedTx
from contracts.hashing import checksum
from keys.curve import SigningKey
from keys.delegations import Authorization, judge, sign, sign_set_code
from keys.keystore import KeystoreSigner
from keys.policy_settings import ChainPolicy
from keys.signers import open_signer, read_spec

SECRET = b"\x07" * 32
SIGNER = KeystoreSigner(SigningKey(SECRET), Environment.DEVNET)
THEIRS = Account.from_key(SECRET)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda b: Address(checksum(b)))


def policy(chain_id: int, *delegates: str) -> ChainPolicy:
    return ChainPolicy(
        chain_id,
        Address(ZERO_ADDRESS),
        frozenset(),
        1,
        {},
        frozenset(),
        {},
        ZERO_ADDRESS,
        delegates=frozenset(delegates),
    )


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 2**63),
    ADDRESSES,
    st.integers(0, 2**63),
    st.binary(max_size=300),
    st.integers(0, 2**90),
    ADDRESSES,
)
def test_the_same_bytes(
    chain_id: int, delegate: Address, nonce: int, data: bytes, value: int, to: Address
) -> None:
    rules = policy(chain_id, delegate)
    ours = sign(SIGNER, Authorization(chain_id, delegate, nonce), rules)
    theirs = THEIRS.sign_authorization({"chainId": chain_id, "address": delegate, "nonce": nonce})
    assert ours.account == THEIRS.address
    assert ours.signature == theirs.signature.to_bytes()[:64] + bytes([theirs.y_parity + 27])
    tx = UnsignedTx(chain_id, nonce, to, value, data, 10**6, Fees(10**10, 10**9))
    raw = THEIRS.sign_transaction(
        {
            "type": 4, "chainId": chain_id, "nonce": nonce, "to": to, "value": value, "data": data, "gas": 10**6,
            "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, "accessList": [], "authorizationList": [theirs],
        }
    )  # fmt: skip
    signed = sign_set_code(SIGNER, tx, [ours], rules)
    assert signed.raw == bytes(raw.raw_transaction) and signed.hash == "0x" + raw.hash.hex().removeprefix(
        "0x"
    )
    assert Account.recover_transaction(signed.raw) == signed.sender == THEIRS.address


@settings(max_examples=50, deadline=None)
@given(ADDRESSES, ADDRESSES)
def test_code_that_is_not_listed_is_never_signed(delegate: Address, listed: Address) -> None:
    if delegate == ZERO_ADDRESS:
        return
    rules = policy(1, *({listed} - {delegate}))
    for auth in (Authorization(1, delegate, 0), Authorization(0, listed, 0), Authorization(8453, listed, 0)):
        with pytest.raises(Denied) as denied:
            sign(SIGNER, auth, rules)
        assert denied.value.code == "POLICY_DELEGATE" and denied.value.hint
    judge(Authorization(1, Address(ZERO_ADDRESS), 5), rules)
    # Somebody else's authorization in a transaction of ours is judged as well.
    foreign = sign(SIGNER, Authorization(1, delegate, 0), policy(1, delegate))
    tx = UnsignedTx(1, 0, listed, 0, b"", 10**6, Fees(1, 1))
    with pytest.raises(Denied):
        sign_set_code(SIGNER, tx, [foreign], rules)


def test_signers_that_cannot_are_refused_by_name() -> None:
    watch = open_signer(
        read_spec({"kind": "watch", "environment": "devnet", "address": THEIRS.address}), Environment.DEVNET
    )
    with pytest.raises(Denied) as denied:
        sign(watch, Authorization(1, Address(ZERO_ADDRESS), 0), policy(1))
    assert denied.value.code == "DELEGATION_UNSUPPORTED" and "the watch signer" in denied.value.message


def test_what_is_no_delegation_is_not_signed_as_one() -> None:
    with pytest.raises(Usage, match="neither an authorization"):
        SIGNER.sign_delegation(b"\x02" + bytes(40))
    with pytest.raises(Usage, match="at least one"):
        sign_set_code(SIGNER, UnsignedTx(1, 0, ZERO_ADDRESS, 0, b"", 1, Fees(1, 1)), [], policy(1))
    with pytest.raises(Usage, match="out of EIP-7702's range"):
        sign(SIGNER, Authorization(1, ZERO_ADDRESS, 2**64), policy(1))
