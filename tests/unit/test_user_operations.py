"""User operations without a chain: packing, JSON, nonces, replacement, and what the owners' signatures must be."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest
from custody import MULTISEND, OWNERS, SAFE, THIEF, USDC, approve
from hypothesis import given
from hypothesis import strategies as st
from userop_support import random_operation

from chains.errors import Denied, Usage
from chains.types import Address, Fees
from chains.userops import (
    Paymaster,
    UserOperation,
    bumped,
    bundled,
    check_replacement,
    from_json,
    handle_ops,
    join_nonce,
    packed,
    priced,
    replacement_fees,
    split_nonce,
    to_json,
    unpacked,
    user_op_hash,
)
from contracts.codec import decode_call
from contracts.multisend import unpack
from keys import erc4337
from keys.erc4337 import Window

OWNER_ADDRESSES = [o.address for o in OWNERS]
WINDOW = Window(until=2_000)


def operation(**changes: object) -> UserOperation:
    call = erc4337.executed(approve(USDC, THIEF, 1))
    made = erc4337.operation(
        Address(SAFE),
        7,
        call,
        Fees(100, 10),
        call_gas=60_000,
        verification_gas=90_000,
        pre_verification_gas=50_000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def sign(op: UserOperation, *who: int, window: Window = WINDOW) -> UserOperation:
    digest = erc4337.safe_op_hash(1, op, window)
    return erc4337.signed(1, op, window, [OWNERS[i].sign(digest) for i in who], OWNER_ADDRESSES, 2)


def test_packing_and_json_lose_nothing() -> None:
    rng = random.Random(4337)
    for _ in range(300):
        op = random_operation(rng)
        assert unpacked(packed(op)) == op
        assert from_json(to_json(op)) == op
    ops = tuple(random_operation(rng) for _ in range(5))
    assert bundled(handle_ops(ops, Address(THIEF)).data) == ops


@given(st.integers(0, 2**192 - 1), st.integers(0, 2**64 - 1))
def test_a_nonce_is_a_key_and_a_sequence(key: int, sequence: int) -> None:
    assert split_nonce(join_nonce(key, sequence)) == (key, sequence)


def test_every_field_is_in_both_hashes_and_the_signature_in_neither() -> None:
    rng = random.Random(1)
    base = replace(
        random_operation(rng),
        fees=Fees(100, 10),
        factory=Address(SAFE),
        factory_data=b"\x01",
        paymaster=Paymaster(Address(THIEF), 1, 2, b"\x03"),
    )
    changed = {
        "sender": Address(USDC),
        "call_data": b"\x01" + base.call_data,
        "fees": Fees(100, 11),
        "factory": Address(USDC),
        "factory_data": b"\x02",
        "paymaster": Paymaster(Address(THIEF), 1, 3, b"\x03"),
    }
    for field in fields(base):
        if field.name == "signature":
            other = replace(base, signature=base.signature + b"\x01")
            assert user_op_hash(1, other) == user_op_hash(1, base)
            assert erc4337.safe_op_hash(1, other, WINDOW) == erc4337.safe_op_hash(1, base, WINDOW)
            continue
        value = changed[field.name] if field.name in changed else 1 + getattr(base, field.name) % 1000
        other = replace(base, **{field.name: value})  # type: ignore[arg-type]
        assert user_op_hash(1, other) != user_op_hash(1, base), field.name
        assert erc4337.safe_op_hash(1, other, WINDOW) != erc4337.safe_op_hash(1, base, WINDOW), field.name
    assert user_op_hash(2, base) != user_op_hash(1, base)
    assert erc4337.safe_op_hash(2, base, WINDOW) != erc4337.safe_op_hash(1, base, WINDOW)
    assert erc4337.safe_op_hash(1, base, Window(2_001)) != erc4337.safe_op_hash(1, base, WINDOW)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("nonce", {"nonce": 1 << 256}),
        ("nonce", {"nonce": -1}),
        ("call_gas", {"call_gas": 1 << 120}),
        ("verification_gas", {"verification_gas": -1}),
        ("pre_verification_gas", {"pre_verification_gas": True}),
        ("max_fee_wei", {"fees": Fees(1 << 120, 0)}),
        ("max_priority_fee_wei", {"fees": Fees(9, 10)}),
        ("sender", {"sender": "0x" + "0" * 40}),
        ("sender", {"sender": "0x" + SAFE[2:].swapcase()}),
        ("factory_data", {"factory_data": b"\x01"}),
        ("paymaster_post_op_gas", {"paymaster": Paymaster(Address(THIEF), 1, 1 << 120)}),
    ],
)
def test_a_value_that_does_not_fit_is_named(field: str, change: dict[str, object]) -> None:
    with pytest.raises(Usage, match=field) as caught:
        operation(**change)
    assert caught.value.code == "USER_OP_INVALID" and field in caught.value.hint


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("sender", {"sender": None}),
        ("callGasLimit", {"callGasLimit": None}),
        ("nonce", {"nonce": 7}),
        ("nonce", {"nonce": "0x1_0"}),
        ("callData", {"callData": "0xabc"}),
        ("signature", {"signature": "0x zz"}),
        ("factory", {"factory": "0x12"}),
        ("paymaster", {"paymasterPostOpGasLimit": "0x5"}),
        ("initCode", {"initCode": "0x"}),
        ("sender", {"sender": "0x"}),
    ],
)
def test_a_malformed_object_names_its_field(field: str, change: dict[str, object]) -> None:
    with pytest.raises(Usage, match=field):
        from_json({**to_json(operation()), **change})


def test_gas_and_fees_may_be_missing_only_for_an_estimate() -> None:
    bare = {
        k: v for k, v in to_json(operation()).items() if k in ("sender", "nonce", "callData", "signature")
    }
    assert from_json(bare, estimating=True).call_gas == 0
    with pytest.raises(Usage, match="callGasLimit is missing"):
        from_json(bare)


@given(st.integers(0, 2**100))
def test_ten_percent_is_rounded_up(fee: int) -> None:
    assert 10 * bumped(fee) >= 11 * fee > 10 * (bumped(fee) - 1)


def test_both_fees_have_to_grow() -> None:
    old = operation(fees=Fees(1001, 101))
    assert replacement_fees(old.fees) == Fees(1102, 112)
    assert replacement_fees(Fees(100, 100), Fees(50, 500)) == Fees(500, 500)
    check_replacement(old, priced(old, Fees(1102, 112)))
    for fees, name in ((Fees(1101, 112), "max_fee_wei"), (Fees(1102, 111), "max_priority_fee_wei")):
        with pytest.raises(Denied, match=name) as caught:
            check_replacement(old, priced(old, fees))
        assert caught.value.code == "USER_OP_UNDERPRICED"
    with pytest.raises(Usage, match="nonce"):
        check_replacement(old, replace(old, nonce=8))
    assert priced(sign(old, 0, 1), Fees(1102, 112)).signature == b""


def test_two_of_three_owners_in_any_order_make_one_signature() -> None:
    op = sign(operation(), 2, 0)
    assert op == sign(operation(), 0, 2)
    assert len(op.signature) == 12 + 2 * 65
    assert erc4337.window_of(op)[0] == WINDOW
    by_number = sorted((OWNERS[0].address, OWNERS[2].address), key=lambda a: int(a, 16))
    assert list(erc4337.check_signed(1, op, OWNER_ADDRESSES, 2, now=1_000)) == by_number
    assert len(sign(operation(), 0, 1, 2).signature) == 12 + 2 * 65


def test_a_signature_below_the_threshold_is_refused_before_sending() -> None:
    with pytest.raises(Denied, match="1 of the 2") as caught:
        sign(operation(), 1)
    assert caught.value.code == "SAFE_BELOW_THRESHOLD"
    op = sign(operation(), 0, 1)
    cut = replace(op, signature=op.signature[:-65])
    with pytest.raises(Denied, match="65 bytes of signatures where 130") as caught:
        erc4337.check_signed(1, cut, OWNER_ADDRESSES, 2, now=1_000)
    assert caught.value.code == "SAFE_BELOW_THRESHOLD"
    twice = replace(op, signature=op.signature[:77] + op.signature[12:77])
    with pytest.raises(Denied, match="ascending"):
        erc4337.check_signed(1, twice, OWNER_ADDRESSES, 2, now=1_000)


def test_a_signed_operation_changed_expired_or_without_end_is_refused() -> None:
    op = sign(operation(), 0, 1)
    for changed in (replace(op, call_gas=60_001), replace(op, nonce=8), replace(op, fees=Fees(101, 10))):
        with pytest.raises(Denied, match="not an owner"):
            erc4337.check_signed(1, changed, OWNER_ADDRESSES, 2, now=1_000)
    with pytest.raises(Denied, match="not an owner"):
        erc4337.check_signed(8453, op, OWNER_ADDRESSES, 2, now=1_000)
    erc4337.check_signed(1, op, OWNER_ADDRESSES, 2, now=2_000)
    with pytest.raises(Denied, match="passed 1 s ago") as caught:
        erc4337.check_signed(1, op, OWNER_ADDRESSES, 2, now=2_001)
    assert caught.value.code == "USER_OP_EXPIRED"
    with pytest.raises(Denied, match="signature has 0 bytes"):
        erc4337.check_signed(1, operation(), OWNER_ADDRESSES, 2, now=1)
    with pytest.raises(Usage, match="valid_until is missing"):
        sign(operation(), 0, 1, window=Window(0))
    with pytest.raises(Usage, match="valid_until"):
        Window(until=5, after=6)


def test_an_operation_is_void_once_its_nonce_is_used_or_its_time_is_over() -> None:
    op = sign(operation(nonce=join_nonce(5, 7)), 0, 1)
    assert not erc4337.is_void(op, join_nonce(5, 7), now=2_000)
    assert erc4337.is_void(op, join_nonce(5, 8), now=1)
    assert erc4337.is_void(op, join_nonce(5, 7), now=2_001)
    for_ever = replace(op, signature=Window(0).pack() + op.signature[12:])
    assert not erc4337.is_void(for_ever, join_nonce(5, 7), now=2**40)
    with pytest.raises(Denied):
        erc4337.is_void(operation(), 0, now=1)
    other = erc4337.revoking(op)
    assert (other.sender, other.nonce, other.fees) == (op.sender, op.nonce, Fees(110, 11))
    call = decode_call("safe_4337_module", other.call_data)
    assert (call.args["to"], call.args["value"], call.args["data"]) == (op.sender, 0, b"")


def test_calls_are_what_the_module_executes() -> None:
    part = approve(USDC, THIEF, 5)
    one = decode_call("safe_4337_module", erc4337.executed(part, with_reason=False))
    assert (one.function, one.args["to"], one.args["data"], one.args["operation"]) == (
        "executeUserOp",
        USDC,
        part.data,
        0,
    )
    two = decode_call("safe_4337_module", erc4337.batch(Address(MULTISEND), [part, part]))
    assert two.function == "executeUserOpWithErrorString" and two.args["operation"] == 1
    inner = decode_call("multi_send", two.args["data"])
    assert unpack(inner.args["transactions"]) == (part, part)
    with pytest.raises(Usage, match="call_data calls 0x095ea7b3"):
        erc4337.operation(Address(SAFE), 0, part.data, Fees(1, 1))
    with pytest.raises(Usage, match="empty batch"):
        erc4337.batch(Address(MULTISEND), [])
