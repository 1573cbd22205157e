"""Whatever bytes arrive, a transaction is read back as it was signed or refused by name."""

from __future__ import annotations

from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import Usage
from chains.rawtx import decode_raw

KEY = Account.from_key(bytes([9] * 32))
TO = "0x00000000000000000000000000000000000000AA"


@st.composite
def signed(draw: st.DrawFn) -> tuple[dict[str, object], bytes]:
    fields: dict[str, object] = {
        "chainId": draw(st.integers(1, 2**32)), "nonce": draw(st.integers(0, 2**32)), "to": TO, "value": draw(st.integers(0, 2**128)),
        "data": draw(st.binary(max_size=80)), "gas": draw(st.integers(21_000, 10**7)),
    }  # fmt: skip
    kind = draw(st.sampled_from([0, 1, 2]))
    price = draw(st.integers(1, 10**12))
    fields |= (
        {"maxFeePerGas": price, "maxPriorityFeePerGas": price // 2} if kind == 2 else {"gasPrice": price}
    )
    if kind:
        fields["type"] = kind
    return fields, bytes(KEY.sign_transaction(fields).raw_transaction)


@given(signed())
@settings(max_examples=60, deadline=None)
def test_what_was_signed_is_read_back(case: tuple[dict[str, object], bytes]) -> None:
    fields, raw = case
    tx = decode_raw(raw)
    assert (tx.sender, tx.to, tx.chain_id) == (KEY.address, TO, fields["chainId"])
    assert (tx.nonce, tx.value, tx.data, tx.gas) == tuple(
        fields[k] for k in ("nonce", "value", "data", "gas")
    )
    assert tx.max_fee_wei == fields.get("maxFeePerGas", fields.get("gasPrice"))
    assert tx.tip_at(0) == fields.get("maxPriorityFeePerGas", fields.get("gasPrice"))


@given(signed(), st.data())
@settings(max_examples=120, deadline=None)
def test_damaged_bytes_are_refused_or_are_another_transaction(
    case: tuple[dict[str, object], bytes], data: st.DataObject
) -> None:
    raw = bytearray(case[1])
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    damaged = bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw)
    try:
        assert decode_raw(damaged).hash != decode_raw(case[1]).hash
    except Usage as refused:
        assert refused.code == "BAD_TRANSACTION"


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused_by_name(noise: bytes) -> None:
    try:
        decode_raw(noise)
    except Usage as refused:
        assert refused.code == "BAD_TRANSACTION"
