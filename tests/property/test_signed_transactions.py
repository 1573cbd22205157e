"""What is signed here is, byte for byte, what eth-account makes of the same fields."""

from __future__ import annotations

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.rawtx import signed_tx
from chains.types import Address, Fees, UnsignedTx
from contracts.hashing import checksum
from keys.curve import SigningKey
from keys.transactions import assemble, digest

UINT256 = st.integers(0, 2**256 - 1) | st.sampled_from([0, 1, 127, 128, 255, 256])
UINT64 = st.integers(0, 2**64 - 1) | st.sampled_from([0, 127, 128])
TXS = st.builds(
    UnsignedTx,
    chain_id=st.integers(1, 2**40),
    nonce=UINT64,
    to=st.binary(min_size=20, max_size=20).map(lambda raw: Address(checksum(raw))),
    value=UINT256,
    data=st.binary(max_size=80)
    | st.sampled_from([b"\0", b"\x7f", b"\x80", bytes(55), bytes(56), bytes(70_000)]),
    gas=UINT64,
    fees=st.builds(Fees, UINT64, UINT64),
)


@given(TXS, st.binary(min_size=32, max_size=32).filter(lambda b: 0 < int.from_bytes(b, "big") < 2**255))
@settings(max_examples=100, deadline=None)
def test_digest_and_bytes_are_eth_accounts(tx: UnsignedTx, secret: bytes) -> None:
    fields = {
        "type": 2, "chainId": tx.chain_id, "nonce": tx.nonce, "to": tx.to, "value": tx.value, "data": tx.data, "gas": tx.gas,
        "maxFeePerGas": tx.fees.max_fee_wei, "maxPriorityFeePerGas": tx.fees.max_priority_fee_wei,
    }  # fmt: skip
    assert digest(tx) == TypedTransaction.from_dict(fields).hash()
    key = SigningKey(secret)
    ours, theirs = assemble(tx, key.sign(digest(tx)), key.address), Account.sign_transaction(fields, secret)
    assert (ours.raw, ours.hash[2:]) == (bytes(theirs.raw_transaction), bytes(theirs.hash).hex())
    assert signed_tx(ours.raw) == ours
